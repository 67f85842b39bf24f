"""Where rays meet the world: the ground for every pixel, the barrier for every direction.

The barrier is an upright wall along the zero line of the scene's barrier distance. Its forward
distance X is found once per direction q = y / x of the heading frame and read by the pixels of that
direction. The search is Newton's iteration X <- X - b / b', held between one and two times the way
that is surely free, b / |(1, q)|: it runs fast along a wall that is grazed, and steps back once it
is behind one.
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from kart_jax.render.camera import Camera
from kart_jax.render.scene import Plane, Scene, barrier, first_word, ground
from kart_jax.render.types import ViewConfig
from kart_jax.xla.arithmetic import float_bits, from_bits, look_up, nearest, reciprocal
from kart_jax.xla.bounds import at_least, at_most, within
from kart_jax.xla.stage import stored

FARTHEST = 2000.0  # m along a ray; the ground beyond is the horizon
LONGEST_STRIDE = (
    2.0  # times the free way; longer ones step through walls and find others behind them
)
SHORTEST_STRIDE = (0.03, 0.005)  # m, and share of the way so far, while the barrier is ahead
NEAREST_WALL = 0.02  # m
SKYLINE_UNIT = 1.0 / 1280.0  # height over distance, one step of the packed skyline, 7 bits
BLOCK_UNIT = 1.0 / 31.0
BLOCK = 2.0  # m of barrier in one colour
COMPASS = 4096  # directions in which the skyline is known


class Rays(struct.PyTreeNode):
    """The rays of P pixels; every field (P,)."""

    i: chex.Array  # row from the picture's middle
    j: chex.Array  # column from the picture's middle
    ahead: chex.Array  # forward component in the heading frame, kept above 0.05
    q: chex.Array  # left / forward
    slope: chex.Array  # up / forward, negative below the horizon
    fall: chex.Array  # ray lengths to the ground per m of camera height


def affine(axis: chex.Array, i: chex.Array, j: chex.Array) -> chex.Array:
    """Component of the rays of pixels (i, j) along one axis of the camera."""
    return axis[0] + j * axis[1] + i * axis[2]


def cast(camera: Camera, i: chex.Array, j: chex.Array) -> Rays:
    """Rays of the pixels with rows `i` and columns `j` (P,), counted from the picture's middle."""
    ahead = at_least(affine(camera.ahead, i, j), 0.05)
    up = affine(camera.up, i, j)
    inverse = reciprocal(ahead)
    return Rays(
        i=i,
        j=j,
        ahead=ahead,
        q=affine(camera.left, i, j) * inverse,
        slope=up * inverse,
        fall=reciprocal(at_least(-up, camera.z * (1.0 / FARTHEST))),
    )


def ground_point(camera: Camera, rays: Rays) -> tuple[chex.Array, chex.Array, chex.Array]:
    """Where rays meet the ground: ray lengths (P,) and the offset x, y (P,) m from under the
    camera, world axes."""
    t = camera.z * rays.fall
    return t, affine(camera.east, rays.i, rays.j) * t, affine(camera.north, rays.i, rays.j) * t


def directions(config: ViewConfig) -> np.ndarray:
    """The (A,) directions q in which the barrier is searched, one per column and some beyond both
    sides."""
    count = config.wall_rays
    return ((np.arange(count) + 0.5 - 0.5 * count) / config.focal).astype(np.float32)


def direction_index(q: chex.Array, config: ViewConfig) -> chex.Array:
    """Number of the direction nearest to `q` (...)."""
    count = config.wall_rays
    return nearest(within(q * config.focal + (0.5 * count - 0.5), 0.0, count - 1.0))


def find_wall(scene: Scene, here: Plane, camera: Camera, config: ViewConfig) -> chex.Array:
    """Search the barrier in every direction; see the module docstring.

    Returns:
        (A,) uint32 for `nearness`, `skyline` and `block`: bits 12-31 the upper bits of the float32
        1 / X in 1/m (0 = no barrier), 5-11 the skyline in `SKYLINE_UNIT`, 0-4 the share of the
        barrier's second colour in 1 / 31.
    """
    q = directions(config)
    reach = np.sqrt(1.0 + q * q)
    longest = jnp.asarray(LONGEST_STRIDE / reach)
    east, north = camera.cos_yaw - camera.sin_yaw * q, camera.sin_yaw + camera.cos_yaw * q
    zero = jnp.zeros((), jnp.float32)
    start, _, _ = barrier(scene, here, camera.x, camera.y, zero, zero)
    sign = jnp.where(start >= 0, 1.0, -1.0)  # behind the barrier it is seen from its back

    def look(x: chex.Array) -> tuple[chex.Array, chex.Array]:
        """Distance to the barrier at forward distances `x` and how fast it shrinks, from the
        camera's side."""
        b, gx, gy = barrier(scene, here, camera.x, camera.y, x * east, x * north)
        return b * sign, -(gx * east + gy * north) * sign

    def advance(bits: chex.Array) -> chex.Array:
        x = from_bits(bits)
        b, shrinking = look(x)
        stride = b * at_most(reciprocal(at_least(shrinking, 1e-3)), longest)
        shortest = jnp.where(b > 0.02, SHORTEST_STRIDE[0] + SHORTEST_STRIDE[1] * x, stride)
        return float_bits(within(x + at_least(stride, shortest), NEAREST_WALL, FARTHEST))

    def finish(bits: chex.Array) -> chex.Array:
        x = from_bits(bits)
        _, shrinking = look(x)
        near = jnp.where(x > 0.5 * FARTHEST, 0.0, reciprocal(x))
        foot = (camera.x, camera.y, x * east, x * north)
        s = ground(scene, here, *foot, first_word(scene, here, *foot)).s
        # Over one direction dq the foot moves x dq / |b'| along the barrier.
        sharp = at_least(shrinking, 0.02) * near * config.focal
        share = 0.5 - 0.5 * square_wave(s, repeats(here.length, 2.0 * BLOCK), sharp)
        height = at_least(_skyline(east, north) * reach, 0.0) * (1.0 / SKYLINE_UNIT)
        low = (nearest(at_most(height, 127.0)) << 5) | nearest(share * (1.0 / BLOCK_UNIT))
        return ((float_bits(near) + 0x800) & -0x1000) | low

    # The carry is one array, so that a step is one kernel.
    bits = float_bits(jnp.full(q.shape, NEAREST_WALL, jnp.float32))
    bits = jax.lax.fori_loop(0, config.wall_steps, lambda _, bits: advance(bits), bits)
    words = stored(scene.first[0], lambda: finish(bits))
    return jax.lax.bitcast_convert_type(words, jnp.uint32)


def nearness(word: chex.Array) -> chex.Array:
    """1 / X of a word of `find_wall`, 1/m."""
    return from_bits(word & -0x1000)


def skyline(word: chex.Array) -> chex.Array:
    """Elevation of the trees, height over forward distance."""
    return (word & (127 << 5)).astype(jnp.float32) * (SKYLINE_UNIT / 2**5)


def block(word: chex.Array) -> chex.Array:
    """Share of the barrier's second colour."""
    return (word & 31).astype(jnp.float32) * BLOCK_UNIT


@jax.custom_batching.custom_vmap
def read(table: chex.Array, index: chex.Array) -> chex.Array:
    """`table[index]` as int32 for a uint32 table (A,) and in-range indices: one flat look-up under
    any `vmap`."""
    return jax.lax.bitcast_convert_type(look_up(table, index), jnp.int32)


@read.def_vmap
def _read_batched(
    axis_size: int, batched: list[bool], table: chex.Array, index: chex.Array
) -> tuple:
    """Join the batch of tables end to end instead of looking up in two dimensions."""
    if not batched[0]:
        return read(table, index), True
    if not batched[1]:
        index = index[None]
    shift = jnp.arange(axis_size, dtype=jnp.int32) * table.shape[1]
    return read(
        table.reshape(-1), index + jnp.expand_dims(shift, tuple(range(1, index.ndim)))
    ), True


def _compass_table() -> np.ndarray:
    """Elevation of the trees by `_compass`: a fixed sum of waves, so that heading shows on the
    horizon."""
    p = (np.arange(COMPASS) + 0.5) * (4.0 / COMPASS) - 1.0
    side, u = p > 1.0, np.where(p > 1.0, 2.0 - p, p)
    angle = np.arctan2(u, np.where(side, -1.0, 1.0) * (1.0 - np.abs(u)))
    waves = (
        (3.0, 0.4, 0.012),
        (7.0, 2.0, 0.010),
        (19.0, 1.1, 0.006),
        (53.0, 0.2, 0.004),
        (131.0, 0.9, 0.002),
    )
    height = 0.040 + sum(size * np.sin(count * angle + phase) for count, phase, size in waves)
    return np.maximum(height, 0.004).astype(np.float32)


def _skyline(east: chex.Array, north: chex.Array) -> chex.Array:
    """Elevation of the trees in the direction (east, north): a look-up by u = north / (|east| +
    |north|)."""
    u = north * reciprocal(jnp.abs(east) + jnp.abs(north))
    p = jnp.where(east > 0, u, 2.0 - u)
    index = nearest(within((p + 1.0) * (0.25 * COMPASS) - 0.5, 0.0, COMPASS - 1.0))
    return look_up(jnp.asarray(_compass_table()), index)


def repeats(length: chex.Array, wanted: float) -> chex.Array:
    """One over the period in m nearest to `wanted` that fits the lap a whole number of times."""
    return jnp.maximum(jnp.round(length / wanted), 1.0) / length


def triangle_wave(x: chex.Array, frequency: chex.Array | float) -> chex.Array:
    """Distance of x from the nearest change of a square wave in periods, -1/4..1/4, positive in the
    first half."""
    phase = x * frequency + 0.25
    return 0.25 - jnp.abs(phase - jnp.floor(phase) - 0.5)


def square_wave(x: chex.Array, frequency: chex.Array, sharp: chex.Array) -> chex.Array:
    """Square wave, +1 in the first half of each period and -1 in the second, smoothed over a
    footprint.

    Args:
        x: m along the wave.
        frequency: () periods per m.
        sharp: 1/m, one over the footprint's length along x.

    With d the distance to the nearest change, positive in the first half, the value is clip(2 d
    sharp, -1, 1): the share that a footprint covers while it is shorter than half a period, and
    fading as it grows beyond.
    """
    return within(triangle_wave(x, frequency) * (2.0 / frequency) * sharp, -1.0, 1.0)
