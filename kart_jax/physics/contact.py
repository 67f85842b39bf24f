"""Contact of the bodywork with barriers: impulses with restitution and friction, plus a push out of the barrier."""

import chex
import jax.numpy as jnp

from kart_jax import geometry
from kart_jax.physics.params import KartParams
from kart_jax.physics.types import KartState, Walls

Motion = tuple[chex.Array, chex.Array, chex.Array]  # vx, vy (m/s, body frame), yaw rate (rad/s)

POINTS = 4  # corners of the bodywork: front-left, front-right, rear-left, rear-right
SOFT_SPEED = 0.5  # m/s, below which restitution fades, so that a kart comes to rest against a barrier
MOST_PUSH = 0.25  # m per step and point, so that a corrupt distance cannot throw the kart away


def open_field(dtype: jnp.dtype | type = float) -> Walls:
    """No barrier near."""
    return Walls(distance=jnp.full((POINTS,), 1e3, dtype), normal=jnp.zeros((POINTS, 2), dtype))


def _corners(params: KartParams) -> tuple[tuple[chex.Array, chex.Array], ...]:
    """The contact points as scalars (x, y), m, body frame."""
    front, rear = params.front_distance + params.nose, -params.rear_distance - params.tail
    wide, narrow = 0.5 * params.rear_width, 0.5 * params.front_width
    return (front, narrow), (front, -narrow), (rear, wide), (rear, -wide)


def body_points(params: KartParams) -> chex.Array:
    """(P, 2) m, contact points of the bodywork in the body frame."""
    return jnp.stack([jnp.stack(corner) for corner in _corners(params)])


def _speed(motion: Motion, x: chex.Array, y: chex.Array, dx: chex.Array, dy: chex.Array) -> chex.Array:
    """Velocity (m/s) of the body's point (x, y) along the unit vector (dx, dy)."""
    vx, vy, rate = motion
    return (vx - rate * y) * dx + (vy + rate * x) * dy


def _inertia(arm: chex.Array, params: KartParams) -> chex.Array:
    """Mass (kg) that an impulse at lever arm `arm` (m) meets: 1 / (1/m + arm² / I_z)."""
    return 1.0 / (1.0 / params.mass + arm * arm / params.yaw_inertia)


def _apply(
    motion: Motion, impulse: chex.Array, arm: chex.Array, dx: chex.Array, dy: chex.Array, params: KartParams
) -> Motion:
    """Velocities after an impulse (N s) along (dx, dy) at lever arm `arm` (m)."""
    vx, vy, rate = motion
    return (
        vx + impulse * dx / params.mass,
        vy + impulse * dy / params.mass,
        rate + impulse * arm / params.yaw_inertia,
    )


def _bounce(
    motion: Motion, x: chex.Array, y: chex.Array, nx: chex.Array, ny: chex.Array, active: chex.Array, params: KartParams
) -> Motion:
    """Velocities after contact at one point; body frame throughout.

    Along the normal j = -(1 + e) v_n m_n for v_n < 0, then across it |j_t| <= mu j, never reversing v_t.
    Each is an impulse along one line with e <= 1, so neither can add energy.
    """
    closing = jnp.minimum(_speed(motion, x, y, nx, ny), 0.0)
    restitution = params.restitution * closing * closing / (closing * closing + SOFT_SPEED**2)
    arm = x * ny - y * nx
    normal = jnp.where(active, -(1.0 + restitution) * closing * _inertia(arm, params), 0.0)
    motion = _apply(motion, normal, arm, nx, ny, params)

    arm = x * nx + y * ny  # lever arm of the tangent (-ny, nx)
    most = params.wall_friction * normal
    stop = -_speed(motion, x, y, -ny, nx) * _inertia(arm, params)
    return _apply(motion, jnp.clip(stop, -most, most), arm, -ny, nx, params)


def resolve(state: KartState, walls: Walls, params: KartParams) -> KartState:
    """The kart after contact: velocities by impulses, point after point, and the pose pushed half-way out.

    A point is in contact when its distance is negative; a point deep inside is handled like one that just
    touched, so a fast kart is caught however far it got in one step.
    """
    c, s = geometry.direction(state.yaw)
    motion = (state.vx, state.vy, state.yaw_rate)
    x, y = state.x, state.y
    for i, (px, py) in enumerate(_corners(params)):
        wx, wy, distance = walls.normal[i, 0], walls.normal[i, 1], walls.distance[i]
        motion = _bounce(motion, px, py, c * wx + s * wy, c * wy - s * wx, distance < 0.0, params)
        push = 0.5 * jnp.clip(-distance, 0.0, MOST_PUSH)
        x, y = x + push * wx, y + push * wy
    return state.replace(x=x, y=y, vx=motion[0], vy=motion[1], yaw_rate=motion[2])
