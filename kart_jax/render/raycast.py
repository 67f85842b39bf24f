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

from kart_jax.render import skyline
from kart_jax.render.camera import Camera
from kart_jax.render.ground import Points, barrier_at, first_word, ground_at
from kart_jax.render.types import ViewConfig
from kart_jax.render.viewpoint import Viewpoint
from kart_jax.render.waves import square_wave, whole_frequency
from kart_jax.xla.arithmetic import float_bits, from_bits, look_up, nearest, reciprocal
from kart_jax.xla.bounds import at_least, at_most, within
from kart_jax.xla.stage import stored

MAX_DISTANCE = 2000.0  # m along a ray; the ground beyond is the horizon
MAX_STRIDE = 2.0  # times the free way; longer ones step through walls and find others behind them
MIN_STRIDE = 0.03  # m, while the barrier is ahead
MIN_STRIDE_SHARE = 0.005  # of the way so far, added to it
MIN_WALL_DISTANCE = 0.02  # m
SKYLINE_UNIT = 1.0 / 1280.0  # height over distance, one step of the packed skyline, 7 bits
BLOCK_UNIT = 1.0 / 31.0
BLOCK = 2.0  # m of barrier in one colour


class Rays(struct.PyTreeNode):
    """The rays of P pixels; every field (P,)."""

    i: chex.Array  # row from the picture's middle
    j: chex.Array  # column from the picture's middle
    ahead: chex.Array  # forward component in the heading frame, kept above 0.05
    q: chex.Array  # left / forward
    slope: chex.Array  # up / forward, negative below the horizon
    fall: chex.Array  # ray lengths to the ground per m of camera height


class Fan(struct.PyTreeNode):
    """The directions in which one kart's barrier is searched; every field (A,)."""

    east: chex.Array  # m along world x per m forward
    north: chex.Array  # m along world y per m forward
    length: np.ndarray  # m of way per m forward


def affine(axis: chex.Array, i: chex.Array, j: chex.Array) -> chex.Array:
    """Return the component of the rays of pixels (i, j) along one axis of the camera."""
    return axis[0] + j * axis[1] + i * axis[2]


def cast(camera: Camera, i: chex.Array, j: chex.Array) -> Rays:
    """Cast the rays of pixels in rows i and columns j (P,), counted from the picture's middle."""
    ahead = at_least(affine(camera.ahead, i, j), 0.05)
    up = affine(camera.up, i, j)
    inverse = reciprocal(ahead)
    return Rays(
        i=i,
        j=j,
        ahead=ahead,
        q=affine(camera.left, i, j) * inverse,
        slope=up * inverse,
        fall=reciprocal(at_least(-up, camera.z * (1.0 / MAX_DISTANCE))),
    )


def ground_points(camera: Camera, rays: Rays) -> tuple[chex.Array, Points]:
    """Return where rays meet the ground: the ray lengths (P,) to there, and the points (P,)."""
    t = camera.z * rays.fall
    points = Points(
        eye_x=camera.x,
        eye_y=camera.y,
        x=affine(camera.east, rays.i, rays.j) * t,
        y=affine(camera.north, rays.i, rays.j) * t,
    )
    return t, points


def directions(config: ViewConfig) -> np.ndarray:
    """Return the directions q (A,) in which the barrier is searched.

    One per column, and some beyond both sides.
    """
    count = config.wall_rays
    return ((np.arange(count) + 0.5 - 0.5 * count) / config.focal).astype(np.float32)


def direction_index(q: chex.Array, config: ViewConfig) -> chex.Array:
    """Return the number of the direction nearest to `q` (...)."""
    count = config.wall_rays
    return nearest(within(q * config.focal + (0.5 * count - 0.5), 0.0, count - 1.0))


def find_wall(viewpoint: Viewpoint, config: ViewConfig) -> chex.Array:
    """Search the barrier in every direction; see the module docstring.

    Returns:
        (A,) uint32 for `nearness`, `trees` and `second_colour`: bits 12-31 the upper bits of the
        float32 1 / X in 1/m (0 = no barrier), 5-11 the skyline in `SKYLINE_UNIT`, 0-4 the share of
        the barrier's second colour in 1 / 31.
    """
    scene, grid, camera = viewpoint.scene, viewpoint.grid, viewpoint.camera
    q = directions(config)
    length = np.sqrt(1.0 + q * q)
    longest = jnp.asarray(MAX_STRIDE / length)
    fan = Fan(
        east=camera.cos_yaw - camera.sin_yaw * q,
        north=camera.sin_yaw + camera.cos_yaw * q,
        length=length,
    )

    zero = jnp.zeros((), jnp.float32)
    start, _, _ = barrier_at(scene, grid, Points(camera.x, camera.y, zero, zero))
    sign = jnp.where(start >= 0, 1.0, -1.0)  # behind the barrier it is seen from its back

    def barrier_ahead(x: chex.Array) -> tuple[chex.Array, chex.Array]:
        """Return b and how fast it shrinks at forward distances `x`, from the camera's side."""
        b, gx, gy = barrier_at(scene, grid, _along(fan, camera, x))
        return b * sign, -(gx * fan.east + gy * fan.north) * sign

    def stride(bits: chex.Array) -> chex.Array:
        """Move forward distances, given by their bits, one step towards the barrier."""
        x = from_bits(bits)
        b, shrinking = barrier_ahead(x)
        newton = b * at_most(reciprocal(at_least(shrinking, 1e-3)), longest)
        shortest = jnp.where(b > 0.02, MIN_STRIDE + MIN_STRIDE_SHARE * x, newton)
        return float_bits(within(x + at_least(newton, shortest), MIN_WALL_DISTANCE, MAX_DISTANCE))

    def finish(bits: chex.Array) -> chex.Array:
        """Pack what is seen at the forward distances that were found."""
        x = from_bits(bits)
        _, shrinking = barrier_ahead(x)
        return _wall_words(viewpoint, fan, x, shrinking, config)

    # The carry is one array, so that a step is one kernel.
    bits = float_bits(jnp.full(q.shape, MIN_WALL_DISTANCE, jnp.float32))
    bits = jax.lax.fori_loop(0, config.wall_steps, lambda _, bits: stride(bits), bits)
    words = stored(scene.first[0], lambda: finish(bits))
    return jax.lax.bitcast_convert_type(words, jnp.uint32)


def nearness(word: chex.Array) -> chex.Array:
    """Return 1 / X in 1/m of a word of `find_wall`."""
    return from_bits(word & -0x1000)


def trees(word: chex.Array) -> chex.Array:
    """Return the elevation of the trees, height over forward distance."""
    return (word & (127 << 5)).astype(jnp.float32) * (SKYLINE_UNIT / 2**5)


def second_colour(word: chex.Array) -> chex.Array:
    """Return the share of the barrier's second colour."""
    return (word & 31).astype(jnp.float32) * BLOCK_UNIT


@jax.custom_batching.custom_vmap
def read(table: chex.Array, index: chex.Array) -> chex.Array:
    """Return `table[index]` as int32 for a uint32 table (A,) and in-range indices.

    It is one flat look-up under any `vmap`.
    """
    return jax.lax.bitcast_convert_type(look_up(table, index), jnp.int32)


@read.def_vmap
def _read_batched(
    axis_size: int, batched: list[bool], table: chex.Array, index: chex.Array
) -> tuple[chex.Array, bool]:
    """Join the batch of tables end to end instead of looking up in two dimensions."""
    if not batched[0]:
        return read(table, index), True
    if not batched[1]:
        index = index[None]

    shift = jnp.arange(axis_size, dtype=jnp.int32) * table.shape[1]
    shift = jnp.expand_dims(shift, tuple(range(1, index.ndim)))
    return read(table.reshape(-1), index + shift), True


def _along(fan: Fan, camera: Camera, x: chex.Array) -> Points:
    """Return the points (A,) at forward distances `x` (A,) m in the directions of a fan."""
    return Points(camera.x, camera.y, x * fan.east, x * fan.north)


def _wall_words(
    viewpoint: Viewpoint, fan: Fan, x: chex.Array, shrinking: chex.Array, config: ViewConfig
) -> chex.Array:
    """Pack barriers found at forward distances `x` (A,) m into words (A,) int32 of `find_wall`.

    `shrinking` (A,) is how fast the distance to the barrier shrinks there, in m per m forward.
    """
    scene, grid = viewpoint.scene, viewpoint.grid
    near = jnp.where(x > 0.5 * MAX_DISTANCE, 0.0, reciprocal(x))
    foot = _along(fan, viewpoint.camera, x)
    s = ground_at(scene, grid, foot, first_word(scene, grid, foot)).s

    # Over one direction dq the foot moves x dq / |b'| along the barrier.
    sharp = at_least(shrinking, 0.02) * near * config.focal
    second = 0.5 - 0.5 * square_wave(s, whole_frequency(grid.length, 2.0 * BLOCK), sharp)

    height = at_least(skyline.elevation(fan.east, fan.north) * fan.length, 0.0)
    height = height * (1.0 / SKYLINE_UNIT)
    low = (nearest(at_most(height, 127.0)) << 5) | nearest(second * (1.0 / BLOCK_UNIT))
    return ((float_bits(near) + 0x800) & -0x1000) | low
