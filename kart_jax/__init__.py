"""kart_jax: a karting training simulator that lives on the accelerator.

The public names are loaded when they are first used, so that the command line starts without JAX:

    env = kart_jax.make("circuit")
    obs, state = env.reset(key, env.default_params)
    obs, state, reward, terminated, truncated, info = env.step(key, state, action, env.default_params)
"""

import importlib
from typing import TYPE_CHECKING

from kart_jax.errors import InputError

if TYPE_CHECKING:
    from kart_jax.env.batch import kart_mesh, reset_batch, step_batch
    from kart_jax.env.config import EnvConfig
    from kart_jax.env.core import KartEnv
    from kart_jax.env.make import make
    from kart_jax.env.params import EnvParams
    from kart_jax.env.types import Cause, EnvState, StepInfo

_HOMES = {
    "make": "env.make",
    "KartEnv": "env.core",
    "EnvConfig": "env.config",
    "EnvParams": "env.params",
    "EnvState": "env.types",
    "StepInfo": "env.types",
    "Cause": "env.types",
    "kart_mesh": "env.batch",
    "reset_batch": "env.batch",
    "step_batch": "env.batch",
}

__all__ = [
    "Cause",
    "EnvConfig",
    "EnvParams",
    "EnvState",
    "InputError",
    "KartEnv",
    "StepInfo",
    "kart_mesh",
    "make",
    "reset_batch",
    "step_batch",
]


def __getattr__(name: str) -> object:
    """Load a public name from its module."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
