"""When an episode ends: faults terminate it, the clock truncates it; the two are never mixed."""

import chex
import jax.numpy as jnp

from kart_jax import geometry
from kart_jax.env.params import Limits
from kart_jax.env.types import Cause, Timers
from kart_jax.physics.types import KartState
from kart_jax.track.types import TrackPoint


def start() -> Timers:
    """Timers at zero."""
    zero = jnp.zeros(())
    return Timers(off_track=zero, stuck=zero, wrong_way=zero)


def count(
    timers: Timers,
    kart: KartState,
    place: TrackPoint,
    on_track: chex.Array,
    limits: Limits,
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


def judge(
    timers: Timers, finite: chex.Array, time: chex.Array, limits: Limits
) -> tuple[chex.Array, chex.Array, chex.Array]:
    """Is it over, and why?

    Args:
        timers: how long each fault has lasted.
        finite: () bool, state and action are numbers.
        time: () s of this episode.
        limits: the thresholds.

    Returns:
        terminated () bool, truncated () bool, `Cause` () int32; a fault goes before the time limit.
    """
    tolerance = 1e-4  # s: the timers are sums of rounded steps
    causes = jnp.asarray(
        [Cause.NON_FINITE, Cause.WRONG_WAY, Cause.STUCK, Cause.OFF_TRACK], jnp.int32
    )
    faults = jnp.stack(
        [
            ~finite,
            timers.wrong_way >= limits.wrong_way_time - tolerance,
            timers.stuck >= limits.stuck_time - tolerance,
            timers.off_track >= limits.off_track_time - tolerance,
        ]
    )
    terminated = jnp.any(faults)
    truncated = ~terminated & (time >= limits.episode_time - tolerance)
    cause = jnp.where(truncated, Cause.TIME_LIMIT, Cause.NONE)
    return (
        terminated,
        truncated,
        jnp.where(terminated, causes[jnp.argmax(faults)], cause).astype(jnp.int32),
    )
