"""Colours from geometry: every line and block is a distance divided by the width of the pixel's footprint.

A feature bounded by the zero of a distance a covers clip(a / w + 1/2, 0, 1) of a pixel over whose footprint a
changes by w. Layers are mixed from the ground up.
"""

import chex
import jax
import jax.numpy as jnp

from kart_jax.render.raycast import SKYLINE_UNIT, Rays, Wall, read, repeats, square_wave
from kart_jax.render.scene import Ground, Plane
from kart_jax.render.types import Appearance, ViewConfig

LINE_WIDTH = 0.15  # m, white edge line, inside the asphalt's edge
KERB_WIDTH = 0.8  # m, outside the edge
KERB_BLOCK = 1.0  # m of kerb in one colour
RUBBER_WIDTH = 1.3  # m, half-width of the rubbered line, fading to its sides
RUBBER_DEPTH = 0.55  # share of the rubber colour in its middle
MOWN = 7.0  # m of grass between two changes of the mower's direction
MOWN_DEPTH = 0.07
CHECK = 0.5  # m, side of a square of the start line
GRAIN = 0.05  # m, side of a grain of the ground's texture
HAZE = 900.0  # m ahead where haze hides half
WALL_FOOT = 0.10  # m, dark foot of the barrier
WALL_CAP = 0.16  # m, light cap of the barrier

Colour = tuple[chex.Array, ...]  # red, green, blue, each (...) 0..255


def covered(distance: chex.Array, inverse_width: chex.Array) -> chex.Array:
    """Share of the pixel where `distance` is positive, given one over its change across the pixel."""
    return jnp.clip(distance * inverse_width + 0.5, 0.0, 1.0)


def split(colour: chex.Array) -> Colour:
    """The three channels of a colour (3,)."""
    return colour[0], colour[1], colour[2]


def mix(below: Colour, above: Colour, share: chex.Array) -> Colour:
    """Put `above` over `below` where `share` (...) is 1."""
    return tuple(b + (a - b) * share for b, a in zip(below, above, strict=True))


def hashed(a: chex.Array, b: chex.Array) -> chex.Array:
    """Noise in [-1.7, 1.7) of standard deviation 1 from two int32 (...): a multiplicative hash, evenly spread."""
    h = a * jnp.int32(-1640531535) + b * jnp.int32(-2048144777)
    h = (h ^ (h >> 15)) * jnp.int32(-1028477379)
    return (h ^ (h >> 13)).astype(jnp.float32) * (3.4641016 / 2.0**32)


def spread(a: chex.Array, b: chex.Array) -> chex.Array:
    """Width of a footprint with sides a and b along one axis: hypot(a, b) to 4 %, kept above 0.1 mm."""
    a, b = jnp.abs(a), jnp.abs(b)
    return jnp.maximum(jnp.maximum(a, b) + 0.36 * jnp.minimum(a, b), 1e-4)


def ground_colour(rays: Rays, point: Ground, here: Plane, look: Appearance) -> Colour:
    """Colour of the ground under each pixel, haze included."""
    gx, gy, edge, s = point.edge_x, point.edge_y, point.edge, point.s
    across = spread(gx * rays.x_right + gy * rays.y_right, gx * rays.x_down + gy * rays.y_down)
    along = spread(gy * rays.x_right - gx * rays.y_right, gy * rays.x_down - gx * rays.y_down) * point.rate
    sharp, thin = 1.0 / across, 1.0 / jnp.maximum(along, 1e-4)

    worn = jnp.maximum(1.0 - (point.rubber * (1.0 / RUBBER_WIDTH)) ** 2, 0.0)
    colour = mix(split(look.asphalt), split(look.rubber), RUBBER_DEPTH * worn * worn)
    light = split(look.line)
    start = jnp.where(s > 0.5 * here.length, s - here.length, s)
    check = square_wave(start, 0.5 / CHECK, thin) * square_wave(edge, 0.5 / CHECK, sharp)
    squares = 0.54 + 0.46 * check
    colour = mix(colour, tuple(c * squares for c in light), covered(CHECK - jnp.abs(start), thin))
    colour = mix(colour, light, covered(edge + LINE_WIDTH, sharp))
    block = 0.5 + 0.5 * square_wave(s, repeats(here.length, 2.0 * KERB_BLOCK), thin)
    colour = mix(colour, mix(split(look.kerb_b), split(look.kerb_a), block), covered(edge, sharp))
    stripe = 1.0 + MOWN_DEPTH * square_wave(s, repeats(here.length, 2.0 * MOWN), thin)
    grass = tuple(c * stripe for c in split(look.grass))
    colour = mix(colour, grass, covered(edge - KERB_WIDTH * point.kerb, sharp))

    cell_x, cell_y = (jnp.floor(p * (1.0 / GRAIN)).astype(jnp.int32) for p in (rays.x, rays.y))
    fade = jnp.clip(1.5 - (across + along) * (0.5 / GRAIN), 0.0, 1.0)
    speck = hashed(cell_x, cell_y) * (look.grain * fade)
    distance = rays.t * rays.ahead
    return mix(tuple(c + speck for c in colour), split(look.sky_bottom), distance / (distance + HAZE))


def sky_colour(slope: chex.Array, look: Appearance) -> Colour:
    """Colour of the sky at elevation `slope` (height over forward distance)."""
    share = jnp.clip(slope * 1.25, 0.0, 1.0)
    return mix(split(look.sky_bottom), split(look.sky_top), share * (2.0 - share))


def _word(table: chex.Array, index: chex.Array) -> chex.Array:
    """Look up words as int32; the bitcast is the look-up's only user (see `scene`)."""
    return jax.lax.bitcast_convert_type(read(table, index), jnp.int32)


def _float(table: chex.Array, index: chex.Array) -> chex.Array:
    """Look up words that hold the bits of a float32."""
    return jax.lax.bitcast_convert_type(read(table, index), jnp.float32)


def backdrop(
    rays: Rays, wall: Wall, ground: Colour, look: Appearance, camera_z: chex.Array, config: ViewConfig
) -> Colour:
    """Sky, trees and barrier over the ground."""
    count = config.wall_rays
    position = jnp.clip(rays.q * config.focal + (0.5 * count - 0.5), 0.0, count - 1.001)
    index = position.astype(jnp.int32)
    part = position - index

    near, far = _float(wall.nearness, index), _float(wall.nearness, index + 1)
    nearness = near + (far - near) * part
    word = _word(wall.face, (position + 0.5).astype(jnp.int32))
    block, skyline = (word & 255).astype(jnp.float32) * (1.0 / 255.0), (word >> 8).astype(jnp.float32) * SKYLINE_UNIT
    sharp = 1.0 / rays.slope_width
    colour = mix(ground, sky_colour(rays.slope, look), covered(rays.slope, sharp))
    trees = covered(rays.slope, sharp) - covered(rays.slope - skyline, sharp)
    haze = split(look.sky_bottom)
    colour = mix(colour, mix(split(look.trees), haze, jnp.float32(0.25)), trees)

    def above(height: chex.Array) -> chex.Array:
        """Share of the pixel that sees past the barrier at more than `height` m above the ground."""
        return covered((camera_z - height) * nearness + rays.slope, sharp)

    blocks = mix(split(look.barrier_a), split(look.barrier_b), block)
    top = look.barrier_height
    foot, cap, over = above(jnp.float32(WALL_FOOT)), above(top - WALL_CAP), above(top)
    face = mix(tuple(0.25 * c for c in blocks), blocks, foot)
    face = mix(face, split(look.barrier_b), cap)
    face = mix(face, haze, 1.0 / (1.0 + HAZE * nearness))
    shown = (above(jnp.float32(0.0)) - over) * (nearness > 0)
    return mix(colour, face, shown)
