"""Colours from geometry: every line and block is a distance divided by the width of the pixel's footprint.

A feature bounded by the zero of a distance a covers clip(a / w + 1/2, 0, 1) of a pixel over whose footprint a
changes by w. Layers are mixed from the ground up.
"""

import chex
import jax
import jax.numpy as jnp

from kart_jax.render.raycast import Rays, Wall, square_wave, whole_period
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
GRAIN = 0.12  # m, side of a grain of the ground's texture
HAZE = 900.0  # m ahead where haze hides half
WALL_FOOT = 0.10  # m, dark foot of the barrier
WALL_CAP = 0.16  # m, light cap of the barrier

Colour = tuple[chex.Array, chex.Array, chex.Array]


def covered(distance: chex.Array, inverse_width: chex.Array) -> chex.Array:
    """Share of the pixel where `distance` is positive, given one over its change across the pixel."""
    return jnp.clip(distance * inverse_width + 0.5, 0.0, 1.0)


def split(colour: chex.Array) -> Colour:
    """The three channels of a colour (3,)."""
    return colour[0], colour[1], colour[2]


def mix(below: Colour, above: Colour, share: chex.Array) -> Colour:
    """Put `above` over `below` where `share` (...) is 1."""
    return tuple(b + (a - b) * share for b, a in zip(below, above, strict=True))  # type: ignore[return-value]


def hashed(a: chex.Array, b: chex.Array) -> chex.Array:
    """Noise in [-1.7, 1.7) of standard deviation 1 from two int32 (...): a multiplicative hash, evenly spread."""
    h = a * jnp.int32(-1640531535) + b * jnp.int32(-2048144777)
    h = (h ^ (h >> 15)) * jnp.int32(-1028477379)
    return (h ^ (h >> 13)).astype(jnp.float32) * (3.4641016 / 2.0**32)


def ground_colour(rays: Rays, point: Ground, here: Plane, look: Appearance) -> Colour:
    """Colour of the ground under each pixel, haze included."""
    gx, gy = point.edge_x, point.edge_y
    across_r, across_d = gx * rays.x_right + gy * rays.y_right, gx * rays.x_down + gy * rays.y_down
    along_r, along_d = gy * rays.x_right - gx * rays.y_right, gy * rays.x_down - gx * rays.y_down
    across2, along2 = across_r * across_r + across_d * across_d, along_r * along_r + along_d * along_d
    sharp = jax.lax.rsqrt(across2 + 1e-8)
    across, along = across2 * sharp, jnp.sqrt(along2 + 1e-8) * point.rate
    edge = point.edge

    stripe = square_wave(point.s / whole_period(here.length, 2.0 * MOWN), along / whole_period(here.length, 2.0 * MOWN))
    grass = tuple(c * (1.0 + MOWN_DEPTH * stripe) for c in split(look.grass))
    worn = jnp.maximum(1.0 - (point.rubber * (1.0 / RUBBER_WIDTH)) ** 2, 0.0)
    colour = mix(split(look.asphalt), split(look.rubber), RUBBER_DEPTH * worn * worn)

    start = jnp.where(point.s > 0.5 * here.length, point.s - here.length, point.s)
    check = square_wave(start * (0.5 / CHECK), along * (0.5 / CHECK)) * square_wave(
        edge * (0.5 / CHECK), across * (0.5 / CHECK)
    )
    light = split(look.line)
    shown = 0.5 + 0.5 * check
    squares = tuple(c * (0.08 + 0.92 * shown) for c in light)
    thin = 1.0 / along
    colour = mix(colour, squares, covered(start + CHECK, thin) - covered(start - CHECK, thin))

    outside, inside = covered(edge, sharp), covered(edge + LINE_WIDTH, sharp)
    colour = mix(colour, light, inside)
    kerb_end = covered(edge - KERB_WIDTH * point.kerb, sharp)
    block = 0.5 + 0.5 * square_wave(
        point.s / whole_period(here.length, 2.0 * KERB_BLOCK), along / whole_period(here.length, 2.0 * KERB_BLOCK)
    )
    kerb = mix(split(look.kerb_b), split(look.kerb_a), block)
    colour = mix(mix(colour, kerb, outside), grass, kerb_end)

    grain = hashed(jnp.floor(rays.x * (1.0 / GRAIN)).astype(jnp.int32), jnp.floor(rays.y * (1.0 / GRAIN)).astype(jnp.int32))
    fade = jnp.clip(1.0 - jax.lax.rsqrt(across2 + along2 + 1e-8) * 0.0 - jnp.sqrt(across2 + along2) / GRAIN * 0.5, 0.0, 1.0)
    speck = grain * look.grain * fade
    distance = rays.t * rays.ahead
    return mix(tuple(c + speck for c in colour), split(look.sky_bottom), distance / (distance + HAZE))


def sky_colour(slope: chex.Array, look: Appearance) -> Colour:
    """Colour of the sky at elevation `slope` (height over forward distance)."""
    share = jnp.clip(slope * 1.25, 0.0, 1.0)
    return mix(split(look.sky_bottom), split(look.sky_top), share * (2.0 - share))


def backdrop(rays: Rays, wall: Wall, ground: Colour, look: Appearance, camera_z: chex.Array, config: ViewConfig) -> Colour:
    """Sky, trees and barrier over the ground."""
    count = config.wall_rays
    position = jnp.clip(rays.q * config.focal + (0.5 * count - 0.5), 0.0, count - 1.001)
    index = position.astype(jnp.int32)
    part = position - index

    def read(table: chex.Array, at: chex.Array) -> chex.Array:
        return jnp.take(table, at, mode="clip")

    near, far = read(wall.nearness, index), read(wall.nearness, index + 1)
    nearness = near + (far - near) * part
    nearest = (position + 0.5).astype(jnp.int32)
    sharp = 1.0 / rays.slope_width
    colour = mix(ground, sky_colour(rays.slope, look), covered(rays.slope, sharp))
    trees = covered(rays.slope, sharp) - covered(rays.slope - read(wall.skyline, nearest), sharp)
    haze = split(look.sky_bottom)
    colour = mix(colour, mix(split(look.trees), haze, jnp.float32(0.25)), trees)

    def above(height: chex.Array) -> chex.Array:
        """Share of the pixel that sees past the barrier at more than `height` m above the ground."""
        return covered((camera_z - height) * nearness + rays.slope, sharp)

    blocks = mix(split(look.barrier_a), split(look.barrier_b), read(wall.block, nearest))
    top = look.barrier_height
    foot, cap, over = above(jnp.float32(WALL_FOOT)), above(top - WALL_CAP), above(top)
    face = mix(tuple(0.25 * c for c in blocks), blocks, foot)
    face = mix(face, split(look.barrier_b), cap)
    face = mix(face, haze, 1.0 / (1.0 + HAZE * nearness))
    shown = (above(jnp.float32(0.0)) - over) * (nearness > 0)
    return mix(colour, face, shown)
