"""Engine, clutch, gearbox, brakes and the spin of the axle and the front wheels.

Spin is linearly implicit: tyre, brake, clutch and closed-throttle torque enter with their secant
slope at the new speed, so the stiff axle (eigenvalue C_x F_z r² / (I v), thousands per second at
walking pace) is damped unconditionally and a brake can stop a wheel but never turn it backwards.
"""

import chex
import jax.numpy as jnp

from kart_jax.physics.params import KartParams
from kart_jax.physics.types import KartState, Pedals
from kart_jax.physics.tyre import LinearTyreForce
from kart_jax.physics.wheels import PerWheel

RPM = 30.0 / jnp.pi  # 1/min per rad/s
DRAG_FADE = 50.0  # rad/s, engine speed below which closed-throttle drag fades smoothly through zero


def full_torque(rpm: chex.Array, params: KartParams) -> chex.Array:
    """Return the full-throttle crank torque (N m) at `rpm` (1/min): linear between the knots.

    Flat outside of them. A sum of ramps rather than a search: no gather, so it vectorises.
    """
    torque = params.torque[0]
    for i in range(params.torque_speed.shape[-1] - 1):
        low, high = params.torque_speed[i], params.torque_speed[i + 1]
        ramp = jnp.clip((rpm - low) / (high - low), 0.0, 1.0)
        torque += (params.torque[i + 1] - params.torque[i]) * ramp
    return torque


def gear_ratio(gear: chex.Array, params: KartParams) -> chex.Array:
    """Return crankshaft over axle speed in a gear (int32, 0 = first)."""
    ratio = params.gear_ratio[0]
    for i in range(1, params.gear_ratio.shape[-1]):
        ratio = jnp.where(gear >= i, params.gear_ratio[i], ratio)
    return ratio


def engine_torque(
    throttle: chex.Array,
    engine_speed: chex.Array,
    shift_time_left: chex.Array,
    params: KartParams,
) -> tuple[chex.Array, chex.Array]:
    """Return driving torque (N m) at the clutch and drag slope (N m s/rad) of the engine.

    T = eta throttle T_full(n) (0 while a shift cuts it) + idle governor; drag = (1 - throttle)
    T_drag, fading smoothly to zero at standstill.
    """
    drive = params.efficiency * throttle * full_torque(engine_speed * RPM, params)
    drive = jnp.where(shift_time_left > 0.0, 0.0, drive)
    idle = params.idle_gain * jnp.maximum(params.idle_speed / RPM - engine_speed, 0.0)

    fade = jnp.sqrt(engine_speed * engine_speed + DRAG_FADE**2)
    drag_slope = (1.0 - throttle) * params.engine_drag / fade
    return drive + idle, drag_slope


def clutch_slope(
    engine_speed: chex.Array, axle_spin: chex.Array, ratio: chex.Array, params: KartParams
) -> chex.Array:
    """Return the clutch's torque per slip (N m s/rad): capacity / sqrt(slip² + slip_0²).

    The capacity of a centrifugal clutch grows from nothing at `clutch_start` to `clutch_torque` at
    `clutch_full`.
    """
    rpm = engine_speed * RPM
    bite = (rpm - params.clutch_start) / (params.clutch_full - params.clutch_start)
    capacity = params.clutch_torque * jnp.clip(bite, 0.0, 1.0)
    slip = engine_speed - ratio * axle_spin
    return capacity / jnp.sqrt(slip * slip + params.clutch_slip**2)


def max_clutch_slope(shift_time_left: chex.Array, params: KartParams, dt: float) -> chex.Array:
    """Return what a shift allows of the clutch (N m s/rad): I_e / (shift_time_left - dt).

    With it the slip falls in a line to nothing at the end of the shift, at the torque I_e slip /
    shift_duration. A clutch left to bite fully would pass the engine's surplus spin to the axle
    within four steps, tear the rear tyres loose and push the kart harder than the lower gear did.
    Without a shift there is no bound.
    """
    rest = jnp.maximum(shift_time_left - dt, 1e-6)
    return jnp.where(shift_time_left > 0.0, params.engine_inertia / rest, jnp.inf)


def brake_slope(omega: chex.Array, torque: chex.Array, params: KartParams) -> chex.Array:
    """Return the brake torque per spin (N m s/rad): torque / sqrt(omega² + omega_0²)."""
    return torque / jnp.sqrt(omega * omega + params.brake_fade_spin**2)


def front_spin(
    omega: chex.Array, force: LinearTyreForce, brake: chex.Array, params: KartParams, dt: float
) -> chex.Array:
    """Return a front wheel's spin (rad/s) after dt.

    I (omega⁺ - omega) / dt = -r F_x(omega⁺) - c_brake omega⁺

    Args:
        omega: () rad/s, spin at the start of the step.
        force: of its tyre.
        brake: () 0..1, pedal.
        params: the kart.
        dt: s.
    """
    radius = params.front_tyre.radius
    inertia = params.front_inertia
    slope = force.slope * radius * radius + brake_slope(omega, brake * params.front_brake, params)
    return (inertia * omega - dt * radius * force.at_rest) / (inertia + dt * slope)


def rear_spin(
    state: KartState,
    pedals: Pedals,
    left: LinearTyreForce,
    right: LinearTyreForce,
    params: KartParams,
    dt: float,
) -> tuple[chex.Array, chex.Array]:
    """Return axle and engine speed (rad/s) after dt, solved together.

    I_a (w⁺ - w) / dt = -r (F_l + F_r)(w⁺) + G c (e⁺ - G w⁺) - c_brake w⁺
    I_e (e⁺ - e) / dt = T - c (e⁺ - G w⁺) - c_drag e⁺

    The 2 x 2 system is eliminated by hand.

    Args:
        state: the kart at the start of the step.
        pedals: in the middle of it.
        left: force of the rear-left tyre.
        right: force of the rear-right tyre.
        params: the kart.
        dt: s.
    """
    axle = state.axle_spin
    engine = state.engine_speed
    radius = params.rear_tyre.radius
    ratio = gear_ratio(state.gear, params)

    # Torques of engine, clutch, tyres and brake: constants, and slopes over the speed to come.
    torque, drag_slope = engine_torque(pedals.throttle, engine, state.shift_time_left, params)
    clutch = jnp.minimum(
        clutch_slope(engine, axle, ratio, params),
        max_clutch_slope(state.shift_time_left, params, dt),
    )
    brake = brake_slope(axle, pedals.brake * params.rear_brake, params)
    slope = (left.slope + right.slope) * radius * radius + brake

    # The engine's equation, solved for e⁺ and put into the axle's.
    engine_inertia = params.engine_inertia + dt * drag_slope
    engine_momentum = params.engine_inertia * engine + dt * torque
    coupling = dt * clutch / (engine_inertia + dt * clutch)
    axle_inertia = params.axle_inertia + dt * slope + ratio * ratio * coupling * engine_inertia
    axle_momentum = (
        params.axle_inertia * axle
        - dt * radius * (left.at_rest + right.at_rest)
        + ratio * coupling * engine_momentum
    )

    axle_next = axle_momentum / axle_inertia
    engine_next = (engine_momentum + dt * clutch * ratio * axle_next) / (
        engine_inertia + dt * clutch
    )
    return axle_next, engine_next


def spins(
    state: KartState,
    pedals: Pedals,
    traction: PerWheel[LinearTyreForce],
    params: KartParams,
    dt: float,
) -> tuple[PerWheel[chex.Array], chex.Array]:
    """Return the spin of the four wheels and the engine's speed (rad/s) after dt.

    The rear wheels turn with the axle. `pedals` are those in the middle of the step, `traction` the
    longitudinal forces of the tyres.
    """
    left, right = state.front_wheel_spin[0], state.front_wheel_spin[1]
    left = front_spin(left, traction[0], pedals.brake, params, dt)
    right = front_spin(right, traction[1], pedals.brake, params, dt)
    axle, engine = rear_spin(state, pedals, traction[2], traction[3], params, dt)
    return (left, right, axle, axle), engine


def shift(
    axle_spin: chex.Array,
    gear: chex.Array,
    shift_time_left: chex.Array,
    params: KartParams,
    dt: float,
) -> tuple[chex.Array, chex.Array]:
    """Return gear (int32) and time (s) left of the shift cut after dt: an automatic gearbox.

    Shifts up above `shift_up` and down below `shift_down` at the crank speed that the axle implies,
    one gear per shift, never while a cut lasts.
    """
    rpm = axle_spin * gear_ratio(gear, params) * RPM
    ready = shift_time_left <= 0.0
    up = ready & (rpm > params.shift_up) & (gear < params.gear_count - 1.0)
    down = ready & (rpm < params.shift_down) & (gear > 0)

    gear = gear + up.astype(gear.dtype) - down.astype(gear.dtype)
    rest = jnp.maximum(shift_time_left - dt, 0.0)
    return gear, jnp.where(up | down, params.shift_duration, rest)
