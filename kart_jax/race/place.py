"""Put karts on a circuit: the state of a race before its first step."""

from functools import partial

import chex
import jax
import jax.numpy as jnp

from kart_jax.physics.params import KartParams
from kart_jax.physics.state import rolling
from kart_jax.race import timing
from kart_jax.race.types import RaceState
from kart_jax.track import query
from kart_jax.track.types import Tracks


@jax.jit
def place(
    tracks: Tracks,
    track: chex.Array,
    s: chex.Array,
    n: chex.Array,
    turn: chex.Array,
    speed: chex.Array,
    params: KartParams,
) -> RaceState:
    """Start a race with K karts rolling at the given places.

    Args:
        tracks, track: the stack of circuits and the circuit's index () int32.
        s, n: (K,) m, arc length and offset (left positive) of each kart's reference point.
        turn: (K,) rad, heading relative to the centre line, left positive.
        speed: (K,) m/s, forward.
        params: shared by the K karts, or every leaf with a leading axis (K,).
    """
    x, y, heading = query.pose_at(tracks, track, s, n)
    own = 0 if jnp.ndim(params.mass) else None
    karts = jax.vmap(rolling, in_axes=(own, 0, 0, 0, 0))(params, x, y, heading + turn, speed)
    point = query.locate(tracks, track, karts.x, karts.y)
    return RaceState(
        karts=karts,
        timing=jax.vmap(timing.start, in_axes=(None, None, 0))(tracks, track, point.s),
        place=point,
        on_track=jnp.ones(s.shape, bool),
        wall_distance=point.barrier,
        tick=jnp.zeros((), jnp.int32),
        time=jnp.zeros((), s.dtype),
        track=jnp.asarray(track, jnp.int32),
    )


@partial(jax.jit, static_argnames="karts")
def place_on_grid(tracks: Tracks, track: chex.Array, karts: int, params: KartParams) -> RaceState:
    """Start a race with the first `karts` slots of the start grid, standing still just before the
    line."""
    s, n = tracks.grid_s[track, :karts], tracks.grid_n[track, :karts]
    return place(tracks, track, s, n, jnp.zeros_like(s), jnp.zeros_like(s), params)
