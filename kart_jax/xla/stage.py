"""What XLA is told of our programs: which parts to compute once, and the width of a CPU's loops.

Why it has to be told: `kart_jax.xla`.
"""

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
    """Return the `compiler_options` of `jax.jit` for a program that draws or steps many karts.

    On a CPU with 512-bit vectors XLA uses whole ones; on other CPUs the option changes nothing.

    Returns:
        Options by XLA's names; none where the default device is no CPU.
    """
    return {"xla_cpu_prefer_vector_width": 512} if jax.default_backend() == "cpu" else {}


def opaque(tree: T) -> T:
    """Return a tree of arrays as it is, but hide from the compiler where it came from.

    What a jitted function closes over is a constant of its program. XLA folds constants into every
    loop that reads them, and a loop with a large table or many scalars folded in is several times
    slower on a CPU than one that reads them from memory. Behind this barrier a constant is read
    like an argument; an argument stays what it was.
    """
    return jax.lax.optimization_barrier(tree)


def stage(*static: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Make a decorator: a function of arrays is compiled on its own where that pays, on a CPU.

    What a stage returns is in memory, and computed once for all that depends on it. Elsewhere than
    on a CPU the compiler is left to itself.

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
    """Return `compute()`, on a CPU worked out once and stored, with the arrays that it closes over.

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
