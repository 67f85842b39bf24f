"""Making and checking kart states."""

import chex
import jax
import jax.numpy as jnp

from kart_jax.physics.drivetrain import RPM, gear_ratio
from kart_jax.physics.params import KartParams
from kart_jax.physics.types import KartState


def rolling(
    params: KartParams, x: chex.Numeric, y: chex.Numeric, yaw: chex.Numeric, speed: chex.Numeric
) -> KartState:
    """A kart rolling straight ahead at `speed` m/s: wheels without slip, the gear and engine speed
    that fit."""
    x, y, yaw, speed = jnp.broadcast_arrays(
        *(jnp.asarray(v, dtype=float) for v in (x, y, yaw, speed))
    )
    zero = jnp.zeros_like(speed)
    axle = speed / params.rear_tyre.radius
    gear = jnp.zeros(speed.shape, dtype=jnp.int32)
    # The highest gear that keeps the engine clear of the down-shift speed.
    for i in range(1, params.gear_ratio.shape[-1]):
        fits = (axle * params.gear_ratio[i] * RPM > 1.05 * params.shift_down) & (
            i < params.gear_count
        )
        gear = jnp.where(fits, i, gear)
    engine = jnp.maximum(axle * gear_ratio(gear, params), params.idle_speed / RPM)
    front = speed / params.front_tyre.radius
    return KartState(
        x=x, y=y, yaw=yaw, vx=speed, vy=zero, yaw_rate=zero,
        axle_spin=axle, front_wheel_spin=jnp.stack([front, front]), tyre_force=jnp.zeros((4, 2), dtype=speed.dtype),
        accel_x=zero, accel_y=zero, load_transfer_accel_x=zero, load_transfer_accel_y=zero,
        steer=zero, throttle=zero, brake=zero,
        engine_speed=engine, gear=gear, shift_time_left=zero,
    )  # fmt: skip


def is_finite(state: KartState) -> chex.Array:
    """() bool: no field of the state is nan or infinite."""
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(state)]))
