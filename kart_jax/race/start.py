"""Put karts on a circuit: the state of a race before its first step."""

import chex
import jax
import jax.numpy as jnp
from flax import struct

from kart_jax.physics.params import KartParams
from kart_jax.physics.state import rolling
from kart_jax.race import timing
from kart_jax.race.types import RaceState
from kart_jax.track import query
from kart_jax.track.types import Tracks


class StartPose(struct.PyTreeNode):
    """Where and how fast K karts begin."""

    s: chex.Array  # (K,) m, arc length of the reference point
    n: chex.Array  # (K,) m, offset from the centre line, left positive
    heading_error: chex.Array  # (K,) rad, heading relative to the centre line, left positive
    speed: chex.Array  # (K,) m/s, forward


def on_grid(tracks: Tracks, track: chex.Array, karts: int) -> StartPose:
    """Return the first `karts` slots of the start grid, standing still just before the line."""
    s = tracks.grid_s[track, :karts]
    zero = jnp.zeros_like(s)
    return StartPose(s=s, n=tracks.grid_n[track, :karts], heading_error=zero, speed=zero)


@jax.jit
def start_race(tracks: Tracks, track: chex.Array, pose: StartPose, params: KartParams) -> RaceState:
    """Start a race with K karts rolling at the given places.

    Args:
        tracks: the stack of circuits.
        track: () int32, index of the circuit.
        pose: of each kart.
        params: of each kart, every field (K, ...).
    """
    x, y, heading = query.pose_at(tracks, track, pose.s, pose.n)
    karts = jax.vmap(rolling)(params, x, y, heading + pose.heading_error, pose.speed)
    point = query.locate(tracks, track, karts.x, karts.y)

    return RaceState(
        karts=karts,
        timing=jax.vmap(timing.start_timing, in_axes=(None, None, 0))(tracks, track, point.s),
        track_point=point,
        on_track=jnp.ones(pose.s.shape, bool),
        wall_distance=point.barrier,
        finite=jnp.ones(pose.s.shape, bool),
        tick=jnp.zeros((), jnp.int32),
        time=jnp.zeros((), pose.s.dtype),
        track=jnp.asarray(track, jnp.int32),
    )
