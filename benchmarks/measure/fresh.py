"""A new process for one measurement: nothing compiled, no memory used, JAX not started yet."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from kart_jax.errors import InputError

T = TypeVar("T")


def call(function: Callable[..., T], *arguments: Any) -> T:
    """Return what a function returns in a new Python process.

    The process that calls must not have started JAX on a GPU: the memory there would be taken.

    Args:
        function: at the top level of its module; like the arguments and the result it travels by
            pickle.
        arguments: for it.

    Raises:
        InputError: the function raised it, or the system ended the process.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(function, *arguments).result()
        except BrokenProcessPool as error:
            raise InputError(
                f"the process that measured {' '.join(map(str, arguments))} was ended, most "
                "likely because the memory is full; choose fewer karts"
            ) from error
