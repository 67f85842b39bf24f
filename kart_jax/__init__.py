"""kart_jax: a karting training simulator that lives on the accelerator.

The public names are loaded when they are first used, so that the command line starts without JAX:

    env = kart_jax.make("circuit")
    params = env.default_params
    obs, state = env.reset(key, params)
    obs, state, reward, terminated, truncated, info = env.step(key, state, action, params)
"""

import importlib
from typing import TYPE_CHECKING

from kart_jax.errors import InputError

if TYPE_CHECKING:
    from kart_jax.devices import kart_mesh
    from kart_jax.env.batch import reset_batch, step_batch
    from kart_jax.env.config import EnvConfig
    from kart_jax.env.core import RaceEnv
    from kart_jax.env.kart import KartEnv
    from kart_jax.env.make import make
    from kart_jax.env.params import EnvParams
    from kart_jax.env.types import Cause, EnvState, StepInfo
    from kart_jax.media.film import save_film
    from kart_jax.media.plots import draw_circuit, lap_figure
    from kart_jax.physics.params import CLASSES, KartParams, preset
    from kart_jax.physics.state import rolling
    from kart_jax.physics.types import Controls, KartState, Signals
    from kart_jax.race.channels import CHANNELS
    from kart_jax.race.plane import drive_plane
    from kart_jax.telemetry.export import read_log, write_csv
    from kart_jax.telemetry.laps import Lap, best_lap, split_laps
    from kart_jax.telemetry.log import Log
    from kart_jax.telemetry.session import scripted_laps
    from kart_jax.xla.memory import keep_memory
    from kart_jax.xla.stage import compiler_options

# Public name -> module it is loaded from.
_HOMES = {
    # The environment
    "make": "env.make",
    "KartEnv": "env.kart",
    "RaceEnv": "env.core",
    "EnvConfig": "env.config",
    "EnvParams": "env.params",
    "EnvState": "env.types",
    "StepInfo": "env.types",
    "Cause": "env.types",
    "kart_mesh": "devices",
    "reset_batch": "env.batch",
    "step_batch": "env.batch",
    "compiler_options": "xla.stage",
    "keep_memory": "xla.memory",
    # One kart by itself
    "CLASSES": "physics.params",
    "KartParams": "physics.params",
    "preset": "physics.params",
    "KartState": "physics.types",
    "Controls": "physics.types",
    "Signals": "physics.types",
    "rolling": "physics.state",
    "drive_plane": "race.plane",
    # Telemetry
    "scripted_laps": "telemetry.session",
    "Log": "telemetry.log",
    "CHANNELS": "race.channels",
    "read_log": "telemetry.export",
    "write_csv": "telemetry.export",
    "Lap": "telemetry.laps",
    "split_laps": "telemetry.laps",
    "best_lap": "telemetry.laps",
    # Pictures
    "lap_figure": "media.plots",
    "draw_circuit": "media.plots",
    "save_film": "media.film",
}

__all__ = [
    "CHANNELS",
    "CLASSES",
    "Cause",
    "Controls",
    "EnvConfig",
    "EnvParams",
    "EnvState",
    "InputError",
    "KartEnv",
    "KartParams",
    "KartState",
    "Lap",
    "Log",
    "RaceEnv",
    "Signals",
    "StepInfo",
    "best_lap",
    "compiler_options",
    "draw_circuit",
    "drive_plane",
    "kart_mesh",
    "keep_memory",
    "lap_figure",
    "make",
    "preset",
    "read_log",
    "reset_batch",
    "rolling",
    "save_film",
    "scripted_laps",
    "split_laps",
    "step_batch",
    "write_csv",
]


def __getattr__(name: str) -> object:
    """Load a public name from its module."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
