"""Stages: parts of a computation whose results are computed once, whoever reads them."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import jax
from jax.experimental.xla_metadata import set_xla_metadata

P = ParamSpec("P")
T = TypeVar("T")


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
