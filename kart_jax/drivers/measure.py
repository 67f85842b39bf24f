"""Measure what one kart can do, on the simulator itself: its g-g-v diagram and the answer to the
steering.

Nothing about tyres, axle or engine is repeated here, so whatever the physics says, the driver
knows: understeer from the rigid axle, the lifted inside wheel, the split of the wheel angles,
gears, clutch and limiter.

Every lane is a kart on a rolling road: its forward speed is put back after each step while its
tyres, loads, engine and yaw go on. On the straight, the throttle or the brake pedal is opened
slowly; in a bend the curvature grows slowly at constant pedals and an integrator finds the steer
angle, which also holds a kart that is unstable at its limit.
"""

import chex
import jax
import jax.numpy as jnp
from flax import struct

from kart_jax.drivers.profile import Limits
from kart_jax.drivers.types import Handling
from kart_jax.physics import contact, drivetrain, limits, surface
from kart_jax.physics.params import KartParams
from kart_jax.physics.state import rolling
from kart_jax.physics.step import step
from kart_jax.physics.types import Controls, KartState

DT = 0.005  # s, physics step of the ramps
RAMP = 6.0  # s, from nothing to all
SETTLED = round(
    0.3 / DT
)  # steps after which the start has died away and the ramp is still near zero
TOP = 45.0  # m/s, faster than any kart here
SPEEDS = 31  # of the ramps on the straight
ROWS = 9  # speeds of the ramps in bends
COLUMNS = 9  # levels of lateral acceleration
MOST = 28.0  # m/s², more lateral acceleration than any kart holds
INTEGRAL = 4.0  # 1/s, of the steer angle that would cure the error of the yaw rate geometrically
PROPORTIONAL = 0.5  # of the same angle
THROTTLES = (1.0, 0.5)  # pedals tried in bends
BRAKES = (
    0.0,
    0.25,
    0.45,
    0.65,
    0.8,
    0.9,
)  # the same, of the pedal for the best braking on the straight


class Lane(struct.PyTreeNode):
    """One ramp; all ()."""

    speed: chex.Array  # m/s, of the road
    bend: chex.Array  # bool, the curvature grows; else the pedals do
    throttle: chex.Array  # 0..1, (final) throttle; negative = hold the speed
    brake: chex.Array  # 0..1, (final) pedal


class Trace(struct.PyTreeNode):
    """What a lane records; all 0 once an axle has slid away."""

    slip: chex.Array  # rad, steer angle beyond the direction in which the front axle moves
    lateral: chex.Array  # m/s²
    forward: chex.Array  # m/s²
    gear: chex.Array  # int32


def useful_slip(params: KartParams) -> chex.Array:
    """Slip angle () rad of the rear tyres at the peak of their force at the reference load."""
    rear = params.rear_tyre
    return rear.shape * rear.friction / rear.stiffness_y


def _run(params: KartParams, lane: Lane) -> Trace:
    """One lane; fields (steps,)."""
    ground, walls = surface.asphalt(params), contact.open_field()
    rear = 0.9 * useful_slip(params)
    speed = lane.speed

    def advance(carry: tuple, part: chex.Array) -> tuple[tuple, Trace]:
        state, trim, kept = carry
        curvature = jnp.where(lane.bend, part * MOST / speed**2, 0.0)
        error = params.wheelbase * (curvature - state.yaw_rate / speed)
        trim = jnp.clip(trim + DT * INTEGRAL * error, -0.3, 0.3)
        angle = params.wheelbase * curvature + trim + PROPORTIONAL * error
        pedal = jnp.where(lane.bend, 1.0, part)
        throttle = jnp.where(
            lane.throttle < 0, jnp.clip(0.3 - 0.3 * state.accel_x, 0.0, 1.0), pedal * lane.throttle
        )
        controls = Controls(angle / params.max_steer, throttle, pedal * lane.brake)
        state = step(state, controls, params, ground, walls, DT).replace(vx=speed)
        slip = state.steer - jnp.arctan2(params.front_distance * state.yaw_rate + state.vy, speed)
        kept = kept & (
            jnp.abs(jnp.arctan2(params.rear_distance * state.yaw_rate - state.vy, speed)) < rear
        )
        return (state, trim, kept), Trace(
            kept * slip, kept * state.accel_y, kept * state.accel_x, state.gear
        )

    zero = jnp.zeros_like(speed)
    start: tuple[KartState, chex.Array, chex.Array] = (
        rolling(params, zero, zero, zero, speed),
        zero,
        jnp.asarray(True),
    )
    return jax.lax.scan(advance, start, jnp.linspace(0.0, 1.0, round(RAMP / DT)))[1]


def _lanes(params: KartParams) -> Lane:
    """Throttle and brake ramps at SPEEDS on the straight, then in bends ROWS speeds for each
    setting of the pedals."""
    speeds, rows = jnp.linspace(0.0, TOP, SPEEDS), jnp.linspace(0.0, TOP, ROWS)
    speeds, rows = jnp.maximum(speeds, 0.5 * speeds[1]), jnp.maximum(rows, 0.5 * rows[1])
    full = (
        2.0 * params.front_brake / params.front_tyre.radius
        + params.rear_brake / params.rear_tyre.radius
    )
    pedal = jax.vmap(limits.brake_limit, in_axes=(0, None))(rows, params) * params.mass / full
    one, none, zero = jnp.ones(SPEEDS), jnp.zeros(SPEEDS), jnp.zeros(ROWS)
    throttles = [jnp.full(ROWS, t) for t in (-1.0, *THROTTLES)] + [zero] * len(BRAKES)
    brakes = [zero] * (1 + len(THROTTLES)) + [jnp.minimum(b * pedal, 1.0) for b in BRAKES]
    speed = jnp.concatenate([speeds, speeds] + [rows] * len(throttles))
    return Lane(
        speed=speed,
        bend=jnp.arange(speed.shape[0]) >= 2 * SPEEDS,
        throttle=jnp.concatenate([one, none, *throttles]),
        brake=jnp.concatenate([none, one, *brakes]),
    )


def _net(params: KartParams, trace: Trace) -> chex.Array:
    """Acceleration of a driving kart: its force over the mass that also spins up the wheels and the
    engine."""
    ratio = drivetrain.gear_ratio(trace.gear, params)
    rear = (params.axle_inertia + ratio**2 * params.engine_inertia) / params.rear_tyre.radius**2
    front = 2.0 * params.front_inertia / params.front_tyre.radius**2
    return trace.forward * params.mass / (params.mass + rear + front)


def _when(trace: Trace, most: chex.Array) -> tuple[chex.Array, chex.Array]:
    """For bends (..., ROWS, steps): the step at which each level of `most` (ROWS,) is reached, and
    whether it is."""
    rising = jax.lax.cummax(trace.lateral, axis=trace.lateral.ndim - 1)
    levels = jnp.broadcast_to(
        jnp.linspace(0.0, 0.995, COLUMNS)[None] * most[:, None], (*rising.shape[:-1], COLUMNS)
    )
    first = jnp.sum(rising[..., None, :] < levels[..., None], axis=-1)
    last = rising.shape[-1] - 1
    return jnp.clip(first, SETTLED, last), first <= last


def measure(params: KartParams) -> tuple[Limits, Handling]:
    """Limits and handling of one kart on dry asphalt; under jit about half a second of work."""
    lanes = _lanes(params)
    trace = jax.vmap(_run, in_axes=(None, 0))(params, lanes)
    drives, brakes = (
        jax.tree.map(lambda a, i=i: a[i * SPEEDS : (i + 1) * SPEEDS], trace) for i in (0, 1)
    )
    bends = jax.tree.map(lambda a: a[2 * SPEEDS :].reshape(-1, ROWS, a.shape[-1]), trace)
    drive, brake = (
        jnp.max(_net(params, drives), axis=1),
        -jnp.min(brakes.forward[:, SETTLED:], axis=1),
    )

    most = jnp.max(bends.lateral[0], axis=1)
    step_at, reached = _when(bends, most)
    slip = jax.lax.cummax(jnp.take_along_axis(bends.slip[0], step_at[0], axis=1), axis=1)
    pushed = jnp.take_along_axis(_net(params, bends), step_at, axis=2)
    slowed = -jnp.take_along_axis(bends.forward, step_at, axis=2)
    powered, braked = slice(1, 1 + len(THROTTLES)), slice(1 + len(THROTTLES), None)
    push = jnp.max(jnp.where(reached, pushed, -jnp.inf)[powered], axis=0)
    loss = jnp.maximum(push[:, :1] - jnp.where(jnp.isfinite(push), push, 0.0), 0.0)
    rows, speeds = jnp.linspace(0.0, TOP, ROWS), jnp.linspace(0.0, TOP, SPEEDS)
    scrub = jnp.where(reached, slowed - slowed[..., :1], 0.0)[1 + len(THROTTLES)]
    slow = (
        jnp.max(jnp.where(reached, slowed, 0.0)[braked], axis=0)
        / jnp.interp(rows, speeds, brake)[:, None]
    )
    slow = jnp.clip(slow, 0.0, 1.0).at[:, 0].set(1.0)

    measured = Limits(
        lateral=jnp.interp(speeds, rows, most),
        drive=drive,
        brake=brake,
        coast=brakes.forward[:, SETTLED],
        drive_loss=jax.lax.cummax(loss, axis=1),
        scrub=jax.lax.cummax(scrub, axis=1),
        brake_share=jax.lax.cummin(slow, axis=1),
        top=jnp.asarray(TOP),
    )
    return measured, Handling(slip=slip.at[:, 0].set(0.0), rear_slip=useful_slip(params))
