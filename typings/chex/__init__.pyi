# What pyright knows of chex in this project. chex.Array is declared as jax.Array or a NumPy array
# or scalar; with that union every operator is checked four times four ways and indexing is refused,
# as NumPy scalars have none.
from collections.abc import Callable
from typing import Any, TypeVar

import jax

_F = TypeVar("_F", bound=Callable[..., Any])

Array = jax.Array
Numeric = jax.Array | float | int
PRNGKey = jax.Array

def assert_max_traces(n: int) -> Callable[[_F], _F]: ...
def clear_trace_counter() -> None: ...
def __getattr__(name: str) -> Any: ...
