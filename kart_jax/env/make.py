"""Build an environment from a track and a kart."""

import dataclasses
from collections.abc import Sequence
from typing import overload

import chex
import jax
import jax.numpy as jnp

from kart_jax.env.config import EnvConfig
from kart_jax.env.core import RaceEnv
from kart_jax.env.kart import KartEnv
from kart_jax.env.params import EnvParams
from kart_jax.errors import InputError
from kart_jax.physics.params import KartParams, preset
from kart_jax.race.params import per_kart
from kart_jax.render.scene import pack
from kart_jax.render.types import default_appearance
from kart_jax.track import derive
from kart_jax.track.catalogue import Source
from kart_jax.track.types import Tracks

Kart = str | KartParams


@overload
def make(
    track: Source | Sequence[Source] | Tracks = "circuit",
    *,
    kart: Kart = "rental_gx270",
    karts: None = None,
    config: EnvConfig | None = None,
) -> KartEnv: ...


@overload
def make(
    track: Source | Sequence[Source] | Tracks = "circuit",
    *,
    kart: Kart | Sequence[Kart] = "rental_gx270",
    karts: int,
    config: EnvConfig | None = None,
) -> RaceEnv: ...


def make(
    track: Source | Sequence[Source] | Tracks = "circuit",
    *,
    kart: Kart | Sequence[Kart] = "rental_gx270",
    karts: int | None = None,
    config: EnvConfig | None = None,
) -> KartEnv | RaceEnv:
    """Make an environment.

    Args:
        track: a shipped name ("circuit"), the path of a PNG or a centre-line CSV, a `CentreLine`, a
            sequence of those (each episode then draws one of them), or a ready stack of `Tracks`.
        kart: a class of `kart_jax.physics.params.CLASSES`, or parameters of your own; for a race
            also a sequence of those, one for each kart. The default, the rental kart with 6 kW, is
            the slowest and the easiest to learn.
        karts: karts in one race; observation, action, reward, ends and info then have an axis
            (karts, ...). Not given: the environment of one kart, without that axis.
        config: shapes and rates; default `EnvConfig()`. Its own `karts` must not name others.

    Returns:
        A `KartEnv`, or with `karts` a `RaceEnv`.

    Raises:
        InputError: the track or the class is unknown, its file is bad, or the karts are more than
            the grid has slots, or other than `kart` or `config` names.
    """
    config = EnvConfig() if config is None else config
    count = 1 if karts is None else karts
    if config.karts not in (1, count):
        raise InputError(f"EnvConfig.karts is {config.karts}; give make() karts={config.karts} too")
    config = dataclasses.replace(config, karts=count)
    tracks = track if isinstance(track, Tracks) else derive.load_tracks(track)
    if count > (slots := tracks.grid_s.shape[1]):
        raise InputError(f"karts is {count}; the grid has {slots} slots; ask for 1 to {slots}")

    params = EnvParams(kart=_karts(kart, count), appearance=default_appearance())
    env = RaceEnv(
        tracks=tracks,
        scene=pack(tracks) if config.vision else None,
        default_params=jax.tree.map(_strong, params),
        config=config,
    )
    return KartEnv(core=env) if karts is None else env


def _karts(kart: Kart | Sequence[Kart], count: int) -> KartParams:
    """Return the parameters (K, ...) of all karts of a race."""
    if not isinstance(kart, list | tuple):
        return per_kart(_params(kart), count)  # pyright: ignore[reportArgumentType] - no list
    each = [_params(one) for one in kart]
    if len(each) != count:
        raise InputError(f"kart names {len(each)} karts for a race of {count}; name one for each")
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)


def _params(kart: Kart) -> KartParams:
    """Return the parameters of one kart."""
    return kart if isinstance(kart, KartParams) else preset(kart)


def _strong(leaf: chex.Numeric) -> chex.Array:
    """Return the leaf as an array of a definite type: Python numbers would be traced anew."""
    array = jnp.asarray(leaf)
    return array.astype(array.dtype)
