"""Build an environment from a track and a kart."""

import os
from collections.abc import Sequence

import chex
import jax
import jax.numpy as jnp

from kart_jax.env.config import EnvConfig
from kart_jax.env.core import KartEnv
from kart_jax.env.params import EnvParams
from kart_jax.physics.params import KartParams, preset
from kart_jax.render.scene import pack
from kart_jax.render.types import default_appearance
from kart_jax.track import derive
from kart_jax.track.line import Line
from kart_jax.track.types import Tracks

Source = str | os.PathLike[str] | Line


def make(
    track: Source | Sequence[Source] | Tracks = "circuit",
    *,
    kart: str | KartParams = "rental_gx270",
    config: EnvConfig | None = None,
) -> KartEnv:
    """Make an environment.

    Args:
        track: a shipped name ("circuit"), the path of a PNG or a centre-line CSV, a `Line`, a
            sequence of those (each episode then draws one of them), or a ready stack of `Tracks`.
        kart: a class of `kart_jax.physics.params.CLASSES`, or parameters of your own. The default,
            the rental kart with 6 kW, is the slowest and the easiest to learn.
        config: shapes and rates; default `EnvConfig()`.

    Raises:
        InputError: the track or the class is unknown, or its file is bad; or the config asks for
            more than one kart.
    """
    config = EnvConfig() if config is None else config
    tracks = track if isinstance(track, Tracks) else derive.load(track)
    params = EnvParams(
        kart=kart if isinstance(kart, KartParams) else preset(kart),
        appearance=default_appearance(),
    )
    scene = pack(tracks) if config.vision else None
    return KartEnv(
        tracks=tracks, scene=scene, default_params=jax.tree.map(_strong, params), config=config
    )


def _strong(leaf: chex.Numeric) -> chex.Array:
    """The leaf as an array of a definite type: a Python number would be traced anew as a weak
    one."""
    array = jnp.asarray(leaf)
    return array.astype(array.dtype)
