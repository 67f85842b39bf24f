"""Contact of the bodywork with barriers: impulses with restitution and friction, and a push out."""

import chex
import jax
import jax.numpy as jnp
from flax import struct

from kart_jax.physics.params import KartParams
from kart_jax.physics.types import KartState, Walls
from kart_jax.xla.bounds import at_most, within
from kart_jax.xla.sines import cos_sin
from kart_jax.xla.stage import stage

POINTS = 4  # corners of the bodywork: front-left, front-right, rear-left, rear-right
RESTITUTION_FADE = 0.5  # m/s, below which restitution fades, so that a kart comes to rest at a wall
MAX_PUSH = 0.25  # m per step and point, so that a corrupt distance cannot throw the kart away


class BodyVelocity(struct.PyTreeNode):
    """Velocity of the rigid body at its centre of gravity."""

    vx: chex.Array  # () m/s, body frame, forward
    vy: chex.Array  # () m/s, body frame, left
    yaw_rate: chex.Array  # () rad/s


class ImpulseLine(struct.PyTreeNode):
    """A line through a contact point, in the body frame, along which an impulse acts."""

    dx: chex.Array  # (...) forward part of its unit vector
    dy: chex.Array  # (...) part to the left
    arm: chex.Array  # (...) m, lever arm about the centre of gravity
    mass: chex.Array  # (...) kg that an impulse meets: 1 / (1/m + arm² / I_z)


def body_points(params: KartParams) -> chex.Array:
    """Return the contact points (P, 2) m of the bodywork in the body frame."""
    front = params.front_distance + params.front_overhang
    rear = -params.rear_distance - params.rear_overhang
    half_front = 0.5 * params.front_width
    half_rear = 0.5 * params.rear_width

    corners = (front, half_front), (front, -half_front), (rear, half_rear), (rear, -half_rear)
    return jnp.stack([jnp.stack(corner) for corner in corners])


def _impulse_line(
    points: chex.Array, dx: chex.Array, dy: chex.Array, params: KartParams
) -> ImpulseLine:
    """Return the lines along (dx, dy) (P,) through points (P, 2) m of the body."""
    arm = points[:, 0] * dy - points[:, 1] * dx
    mass = 1.0 / (1.0 / params.mass + arm * arm * (1.0 / params.yaw_inertia))
    return ImpulseLine(dx, dy, arm, mass)


def _speed_along(line: ImpulseLine, velocity: BodyVelocity) -> chex.Array:
    """Return the speed (m/s) of the body's point along its line: (v + r x point) . (dx, dy)."""
    return velocity.vx * line.dx + velocity.vy * line.dy + velocity.yaw_rate * line.arm


def _apply_impulse(
    velocity: BodyVelocity, impulse: chex.Array, line: ImpulseLine, params: KartParams
) -> BodyVelocity:
    """Return the velocity after an impulse (N s) along the line."""
    gain = impulse * (1.0 / params.mass)
    return BodyVelocity(
        vx=velocity.vx + gain * line.dx,
        vy=velocity.vy + gain * line.dy,
        yaw_rate=velocity.yaw_rate + impulse * (1.0 / params.yaw_inertia) * line.arm,
    )


@stage("point")
def _bounce(
    velocity: BodyVelocity,
    normals: ImpulseLine,
    tangents: ImpulseLine,
    walls: Walls,
    params: KartParams,
    point: int,
) -> BodyVelocity:
    """Return the velocity after contact at the point of that number.

    Along the normal j = -(1 + e') v_n m_n for v_n < 0, e' = e v_n² / (v_n² + v_fade²), then across
    it |j_t| <= mu j, never reversing v_t. Each is an impulse along one line with e <= 1, so neither
    can add energy.
    """
    normal, tangent = (
        jax.tree.map(lambda field: field[point], lines) for lines in (normals, tangents)
    )

    closing = at_most(_speed_along(normal, velocity), 0.0)
    square = closing * closing
    restitution = walls.restitution * closing * closing / (square + RESTITUTION_FADE**2)
    bounce = -(1.0 + restitution) * closing * normal.mass
    impulse = jnp.where(walls.distance[point] < 0.0, bounce, 0.0)
    velocity = _apply_impulse(velocity, impulse, normal, params)

    max_friction = walls.friction * impulse
    stopping = -_speed_along(tangent, velocity) * tangent.mass
    friction = within(stopping, -max_friction, max_friction)
    return _apply_impulse(velocity, friction, tangent, params)


def resolve(state: KartState, walls: Walls, params: KartParams) -> KartState:
    """Return the kart after contact: impulses, point after point, and a push half-way out.

    A point is in contact when its distance is negative; a point deep inside is handled like one
    that just touched, so a fast kart is caught however far it got in one step.
    """
    # Lines of the impulses: the walls' normals turned into the body frame, and across them.
    cosine, sine = cos_sin(state.yaw)
    points = body_points(params)
    world_x, world_y = walls.normal[:, 0], walls.normal[:, 1]
    body_x = cosine * world_x + sine * world_y
    body_y = cosine * world_y - sine * world_x
    normals = _impulse_line(points, body_x, body_y, params)
    tangents = _impulse_line(points, -body_y, body_x, params)

    push = 0.5 * within(-walls.distance, 0.0, MAX_PUSH)
    velocity = BodyVelocity(state.vx, state.vy, state.yaw_rate)
    x, y = state.x, state.y
    for i in range(POINTS):
        velocity = _bounce(velocity, normals, tangents, walls, params, i)
        x, y = x + push[i] * world_x[i], y + push[i] * world_y[i]

    return state.replace(x=x, y=y, vx=velocity.vx, vy=velocity.vy, yaw_rate=velocity.yaw_rate)
