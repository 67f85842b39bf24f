"""Measure what one kart can do, on the simulator itself: limits of acceleration and the answer to the steering.

Nothing about tyres, axle or engine is repeated here, so whatever the physics says, the driver knows: understeer from
the rigid axle, the lifted inside wheel, the split of the wheel angles, gears, clutch and limiter.

Every lane is a kart on a rolling road: its forward speed is put back after each step while its tyres, loads, engine
and yaw go on. Three slow ramps at each speed: of the curvature (an integrator finds the steer angle, which also
holds a kart that is unstable at its limit; the throttle holds the speed), of the throttle, and of the brake pedal.
"""

import chex
import jax
import jax.numpy as jnp
from flax import struct

from kart_jax.drivers.profile import Limits
from kart_jax.drivers.types import Handling
from kart_jax.physics import contact, drivetrain
from kart_jax.physics.params import KartParams
from kart_jax.physics.state import rolling
from kart_jax.physics.step import step
from kart_jax.physics.types import Controls, KartState, Surface, Walls

DT = 0.005  # s, physics step of the ramps
RAMP = 6.0  # s, from nothing to all
TOP = 50.0  # m/s, faster than any kart here
SPEEDS = 41  # of the throttle and brake ramps
ROWS = 11  # speeds of the curvature ramp
COLUMNS = 9  # levels of lateral acceleration
MOST = 28.0  # m/s², more lateral acceleration than any kart holds
INTEGRAL = 4.0  # 1/s, of the steer angle that would cure the error of the yaw rate geometrically
PROPORTIONAL = 0.5  # of the same angle
EXPONENT = 1.7  # of the combined envelope: kart_physics reference, quasi-steady lap model of section 2.3


@struct.dataclass
class Lane:
    """One ramp; all ()."""

    speed: chex.Array  # m/s, of the road
    lateral: chex.Array  # m/s², at the end of the ramp
    throttle: chex.Array  # 0..1, at the end of the ramp
    brake: chex.Array  # 0..1, at the end of the ramp
    hold: chex.Array  # bool, the throttle holds the speed instead


@struct.dataclass
class Trace:
    """What a lane records."""

    steer: chex.Array  # rad, mean road-wheel angle
    lateral: chex.Array  # m/s², 0 once the rear has slid away
    forward: chex.Array  # m/s²
    gear: chex.Array  # int32


def useful_slip(params: KartParams) -> tuple[chex.Array, chex.Array]:
    """Slip angle () rad of the front and rear tyres at the peak of their force at the reference load."""
    front, rear = params.front_tyre, params.rear_tyre
    return front.shape * front.friction / front.stiffness_y, rear.shape * rear.friction / rear.stiffness_y


def _run(params: KartParams, lane: Lane) -> Trace:
    """One lane; fields (steps,)."""
    points = contact.body_points(params)
    ground = Surface(grip=jnp.ones(4), rolling=jnp.full(4, params.rolling_asphalt))
    walls = Walls(distance=jnp.full(points.shape[0], 100.0), normal=jnp.zeros(points.shape).at[:, 0].set(1.0))
    rear = 0.9 * useful_slip(params)[1]
    speed = lane.speed

    def advance(carry: tuple, part: chex.Array) -> tuple[tuple, Trace]:
        state, trim, kept = carry
        curvature = part * lane.lateral / speed**2
        error = params.wheelbase * (curvature - state.yaw_rate / speed)
        trim = jnp.clip(trim + DT * INTEGRAL * error, -0.3, 0.3)
        angle = params.wheelbase * curvature + trim + PROPORTIONAL * error
        throttle = jnp.where(lane.hold, jnp.clip(0.3 - 0.3 * state.accel_x, 0.0, 1.0), part * lane.throttle)
        controls = Controls(angle / params.max_steer, throttle, part * lane.brake)
        state = step(state, controls, params, ground, walls, DT).replace(vx=speed)
        sliding = jnp.arctan2(params.rear_distance * state.yaw_rate - state.vy, speed) > rear
        kept = kept & ~sliding
        record = Trace(state.steer, jnp.where(kept, state.accel_y, 0.0), state.accel_x, state.gear)
        return (state, trim, kept), record

    zero = jnp.zeros_like(speed)
    parts = jnp.linspace(0.0, 1.0, round(RAMP / DT))
    start: tuple[KartState, chex.Array, chex.Array] = (
        rolling(params, zero, zero, zero, speed),
        zero,
        jnp.asarray(True),
    )
    return jax.lax.scan(advance, start, parts)[1]


def _lanes() -> Lane:
    """ROWS curvature ramps, then SPEEDS throttle ramps, then SPEEDS brake ramps."""
    rows, speeds = jnp.linspace(0.0, TOP, ROWS), jnp.linspace(0.0, TOP, SPEEDS)
    rows, speeds = jnp.maximum(rows, 0.5 * rows[1]), jnp.maximum(speeds, 0.5 * speeds[1])

    def fill(a: float, b: float, c: float) -> chex.Array:
        return jnp.concatenate([jnp.full(ROWS, a), jnp.full(SPEEDS, b), jnp.full(SPEEDS, c)])

    speed = jnp.concatenate([rows, speeds, speeds])
    return Lane(speed, fill(MOST, 0, 0), fill(0, 1, 0), fill(0, 0, 1), jnp.arange(speed.shape[0]) < ROWS)


def _handling(params: KartParams, speed: chex.Array, trace: Trace) -> Handling:
    """From the curvature ramps (ROWS, steps) to the table of steer angles."""
    rising = jax.lax.cummax(trace.lateral, axis=1)
    most = rising[:, -1]
    levels = jnp.linspace(0.0, 1.0, COLUMNS)[None] * 0.995 * most[:, None]
    first = jnp.minimum(jax.vmap(jnp.searchsorted)(rising, levels), rising.shape[1] - 1)
    curvature = jnp.take_along_axis(rising, first, axis=1) / speed[:, None] ** 2
    extra = jnp.take_along_axis(trace.steer, first, axis=1) - params.wheelbase * curvature
    front, rear = useful_slip(params)
    return Handling(extra=extra.at[:, 0].set(0.0), lateral=most, front_slip=front, rear_slip=rear)


def _drive(params: KartParams, trace: Trace) -> chex.Array:
    """Best acceleration (SPEEDS,) m/s²: the force of the ramp over the mass that also spins up wheels and engine."""
    ratio = drivetrain.gear_ratio(trace.gear[:, -1], params)
    rear = (params.axle_inertia + ratio**2 * params.engine_inertia) / params.rear_tyre.radius**2
    front = 2.0 * params.front_inertia / params.front_tyre.radius**2
    return jnp.max(trace.forward, axis=1) * params.mass / (params.mass + rear + front)


def measure(params: KartParams) -> tuple[Limits, Handling]:
    """Limits and handling of one kart on dry asphalt; under jit about a second of work for seven karts."""
    lanes = _lanes()
    trace = jax.vmap(_run, in_axes=(None, 0))(params, lanes)
    bends, drives, brakes = (
        jax.tree.map(lambda leaf, part=part: leaf[part], trace)
        for part in (slice(0, ROWS), slice(ROWS, ROWS + SPEEDS), slice(ROWS + SPEEDS, None))
    )
    handling = _handling(params, lanes.speed[:ROWS], bends)
    speed = jnp.linspace(0.0, TOP, SPEEDS)
    settled = round(0.2 / DT)  # the ramp is still near zero, the start has died away
    brake = -jnp.min(brakes.forward[:, settled:], axis=1)
    drive = _drive(params, drives)
    limits = Limits(
        lateral=jnp.interp(speed, jnp.linspace(0.0, TOP, ROWS), handling.lateral),
        drive=drive,
        brake=brake,
        coast=brakes.forward[:, settled],
        exponent=jnp.asarray(EXPONENT),
        top=jnp.asarray(TOP),
    )
    return limits, handling
