"""Colours from geometry: every line and block is a distance divided by the pixel's footprint."""

import chex
import jax.numpy as jnp

from kart_jax.render import raycast
from kart_jax.render.colour import Colour, blend, channels, covered, mix
from kart_jax.render.footprint import footprint
from kart_jax.render.ground import Ground, Points, ground_at
from kart_jax.render.raycast import Rays
from kart_jax.render.scene import CellGrid
from kart_jax.render.types import Appearance, ViewConfig
from kart_jax.render.viewpoint import Viewpoint
from kart_jax.render.waves import square_wave, triangle_wave, whole_frequency
from kart_jax.xla.arithmetic import MAGIC, float_bits, hashed, inverse_octave, reciprocal, share
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


def ground_colour(
    viewpoint: Viewpoint, rays: Rays, cells: chex.Array, config: ViewConfig
) -> Colour:
    """Return the colour of the ground under each pixel, haze included.

    Args:
        viewpoint: eye, circuit and colours.
        rays: of P pixels.
        cells: (P,) int32, `first_word` of the points of the ground that they meet.
        config: optics.
    """
    grid, camera, appearance = viewpoint.grid, viewpoint.camera, viewpoint.appearance
    t, points = raycast.ground_points(camera, rays)
    point = ground_at(viewpoint.scene, grid, points, cells)
    across, along = footprint(camera, rays, point)
    colour = _surface(point, across, along, grid.length, appearance)

    speck = _grain(points, grid, t * (1.0 / config.focal))
    speck = speck * (appearance.grain * at_most(-rays.slope, 1.0))

    distance = t * rays.ahead
    haze = distance * reciprocal(distance + HAZE)
    return mix(tuple(c + speck for c in colour), channels(appearance.sky_bottom), haze)


def sky_colour(slope: chex.Array, appearance: Appearance) -> Colour:
    """Return the colour of the sky at elevation `slope` (height over forward distance)."""
    part = share(slope * 1.25)
    return mix(channels(appearance.sky_bottom), channels(appearance.sky_top), part * (2.0 - part))


def sky_over(
    below: Colour, rays: Rays, word: chex.Array, appearance: Appearance, config: ViewConfig
) -> Colour:
    """Put sky and trees over the colour of the ground; `word` (P,) of `raycast.find_wall`."""
    sharp = config.focal * rays.ahead * rays.ahead
    above = covered(rays.slope, sharp)
    sky = covered(rays.slope - raycast.trees(word), sharp)

    haze = jnp.float32(TREE_HAZE)
    trees = mix(channels(appearance.trees), channels(appearance.sky_bottom), haze)
    return mix(mix(below, trees, above), sky_colour(rays.slope, appearance), sky)


def wall_over(
    below: Colour, rays: Rays, word: chex.Array, viewpoint: Viewpoint, config: ViewConfig
) -> Colour:
    """Put the barrier over what is behind it; `word` (P,) of `raycast.find_wall`.

    The elevation changes by 1 / (f ahead²) from row to row; roll is left out, which widens or
    narrows edges by percents.
    """
    appearance = viewpoint.appearance
    near = raycast.nearness(word)
    sharp = config.focal * rays.ahead * rays.ahead
    eye = rays.slope * sharp + 0.5
    step = near * sharp

    def above(height: chex.Array | float) -> chex.Array:
        """Return the share of pixels that see past the barrier at more than `height` m."""
        return share(eye + (viewpoint.camera.z - height) * step)

    top = appearance.barrier_height
    ground_up = above(0.0)
    foot = above(WALL_FOOT)
    cap = above(top - WALL_CAP)
    over = above(top)

    face = (foot - cap) + FOOT_DEPTH * (ground_up - foot)
    second = face * raycast.second_colour(word) + (cap - over)
    first = face - face * raycast.second_colour(word)
    clear = HAZE * near * reciprocal(1.0 + HAZE * near)
    shown = ground_up - over
    wall = blend(
        (appearance.barrier_a, first * clear),
        (appearance.barrier_b, second * clear),
        (appearance.sky_bottom, shown * (1.0 - clear)),
    )
    behind = 1.0 - shown
    return tuple(b * behind + w for b, w in zip(below, wall, strict=True))


def _surface(
    point: Ground,
    across: chex.Array,
    along: chex.Array,
    length: chex.Array,
    appearance: Appearance,
) -> Colour:
    """Return the colour of points of the ground, without texture and haze.

    Args:
        point: (P,) what is there.
        across: (P,) 1/m, one over the footprint's length across the edge.
        along: (P,) 1/m, the same along the lap.
        length: () m, of the lap.
        appearance: colours, and the width of the kerbs.
    """
    edge, s = point.edge, point.s
    position = edge * across + 0.5
    grass = share(position - appearance.kerb_width * point.kerb * across)
    off = share(position)
    off_or_line = share(position + LINE_WIDTH * across)
    asphalt = 1.0 - off_or_line

    start = jnp.where(s > 0.5 * length, s - length, s)
    squares = triangle_wave(start, 0.5 / CHECK) * triangle_wave(edge, 0.5 / CHECK)
    squares = share(squares * (16.0 * CHECK) * at_most(across, along) + 0.5)
    crossing = asphalt * covered(CHECK - jnp.abs(start), along)
    line = off_or_line - off + crossing * (DARK + (1.0 - DARK) * squares)
    asphalt = asphalt - crossing

    worn = at_least(1.0 - point.rubber * point.rubber * (1.0 / RUBBER_WIDTH**2), 0.0)
    rubber = asphalt * (RUBBER_DEPTH * worn * worn)
    kerb = off - grass
    blocks = square_wave(s, whole_frequency(length, 2.0 * KERB_BLOCK), along)
    kerb_a = kerb * (0.5 + 0.5 * blocks)
    mown = 1.0 + MOWN_DEPTH * square_wave(s, whole_frequency(length, 2.0 * MOWN), along)
    return blend(
        (appearance.asphalt, asphalt - rubber),
        (appearance.rubber, rubber),
        (appearance.line, line),
        (appearance.kerb_a, kerb_a),
        (appearance.kerb_b, kerb - kerb_a),
        (appearance.grass, grass * mown),
    )


def _grain(points: Points, grid: CellGrid, width: chex.Array) -> chex.Array:
    """Return a texture (P,) of deviation 1, fixed to the ground at `points` (P,).

    Its grains are as wide as the pixel, `width` (P,) m, rounded down to a power of two.
    """
    x = points.x + (points.eye_x - grid.x)
    y = points.y + (points.eye_y - grid.y)
    scale = inverse_octave(width)
    # Half of 2^23 more leaves room for negative numbers; the constant upper bits do the hash no
    # harm.
    return hashed(float_bits(x * scale + 1.5 * MAGIC), float_bits(y * scale + 1.5 * MAGIC))
