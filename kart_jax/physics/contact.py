"""Contact of the bodywork with barriers: impulses with restitution and friction, plus a push out of
the barrier."""

import chex
import jax
import jax.numpy as jnp
from flax import struct

from kart_jax.physics.params import KartParams
from kart_jax.physics.types import KartState, Walls
from kart_jax.xla.bounds import at_most, within
from kart_jax.xla.sines import cos_sin
from kart_jax.xla.stage import stage

Motion = tuple[chex.Array, chex.Array, chex.Array]  # vx, vy (m/s, body frame), yaw rate (rad/s)

POINTS = 4  # corners of the bodywork: front-left, front-right, rear-left, rear-right
SOFT_SPEED = (
    0.5  # m/s, below which restitution fades, so that a kart comes to rest against a barrier
)
MOST_PUSH = 0.25  # m per step and point, so that a corrupt distance cannot throw the kart away


def open_field(dtype: jnp.dtype | type = float) -> Walls:
    """No barrier near."""
    return Walls(distance=jnp.full((POINTS,), 1e3, dtype), normal=jnp.zeros((POINTS, 2), dtype))


def body_points(params: KartParams) -> chex.Array:
    """(P, 2) m, contact points of the bodywork in the body frame."""
    front, rear = (
        params.front_distance + params.front_overhang,
        -params.rear_distance - params.rear_overhang,
    )
    wide, narrow = 0.5 * params.rear_width, 0.5 * params.front_width
    corners = (front, narrow), (front, -narrow), (rear, wide), (rear, -wide)
    return jnp.stack([jnp.stack(corner) for corner in corners])


class Line(struct.PyTreeNode):
    """A line through a contact point, in the body frame, along which an impulse acts."""

    dx: chex.Array  # (...) unit vector
    dy: chex.Array
    arm: chex.Array  # (...) m, lever arm about the centre of gravity
    mass: chex.Array  # (...) kg that an impulse meets: 1 / (1/m + arm² / I_z)


def _line(x: chex.Array, y: chex.Array, dx: chex.Array, dy: chex.Array, params: KartParams) -> Line:
    """The line along (dx, dy) through the point (x, y)."""
    arm = x * dy - y * dx
    return Line(dx, dy, arm, 1.0 / (1.0 / params.mass + arm * arm * (1.0 / params.yaw_inertia)))


def _speed(motion: Motion, line: Line) -> chex.Array:
    """Velocity (m/s) of the body's point along its line: (v + r x point) . (dx, dy)."""
    vx, vy, rate = motion
    return vx * line.dx + vy * line.dy + rate * line.arm


def _apply(motion: Motion, impulse: chex.Array, line: Line, params: KartParams) -> Motion:
    """Velocities after an impulse (N s) along the line."""
    vx, vy, rate = motion
    push = impulse * (1.0 / params.mass)
    return (
        vx + push * line.dx,
        vy + push * line.dy,
        rate + impulse * (1.0 / params.yaw_inertia) * line.arm,
    )


@stage("point")
def _bounce(
    motion: Motion,
    normals: Line,
    tangents: Line,
    distance: chex.Array,
    params: KartParams,
    point: int,
) -> Motion:
    """Velocities after contact at the point of that number.

    Along the normal j = -(1 + e') v_n m_n for v_n < 0, e' = e v_n² / (v_n² + v_soft²), then across
    it |j_t| <= mu j, never reversing v_t. Each is an impulse along one line with e <= 1, so neither
    can add energy.
    """
    normal, tangent = (
        jax.tree.map(lambda field: field[point], lines) for lines in (normals, tangents)
    )
    closing = at_most(_speed(motion, normal), 0.0)
    restitution = params.restitution * closing * closing / (closing * closing + SOFT_SPEED**2)
    push = jnp.where(distance[point] < 0.0, -(1.0 + restitution) * closing * normal.mass, 0.0)
    motion = _apply(motion, push, normal, params)

    most = params.wall_friction * push
    stop = -_speed(motion, tangent) * tangent.mass
    return _apply(motion, within(stop, -most, most), tangent, params)


def resolve(state: KartState, walls: Walls, params: KartParams) -> KartState:
    """The kart after contact: velocities by impulses, point after point, and the pose pushed
    half-way out.

    A point is in contact when its distance is negative; a point deep inside is handled like one
    that just touched, so a fast kart is caught however far it got in one step.
    """
    c, s = cos_sin(state.yaw)
    points, wx, wy = body_points(params), walls.normal[:, 0], walls.normal[:, 1]
    nx, ny = c * wx + s * wy, c * wy - s * wx
    normals = _line(points[:, 0], points[:, 1], nx, ny, params)
    tangents = _line(points[:, 0], points[:, 1], -ny, nx, params)
    push = 0.5 * within(-walls.distance, 0.0, MOST_PUSH)
    motion = (state.vx, state.vy, state.yaw_rate)
    x, y = state.x, state.y
    for i in range(POINTS):
        motion = _bounce(motion, normals, tangents, walls.distance, params, i)
        x, y = x + push[i] * wx[i], y + push[i] * wy[i]
    return state.replace(x=x, y=y, vx=motion[0], vy=motion[1], yaw_rate=motion[2])
