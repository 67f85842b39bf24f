"""Where rays meet the world: the ground for every pixel, the barrier for every direction.

The barrier is an upright wall along the zero line of the scene's barrier distance. Its forward distance X is found
once per direction q = y / x of the heading frame and read by the pixels of that direction. The search steps along
the ray by the distance itself, or further where the distance's slope says that the wall is grazed, until the sign
changes, and then closes in by the secant of the bracket.
"""

import chex
import jax
import jax.numpy as jnp
from flax import struct

from kart_jax.render.camera import Camera
from kart_jax.render.scene import Plane, Scene, barrier, ground
from kart_jax.render.types import ViewConfig

FARTHEST = 2000.0  # m along a ray; the ground beyond is the horizon
LONGEST_STRIDE = 3.0  # times the distance to the barrier
SKYLINE_UNIT = 1e-5  # height over distance, one step of the packed skyline
BLOCK = 2.0  # m of barrier in one colour
RAY_MARGIN = 1.25  # the directions reach this factor past the picture's sides, for pitched and rolled cameras


@struct.dataclass
class Rays:
    """The rays of P pixels and where they meet the ground; every field (P,)."""

    ahead: chex.Array  # forward component in the heading frame, kept above 0.05
    q: chex.Array  # left / forward
    slope: chex.Array  # up / forward, negative below the horizon
    slope_width: chex.Array  # change of `slope` over one pixel
    t: chex.Array  # ray lengths to the ground
    x: chex.Array  # m, world, point on the ground
    y: chex.Array  # m
    x_right: chex.Array  # m per column, the footprint's sides
    y_right: chex.Array
    x_down: chex.Array  # m per row
    y_down: chex.Array


@struct.dataclass
class Wall:
    """The barrier and the skyline by direction, packed; every field (A,), directions evenly spaced in q."""

    nearness: chex.Array  # uint32, bits of the float32 1 / X in 1/m, X the forward distance; 0 = no barrier
    face: chex.Array  # uint32, bits 0-7: share of the second colour / 255; 8-31: skyline / `SKYLINE_UNIT`


@jax.custom_batching.custom_vmap
def read(table: chex.Array, index: chex.Array) -> chex.Array:
    """`table[index]` for a table (A,) and in-range indices of any shape, one flat look-up under any `vmap`."""
    return jnp.take(table, index, mode="clip")


@read.def_vmap
def _read_batched(axis_size: int, batched: list[bool], table: chex.Array, index: chex.Array) -> tuple:
    """Join the batch of tables end to end instead of looking up in two dimensions."""
    if not batched[0]:
        return read(table, index), True
    width = table.shape[1]
    shift = (jnp.arange(axis_size, dtype=jnp.int32) * width).reshape(-1, *[1] * (index.ndim - batched[1]))
    return read(table.reshape(-1), index + shift), True


def cast(camera: Camera, i: chex.Array, j: chex.Array) -> Rays:
    """Rays of the pixels with rows `i` and columns `j` (P,), counted from the picture's middle."""
    f, r, d = camera.forward, camera.right, camera.down
    x, y, z = (f[k] + j * r[k] + i * d[k] for k in range(3))
    c, s = camera.cos_yaw, camera.sin_yaw
    east, north = c * x - s * y, s * x + c * y
    ahead = jnp.maximum(x, 0.05)
    inverse = 1.0 / ahead
    slope = z * inverse
    width = (jnp.abs(r[2] - slope * r[0]) + jnp.abs(d[2] - slope * d[0])) * inverse
    fall = 1.0 / jnp.maximum(-z, camera.z / FARTHEST)
    t = camera.z * fall
    # dp/dj = t (d_j - d z_j / z), horizontally; the same for i.
    right, down = r[2] * fall, d[2] * fall
    return Rays(
        ahead=ahead,
        q=y * inverse,
        slope=slope,
        slope_width=width,
        t=t,
        x=camera.x + t * east,
        y=camera.y + t * north,
        x_right=t * (c * r[0] - s * r[1] + east * right),
        y_right=t * (s * r[0] + c * r[1] + north * right),
        x_down=t * (c * d[0] - s * d[1] + east * down),
        y_down=t * (s * d[0] + c * d[1] + north * down),
    )


def directions(config: ViewConfig) -> chex.Array:
    """The (A,) directions q in which the barrier is searched, one per column and some beyond both sides."""
    count = config.wall_rays
    return (jnp.arange(count) + 0.5 - 0.5 * count) * (1.0 / config.focal)


def find_wall(scene: Scene, here: Plane, camera: Camera, config: ViewConfig) -> Wall:
    """Search the barrier in every direction; see the module docstring."""
    q = directions(config)
    reach = jnp.sqrt(1.0 + q * q)
    east, north = camera.cos_yaw - camera.sin_yaw * q, camera.sin_yaw + camera.cos_yaw * q

    def look(distance: chex.Array) -> tuple[chex.Array, chex.Array]:
        b, gx, gy = barrier(scene, here, camera.x + distance * east, camera.y + distance * north)
        return b, gx * east + gy * north

    start, _ = look(jnp.zeros_like(q))
    sign = jnp.where(start >= 0, 1.0, -1.0)

    def advance(_: int, carry: tuple) -> tuple:
        at, low, low_b, high, high_b = carry
        b, slope = look(at)
        b, slope = b * sign, slope * sign
        crossed = b < 0
        low, low_b = jnp.where(crossed, low, at), jnp.where(crossed, low_b, b)
        high, high_b = jnp.where(crossed, at, high), jnp.where(crossed, b, high_b)
        free = jnp.maximum(low_b / reach, 0.05 + 0.01 * low)
        newton = low_b / jnp.maximum(-slope, 1e-3)
        stride = jnp.where(crossed, free, jnp.clip(newton, free, LONGEST_STRIDE * free))
        share = jnp.clip(low_b / jnp.maximum(low_b - high_b, 1e-6), 0.05, 0.95)
        closing = low + (high - low) * share
        return jnp.where(high < FARTHEST, closing, jnp.minimum(low + stride, FARTHEST)), low, low_b, high, high_b

    zero = jnp.zeros_like(q)
    carry = (zero, zero, start * sign, zero + FARTHEST, zero - 1.0)
    at = jax.lax.fori_loop(0, config.wall_steps, advance, carry)[0]
    at = jnp.maximum(at, 0.02)

    def finish(_: int, carry: tuple) -> tuple:
        s, _, _ = carry
        nearness = jnp.where(at > 0.5 * FARTHEST, 0.0, 1.0 / at)
        face = _face(_block(here, s), _skyline(camera, q) * reach)
        s = ground(scene, here, camera.x + at * east, camera.y + at * north).s
        return s, jax.lax.bitcast_convert_type(nearness, jnp.uint32), face

    # Two rounds, first the arc length, then what follows from it: a loop's result is stored, whereas XLA would
    # otherwise work these tables out again for every pixel that reads them.
    words = jnp.zeros(q.shape, jnp.uint32)
    _, nearness, face = jax.lax.fori_loop(0, 2, finish, (zero, words, words))
    return Wall(nearness=nearness, face=face)


def _face(block: chex.Array, skyline: chex.Array) -> chex.Array:
    """Pack the barrier's colour share and the skyline (A,) as `Wall.face`."""
    share = jnp.round(block * 255.0).astype(jnp.uint32)
    return share | (jnp.clip(skyline * (1.0 / SKYLINE_UNIT), 0.0, 65535.0).astype(jnp.uint32) << 8)


def _block(here: Plane, s: chex.Array) -> chex.Array:
    """Share (A,) of the barrier's second colour where it stands at arc lengths `s`, over a direction's width."""
    step = jnp.abs(s - jnp.roll(s, 1))
    step = jnp.maximum(jnp.minimum(step, jnp.roll(step, -1)), 1e-3)
    return 0.5 - 0.5 * square_wave(s, repeats(here.length, 2.0 * BLOCK), 1.0 / step)


def _skyline(camera: Camera, q: chex.Array) -> chex.Array:
    """Elevation (A,) of the trees against the compass: a fixed sum of waves, so that heading shows on the horizon."""
    angle = jnp.arctan2(camera.sin_yaw + camera.cos_yaw * q, camera.cos_yaw - camera.sin_yaw * q)
    waves = ((3.0, 0.4, 0.012), (7.0, 2.0, 0.010), (19.0, 1.1, 0.006), (53.0, 0.2, 0.004), (131.0, 0.9, 0.002))
    height = 0.040 + sum(size * jnp.sin(count * angle + phase) for count, phase, size in waves)
    return jnp.maximum(height, 0.004)


def repeats(length: chex.Array, wanted: float) -> chex.Array:
    """One over the period in m nearest to `wanted` that fits the lap a whole number of times."""
    return jnp.maximum(jnp.round(length / wanted), 1.0) / length


def square_wave(x: chex.Array, frequency: chex.Array | float, sharp: chex.Array) -> chex.Array:
    """Square wave, +1 in the first half of each period and -1 in the second, smoothed over a footprint.

    Args:
        x: m along the wave.
        frequency: periods per m.
        sharp: 1/m, one over the footprint's length along x.

    With d the distance to the nearest change, positive in the first half, the value is clip(2 d sharp, -1, 1): the
    share that a footprint covers while it is shorter than half a period, and fading as it grows beyond.
    """
    phase = x * frequency + 0.25
    phase = phase - jnp.floor(phase)
    return jnp.clip((0.25 - jnp.abs(phase - 0.5)) * (2.0 / frequency) * sharp, -1.0, 1.0)
