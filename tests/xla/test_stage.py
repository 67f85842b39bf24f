"""A stage is its function, compiled apart; what else XLA is told, it takes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import OPTIMISED

from kart_jax.xla.stage import compiler_options, opaque, stage


def power(x, y, exponent):
    product = x * y + 1.0
    return product**exponent, product - y


@stage("exponent")
def staged(x, y, exponent):
    return power(x, y, exponent)


X = jnp.linspace(-2.0, 2.0, 32)
Y = jnp.linspace(1.0, 3.0, 32)


def test_a_stage_is_its_function_and_so_are_its_derivatives():
    def total(function, x, y):
        first, second = jax.vmap(lambda x, y: function(x, y, exponent=3))(x, y)
        return jnp.sum(first * second)

    for derive in (lambda f: f, jax.grad, jax.jacfwd):
        ours, plain = (
            jax.jit(derive(lambda x, y, f=f: total(f, x, y)), compiler_options=OPTIMISED)(X, Y)
            for f in (staged, power)
        )
        np.testing.assert_allclose(ours, plain, rtol=1e-6)


def test_on_a_cpu_a_stage_is_compiled_apart():
    def both(function):
        first, second = function(X, Y, exponent=3)
        return first + second, first - second, first * second

    texts = [jax.jit(lambda f=f: both(f)).lower().compile().as_text() for f in (staged, power)]
    assert " call(" in texts[0] and " call(" not in texts[1]


def test_what_is_opaque_keeps_values_and_derivatives():
    def hidden(x, y):
        x, y = opaque((x, y))
        return power(x, y, 3)[0]

    plain = lambda x, y: power(x, y, 3)[0]  # noqa: E731
    for derive in (lambda f: f, jax.grad, jax.jacfwd):
        ours, theirs = (jax.jit(jax.vmap(derive(f)))(X, Y) for f in (hidden, plain))
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_xla_takes_the_options_of_a_cpu_and_other_devices_get_none(monkeypatch):
    options = compiler_options()
    compiled = jax.jit(lambda x, y: power(x, y, 3), compiler_options=options)
    for told, plain in zip(compiled(X, Y), power(X, Y, 3), strict=True):
        np.testing.assert_allclose(told, plain, rtol=1e-6)
    with pytest.raises(jax.errors.JaxRuntimeError, match="No such compile option"):
        jax.jit(jnp.sin, compiler_options={f"{next(iter(options))}_misspelt": 512})(X)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert compiler_options() == {}
