"""The own kart as its driver sees it: steering wheel with hands, nose fairing and front tyres, ray-cast as plates.

Everything stands in the chassis frame (x forward, y left, z up, m, origin on the ground under the centre of
gravity), so only the steering wheel and the front wheels move in the picture.
"""

import math

import chex
import jax.numpy as jnp

from kart_jax.render.camera import chassis_rays
from kart_jax.render.shade import Colour, covered, mix, split
from kart_jax.render.types import Appearance, ViewConfig

WHEEL_CENTRE = (0.26, 0.0, 0.50)  # m
WHEEL_TILT = math.radians(52.0)  # of the wheel's plane from the ground
WHEEL_RADIUS = 0.150  # m, middle of the rim
RIM = 0.014  # m, half-thickness of the rim
HUB = 0.045  # m, radius
SPOKE = 0.013  # m, half-width
HAND = 0.042  # m, radius of a glove
NOSE_HEIGHT = 0.24  # m
NOSE_X = 1.02  # m, middle of the fairing
NOSE_HALF = (0.16, 0.36)  # m, half length and half width before rounding
NOSE_ROUND = 0.12  # m
TYRE_X = 0.60  # m, front axle
TYRE_Y = 0.56  # m, middle of the tyre
TYRE_HALF = (0.10, 0.035)  # m, half length and half width before rounding
TYRE_ROUND = 0.03  # m
TYRE_HEIGHT = 0.21  # m, where the tyre looks widest from the seat
TYRE_RATIO = 0.45  # road-wheel angle over steering-wheel angle
RUBBER = (30.0, 30.0, 32.0)
METAL = (46.0, 46.0, 50.0)
MARK = (250.0, 214.0, 40.0)


def draw(
    below: Colour, i: chex.Array, j: chex.Array, wheel: chex.Array, look: Appearance, config: ViewConfig
) -> Colour:
    """Put the own kart over `below`.

    Args:
        below: colour of each pixel (P,) without the kart.
        i, j: (P,) rows and columns from the picture's middle.
        wheel: () rad, steering wheel angle, positive to the left.
        look: colours and eye.
        config: optics.
    """
    rays = chassis_rays(look, config)
    x, y, z = (rays[0, k] + j * rays[1, k] + i * rays[2, k] for k in range(3))
    fall = 1.0 / jnp.maximum(-z, 1e-3)
    light = look.light
    colour = _tyres(below, x, y, fall, wheel, look, config, light)
    colour = _nose(colour, x, y, fall, look, config)
    return _steering_wheel(colour, x, y, z, wheel, look, config, light)


def _constant(colour: tuple[float, float, float], light: chex.Array) -> Colour:
    return tuple(c * light for c in colour)


def _box(x: chex.Array, y: chex.Array, half: tuple[float, float], radius: float) -> chex.Array:
    """Signed distance (m, negative inside) to a box with half-sides `half` grown and rounded by `radius`."""
    dx, dy = jnp.abs(x) - half[0], jnp.abs(y) - half[1]
    px, py = jnp.maximum(dx, 0.0), jnp.maximum(dy, 0.0)
    return jnp.sqrt(px * px + py * py + 1e-12) + jnp.minimum(jnp.maximum(dx, dy), 0.0) - radius


def _tyres(
    below: Colour,
    x: chex.Array,
    y: chex.Array,
    fall: chex.Array,
    wheel: chex.Array,
    look: Appearance,
    config: ViewConfig,
    light: chex.Array,
) -> Colour:
    """Front tyres, turned with the steering; one evaluation serves both sides, chosen by the ray's side."""
    t = (look.camera_height - TYRE_HEIGHT) * fall
    px, py = t * x - look.camera_setback - TYRE_X, t * y
    py = py - jnp.where(py > 0, TYRE_Y, -TYRE_Y)
    c, s = jnp.cos(TYRE_RATIO * wheel), jnp.sin(TYRE_RATIO * wheel)
    distance = _box(c * px + s * py, c * py - s * px, TYRE_HALF, TYRE_ROUND)
    sharp = config.focal / t
    tread = _constant(RUBBER, light)
    shine = 1.0 + 0.8 * jnp.clip(-distance * 25.0, 0.0, 1.0)
    return mix(below, tuple(c * shine for c in tread), covered(-distance, sharp))


def _nose(
    below: Colour, x: chex.Array, y: chex.Array, fall: chex.Array, look: Appearance, config: ViewConfig
) -> Colour:
    """Front fairing: a rounded plate in the body colour, darker to its rear, with a light stripe."""
    t = (look.camera_height - NOSE_HEIGHT) * fall
    px, py = t * x - look.camera_setback - NOSE_X, t * y
    bow = px + 0.35 * py * py  # the front bends back to the sides
    distance = _box(bow, py, NOSE_HALF, NOSE_ROUND)
    sharp = config.focal / t
    body = tuple(c * (0.80 + 0.7 * jnp.clip(bow, -0.3, 0.3)) for c in split(look.body))
    stripe = covered(0.05 - jnp.abs(py), sharp)
    return mix(below, mix(body, split(look.line), stripe), covered(-distance, sharp))


def _steering_wheel(
    below: Colour,
    x: chex.Array,
    y: chex.Array,
    z: chex.Array,
    wheel: chex.Array,
    look: Appearance,
    config: ViewConfig,
    light: chex.Array,
) -> Colour:
    """Rim, two spokes, hub, gloves and a mark at the top, in the plane of the wheel turned by its angle."""
    s, c = math.sin(WHEEL_TILT), math.cos(WHEEL_TILT)
    ox, oz = WHEEL_CENTRE[0] + look.camera_setback, WHEEL_CENTRE[2] - look.camera_height
    # The plane's normal (-s, 0, c) points to the driver; its axes are left (0, 1, 0) and up (c, 0, s).
    t = (c * oz - s * ox) / jnp.minimum(c * z - s * x, -1e-3)
    left, up = t * y, c * (t * x - ox) + s * (t * z - oz)
    cw, sw = jnp.cos(wheel), jnp.sin(wheel)
    # A turn to the left carries the top of the wheel to the left: undo it.
    p, q = cw * left - sw * up, sw * left + cw * up
    radius = jnp.sqrt(left * left + up * up + 1e-12)
    sharp = config.focal / t
    metal, dark = _constant(METAL, light), _constant(RUBBER, light)
    spokes = jnp.minimum(SPOKE - jnp.abs(q + 0.25 * jnp.abs(p) - 0.01), WHEEL_RADIUS - radius)
    colour = mix(below, metal, covered(jnp.maximum(spokes, HUB - radius), sharp))
    rim = covered(RIM - jnp.abs(radius - WHEEL_RADIUS), sharp)
    top = covered(0.022 - jnp.abs(p), sharp) * (q > 0)
    colour = mix(colour, mix(dark, _constant(MARK, light), top), rim)
    side = jnp.abs(p) - WHEEL_RADIUS
    hand = HAND - jnp.sqrt(side * side + (q + 0.01) ** 2 * 0.6 + 1e-12)
    gloves = tuple(c * (1.0 + 0.9 * jnp.clip(hand * 20.0, 0.0, 1.0)) for c in split(look.gloves))
    return mix(colour, gloves, covered(hand, sharp))
