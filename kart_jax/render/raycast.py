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
    """The barrier and the skyline by direction; every field (A,), directions evenly spaced in q."""

    nearness: chex.Array  # 1/m, one over the forward distance X; 0 = none
    block: chex.Array  # 0..1, share of the second colour, filtered over the direction's width
    skyline: chex.Array  # height of the trees over forward distance


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
    nearness = jnp.where(at > 0.5 * FARTHEST, 0.0, 1.0 / at)
    return Wall(nearness=nearness, block=_blocks(scene, here, camera, config, at), skyline=_skyline(camera, q) * reach)


def _blocks(scene: Scene, here: Plane, camera: Camera, config: ViewConfig, at: chex.Array) -> chex.Array:
    """Share (A,) of the barrier's second colour at forward distances `at`, over the width of a direction."""
    q = directions(config)
    east, north = camera.cos_yaw - camera.sin_yaw * q, camera.sin_yaw + camera.cos_yaw * q
    point = ground(scene, here, camera.x + at * east, camera.y + at * north)
    period = whole_period(here.length, 2.0 * BLOCK)
    step = jnp.abs(point.s - jnp.roll(point.s, 1))
    step = jnp.minimum(step, jnp.roll(step, -1)) / period
    return 0.5 - 0.5 * square_wave(point.s / period, step)


def _skyline(camera: Camera, q: chex.Array) -> chex.Array:
    """Elevation (A,) of the trees against the compass: a fixed sum of waves, so that heading shows on the horizon."""
    angle = jnp.arctan2(camera.sin_yaw + camera.cos_yaw * q, camera.cos_yaw - camera.sin_yaw * q)
    waves = ((3.0, 0.4, 0.012), (7.0, 2.0, 0.010), (19.0, 1.1, 0.006), (53.0, 0.2, 0.004), (131.0, 0.9, 0.002))
    height = 0.040 + sum(size * jnp.sin(count * angle + phase) for count, phase, size in waves)
    return jnp.maximum(height, 0.004)


def whole_period(length: chex.Array, wanted: float) -> chex.Array:
    """The period in m nearest to `wanted` that fits the lap a whole number of times."""
    return length / jnp.maximum(jnp.round(length / wanted), 1.0)


def square_wave(x: chex.Array, width: chex.Array) -> chex.Array:
    """Square wave of period 1, +1 on [0, 1/2) and -1 on [1/2, 1), averaged over a window of `width` about x.

    Its integral is the triangle wave T(x) = 1/2 - |frac(x) - 1/2|, so the average is (T(x+w/2) - T(x-w/2)) / w.
    """
    width = jnp.maximum(width, 1e-3)
    low, high = x - 0.5 * width, x + 0.5 * width
    low, high = low - jnp.floor(low), high - jnp.floor(high)
    return (jnp.abs(low - 0.5) - jnp.abs(high - 0.5)) / width
