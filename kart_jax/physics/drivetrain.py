"""Engine, clutch, gearbox, brakes and the spin of the axle and the front wheels.

Spin is linearly implicit: tyre, brake, clutch and closed-throttle torque enter with their secant
slope at the new speed, so the stiff axle (eigenvalue C_x F_z r² / (I v), thousands per second at
walking pace) is damped unconditionally and a brake can stop a wheel but never turn it backwards.
"""

import chex
import jax.numpy as jnp
from flax import struct

from kart_jax.physics.params import KartParams

RPM = 30.0 / jnp.pi  # 1/min per rad/s
DRAG_FADE = 50.0  # rad/s, engine speed below which closed-throttle drag fades smoothly through zero


class Grip(struct.PyTreeNode):
    """What one tyre offers the spin equation: F_x = hold + slope (r omega - v_x), v_x already
    inside `hold`."""

    hold: chex.Array  # () N, longitudinal force at zero spin
    slope: chex.Array  # () N s/m, gain in force per metre per second of tread speed


def full_torque(rpm: chex.Array, params: KartParams) -> chex.Array:
    """Full-throttle crank torque (N m) at `rpm` (1/min): linear between the knots, flat outside.

    A sum of ramps rather than a search: no gather, so it vectorises.
    """
    torque = params.torque[0]
    for i in range(params.torque_speed.shape[-1] - 1):
        low, high = params.torque_speed[i], params.torque_speed[i + 1]
        torque += (params.torque[i + 1] - params.torque[i]) * jnp.clip(
            (rpm - low) / (high - low), 0.0, 1.0
        )
    return torque


def gear_ratio(gear: chex.Array, params: KartParams) -> chex.Array:
    """Crankshaft over axle speed in a gear (int32, 0 = first)."""
    ratio = params.gear_ratio[0]
    for i in range(1, params.gear_ratio.shape[-1]):
        ratio = jnp.where(gear >= i, params.gear_ratio[i], ratio)
    return ratio


def engine_torque(
    throttle: chex.Array, engine: chex.Array, cut: chex.Array, params: KartParams
) -> tuple[chex.Array, chex.Array]:
    """Driving torque (N m) at the clutch and drag slope (N m s/rad) of the engine.

    T = eta throttle T_full(n) (0 while a shift cuts it) + idle governor; drag = (1 - throttle)
    T_drag, fading smoothly to zero at standstill.
    """
    drive = params.efficiency * throttle * full_torque(engine * RPM, params)
    drive = jnp.where(cut > 0.0, 0.0, drive)
    idle = params.idle_gain * jnp.maximum(params.idle_speed / RPM - engine, 0.0)
    slope = (1.0 - throttle) * params.engine_drag / jnp.sqrt(engine * engine + DRAG_FADE**2)
    return drive + idle, slope


def clutch_slope(
    engine: chex.Array, axle: chex.Array, ratio: chex.Array, params: KartParams
) -> chex.Array:
    """Torque per slip (N m s/rad) of the clutch: capacity / sqrt(slip² + slip_0²).

    The capacity of a centrifugal clutch grows from nothing at `clutch_start` to `clutch_torque` at
    `clutch_full`.
    """
    bite = (engine * RPM - params.clutch_start) / (params.clutch_full - params.clutch_start)
    slip = engine - ratio * axle
    return (
        params.clutch_torque
        * jnp.clip(bite, 0.0, 1.0)
        / jnp.sqrt(slip * slip + params.clutch_slip**2)
    )


def easing_slope(cut: chex.Array, params: KartParams, dt: float) -> chex.Array:
    """Most torque per slip (N m s/rad) that the clutch is given while `cut` s of a shift are left:
    I_e / (cut - dt).

    With it the slip falls in a line to nothing at the end of the shift, at the torque I_e slip /
    shift_duration. A clutch left to bite fully would pass the engine's surplus spin to the axle within
    four steps, tear the rear tyres loose and push the kart harder than the lower gear did.
    """
    return jnp.where(cut > 0.0, params.engine_inertia / jnp.maximum(cut - dt, 1e-6), jnp.inf)


def brake_slope(spin: chex.Array, torque: chex.Array, params: KartParams) -> chex.Array:
    """Brake torque per spin (N m s/rad): torque / sqrt(omega² + omega_0²)."""
    return torque / jnp.sqrt(spin * spin + params.brake_fade_spin**2)


def front_spin(
    spin: chex.Array, grip: Grip, brake: chex.Array, params: KartParams, dt: float
) -> chex.Array:
    """Front-wheel speed (rad/s) after dt: I (omega⁺ - omega) / dt = -r F_x(omega⁺) - c_brake
    omega⁺."""
    radius = params.front_tyre.radius
    slope = grip.slope * radius * radius + brake_slope(spin, brake * params.front_brake, params)
    return (params.front_inertia * spin - dt * radius * grip.hold) / (
        params.front_inertia + dt * slope
    )


def rear_spin(
    axle: chex.Array,
    engine: chex.Array,
    gear: chex.Array,
    cut: chex.Array,
    throttle: chex.Array,
    brake: chex.Array,
    left: Grip,
    right: Grip,
    params: KartParams,
    dt: float,
) -> tuple[chex.Array, chex.Array]:
    """Axle and engine speed (rad/s) after dt, solved together, the 2 x 2 system eliminated by hand.

    I_a (w⁺ - w) / dt = -r (F_l + F_r)(w⁺) + G c (e⁺ - G w⁺) - c_brake w⁺
    I_e (e⁺ - e) / dt = T - c (e⁺ - G w⁺) - c_drag e⁺
    """
    radius = params.rear_tyre.radius
    ratio = gear_ratio(gear, params)
    drive, drag = engine_torque(throttle, engine, cut, params)
    clutch = jnp.minimum(clutch_slope(engine, axle, ratio, params), easing_slope(cut, params, dt))
    free = params.engine_inertia + dt * drag
    push = params.engine_inertia * engine + dt * drive
    share = dt * clutch / (free + dt * clutch)
    slope = (left.slope + right.slope) * radius * radius + brake_slope(
        axle, brake * params.rear_brake, params
    )
    inertia = params.axle_inertia + dt * slope + ratio * ratio * share * free
    axle_next = (
        params.axle_inertia * axle - dt * radius * (left.hold + right.hold) + ratio * share * push
    ) / inertia
    engine_next = (push + dt * clutch * ratio * axle_next) / (free + dt * clutch)
    return axle_next, engine_next


def shift(
    axle: chex.Array, gear: chex.Array, cut: chex.Array, params: KartParams, dt: float
) -> tuple[chex.Array, chex.Array]:
    """Automatic gearbox: next gear (int32) and time (s) left of the shift cut.

    Shifts up above `shift_up` and down below `shift_down` at the crank speed that the axle implies,
    one gear per shift, never while a cut lasts.
    """
    implied = axle * gear_ratio(gear, params) * RPM
    idle = cut <= 0.0
    up = idle & (implied > params.shift_up) & (gear < params.gear_count - 1.0)
    down = idle & (implied < params.shift_down) & (gear > 0)
    gear = gear + up.astype(gear.dtype) - down.astype(gear.dtype)
    cut = jnp.where(up | down, params.shift_duration, jnp.maximum(cut - dt, 0.0))
    return gear, cut
