"""When the episode of ONE kart ends: faults terminate it, the clock truncates it; the two are never
mixed."""

import chex
import jax.numpy as jnp

from kart_jax import geometry
from kart_jax.env.params import EpisodeLimits
from kart_jax.env.types import Cause, Timers
from kart_jax.physics.types import KartState
from kart_jax.track.types import TrackPoint
from kart_jax.xla.stage import stage

TOLERANCE = 1e-4  # s: the timers are sums of rounded steps


def count_faults(
    timers: Timers,
    kart: KartState,
    place: TrackPoint,
    on_track: chex.Array,
    limits: EpisodeLimits,
    dt: float,
) -> Timers:
    """Let each fault's timer run on for `dt` seconds while the fault lasts, else set it to zero."""
    wx, wy = geometry.rotate(kart.vx, kart.vy, kart.yaw)
    along = wx * place.tx + wy * place.ty
    slow = geometry.safe_norm(kart.vx, kart.vy) < limits.stuck_speed
    backward = along < -limits.wrong_way_speed

    def run(timer: chex.Array, fault: chex.Array) -> chex.Array:
        return jnp.where(fault, timer + dt, 0.0)

    return Timers(
        off_track=run(timers.off_track, ~on_track),
        stuck=run(timers.stuck, slow),
        wrong_way=run(timers.wrong_way, backward),
    )


@stage()
def find_end(
    timers: Timers, finite: chex.Array, time: chex.Array, limits: EpisodeLimits
) -> tuple[chex.Array, chex.Array, chex.Array]:
    """Tell whether an episode is over, and why.

    Args:
        timers: how long each fault has lasted.
        finite: () bool, state and action are numbers.
        time: () s of this episode.
        limits: the thresholds.

    Returns:
        terminated () bool, truncated () bool, `Cause` () int32; a fault goes before the time limit.
    """
    causes = jnp.asarray(
        [Cause.NON_FINITE, Cause.WRONG_WAY, Cause.STUCK, Cause.OFF_TRACK], jnp.int32
    )
    faults = jnp.stack(
        [
            ~finite,
            timers.wrong_way >= limits.wrong_way_time - TOLERANCE,
            timers.stuck >= limits.stuck_time - TOLERANCE,
            timers.off_track >= limits.off_track_time - TOLERANCE,
        ]
    )

    terminated = jnp.any(faults)
    truncated = ~terminated & (time >= limits.episode_time - TOLERANCE)
    clock = jnp.where(truncated, Cause.TIME_LIMIT, Cause.NONE)
    cause = jnp.where(terminated, causes[jnp.argmax(faults)], clock)
    return terminated, truncated, cause.astype(jnp.int32)
