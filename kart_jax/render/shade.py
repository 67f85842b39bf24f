"""Colours from geometry: every line and block is a distance divided by the width of the pixel's
footprint.

A feature bounded by the zero of a distance a covers clip(a / w + 1/2, 0, 1) of a pixel over whose
footprint a changes by w. The features that lie side by side share the pixel out among them, and
each channel is the sum of their colours times their shares.
"""

import chex
import jax.numpy as jnp

from kart_jax.physics.params import KERB_WIDTH
from kart_jax.render import raycast
from kart_jax.render.camera import Camera
from kart_jax.render.raycast import FARTHEST, Rays, repeats, square_wave, triangle_wave
from kart_jax.render.scene import Plane, Scene, ground
from kart_jax.render.types import Appearance, ViewConfig
from kart_jax.xla.arithmetic import (
    MAGIC,
    float_bits,
    hashed,
    inverse_octave,
    inverse_root,
    reciprocal,
    share,
)
from kart_jax.xla.bounds import at_least, at_most

LINE_WIDTH = 0.15  # m, white edge line, inside the asphalt's edge
KERB_BLOCK = 1.0  # m of kerb in one colour
RUBBER_WIDTH = 1.3  # m, half-width of the rubbered line, fading to its sides
RUBBER_DEPTH = 0.55  # share of the rubber colour in its middle
MOWN = 7.0  # m of grass between two changes of the mower's direction
MOWN_DEPTH = 0.07
CHECK = 0.75  # m, side of a square of the start line, which is two squares deep
DARK = 0.08  # brightness of its dark squares
HAZE = 900.0  # m ahead where haze hides half
TREE_HAZE = 0.25  # share of haze before the trees
WALL_FOOT = 0.10  # m, dark foot of the barrier
FOOT_DEPTH = 0.25  # brightness of the foot
WALL_CAP = 0.16  # m, light cap of the barrier

Colour = tuple[chex.Array, ...]  # red, green, blue, each (...) 0..255


def covered(distance: chex.Array, inverse_width: chex.Array) -> chex.Array:
    """Share of the pixel where `distance` is positive, given one over its change across the
    pixel."""
    return share(distance * inverse_width + 0.5)


def split(colour: chex.Array) -> Colour:
    """The three channels of a colour (3,)."""
    return colour[0], colour[1], colour[2]


def mix(below: Colour, above: Colour, part: chex.Array) -> Colour:
    """Put `above` over `below` where `part` (...) is 1."""
    return tuple(b + (a - b) * part for b, a in zip(below, above, strict=True))


def blend(*layers: tuple[chex.Array, chex.Array]) -> Colour:
    """Sum of colours (3,) times their shares (...)."""
    (colour, part), *others = layers
    channels = tuple(c * part for c in split(colour))
    for colour, part in others:
        channels = tuple(below + c * part for below, c in zip(channels, split(colour), strict=True))
    return channels


def footprint(
    camera: Camera, rays: Rays, gx: chex.Array, gy: chex.Array, rate: chex.Array
) -> tuple[chex.Array, chex.Array]:
    """One over the length of the pixel's footprint along the gradient (gx, gy), and along the lap,
    1/m.

    With d = F + j R + i D the ray of pixel (i, j), its point is p = h d / -d_z, and

        dp/dj = h / d_z² ((F R_z - R F_z) + i (D R_z - R D_z)),
        dp/di = h / d_z² ((F D_z - D F_z) - j (D R_z - R D_z)),

    whose brackets are fixed for a kart. The length of a footprint along an axis is the root of the
    sum of squares.
    """

    def sides(axis: chex.Array) -> tuple[chex.Array, chex.Array]:
        turn = axis[2] * camera.up[1] - axis[1] * camera.up[2]
        across = axis[0] * camera.up[1] - axis[1] * camera.up[0]
        away = axis[0] * camera.up[2] - axis[2] * camera.up[0]
        return across + rays.i * turn, away - rays.j * turn

    (east_j, east_i), (north_j, north_i) = sides(camera.east), sides(camera.north)
    across_j, across_i = gx * east_j + gy * north_j, gx * east_i + gy * north_i
    along_j, along_i = (gy * east_j - gx * north_j) * rate, (gy * east_i - gx * north_i) * rate
    fall = rays.ahead * rays.slope
    scale = at_least(fall * fall, (camera.z / FARTHEST) ** 2) * (1.0 / camera.z)
    sharp = inverse_root(across_j * across_j + across_i * across_i + 1e-9) * scale
    thin = inverse_root(along_j * along_j + along_i * along_i + 1e-9) * scale
    return sharp, thin


def ground_colour(
    scene: Scene,
    here: Plane,
    camera: Camera,
    rays: Rays,
    cells: chex.Array,
    look: Appearance,
    config: ViewConfig,
) -> Colour:
    """Colour of the ground under each pixel, haze included; `cells` (P,) are the `first_word` of
    their points."""
    t, x, y = raycast.ground_point(camera, rays)
    point = ground(scene, here, camera.x, camera.y, x, y, cells)
    edge, s = point.edge, point.s
    sharp, thin = footprint(camera, rays, point.edge_x, point.edge_y, point.rate)

    position = edge * sharp + 0.5
    grass = share(position - KERB_WIDTH * point.kerb * sharp)
    off, off_or_line = share(position), share(position + LINE_WIDTH * sharp)
    asphalt = 1.0 - off_or_line

    start = jnp.where(s > 0.5 * here.length, s - here.length, s)
    squares = triangle_wave(start, 0.5 / CHECK) * triangle_wave(edge, 0.5 / CHECK)
    squares = share(squares * (16.0 * CHECK) * at_most(sharp, thin) + 0.5)
    crossing = asphalt * covered(CHECK - jnp.abs(start), thin)
    line = off_or_line - off + crossing * (DARK + (1.0 - DARK) * squares)
    asphalt = asphalt - crossing

    worn = at_least(1.0 - point.rubber * point.rubber * (1.0 / RUBBER_WIDTH**2), 0.0)
    rubber = asphalt * (RUBBER_DEPTH * worn * worn)
    kerb = off - grass
    kerb_a = kerb * (0.5 + 0.5 * square_wave(s, repeats(here.length, 2.0 * KERB_BLOCK), thin))
    mown = 1.0 + MOWN_DEPTH * square_wave(s, repeats(here.length, 2.0 * MOWN), thin)
    colour = blend(
        (look.asphalt, asphalt - rubber),
        (look.rubber, rubber),
        (look.line, line),
        (look.kerb_a, kerb_a),
        (look.kerb_b, kerb - kerb_a),
        (look.grass, grass * mown),
    )
    speck = _grain(x + (camera.x - here.x), y + (camera.y - here.y), t * (1.0 / config.focal))
    speck = speck * (look.grain * at_most(-rays.slope, 1.0))
    distance = t * rays.ahead
    return mix(
        tuple(c + speck for c in colour),
        split(look.sky_bottom),
        distance * reciprocal(distance + HAZE),
    )


def _grain(x: chex.Array, y: chex.Array, width: chex.Array) -> chex.Array:
    """Texture fixed to the ground at (x, y) m: grains as wide as the pixel, m, rounded down to a
    power of two."""
    scale = inverse_octave(width)
    # Half of 2^23 more leaves room for negative numbers; the constant upper bits do the hash no
    # harm.
    return hashed(float_bits(x * scale + 1.5 * MAGIC), float_bits(y * scale + 1.5 * MAGIC))


def sky_colour(slope: chex.Array, look: Appearance) -> Colour:
    """Colour of the sky at elevation `slope` (height over forward distance)."""
    part = share(slope * 1.25)
    return mix(split(look.sky_bottom), split(look.sky_top), part * (2.0 - part))


def sky_over(
    floor: Colour, rays: Rays, word: chex.Array, look: Appearance, config: ViewConfig
) -> Colour:
    """Sky and trees over the colour of the ground; `word` (P,) of `raycast.find_wall`."""
    sharp = config.focal * rays.ahead * rays.ahead
    above = covered(rays.slope, sharp)
    sky = covered(rays.slope - raycast.skyline(word), sharp)
    trees = mix(split(look.trees), split(look.sky_bottom), jnp.float32(TREE_HAZE))
    return mix(mix(floor, trees, above), sky_colour(rays.slope, look), sky)


def wall_over(
    below: Colour,
    rays: Rays,
    word: chex.Array,
    look: Appearance,
    camera_z: chex.Array,
    config: ViewConfig,
) -> Colour:
    """The barrier over what is behind it; `word` (P,) of `raycast.find_wall`.

    The elevation changes by 1 / (f ahead²) from row to row; roll is left out, which widens or
    narrows edges by percents.
    """
    near = raycast.nearness(word)
    sharp = config.focal * rays.ahead * rays.ahead
    eye, step = rays.slope * sharp + 0.5, near * sharp

    def above(height: chex.Array | float) -> chex.Array:
        """Share of the pixel that sees past the barrier at more than `height` m above the
        ground."""
        return share(eye + (camera_z - height) * step)

    top = look.barrier_height
    ground_up, foot, cap, over = above(0.0), above(WALL_FOOT), above(top - WALL_CAP), above(top)
    body = (foot - cap) + FOOT_DEPTH * (ground_up - foot)
    second = body * raycast.block(word) + (cap - over)
    first = body - body * raycast.block(word)
    clear = HAZE * near * reciprocal(1.0 + HAZE * near)
    shown = ground_up - over
    wall = blend(
        (look.barrier_a, first * clear),
        (look.barrier_b, second * clear),
        (look.sky_bottom, shown * (1.0 - clear)),
    )
    behind = 1.0 - shown
    return tuple(b * behind + w for b, w in zip(below, wall, strict=True))
