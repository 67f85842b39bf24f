"""What lies around ONE kart: the ground under its wheels and the barriers beside its bodywork.

The kart is two metres long and its circuit is known at its reference point, so wheels and bodywork
are projected onto the local circle of that point's sample: one row is read per kart and physics
step.
"""

import chex
import jax
import jax.numpy as jnp
from flax import struct

from kart_jax import geometry
from kart_jax.physics import chassis, contact, surface
from kart_jax.physics.params import GroundParams, KartParams
from kart_jax.physics.types import KartState, Surface, Walls
from kart_jax.track import query
from kart_jax.track.types import TrackPoint, Tracks


class Surroundings(struct.PyTreeNode):
    """The circuit as one kart feels it."""

    surface: Surface  # under each wheel
    walls: Walls  # beside each contact point of the bodywork
    innermost_edge: chex.Array  # () m past the asphalt's edge, of the wheel that is least far out


def find(
    kart: KartState,
    s: chex.Array,
    tracks: Tracks,
    track: chex.Array,
    params: KartParams,
    ground: GroundParams,
) -> Surroundings:
    """Find the surroundings of a kart whose reference point is at arc length `s` () m."""
    index = query.sample_at(tracks, track, s)
    points = jnp.concatenate([wheel_points(params), contact.body_points(params)])
    projected = _project_body(points, kart, tracks, track, index)
    wheels = jax.tree.map(lambda field: field[:4], projected)
    bodywork = jax.tree.map(lambda field: field[4:], projected)

    return Surroundings(
        surface=surface.blend(params, ground, wheels.edge, wheels.kerb),
        walls=_walls(bodywork, ground),
        innermost_edge=jnp.min(wheels.edge),
    )


def wheel_points(params: KartParams) -> chex.Array:
    """Return the contact patches (4, 2) m in the body frame, in the order of the wheels."""
    xs, ys = chassis.wheel_positions(params)
    return jnp.stack([jnp.stack(xs), jnp.stack(ys)], axis=-1)


def outermost_edge(
    kart: KartState, s: chex.Array, tracks: Tracks, track: chex.Array, params: KartParams
) -> chex.Array:
    """Return how far () m the outermost wheel of a kart at `s` () m is past the asphalt's edge.

    Negative while all four wheels are on it.
    """
    index = query.sample_at(tracks, track, s)
    return jnp.max(_project_body(wheel_points(params), kart, tracks, track, index).edge)


def _project_body(
    points: chex.Array, kart: KartState, tracks: Tracks, track: chex.Array, index: chex.Array
) -> TrackPoint:
    """Project points (P, 2) of the body frame by the circle of sample `index`; fields (P,)."""
    dx, dy = geometry.rotate(points[:, 0], points[:, 1], kart.yaw)
    return query.project(tracks, track, index, kart.x + dx, kart.y + dy)


def _walls(point: TrackPoint, ground: GroundParams) -> Walls:
    """Return distance and normal of the nearer barrier, which runs along the centre line."""
    side = jnp.where(point.n > 0, 1.0, -1.0)
    return Walls(
        distance=point.barrier,
        normal=jnp.stack([side * point.ty, -side * point.tx], axis=-1),
        restitution=jnp.asarray(ground.restitution),
        friction=jnp.asarray(ground.wall_friction),
    )
