"""A front wheel as the driver sees it: a cylinder that turns with the steering, and its inner face.

The boxes of a picture in which wheels are drawn are fixed when it is compiled. So wheels are drawn
within the ranges below and up to `MAX_DRAWN_STEER`; what goes beyond is drawn at the bound.
"""

import itertools
import math

import chex
import jax.numpy as jnp
import numpy as np
from flax import struct

from kart_jax.render.camera import Direction
from kart_jax.render.colour import Colour, covered, mix
from kart_jax.render.paint import BRIGHT, RUBBER, Paint, lit
from kart_jax.render.types import Appearance, Body, ViewConfig
from kart_jax.xla.bounds import at_least, at_most, within

# rad; a kart's lock is 0.43 rad (`KartParams.max_steer`), and a third more hardly widens the boxes.
MAX_DRAWN_STEER = 0.6
# Wheelbases from 0.94 m to 1.08 m and front tracks from 0.98 m to 1.14 m: wider ranges widen the
# boxes, and every kart pays for them.
FRONT_AXLE = (0.56, 0.64)  # m, ahead of the centre of gravity
HALF_TRACK = (0.50, 0.58)  # m
TYRE_RADIUS = (0.120, 0.134)  # m
STANDARD_RADIUS = 0.127  # m
HALF_WIDTH = 0.062  # m, of the tyre
RIM_RADIUS = 0.066  # m
EDGE_POINTS = 64  # around each edge of the tyre
FRINGE = 0.002  # m around the tyre that its smoothed edge may reach
FACE = (22.0, 22.0, 24.0)  # colour of the tyre's side


class WheelRays(struct.PyTreeNode):
    """Rays in the frame of the wheel that they may meet: x ahead, y along its axle, z up."""

    x: chex.Array  # (...) direction
    y: chex.Array  # (...)
    z: chex.Array  # (...)
    eye_x: chex.Array  # (...) m, from the middle of the wheel
    eye_y: chex.Array  # (...) m
    eye_z: chex.Array  # () m
    side: chex.Array  # (...) 1 where it is the left wheel, -1 where it is the right one
    square: chex.Array  # (...) of the direction seen along the axle


def bounded(body: Body) -> Body:
    """Return a body with its front wheels within the ranges that are drawn."""
    return body.replace(
        front_axle=within(body.front_axle, *FRONT_AXLE),
        half_track=within(body.half_track, *HALF_TRACK),
        tyre_radius=within(body.tyre_radius, *TYRE_RADIUS),
    )


def drawn_angle(road_wheel: chex.Array) -> chex.Array:
    """Return the angle () rad at which front wheels at `road_wheel` () rad are drawn."""
    return within(road_wheel, -MAX_DRAWN_STEER, MAX_DRAWN_STEER)


def outline(side: float) -> np.ndarray:
    """Return points (n, 3) m of the chassis frame that enclose a wheel of any body at any angle.

    They lie around the two edges of the tyre.

    Args:
        side: 1 for the left wheel, -1 for the right one.
    """
    turns = np.arange(EDGE_POINTS) * (2.0 * math.pi / EDGE_POINTS)
    angles = np.linspace(-MAX_DRAWN_STEER, MAX_DRAWN_STEER, 13)
    bodies = itertools.product(FRONT_AXLE, HALF_TRACK, TYRE_RADIUS)

    points = []
    for (x, y, radius), angle, edge in itertools.product(bodies, angles, (-HALF_WIDTH, HALF_WIDTH)):
        c, s = math.cos(angle), math.sin(angle)
        around = (radius + FRINGE) / math.cos(math.pi / EDGE_POINTS)  # a polygon around the circle
        ahead, up = around * np.cos(turns), around * np.sin(turns)
        edge_x, edge_y = x + c * ahead - s * edge, y + s * ahead + c * edge
        points.append(np.column_stack([edge_x, side * edge_y, radius + up]))
    return np.concatenate(points)


def paint(
    below: Paint,
    rays: Direction,
    angle: tuple[chex.Array, chex.Array],
    appearance: Appearance,
    config: ViewConfig,
) -> Paint:
    """Paint tread and inner face of a front wheel; the side of a ray (...) says which wheel.

    Args:
        below: (...) what stands still.
        rays: (...) directions in the chassis frame.
        angle: cosine and sine () of the drawn angle, positive to the left.
        appearance: colours, eye and body.
        config: optics.
    """
    radius = appearance.body.tyre_radius
    local = _turned(rays, angle, appearance)

    # Seen along its axle a ray enters the tread before it passes the middle at `miss`.
    miss = jnp.abs(local.eye_x * local.z - local.eye_z * local.x) / jnp.sqrt(local.square)
    size = radius * (1.0 / STANDARD_RADIUS)
    rest = STANDARD_RADIUS**2 * (size * size) - miss * miss
    chord = jnp.sqrt(at_least(rest, 0.0) / local.square)
    t = -(local.eye_x * local.x + local.eye_z * local.z) / local.square - chord
    sharp = config.focal / at_least(t, 0.05)
    tread = at_most(radius - miss, HALF_WIDTH - jnp.abs(local.eye_y + t * local.y))

    steep = 0.9 + 0.8 * (local.eye_z + t * local.z) * (1.0 / radius)
    colour = tuple(c * at_least(steep, 0.5) for c in lit(RUBBER, appearance))
    painted = below.under(colour, covered(tread, sharp))

    face, part = _face(local, sharp, appearance)
    return painted.under(face, part)


def _turned(
    rays: Direction, angle: tuple[chex.Array, chex.Array], appearance: Appearance
) -> WheelRays:
    """Turn rays into the frame of the wheel on their side of the kart."""
    x, y, z = rays
    side = jnp.where(y > 0, 1.0, -1.0)
    c, s = angle
    body = appearance.body
    ox = -appearance.camera_setback - body.front_axle
    oy = -side * body.half_track

    dx, dy = c * x + s * y, c * y - s * x
    return WheelRays(
        x=dx,
        y=dy,
        z=z,
        eye_x=c * ox + s * oy,
        eye_y=c * oy - s * ox,
        eye_z=appearance.camera_height - body.tyre_radius,
        side=side,
        square=dx * dx + z * z,
    )


def _face(rays: WheelRays, sharp: chex.Array, appearance: Appearance) -> tuple[Colour, chex.Array]:
    """Return the colour of the inner face, and the share (...) of each pixel that it covers.

    Args:
        rays: (...) in the wheel's frame.
        sharp: (...) pixels per m at the tread.
        appearance: colours and body.
    """
    inward = at_least(rays.side * rays.y, 0.02)
    t = (-HALF_WIDTH * rays.side - rays.eye_y) / (rays.side * inward)
    x = rays.eye_x + t * rays.x
    z = rays.eye_z + t * rays.z
    radius = jnp.sqrt(x * x + z * z + 1e-12)

    # Seen at a slant, a pixel covers dx / dy times as much of the face along it as up it.
    slant = x * rays.x / inward
    sharp_face = sharp * radius / jnp.sqrt(slant * slant + z * z + 1e-12)
    rim = covered(RIM_RADIUS - radius, sharp_face)
    colour = mix(lit(FACE, appearance), lit(BRIGHT, appearance), rim)
    within_tyre = covered(appearance.body.tyre_radius - radius, sharp_face)
    return colour, jnp.where(rays.side * rays.y > 0.02, within_tyre, 0.0)
