"""Measure what one kart can do, on the simulator itself: g-g-v diagram and handling.

Nothing about tyres, axle or engine is repeated here, so whatever the physics says, the driver
knows: understeer from the rigid axle, the lifted inside wheel, the split of the wheel angles,
gears, clutch and limiter.

Every ramp is a kart on a rolling road: its forward speed is put back after each step while its
tyres, loads, engine and yaw go on. On the straight, the throttle or the brake pedal is opened
slowly; in a corner the curvature grows slowly at constant pedals and an integrator finds the steer
angle, which also holds a kart that is unstable at its limit.
"""

import chex
import jax
import jax.numpy as jnp
from flax import struct

from kart_jax.drivers.profile import GGVDiagram
from kart_jax.drivers.types import Handling
from kart_jax.physics import drivetrain, limits, surface
from kart_jax.physics.params import AirParams, KartParams
from kart_jax.physics.state import rolling
from kart_jax.physics.step import step
from kart_jax.physics.types import Controls, KartState

DT = 0.005  # s, physics step of the ramps
RAMP_TIME = 6.0  # s, from nothing to all
SETTLED = round(0.3 / DT)  # steps: the start has died away and the ramp is still near zero
MAX_SPEED = 45.0  # m/s, faster than any kart here
SPEEDS = 31  # S, of the ramps on the straight
ROWS = 9  # V, speeds of the ramps in corners
COLUMNS = 9  # R, levels of lateral acceleration
MAX_LATERAL = 28.0  # m/s², more lateral acceleration than any kart holds
INTEGRAL = 4.0  # 1/s, of the steer angle that would cure the error of the yaw rate geometrically
PROPORTIONAL = 0.5  # of the same angle
THROTTLES = (1.0, 0.5)  # pedals tried in corners
BRAKES = (0.0, 0.25, 0.45, 0.65, 0.8, 0.9)  # the same, of the pedal for the best straight braking

# The settings of the pedals in corners: at constant speed, then each throttle, then each brake.
POWERED = slice(1, 1 + len(THROTTLES))
BRAKED = slice(1 + len(THROTTLES), None)
COASTING = 1 + len(THROTTLES)  # the first of the brakes is none


class Ramp(struct.PyTreeNode):
    """One ramp on the rolling road."""

    speed: chex.Array  # () m/s, of the road
    cornering: chex.Array  # () bool, the curvature grows; else the pedals do
    throttle: chex.Array  # () 0..1, (final) throttle; negative = hold the speed
    brake: chex.Array  # () 0..1, (final) pedal


class Response(struct.PyTreeNode):
    """What a kart on a ramp does at one step; all 0 once an axle has slid away."""

    slip: chex.Array  # () rad, steer angle beyond the direction in which the front axle moves
    lateral: chex.Array  # () m/s²
    forward: chex.Array  # () m/s²
    gear: chex.Array  # () int32


class RampState(struct.PyTreeNode):
    """How far a ramp has come."""

    kart: KartState  # fields () and those of its wheels
    trim: chex.Array  # () rad, integral part of the steer angle
    held: chex.Array  # () bool, the rear axle has not slid away


def measure_kart(params: KartParams) -> tuple[GGVDiagram, Handling]:
    """Measure limits and handling of one kart on dry asphalt; half a second of work under jit."""
    responses = jax.vmap(_drive_ramp, in_axes=(None, 0))(params, _ramps(params))
    driving, braking = (
        jax.tree.map(lambda leaf, i=i: leaf[i * SPEEDS : (i + 1) * SPEEDS], responses)
        for i in (0, 1)
    )
    corners = jax.tree.map(
        lambda leaf: leaf[2 * SPEEDS :].reshape(-1, ROWS, leaf.shape[-1]), responses
    )
    drive = jnp.max(_net_acceleration(params, driving), axis=1)
    brake = -jnp.min(braking.forward[:, SETTLED:], axis=1)

    # In corners, what each level of lateral acceleration leaves.
    max_lateral = jnp.max(corners.lateral[0], axis=1)
    steps, reached = _steps_of_levels(corners, max_lateral)
    slip = jax.lax.cummax(jnp.take_along_axis(corners.slip[0], steps[0], axis=1), axis=1)
    pushed = jnp.take_along_axis(_net_acceleration(params, corners), steps, axis=2)
    slowed = -jnp.take_along_axis(corners.forward, steps, axis=2)
    loss = _drive_loss(pushed, reached)
    scrub = jnp.where(reached, slowed - slowed[..., :1], 0.0)[COASTING]
    rows = jnp.linspace(0.0, MAX_SPEED, ROWS)
    speeds = jnp.linspace(0.0, MAX_SPEED, SPEEDS)
    share = _brake_share(slowed, reached, jnp.interp(rows, speeds, brake))

    ggv = GGVDiagram(
        lateral=jnp.interp(speeds, rows, max_lateral),
        drive=drive,
        brake=brake,
        coast=braking.forward[:, SETTLED],
        drive_loss=jax.lax.cummax(loss, axis=1),
        scrub=jax.lax.cummax(scrub, axis=1),
        brake_share=jax.lax.cummin(share, axis=1),
        max_speed=jnp.asarray(MAX_SPEED),
    )
    handling = Handling(front_slip=slip.at[:, 0].set(0.0), peak_rear_slip=peak_rear_slip(params))
    return ggv, handling


def peak_rear_slip(params: KartParams) -> chex.Array:
    """Return the slip angle () rad of the rear tyres' peak force at the reference load."""
    rear = params.rear_tyre
    return rear.shape * rear.friction / rear.stiffness_y


def full_brake_force(params: KartParams) -> chex.Array:
    """Return the force () N of all brakes at full pedal, where the tyres hold it."""
    front = 2.0 * params.front_brake / params.front_tyre.radius
    return front + params.rear_brake / params.rear_tyre.radius


def _ramps(params: KartParams) -> Ramp:
    """Return all ramps: on the straight throttle, then brake, at each of SPEEDS; then corners.

    In corners there are ROWS speeds for each setting of the pedals.
    """
    speeds = jnp.linspace(0.0, MAX_SPEED, SPEEDS)
    speeds = jnp.maximum(speeds, 0.5 * speeds[1])
    rows = jnp.linspace(0.0, MAX_SPEED, ROWS)
    rows = jnp.maximum(rows, 0.5 * rows[1])

    best_braking = jax.vmap(limits.brake_limit, in_axes=(0, None, None))
    deceleration = best_braking(rows, params, AirParams())
    best_pedal = deceleration * params.mass / full_brake_force(params)

    ones = jnp.ones(SPEEDS)
    none = jnp.zeros(SPEEDS)
    zero = jnp.zeros(ROWS)
    throttles = [jnp.full(ROWS, level) for level in (-1.0, *THROTTLES)] + [zero] * len(BRAKES)
    brakes = [zero] * (1 + len(THROTTLES))
    brakes += [jnp.minimum(level * best_pedal, 1.0) for level in BRAKES]
    speed = jnp.concatenate([speeds, speeds] + [rows] * len(throttles))
    return Ramp(
        speed=speed,
        cornering=jnp.arange(speed.shape[0]) >= 2 * SPEEDS,
        throttle=jnp.concatenate([ones, none, *throttles]),
        brake=jnp.concatenate([none, ones, *brakes]),
    )


def _drive_ramp(params: KartParams, ramp: Ramp) -> Response:
    """Drive one ramp; fields (steps,)."""
    zero = jnp.zeros_like(ramp.speed)
    start = RampState(
        kart=rolling(params, zero, zero, zero, ramp.speed), trim=zero, held=jnp.asarray(True)
    )

    def advance(state: RampState, part: chex.Array) -> tuple[RampState, Response]:
        return _ramp_step(params, ramp, state, part)

    return jax.lax.scan(advance, start, jnp.linspace(0.0, 1.0, round(RAMP_TIME / DT)))[1]


def _ramp_step(
    params: KartParams, ramp: Ramp, state: RampState, part: chex.Array
) -> tuple[RampState, Response]:
    """Drive one physics step of a ramp of which `part` () 0..1 is done."""
    kart = state.kart
    speed = ramp.speed

    # A PI controller of the yaw rate steers.
    curvature = jnp.where(ramp.cornering, part * MAX_LATERAL / speed**2, 0.0)
    error = params.wheelbase * (curvature - kart.yaw_rate / speed)
    trim = jnp.clip(state.trim + DT * INTEGRAL * error, -0.3, 0.3)
    angle = params.wheelbase * curvature + trim + PROPORTIONAL * error

    pedal = jnp.where(ramp.cornering, 1.0, part)
    holding = jnp.clip(0.3 - 0.3 * kart.accel_x, 0.0, 1.0)
    throttle = jnp.where(ramp.throttle < 0, holding, pedal * ramp.throttle)
    controls = Controls(
        steering=angle / params.max_steer, throttle=throttle, brake=pedal * ramp.brake
    )
    kart = step(kart, controls, params, surface.asphalt(params), AirParams(), DT)
    kart = kart.replace(vx=speed)

    front = jnp.arctan2(params.front_distance * kart.yaw_rate + kart.vy, speed)
    rear = jnp.arctan2(params.rear_distance * kart.yaw_rate - kart.vy, speed)
    held = state.held & (jnp.abs(rear) < 0.9 * peak_rear_slip(params))
    response = Response(
        slip=held * (kart.steer - front),
        lateral=held * kart.accel_y,
        forward=held * kart.accel_x,
        gear=kart.gear,
    )
    return RampState(kart=kart, trim=trim, held=held), response


def _net_acceleration(params: KartParams, response: Response) -> chex.Array:
    """Return the acceleration m/s² of a driving kart, which spins up its wheels and engine, too.

    On the rolling road it does not: the force there moves the mass alone.
    """
    ratio = drivetrain.gear_ratio(response.gear, params)
    rear = (params.axle_inertia + ratio**2 * params.engine_inertia) / params.rear_tyre.radius**2
    front = 2.0 * params.front_inertia / params.front_tyre.radius**2
    return response.forward * params.mass / (params.mass + rear + front)


def _steps_of_levels(corners: Response, max_lateral: chex.Array) -> tuple[chex.Array, chex.Array]:
    """Find when each of COLUMNS levels of lateral acceleration is reached.

    Args:
        corners: fields (..., ROWS, steps).
        max_lateral: (ROWS,) m/s², the level just above the highest.

    Returns:
        The step (..., ROWS, COLUMNS) int32, and whether the level is reached at all.
    """
    rising = jax.lax.cummax(corners.lateral, axis=corners.lateral.ndim - 1)
    levels = jnp.linspace(0.0, 0.995, COLUMNS)[None] * max_lateral[:, None]
    levels = jnp.broadcast_to(levels, (*rising.shape[:-1], COLUMNS))
    first = jnp.sum(rising[..., None, :] < levels[..., None], axis=-1)
    last = rising.shape[-1] - 1
    return jnp.clip(first, SETTLED, last), first <= last


def _drive_loss(pushed: chex.Array, reached: chex.Array) -> chex.Array:
    """Return the loss (ROWS, COLUMNS) m/s² of the best acceleration against the straight."""
    best = jnp.max(jnp.where(reached, pushed, -jnp.inf)[POWERED], axis=0)
    return jnp.maximum(best[:, :1] - jnp.where(jnp.isfinite(best), best, 0.0), 0.0)


def _brake_share(slowed: chex.Array, reached: chex.Array, straight: chex.Array) -> chex.Array:
    """Return the part (ROWS, COLUMNS) of the `straight` (ROWS,) m/s² braking that is left."""
    best = jnp.max(jnp.where(reached, slowed, 0.0)[BRAKED], axis=0)
    return jnp.clip(best / straight[:, None], 0.0, 1.0).at[:, 0].set(1.0)
