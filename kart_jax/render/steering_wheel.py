"""The steering wheel with the driver's hands, in the plane of its rim."""

import math

import chex
import jax.numpy as jnp
import numpy as np
from flax import struct

from kart_jax.render.camera import Direction
from kart_jax.render.colour import channels, covered
from kart_jax.render.paint import MARK, METAL, RUBBER, Paint, lit
from kart_jax.render.types import Appearance, ViewConfig
from kart_jax.xla.bounds import at_most, within

CENTRE = (0.26, 0.0, 0.50)  # m, in the chassis frame
TILT = math.radians(52.0)  # of the wheel's plane from the ground
RADIUS = 0.150  # m, middle of the rim
RIM = 0.014  # m, half-thickness of the rim
HUB = 0.045  # m, radius
SPOKE = 0.013  # m, half-width
HAND = 0.042  # m, radius of a glove
TOP = 0.022  # m, half-width of the mark at the top of the rim
REACH = RADIUS + HAND + 0.003  # m from the middle; a glove lies a little below the spoke


class WheelPlane(struct.PyTreeNode):
    """Where rays meet the plane of the steering wheel; every field (...)."""

    left: chex.Array  # m from the middle
    up: chex.Array  # m from the middle
    sharp: chex.Array  # pixels per m there


class Still(struct.PyTreeNode):
    """What stands still of the own kart on the pixels of some rays."""

    paint: Paint
    rim: chex.Array  # (...) 0..1, share of each pixel that the rim of the steering wheel hides


def outline() -> np.ndarray:
    """Return points (n, 3) m of the chassis frame that enclose wheel and hands at any angle."""
    turns = np.linspace(0.0, 2.0 * math.pi, 48, endpoint=False)
    left, up = REACH * np.cos(turns), REACH * np.sin(turns)
    return np.column_stack([CENTRE[0] + math.cos(TILT) * up, left, CENTRE[2] + math.sin(TILT) * up])


def meet(rays: Direction, appearance: Appearance, config: ViewConfig) -> WheelPlane:
    """Return where rays (...) meet the plane of the wheel."""
    x, y, z = rays
    s, c = math.sin(TILT), math.cos(TILT)
    ox = CENTRE[0] + appearance.camera_setback
    oz = CENTRE[2] - appearance.camera_height
    # The normal (-s, 0, c) points to the driver; the axes are left (0, 1, 0) and up (c, 0, s).
    t = (c * oz - s * ox) / at_most(c * z - s * x, -1e-3)
    return WheelPlane(left=t * y, up=c * (t * x - ox) + s * (t * z - oz), sharp=config.focal / t)


def paint_still(below: Paint, rays: Direction, appearance: Appearance, config: ViewConfig) -> Still:
    """Paint hub and rim, which look the same at any angle, over the bodywork."""
    plane = meet(rays, appearance, config)
    radius = jnp.sqrt(plane.left * plane.left + plane.up * plane.up + 1e-12)
    hub = covered(HUB - radius, plane.sharp)
    rim = covered(RIM - jnp.abs(radius - RADIUS), plane.sharp)
    painted = below.under(lit(METAL, appearance), hub).under(lit(RUBBER, appearance), rim)
    return Still(painted, rim)


def paint(
    still: Still, plane: WheelPlane, angle: tuple[chex.Array, chex.Array], appearance: Appearance
) -> Paint:
    """Paint spokes, gloves and the mark at the top.

    Args:
        still: (...) what stands still.
        plane: (...) where rays meet the wheel.
        angle: cosine and sine () of the angle of the wheel, positive to the left.
        appearance: colours.
    """
    left, up, sharp = plane.left, plane.up, plane.sharp
    c, s = angle
    # A turn to the left carries the top of the wheel to the left: undo it.
    p = c * left - s * up
    q = s * left + c * up

    inside = RADIUS * RADIUS - left * left - up * up
    spokes = covered(SPOKE - jnp.abs(q + 0.25 * jnp.abs(p) - 0.01), sharp) * (1.0 - still.rim)
    painted = still.paint.under(lit(METAL, appearance), jnp.where(inside > 0, spokes, 0.0))
    mark = jnp.where(q > 0, covered(TOP - jnp.abs(p), sharp) * still.rim, 0.0)
    painted = painted.under(lit(MARK, appearance), mark)

    side = jnp.abs(p) - RADIUS
    hand = HAND - jnp.sqrt(side * side + (q + 0.01) * (q + 0.01) * 0.6 + 1e-12)
    shine = 1.0 + 0.9 * within(hand * 20.0, 0.0, 1.0)
    gloves = tuple(c * shine for c in channels(appearance.gloves))
    return painted.under(gloves, covered(hand, sharp))
