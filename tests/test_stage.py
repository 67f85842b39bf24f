"""A stage is its function: values, derivatives, and that it is compiled apart."""

import jax
import jax.numpy as jnp
import numpy as np

from kart_jax.stage import stage


def power(x, y, exponent):
    product = x * y + 1.0
    return product**exponent, product - y


@stage("exponent")
def staged(x, y, exponent):
    return power(x, y, exponent)


X, Y = jnp.linspace(-2.0, 2.0, 32), jnp.linspace(1.0, 3.0, 32)


def test_a_stage_is_its_function_and_so_are_its_derivatives():
    def total(function, x, y):
        first, second = jax.vmap(lambda x, y: function(x, y, exponent=3))(x, y)
        return jnp.sum(first * second)

    for derive in (lambda f: f, jax.grad, jax.jacfwd):
        ours, plain = (jax.jit(derive(lambda x, y, f=f: total(f, x, y)))(X, Y) for f in (staged, power))
        np.testing.assert_allclose(ours, plain, rtol=1e-6)


def test_on_a_cpu_a_stage_is_compiled_apart():
    def both(function):
        first, second = function(X, Y, exponent=3)
        return first + second, first - second, first * second

    texts = [jax.jit(lambda f=f: both(f)).lower().compile().as_text() for f in (staged, power)]
    assert " call(" in texts[0] and " call(" not in texts[1]
