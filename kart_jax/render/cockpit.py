"""The own kart as its driver sees it: floor, front axle, nose, steering wheel with hands, and front
wheels.

Everything stands in the chassis frame (x forward, y left, z up, m, origin on the ground under the
centre of gravity), so only the steering wheel and the front wheels move in the picture. What stands
still is worked out once for all karts that share an `Appearance`; the rest only within the boxes of
the picture where it can be.
"""

import math
from collections.abc import Callable
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from kart_jax.physics.classes import MAX_STEER, STEERING_RATIO
from kart_jax.render.camera import chassis_rays
from kart_jax.render.scene import Scene
from kart_jax.render.shade import Colour, covered, mix, split
from kart_jax.render.types import Appearance, ViewConfig
from kart_jax.xla.arithmetic import pack_rgb
from kart_jax.xla.bounds import at_least, at_most, within
from kart_jax.xla.stage import stored

WHEEL_CENTRE = (0.26, 0.0, 0.50)  # m
WHEEL_TILT = math.radians(52.0)  # of the wheel's plane from the ground
WHEEL_RADIUS = 0.150  # m, middle of the rim
RIM = 0.014  # m, half-thickness of the rim
HUB = 0.045  # m, radius
SPOKE = 0.013  # m, half-width
HAND = 0.042  # m, radius of a glove
TOP = 0.022  # m, half-width of the mark at the top of the rim
NOSE_HEIGHT = 0.24  # m
NOSE_X = 1.02  # m, middle of the fairing
NOSE_HALF = (0.16, 0.36)  # m, half length and half width before rounding
NOSE_ROUND = 0.12  # m
FLOOR = (0.06, 0.40, 0.62, 0.22, 0.05)  # m: height, middle, half length, half width, rounding
AXLE = (0.13, 0.62, 0.012, 0.44, 0.012)  # m, the same
TYRE_CENTRE = (0.62, 0.56, 0.127)  # m, the left one
TYRE_RADIUS = 0.127  # m
TYRE_HALF = 0.062  # m, half width
RIM_RADIUS = 0.066  # m, of the road wheel
TYRE_RATIO = (
    1.0 / STEERING_RATIO
)  # mean road-wheel angle over steering-wheel angle; both wheels are drawn at the mean
RUBBER = (30.0, 30.0, 32.0)
TRAY = (26.0, 26.0, 28.0)
METAL = (46.0, 46.0, 50.0)
BRIGHT = (120.0, 122.0, 126.0)
MARK = (250.0, 214.0, 40.0)

Box = tuple[
    int, int, int, int
]  # top, bottom, left, right: rows from `ViewConfig.cockpit_row`, columns


class Paint(struct.PyTreeNode):
    """The kart's colours times the share of each pixel (...) it hides, and that share."""

    red: chex.Array
    green: chex.Array
    blue: chex.Array
    hidden: chex.Array  # 0..1

    @property
    def channels(self) -> tuple[chex.Array, ...]:
        """All four."""
        return self.red, self.green, self.blue, self.hidden

    def under(self, colour: Colour, part: chex.Array) -> "Paint":
        """With `colour` over it where `part` (...) is 1."""
        channels = mix(self.channels, (*colour, jnp.float32(1.0)), part)
        return Paint(*channels)

    def packed(self) -> chex.Array:
        """As words: red, green and blue from the lowest byte up, then the share hidden times 255,
        less 128."""
        hidden = (self.hidden * 255.0 + 0.5).astype(jnp.uint32) << 24
        return (pack_rgb(self.red, self.green, self.blue) | hidden) ^ jnp.uint32(2**31)


def over(below: Colour, word: chex.Array) -> Colour:
    """Put the kart over colours (...); `word` (...) int32 of `paint`."""
    shown = 127.0 / 255.0 - (word & -(2**24)).astype(jnp.float32) * (1.0 / (255.0 * 2**24))
    kart = ((word & (255 << k)).astype(jnp.float32) * (1.0 / 2**k) for k in (0, 8, 16))
    return tuple(b * shown + own for b, own in zip(below, kart, strict=True))


def paint(scene: Scene, wheel: chex.Array, look: Appearance, config: ViewConfig) -> chex.Array:
    """The own kart for `over`.

    Args:
        scene: for `stored`.
        wheel: () rad, steering wheel angle, positive to the left.
        look: colours and eye.
        config: optics.

    Returns:
        (height - cockpit_row, width) uint32.
    """
    rays = _rays(look, config)
    still, ring = _still(rays, look, config)
    turned = [
        jnp.cos(wheel),
        jnp.sin(wheel),
        jnp.cos(TYRE_RATIO * wheel),
        jnp.sin(TYRE_RATIO * wheel),
    ]
    boxes, drawings = [], []
    for corners, place, part, angle in _moving(turned):
        box = _box(corners, config)
        if box[0] < box[1] and box[2] < box[3]:
            # What is the same for all karts is kept out of their loop, and the box's rows are laid
            # end to end.
            below, hidden, seen = jax.tree.map(partial(_cut, box), (still, ring, rays))
            boxes.append(box)
            drawings.append(
                partial(part, below, hidden, place(seen, look, config), angle, look, config)
            )

    def put() -> chex.Array:
        words = still.packed()
        for (top, bottom, left, right), drawn in zip(boxes, drawns, strict=True):
            words = jax.lax.dynamic_update_slice(
                words, drawn.reshape(bottom - top, right - left), (top, left)
            )
        return words

    drawns = stored(scene.first[0], lambda: [draw().packed() for draw in drawings])
    return stored(scene.first[0], put)


def _cut(box: Box, table: chex.Array) -> chex.Array:
    """What of a table (rows, columns) is in a box, row after row."""
    top, bottom, left, right = box
    return table[top:bottom, left:right].reshape(-1)


def _moving(turned: list) -> list[tuple[np.ndarray, Callable, Callable, tuple]]:
    """Of each moving part: corners (n, 3) in m around it, where rays meet it, what draws it, cosine
    and sine of its angle."""
    reach = WHEEL_RADIUS + HAND + 0.003  # a glove lies a little below the spoke
    turns = np.linspace(0.0, 2.0 * math.pi, 48, endpoint=False)
    left, up = reach * np.cos(turns), reach * np.sin(turns)
    wheel = np.column_stack(
        [
            WHEEL_CENTRE[0] + math.cos(WHEEL_TILT) * up,
            left,
            WHEEL_CENTRE[2] + math.sin(WHEEL_TILT) * up,
        ]
    )
    x, y, _ = TYRE_CENTRE
    # On any lock a wheel stays within its half diagonal ahead and behind; aside it reaches furthest
    # on full lock.
    ahead = math.hypot(TYRE_RADIUS, TYRE_HALF)
    aside = TYRE_RADIUS * math.sin(MAX_STEER) + TYRE_HALF * math.cos(MAX_STEER)
    tyre = [
        (x + a, y + b, z)
        for a in (-ahead, ahead)
        for b in (-aside, aside)
        for z in (0.0, 2.0 * TYRE_RADIUS)
    ]
    mirrored = [(a, -b, z) for a, b, z in tyre]
    wheel_angle, tyre_angle = tuple(turned[:2]), tuple(turned[2:])
    return [
        (np.array(tyre), _rays_alone, _tyre, tyre_angle),
        (np.array(mirrored), _rays_alone, _tyre, tyre_angle),
        # Last, for where boxes meet, a later one is seen whole.
        (wheel, _wheel_plane, _steering_wheel, wheel_angle),
    ]


def _box(corners: np.ndarray, config: ViewConfig) -> Box:
    """The part of the picture where something within `corners` can be, for eyes near the default
    one.

    Heights from 0.77 m to 0.93 m and pitches from 9° to 15° at a setback of 0.3 m.
    """
    seen = []
    for height in (0.77, 0.93):
        for pitch in (9.0, 15.0):
            c, s = math.cos(math.radians(pitch)), math.sin(math.radians(pitch))
            x, y, z = (corners - [-0.30, 0.0, height]).T
            ahead = np.maximum(c * x - s * z, 0.05)
            seen.append(np.column_stack([-(s * x + c * z) / ahead, -y / ahead]))
    rows, columns = (np.concatenate(seen) * config.focal).T
    height, middle = config.height - config.cockpit_row, config.height // 2 - config.cockpit_row
    top, bottom = (
        max(math.floor(rows.min()) + middle, 0),
        min(math.ceil(rows.max()) + middle, height),
    )
    left = max(math.floor(columns.min()) + config.width // 2, 0)
    right = math.ceil(columns.max()) + config.width // 2
    return top, bottom, left, min(right, config.width)


def _rays(look: Appearance, config: ViewConfig) -> tuple[chex.Array, ...]:
    """Components x, y, z of the rays of the pixels (rows, columns) in the chassis frame."""
    i, j = np.meshgrid(
        np.arange(config.cockpit_row, config.height) + 0.5 - 0.5 * config.height,
        np.arange(config.width) + 0.5 - 0.5 * config.width,
        indexing="ij",
    )
    rays = chassis_rays(look, config)
    i, j = jnp.asarray(i, jnp.float32), jnp.asarray(j, jnp.float32)
    return tuple(rays[0, k] + j * rays[1, k] + i * rays[2, k] for k in range(3))


def _lit(colour: tuple[float, float, float], look: Appearance) -> Colour:
    return tuple(c * look.light for c in colour)


def _rounded(x: chex.Array, y: chex.Array, half: tuple[float, float], radius: float) -> chex.Array:
    """Signed distance (m, negative inside) to a box with half-sides `half` grown and rounded by
    `radius`."""
    dx, dy = jnp.abs(x) - half[0], jnp.abs(y) - half[1]
    px, py = at_least(dx, 0.0), at_least(dy, 0.0)
    return jnp.sqrt(px * px + py * py + 1e-12) + at_most(at_least(dx, dy), 0.0) - radius


def _plate(rays: tuple, height: float, look: Appearance, config: ViewConfig) -> tuple:
    """Where rays meet the plane at `height` m: x, y in m, and pixels per m there."""
    x, y, z = rays
    t = (look.camera_height - height) / at_least(-z, 1e-3)
    return t * x - look.camera_setback, t * y, config.focal / t


def _still(rays: tuple, look: Appearance, config: ViewConfig) -> tuple[Paint, chex.Array]:
    """All that stands still, and the share of each pixel that the rim and the hub hide."""
    zero = jnp.zeros(rays[0].shape, jnp.float32)
    paint = Paint(zero, zero, zero, zero)
    for (height, middle, length, width, radius), colour in ((FLOOR, TRAY), (AXLE, BRIGHT)):
        x, y, sharp = _plate(rays, height, look, config)
        inside = -_rounded(x - middle, y, (length, width), radius)
        paint = paint.under(_lit(colour, look), covered(inside, sharp))

    x, y, sharp = _plate(rays, NOSE_HEIGHT, look, config)
    bow = x - NOSE_X + 0.35 * y * y  # the front bends back to the sides
    body = tuple(c * (0.80 + 0.7 * jnp.clip(bow, -0.3, 0.3)) for c in split(look.body))
    nose = mix(body, split(look.line), covered(0.05 - jnp.abs(y), sharp))
    paint = paint.under(nose, covered(-_rounded(bow, y, NOSE_HALF, NOSE_ROUND), sharp))

    left, up, sharp = _wheel_plane(rays, look, config)
    radius = jnp.sqrt(left * left + up * up + 1e-12)
    hub, rim = covered(HUB - radius, sharp), covered(RIM - jnp.abs(radius - WHEEL_RADIUS), sharp)
    return paint.under(_lit(METAL, look), hub).under(_lit(RUBBER, look), rim), rim


def _rays_alone(rays: tuple, look: Appearance, config: ViewConfig) -> tuple:
    """The rays: where they meet a tyre depends on its angle."""
    return rays


def _wheel_plane(rays: tuple, look: Appearance, config: ViewConfig) -> tuple:
    """Where rays meet the plane of the steering wheel: m to the left and up from its middle, and
    pixels per m."""
    x, y, z = rays
    s, c = math.sin(WHEEL_TILT), math.cos(WHEEL_TILT)
    ox, oz = WHEEL_CENTRE[0] + look.camera_setback, WHEEL_CENTRE[2] - look.camera_height
    # The plane's normal (-s, 0, c) points to the driver; its axes are left (0, 1, 0) and up (c, 0,
    # s).
    t = (c * oz - s * ox) / at_most(c * z - s * x, -1e-3)
    return t * y, c * (t * x - ox) + s * (t * z - oz), config.focal / t


def _steering_wheel(
    below: Paint, ring: chex.Array, plane: tuple, angle: tuple, look: Appearance, config: ViewConfig
) -> Paint:
    """Spokes, gloves and a mark at the top, turned by the wheel's angle."""
    left, up, sharp = plane
    cw, sw = angle
    # A turn to the left carries the top of the wheel to the left: undo it.
    p, q = cw * left - sw * up, sw * left + cw * up
    inside = WHEEL_RADIUS * WHEEL_RADIUS - left * left - up * up
    spokes = covered(SPOKE - jnp.abs(q + 0.25 * jnp.abs(p) - 0.01), sharp) * (1.0 - ring)
    paint = below.under(_lit(METAL, look), jnp.where(inside > 0, spokes, 0.0))
    paint = paint.under(
        _lit(MARK, look), jnp.where(q > 0, covered(TOP - jnp.abs(p), sharp) * ring, 0.0)
    )
    side = jnp.abs(p) - WHEEL_RADIUS
    hand = HAND - jnp.sqrt(side * side + (q + 0.01) * (q + 0.01) * 0.6 + 1e-12)
    shine = 1.0 + 0.9 * within(hand * 20.0, 0.0, 1.0)
    return paint.under(tuple(c * shine for c in split(look.gloves)), covered(hand, sharp))


def _tyre(
    below: Paint, ring: chex.Array, rays: tuple, angle: tuple, look: Appearance, config: ViewConfig
) -> Paint:
    """A front wheel, turned with the steering: a cylinder and its inner face; the ray's side says
    which wheel."""
    del ring
    x, y, z = rays
    side = jnp.where(y > 0, 1.0, -1.0)
    c, s = angle
    ox, oy = -look.camera_setback - TYRE_CENTRE[0], -side * TYRE_CENTRE[1]
    ox, oy, oz = c * ox + s * oy, c * oy - s * ox, look.camera_height - TYRE_CENTRE[2]
    dx, dy = c * x + s * y, c * y - s * x
    # Seen along its axle the ray passes the middle at the distance `miss` and enters the tread
    # before.
    square = dx * dx + z * z
    miss = jnp.abs(ox * z - oz * dx) / jnp.sqrt(square)
    chord = jnp.sqrt(at_least(TYRE_RADIUS**2 - miss * miss, 0.0) / square)
    t = -(ox * dx + oz * z) / square - chord
    sharp = config.focal / at_least(t, 0.05)
    tread = at_most(TYRE_RADIUS - miss, TYRE_HALF - jnp.abs(oy + t * dy))
    steep = 0.9 + 0.8 * (oz + t * z) * (1.0 / TYRE_RADIUS)
    inward = at_least(side * dy, 0.02)
    t = (-TYRE_HALF * side - oy) / (side * inward)
    fx, fz = ox + t * dx, oz + t * z
    radius = jnp.sqrt(fx * fx + fz * fz + 1e-12)
    # Seen at a slant, a pixel covers dx / dy times as much of the face along it as up it.
    slant = fx * dx / inward
    sharp_face = sharp * radius / jnp.sqrt(slant * slant + fz * fz + 1e-12)
    rim = covered(RIM_RADIUS - radius, sharp_face)
    face = mix(_lit((22.0, 22.0, 24.0), look), _lit(BRIGHT, look), rim)
    outer = tuple(colour * at_least(steep, 0.5) for colour in _lit(RUBBER, look))
    on_face = jnp.where(side * dy > 0.02, covered(TYRE_RADIUS - radius, sharp_face), 0.0)
    return below.under(outer, covered(tread, sharp)).under(face, on_face)
