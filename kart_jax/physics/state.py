"""Making and checking kart states."""

import functools

import chex
import jax
import jax.numpy as jnp

from kart_jax.physics.drivetrain import RPM, gear_ratio
from kart_jax.physics.params import KartParams
from kart_jax.physics.types import KartState
from kart_jax.xla.stage import stage


def rolling(
    params: KartParams, x: chex.Numeric, y: chex.Numeric, yaw: chex.Numeric, speed: chex.Numeric
) -> KartState:
    """Return a kart that rolls straight ahead at `speed` m/s, in the gear that fits.

    Its wheels have no slip, and the engine turns as they do, or at its idle speed.
    """
    x, y, yaw, speed = jnp.broadcast_arrays(
        *(jnp.asarray(v, dtype=float) for v in (x, y, yaw, speed))
    )
    zero = jnp.zeros_like(speed)
    axle = speed / params.rear_tyre.radius
    front = speed / params.front_tyre.radius
    gear = _gear_for(axle, params)
    engine = jnp.maximum(axle * gear_ratio(gear, params), params.idle_speed / RPM)

    return KartState(
        x=x,
        y=y,
        yaw=yaw,
        vx=speed,
        vy=zero,
        yaw_rate=zero,
        axle_spin=axle,
        front_wheel_spin=jnp.stack([front, front]),
        tyre_force=jnp.zeros((4, 2), dtype=speed.dtype),
        accel_x=zero,
        accel_y=zero,
        load_transfer_accel_x=zero,
        load_transfer_accel_y=zero,
        steer=zero,
        throttle=zero,
        brake=zero,
        engine_speed=engine,
        gear=gear,
        shift_time_left=zero,
    )


def _gear_for(axle_spin: chex.Array, params: KartParams) -> chex.Array:
    """Return the highest gear (int32) that keeps the engine clear of the down-shift speed."""
    gear = jnp.zeros(axle_spin.shape, dtype=jnp.int32)
    for i in range(1, params.gear_ratio.shape[-1]):
        rpm = axle_spin * params.gear_ratio[i] * RPM
        fits = (rpm > 1.05 * params.shift_down) & (i < params.gear_count)
        gear = jnp.where(fits, i, gear)
    return gear


@stage()
def is_finite(state: KartState) -> chex.Array:
    """Return () bool: no field of the state is nan or infinite."""
    finite = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(state)]
    return functools.reduce(jnp.logical_and, finite)
