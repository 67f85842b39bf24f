"""What XLA is told of our programs: which parts to compute once (stages), and how wide a CPU's loops are to be."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import jax
from jax.experimental.xla_metadata import set_xla_metadata

P = ParamSpec("P")
T = TypeVar("T")


def compiler_options() -> dict[str, int]:
    """What to give `jax.jit` for a program that draws or steps many karts: `compiler_options=compiler_options()`.

    On a CPU with 512-bit vectors XLA uses half of them unless told otherwise. The view is arithmetic for pixel after
    pixel and gains by whole ones (docs/performance.md); on other CPUs the option changes nothing.

    Returns:
        Options by XLA's names; none where the default device is no CPU.
    """
    return {"xla_cpu_prefer_vector_width": 512} if jax.default_backend() == "cpu" else {}


def stage(*static: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """A function of arrays that is compiled on its own where that pays: on a CPU.

    XLA makes a loop of each result and computes in it whatever the result depends on. For results that depend on one
    another this repeats the same arithmetic, in a chain of formulas over and over. It does not look into a stage: what
    a stage returns is in memory, and computed once. Elsewhere than on a CPU the compiler is left to itself.

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
