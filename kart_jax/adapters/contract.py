"""What all faces share: the choice of the observation, the spaces, the environment, the infos.

An observation is chosen by name. "telemetry" is the row of nine channels alone, float32 (9,), and
nothing is drawn; "vision" is the stack of pictures alone, uint8 (84, 84, 3 * frame_stack); "both"
is the native dictionary of the two.
"""

import dataclasses
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import chex
import numpy as np

from kart_jax.env import observe
from kart_jax.env.config import EnvConfig
from kart_jax.env.core import RaceEnv
from kart_jax.env.kart import KartEnv
from kart_jax.env.make import Source, make
from kart_jax.env.types import Cause, Observation, StepInfo
from kart_jax.errors import InputError
from kart_jax.track.types import Tracks

CHOICES = ("telemetry", "vision", "both")
TRACK = "circuit"
KART = "rental_gx270"

Track = Source | Sequence[Source] | Tracks


@dataclasses.dataclass(frozen=True)
class Bounds:
    """A box of numbers.

    The bounds are Python floats: learners hash them and compare them without a device.
    """

    low: float
    high: float
    shape: tuple[int, ...]
    dtype: type


ACTION = Bounds(
    -1.0, 1.0, (2,), np.float32
)  # steering (left positive) and throttle (negative = brake)


def bounds(config: EnvConfig) -> dict[str, Bounds]:
    """Return the bounds of each part of the native observation."""
    picture = (config.height, config.width, 3 * config.frame_stack)
    return {
        "vision": Bounds(0.0, 255.0, picture, np.uint8),
        "telemetry": Bounds(-observe.LIMIT, observe.LIMIT, (len(observe.OBSERVATION),), np.float32),
    }


def box(library: ModuleType, limits: Bounds) -> Any:
    """Make a `Box` of a library of spaces.

    `gymnasium.spaces` and those modelled on it take the same arguments.
    """
    return library.Box(limits.low, limits.high, limits.shape, limits.dtype)


def observation_space(library: ModuleType, config: EnvConfig, choice: str) -> Any:
    """Make the chosen observation's `Box`, or `Dict` of boxes for "both", of a library."""
    boxes = {name: box(library, limits) for name, limits in bounds(config).items()}
    return library.Dict(boxes) if choice == "both" else boxes[choice]


def chosen(observation: Observation, choice: str) -> Observation | chex.Array:
    """Return the chosen part of a native observation."""
    return observation if choice == "both" else observation[choice]


def build(track: Track, kart: str, choice: str, config: EnvConfig | None) -> KartEnv:
    """Make the environment of one kart behind an adapter; pictures only if they are chosen.

    Args:
        track: as `kart_jax.make` takes it.
        kart: class of the kart.
        choice: of `CHOICES`.
        config: shapes and rates, default `EnvConfig()`; its `vision` follows from the choice.

    Raises:
        InputError: unknown choice, track or class, or a bad file.
    """
    return make(track, kart=kart, config=config_for(choice, config))


def build_race(
    track: Track, karts: int, kart: str, choice: str, config: EnvConfig | None
) -> RaceEnv:
    """Make the environment of a race of `karts` karts; the rest as in `build`."""
    return make(track, kart=kart, karts=karts, config=config_for(choice, config))


def config_for(choice: str, config: EnvConfig | None) -> EnvConfig:
    """Return the config that draws what is chosen; InputError for an unknown choice."""
    if choice not in CHOICES:
        allowed = ", ".join(map(repr, CHOICES))
        raise InputError(f"observation is {choice!r}; allowed are {allowed}")
    config = EnvConfig() if config is None else config
    return dataclasses.replace(config, vision=choice != "telemetry")


def make_info(info: StepInfo, ended: bool) -> dict[str, Any]:
    """Make the info dictionary that host-side users read of one kart's step.

    It holds the lap if one was completed, and the episode if it ended.
    """
    entries: dict[str, Any] = {"off_track": bool(info.off_track)}
    if info.lap_completed:
        entries["lap_time"] = float(info.lap_time)
    if ended:
        entries["cause"] = Cause(int(info.cause)).name.lower()
        entries["episode"] = {"r": float(info.episode_return), "l": int(info.episode_length)}
    return entries


def agents(karts: int) -> list[str]:
    """Return the names of the karts of a race."""
    return [f"kart_{index}" for index in range(karts)]
