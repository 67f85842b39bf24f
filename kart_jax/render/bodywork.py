"""What stands still of the own kart: floor, front axle and nose, each a flat plate.

Everything stands in the chassis frame (x forward, y left, z up, m, origin on the ground under the
centre of gravity).
"""

import chex
import jax.numpy as jnp
from flax import struct

from kart_jax.render.camera import Direction
from kart_jax.render.colour import channels, covered, mix
from kart_jax.render.paint import BRIGHT, TRAY, Paint, bare, lit
from kart_jax.render.types import Appearance, ViewConfig
from kart_jax.xla.bounds import at_least, at_most

FLOOR_HEIGHT = 0.06  # m
FLOOR_MIDDLE = 0.40  # m ahead, with the nose at `FLOOR_NOSE`: the floor ends under the nose
FLOOR_NOSE = 1.30  # m
FLOOR_HALF = (0.62, 0.22)  # m, half length and half width before rounding
FLOOR_ROUND = 0.05  # m
AXLE_HEIGHT = 0.13  # m
AXLE_HALF_LENGTH = 0.012  # m, before rounding
AXLE_END = 0.12  # m, from the end of the bar to the middle of a wheel, before rounding
AXLE_ROUND = 0.012  # m
NOSE_HEIGHT = 0.24  # m
NOSE_HALF_LENGTH = 0.16  # m, before rounding
NOSE_ROUND = 0.12  # m
NOSE_BEND = 0.35  # 1/m, the front bends back to the sides by this times y²
STRIPE = 0.05  # m, half-width of the stripe on the nose


class Plate(struct.PyTreeNode):
    """Where rays meet a plane above the ground; every field (...)."""

    x: chex.Array  # m ahead of the centre of gravity
    y: chex.Array  # m to the left of it
    sharp: chex.Array  # pixels per m there


def paint(rays: Direction, appearance: Appearance, config: ViewConfig) -> Paint:
    """Paint floor, front axle and nose on the pixels of `rays` (...)."""
    body = appearance.body
    floor = _plate(rays, FLOOR_HEIGHT, appearance, config)
    middle = FLOOR_MIDDLE + (body.nose - FLOOR_NOSE)
    inside = -_rounded(floor.x - middle, floor.y, FLOOR_HALF, FLOOR_ROUND)
    painted = bare(rays[0]).under(lit(TRAY, appearance), covered(inside, floor.sharp))

    axle = _plate(rays, AXLE_HEIGHT, appearance, config)
    half = (AXLE_HALF_LENGTH, body.half_track - AXLE_END)
    inside = -_rounded(axle.x - body.front_axle, axle.y, half, AXLE_ROUND)
    painted = painted.under(lit(BRIGHT, appearance), covered(inside, axle.sharp))

    return _nose(painted, rays, appearance, config)


def _nose(below: Paint, rays: Direction, appearance: Appearance, config: ViewConfig) -> Paint:
    """Paint the fairing with its stripe."""
    body = appearance.body
    plate = _plate(rays, NOSE_HEIGHT, appearance, config)
    middle = body.nose - (NOSE_HALF_LENGTH + NOSE_ROUND)
    bow = plate.x - middle + NOSE_BEND * plate.y * plate.y
    shine = 0.80 + 0.7 * jnp.clip(bow, -0.3, 0.3)
    fairing = tuple(c * shine for c in channels(appearance.bodywork))
    stripe = covered(STRIPE - jnp.abs(plate.y), plate.sharp)
    colour = mix(fairing, channels(appearance.line), stripe)

    half = (NOSE_HALF_LENGTH, body.half_width - NOSE_ROUND)
    inside = -_rounded(bow, plate.y, half, NOSE_ROUND)
    return below.under(colour, covered(inside, plate.sharp))


def _plate(rays: Direction, height: float, appearance: Appearance, config: ViewConfig) -> Plate:
    """Return where rays meet the plane at `height` m."""
    x, y, z = rays
    t = (appearance.camera_height - height) / at_least(-z, 1e-3)
    return Plate(x=t * x - appearance.camera_setback, y=t * y, sharp=config.focal / t)


def _rounded(
    x: chex.Array, y: chex.Array, half: tuple[chex.Numeric, chex.Numeric], radius: float
) -> chex.Array:
    """Return the signed distance (...) m, negative inside, to a rounded box around (0, 0).

    Args:
        x: (...) m.
        y: (...) m.
        half: m, half-sides of the box along x and y before it is grown.
        radius: m, by which it is grown and rounded.
    """
    dx = jnp.abs(x) - half[0]
    dy = jnp.abs(y) - half[1]
    px, py = at_least(dx, 0.0), at_least(dy, 0.0)
    return jnp.sqrt(px * px + py * py + 1e-12) + at_most(at_least(dx, dy), 0.0) - radius
