"""Rigid body in the plane: where the wheels are, how they move, what their forces do."""

import chex
import jax.numpy as jnp

from kart_jax.physics.params import KartParams
from kart_jax.physics.types import KartState
from kart_jax.xla.sines import cos_sin
from kart_jax.xla.stage import stage

PerWheel = tuple[chex.Array, ...]  # one entry per wheel, in the order of `types`

ROLLING_FADE = 0.1  # m/s, below which rolling resistance fades smoothly through zero


def wheel_positions(params: KartParams) -> tuple[PerWheel, PerWheel]:
    """x and y (m, body frame) of the four contact patches."""
    front, rear = 0.5 * params.front_track, 0.5 * params.rear_track
    ahead, behind = params.front_distance, -params.rear_distance
    return (ahead, ahead, behind, behind), (front, -front, rear, -rear)


def wheel_velocities(
    vx: chex.Array,
    vy: chex.Array,
    yaw_rate: chex.Array,
    cosine: PerWheel,
    sine: PerWheel,
    params: KartParams,
) -> tuple[PerWheel, PerWheel]:
    """Velocity (m/s) of each contact patch along and across its wheel.

    Args:
        vx: () m/s, forward velocity of the centre of gravity.
        vy: () m/s, velocity to the left.
        yaw_rate: () rad/s.
        cosine: cosines of the four wheel angles.
        sine: their sines.
        params: the kart.
    """
    xs, ys = wheel_positions(params)
    along, across = [], []
    for x, y, c, s in zip(xs, ys, cosine, sine, strict=True):
        forward, left = vx - yaw_rate * y, vy + yaw_rate * x
        along.append(c * forward + s * left)
        across.append(c * left - s * forward)
    return tuple(along), tuple(across)


@stage()
def accelerations(
    vx: chex.Array,
    vy: chex.Array,
    along: PerWheel,
    across: PerWheel,
    cosine: PerWheel,
    sine: PerWheel,
    params: KartParams,
) -> tuple[chex.Array, chex.Array, chex.Array]:
    """Specific force (m/s², body frame) and yaw acceleration (rad/s²).

    Args:
        vx: () m/s, for the air drag 1/2 rho CdA |v| v.
        vy: () m/s.
        along: forces (N) along each wheel.
        across: forces (N) across each wheel.
        cosine: cosines of the four wheel angles.
        sine: their sines.
        params: the kart.
    """
    xs, ys = wheel_positions(params)
    air = 0.5 * params.air_density * params.drag_area * jnp.sqrt(vx * vx + vy * vy + 1e-12)
    force_x, force_y, moment = -air * vx, -air * vy, 0.0
    for x, y, c, s, f, g in zip(xs, ys, cosine, sine, along, across, strict=True):
        fx, fy = c * f - s * g, s * f + c * g
        force_x, force_y, moment = force_x + fx, force_y + fy, moment + x * fy - y * fx
    return force_x / params.mass, force_y / params.mass, moment / params.yaw_inertia


def rolling_drag(along: chex.Array, load: chex.Array, coefficient: chex.Array) -> chex.Array:
    """Rolling resistance (N) on one wheel, against its rolling velocity: -c F_z v / sqrt(v² +
    v_fade²)."""
    return -coefficient * load * along / jnp.sqrt(along * along + ROLLING_FADE**2)


def integrate(
    state: KartState, accel_x: chex.Array, accel_y: chex.Array, accel_yaw: chex.Array, dt: float
) -> KartState:
    """Step of velocity and pose, second order in dt for accelerations that belong to its middle.

    Half the push, the turn of the body frame under the velocity, the other half: the turn is an
    exact rotation (Cayley form), so it neither makes nor loses energy. The pose moves with the mean
    velocity at the mean heading.
    """
    yaw_rate = state.yaw_rate + dt * accel_yaw
    half = 0.25 * dt * (state.yaw_rate + yaw_rate)
    norm = 1.0 / (1.0 + half * half)
    c, s = (1.0 - half * half) * norm, 2.0 * half * norm
    push_x, push_y = 0.5 * dt * accel_x, 0.5 * dt * accel_y
    vx, vy = state.vx + push_x, state.vy + push_y
    vx, vy = c * vx + s * vy + push_x, c * vy - s * vx + push_y
    cy, sy = cos_sin(state.yaw + half)
    mean_x, mean_y = 0.5 * (state.vx + vx), 0.5 * (state.vy + vy)
    x, y = state.x + dt * (cy * mean_x - sy * mean_y), state.y + dt * (sy * mean_x + cy * mean_y)
    yaw = state.yaw + 2.0 * half
    return state.replace(x=x, y=y, yaw=yaw, vx=vx, vy=vy, yaw_rate=yaw_rate)
