"""Measure how a kart answers its steering: a slow ramp of cornering at each of several speeds, on the simulator itself.

Nothing about the tyres or the axle is repeated here, so whatever the physics says, the driver knows: understeer from
the rigid axle, the lifted inside wheel, the split of the wheel angles.

The kart runs as on a rolling road: its forward speed is put back after every step while the throttle stays open as
far as the speed needs. The curvature asked for grows slowly and an integrator finds the steer angle that gives it.
"""

import chex
import jax
import jax.numpy as jnp

from kart_jax.drivers.types import Handling
from kart_jax.physics import contact
from kart_jax.physics.params import KartParams
from kart_jax.physics.state import rolling
from kart_jax.physics.step import step
from kart_jax.physics.types import Controls, KartState, Surface, Walls

DT = 0.005  # s, physics step of the ramp
RAMP = 8.0  # s, from straight ahead to `MOST`
ROWS = 10  # speeds
COLUMNS = 9  # levels of lateral acceleration
MOST = 28.0  # m/s², more lateral acceleration than any kart holds
INTEGRAL = 4.0  # 1/s, of the steer angle that cures the error of the yaw rate geometrically
PROPORTIONAL = 0.5  # of the same angle


def asphalt(params: KartParams) -> Surface:
    """Dry asphalt under all wheels."""
    return Surface(grip=jnp.ones(4), rolling=jnp.full(4, params.rolling_asphalt))


def no_walls(params: KartParams) -> Walls:
    """Barriers out of reach."""
    points = contact.body_points(params)
    return Walls(distance=jnp.full(points.shape[0], 100.0), normal=jnp.zeros(points.shape).at[:, 0].set(1.0))


def useful_slip(params: KartParams) -> tuple[chex.Array, chex.Array]:
    """Slip angle () rad of the front and rear tyres at the peak of their force at the reference load."""
    front, rear = params.front_tyre, params.rear_tyre
    return front.shape * front.friction / front.stiffness_y, rear.shape * rear.friction / rear.stiffness_y


def _ramp(params: KartParams, speed: chex.Array) -> tuple[chex.Array, chex.Array]:
    """Steer angle (steps,) rad and lateral acceleration (steps,) m/s² of one ramp; 0 once the rear slides away."""
    ground, walls = asphalt(params), no_walls(params)
    rear = 0.9 * useful_slip(params)[1]

    def advance(carry: tuple[KartState, chex.Array, chex.Array], time: chex.Array) -> tuple[tuple, tuple]:
        state, trim, kept = carry
        curvature = MOST * time / RAMP / speed**2
        error = params.wheelbase * (curvature - state.yaw_rate / speed)
        trim = jnp.clip(trim + DT * INTEGRAL * error, -0.3, 0.3)
        angle = params.wheelbase * curvature + trim + PROPORTIONAL * error
        throttle = jnp.clip(0.3 - 0.3 * state.accel_x, 0.0, 1.0)
        controls = Controls(angle / params.max_steer, throttle, jnp.zeros_like(throttle))
        state = step(state, controls, params, ground, walls, DT).replace(vx=speed)
        sliding = jnp.arctan2(params.rear_distance * state.yaw_rate - state.vy, speed) > rear
        kept = kept & ~sliding
        return (state, trim, kept), (state.steer, jnp.where(kept, state.accel_y, 0.0))

    zero = jnp.zeros_like(speed)
    times = jnp.arange(round(RAMP / DT)) * DT
    start = (rolling(params, zero, zero, zero, speed), zero, jnp.asarray(True))
    return jax.lax.scan(advance, start, times)[1]


def measure(params: KartParams, top: chex.Array) -> Handling:
    """Handling of one kart between standstill and `top` () m/s."""
    grid = jnp.linspace(0.0, 1.0, ROWS) * top
    speed = jnp.maximum(grid, 0.5 * grid[1])
    angle, lateral = jax.vmap(_ramp, in_axes=(None, 0))(params, speed)
    rising = jax.lax.cummax(lateral, axis=1)
    most = rising[:, -1]
    levels = jnp.linspace(0.0, 1.0, COLUMNS)[None] * 0.995 * most[:, None]
    first = jnp.minimum(jax.vmap(jnp.searchsorted)(rising, levels), rising.shape[1] - 1)
    curvature = jnp.take_along_axis(rising, first, axis=1) / speed[:, None] ** 2
    extra = jnp.take_along_axis(angle, first, axis=1) - params.wheelbase * curvature
    front, rear = useful_slip(params)
    return Handling(extra=extra.at[:, 0].set(0.0), lateral=most, front_slip=front, rear_slip=rear)
