"""What XLA is told of our programs: which parts to compute once (stages), and how wide a CPU's
loops are to be."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import chex
import jax
import jax.numpy as jnp
from jax.experimental.xla_metadata import set_xla_metadata

P = ParamSpec("P")
T = TypeVar("T")


def compiler_options() -> dict[str, int]:
    """What to give `jax.jit` for a program that draws or steps many karts:
    `compiler_options=compiler_options()`.

    On a CPU with 512-bit vectors XLA uses half of them unless told otherwise. The view is
    arithmetic for pixel after pixel and gains by whole ones (docs/performance.md); on other CPUs
    the option changes nothing.

    Returns:
        Options by XLA's names; none where the default device is no CPU.
    """
    return {"xla_cpu_prefer_vector_width": 512} if jax.default_backend() == "cpu" else {}


def stage(*static: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """A function of arrays that is compiled on its own where that pays: on a CPU.

    XLA makes a loop of each result and computes in it whatever the result depends on. For results
    that depend on one another this repeats the same arithmetic, in a chain of formulas over and
    over. It does not look into a stage: what a stage returns is in memory, and computed once.
    Elsewhere than on a CPU the compiler is left to itself.

    Args:
        *static: names of arguments that are no arrays.
    """

    def apart(function: Callable[P, T]) -> Callable[P, T]:
        @functools.partial(jax.jit, static_argnames=static)
        @functools.wraps(function)
        def body(*arguments: P.args, **named: P.kwargs) -> T:
            with set_xla_metadata(inlineable="true"):  # the calls in it
                return function(*arguments, **named)

        @functools.wraps(function)
        def call(*arguments: P.args, **named: P.kwargs) -> T:
            if jax.default_backend() != "cpu":
                return function(*arguments, **named)
            with set_xla_metadata(inlineable="false"):
                return body(*arguments, **named)

        return call

    return apart


def stored(witness: chex.Array, compute: Callable[[], T]) -> T:
    """Return `compute()`, on a CPU worked out once and stored, as are the arrays that it closes
    over.

    XLA may work a value out again for every pixel or word that is made of it; the result of a
    branch it must store, unless it knows which branch is taken. Here the choice hangs on `witness`,
    which it cannot know. On an accelerator, which would have to ask the host for the choice,
    nothing is forced.

    Args:
        witness: () a number that is never negative, and that is no constant of the program.
        compute: a function of nothing.
    """
    compute = jax.jit(compute)  # or it would be traced for each branch

    def nothing() -> T:
        return jax.tree.map(
            lambda shape: jnp.zeros(shape.shape, shape.dtype), jax.eval_shape(compute)
        )

    return jax.lax.platform_dependent(
        cpu=lambda: jax.lax.cond(witness >= 0, compute, nothing), default=compute
    )
