"""The ground as the view reads it: four packed words per cell, made once from `Tracks`.

Each cell of the plane holds the second-order expansion of the track's distance field about its
middle, so that one look-up answers a pixel: with (dx, dy) the offset from the middle of the cell, g
the gradient of the edge distance, u = g_y dx - g_x dy the way along the level line, k that line's
curvature and r the lap metres per metre,

    edge = e0 + g · (dx, dy) + k u² / 2,      s = s0 ± r u,      barrier = b0 + h · (dx, dy).

Cells of all circuits lie end to end, 16 bytes each, and zeros fill the table up to a power of two:
a masked index is then in range for certain, and XLA's own check of every look-up folds away.
"""

import functools

import chex
import jax
import jax.numpy as jnp
from flax import struct

from kart_jax.track import query
from kart_jax.track.types import Tracks
from kart_jax.xla.arithmetic import float_bits, from_bits, look_up, nearest, share
from kart_jax.xla.bounds import within

EDGE_UNIT = 0.002  # m, range ±65 m
SLOPE_UNIT = 0.01  # range ±1.27, gradients of distances
S_UNIT = 0.025  # m, 19 bits: laps up to 13.1 km
RUBBER_UNIT = 0.05  # m, range ±6.4 m
KERB_UNIT = 1.0 / 31.0
KERB_SLOPE_UNIT = 1.0 / 16.0  # 1/m, range ±1
BEND_UNIT = 1.0 / 4096.0  # 1/m, range ±0.5
RATE_UNIT = 1.0 / 256.0  # lap metres per metre, range 0..4
BARRIER_UNIT = 0.005  # m, range ±163 m
WORDS = 4
SIGN = -(2**31)  # bit 31


class Scene(struct.PyTreeNode):
    """The ground of T circuits for the view."""

    words: (
        chex.Array
    )  # (power of two,) uint32, see `_cell_words`; circuits one after another, rows from the south
    first: chex.Array  # (T,) int32, first cell of each circuit
    columns: chex.Array  # (T,) int32, cells from west to east
    rows: chex.Array  # (T,) int32, cells from south to north
    origin: chex.Array  # (T, 2) float32, m, south-west corner
    length: chex.Array  # (T,) float32, m, lap length
    cell_size: float = struct.field(pytree_node=False, default=1.0)  # m


class Ground(struct.PyTreeNode):
    """The circuit at points of the ground; every field has the shape of the points."""

    edge: chex.Array  # m past the nearer edge of the asphalt, negative on it
    edge_x: chex.Array  # gradient of `edge` in world axes
    edge_y: chex.Array
    s: chex.Array  # m, arc length, within half a cell outside [0, length) at the start line
    rate: chex.Array  # lap metres per metre along the level line
    rubber: chex.Array  # m, distance from the rubbered line, signed
    kerb: chex.Array  # 0..1, kerb beyond the nearer edge


def pack(tracks: Tracks) -> Scene:
    """Make the view's ground from a stack of circuits: once, outside any jitted loop.

    Args:
        tracks: T circuits, concrete (not traced) arrays.

    Returns:
        The `Scene`: 16 bytes per cell of each circuit's own extent, rounded up to a power of two
            altogether.
    """
    shapes = [
        (max(1, round(float(h) / tracks.cell_size)), max(1, round(float(w) / tracks.cell_size)))
        for w, h in jax.device_get(tracks.extent)
    ]
    parts, first, total = [], [], 0
    for t, (rows, columns) in enumerate(shapes):
        words = _circuit_words(tracks, jnp.int32(t))
        parts.append(words[:rows, :columns].reshape(-1))
        first.append(total)
        total += rows * columns
    words = jnp.pad(jnp.concatenate(parts), (0, padded(WORDS * total) - WORDS * total))
    return Scene(
        words=jax.lax.bitcast_convert_type(words, jnp.uint32),
        first=jnp.asarray(first, jnp.int32),
        columns=jnp.asarray([c for _, c in shapes], jnp.int32),
        rows=jnp.asarray([r for r, _ in shapes], jnp.int32),
        origin=tracks.origin,
        length=tracks.length,
        cell_size=tracks.cell_size,
    )


def padded(words: int) -> int:
    """The power of two that holds `words` words."""
    return 1 << (words - 1).bit_length()


@jax.jit
def _circuit_words(tracks: Tracks, track: chex.Array) -> chex.Array:
    """Words (H, W, 4) of one circuit, padding included, row by row to keep the memory small."""
    height, width = tracks.cells.shape[1:]
    x = tracks.origin[track, 0] + (jnp.arange(width) + 0.5) * tracks.cell_size

    def row(index: chex.Array) -> chex.Array:
        y = jnp.broadcast_to(tracks.origin[track, 1] + (index + 0.5) * tracks.cell_size, x.shape)
        return _cell_words(tracks, track, x, y)

    return jax.lax.map(row, jnp.arange(height), batch_size=16)


def _cell_words(tracks: Tracks, track: chex.Array, x: chex.Array, y: chex.Array) -> chex.Array:
    """Words (..., 4) of the cells whose middles are (x, y): central differences of the exact
    query."""
    h = 0.5 * tracks.cell_size
    find = functools.partial(query.locate, tracks, track)
    here = find(x, y)
    tx, ty = here.tx, here.ty
    ahead, behind = find(x + h * tx, y + h * ty), find(x - h * tx, y - h * ty)
    left, right = find(x - h * ty, y + h * tx), find(x + h * ty, y - h * tx)
    length = tracks.length[track]
    side = jnp.where(here.n >= 0, 1.0, -1.0)
    way = jnp.mod(ahead.s - behind.s + 0.5 * length, length) - 0.5 * length
    across = jnp.abs(jnp.mod(left.s - right.s + 0.5 * length, length) - 0.5 * length)
    # Where the neighbours belong to another stretch of the circuit the differences mean nothing.
    along_ok, across_ok = jnp.abs(way) < 8.0 * h, (across < 4.0 * h) & (left.n * right.n > 0)

    def gradient(name: str, plain: chex.Array) -> tuple[chex.Array, chex.Array]:
        a, b, c, d = (getattr(p, name) for p in (ahead, behind, left, right))
        g_along = jnp.where(along_ok, (a - b) / (2.0 * h), 0.0)
        g_across = jnp.where(across_ok, (c - d) / (2.0 * h), plain)
        return g_along * tx - g_across * ty, g_along * ty + g_across * tx

    edge_x, edge_y = gradient("edge", side)
    barrier_x, barrier_y = gradient("barrier", -side)
    bend = jnp.where(along_ok, (ahead.edge + behind.edge - 2.0 * here.edge) / (h * h), 0.0)
    rate = jnp.where(along_ok, way / (2.0 * h), 1.0)
    kerb_slope = jnp.where(along_ok, (ahead.kerb - behind.kerb) / (2.0 * h), 0.0)
    a = (
        _field(here.edge, EDGE_UNIT, 16, 16)
        | _field(edge_x, SLOPE_UNIT, 8, 8)
        | _field(edge_y, SLOPE_UNIT, 8, 0)
    )
    b = (
        _field(here.n - here.rubber, RUBBER_UNIT, 8, 24)
        | _count(here.s, S_UNIT, 19, 5)
        | _count(here.kerb, KERB_UNIT, 5, 0)
    )
    c = (
        _field(bend, BEND_UNIT, 12, 15)
        | _count(rate, RATE_UNIT, 10, 5)
        | _field(kerb_slope, KERB_SLOPE_UNIT, 5, 0)
    )
    c = c | jnp.where(side < 0, SIGN, 0)
    d = (
        _field(here.barrier, BARRIER_UNIT, 16, 16)
        | _field(barrier_x, SLOPE_UNIT, 8, 8)
        | _field(barrier_y, SLOPE_UNIT, 8, 0)
    )
    return jnp.stack([a, b, c, d], axis=-1)


def _field(value: chex.Array, unit: float, bits: int, shift: int) -> chex.Array:
    """Signed fixed-point field of a word: round(value / unit), clipped to `bits`, moved up by
    `shift`.

    The word's uppermost field is a two's complement, the others count from their least value, so
    that one mask and one conversion read either.
    """
    top = 2 ** (bits - 1) - 1
    number = jnp.clip(jnp.round(value / unit), -top, top).astype(jnp.int32)
    return ((number + _offset(bits, shift)) & (2**bits - 1)) << shift


def _count(value: chex.Array, unit: float, bits: int, shift: int) -> chex.Array:
    """Unsigned fixed-point field of a word, which leaves bit 31 alone."""
    return jnp.clip(jnp.round(value / unit), 0, 2**bits - 1).astype(jnp.int32) << shift


def _offset(bits: int, shift: int) -> int:
    """What a signed field adds to its number."""
    return 0 if bits + shift == 32 else 2 ** (bits - 1)


def _unsigned(word: chex.Array, bits: int, shift: int, unit: float) -> chex.Array:
    """Read a field written by `_count`: the bits stay where they are, and the unit makes up for
    it."""
    mask = (2**bits - 1) << shift
    return (word & jnp.int32(mask - 2**32 if mask >= 2**31 else mask)).astype(jnp.float32) * (
        unit / 2**shift
    )


def _signed(word: chex.Array, bits: int, shift: int, unit: float) -> chex.Array:
    """Read a field written by `_field`."""
    return _unsigned(word, bits, shift, unit) - _offset(bits, shift) * unit


class Plane(struct.PyTreeNode):
    """The cells of one circuit, its scalars taken out of the stack once per kart."""

    first: chex.Array  # () int32
    columns: chex.Array  # () int32
    rows: chex.Array  # () int32
    x: chex.Array  # () m, south-west corner
    y: chex.Array  # () m
    length: chex.Array  # () m


def plane(scene: Scene, track: chex.Array) -> Plane:
    """Scalars of circuit `track` (() int32)."""

    def own(values: chex.Array) -> chex.Array:
        return jnp.take(values, track, mode="clip")

    return Plane(
        first=own(scene.first),
        columns=own(scene.columns),
        rows=own(scene.rows),
        x=own(scene.origin[:, 0]),
        y=own(scene.origin[:, 1]),
        length=own(scene.length),
    )


def _cell(
    scene: Scene,
    here: Plane,
    camera_x: chex.Array,
    camera_y: chex.Array,
    x: chex.Array,
    y: chex.Array,
) -> tuple[chex.Array, chex.Array, chex.Array]:
    """First word of a point's cell, and the offset (dx, dy) m from its middle; outside, the border
    cell's.

    The point is at the offset (x, y) (...) m from (camera_x, camera_y) () m, world.
    """
    size = scene.cell_size
    cx = x * (1.0 / size) + ((camera_x - here.x) * (1.0 / size) - 0.5)
    cy = y * (1.0 / size) + ((camera_y - here.y) * (1.0 / size) - 0.5)
    column = nearest(within(cx, 0.0, (here.columns - 1).astype(jnp.float32)))
    row = nearest(within(cy, 0.0, (here.rows - 1).astype(jnp.float32)))
    dx, dy = (cx - column.astype(jnp.float32)) * size, (cy - row.astype(jnp.float32)) * size
    return (here.first + row * here.columns + column) * WORDS, dx, dy


def first_word(
    scene: Scene,
    here: Plane,
    camera_x: chex.Array,
    camera_y: chex.Array,
    x: chex.Array,
    y: chex.Array,
) -> chex.Array:
    """Number (...) int32 of the first word of the cell of points (x, y), for `ground`; arguments as
    there.

    Worth storing before many points are looked up: in one loop with the look-up, LLVM computes all
    that an address depends on lane by lane, which costs more than the shading.
    """
    return _cell(scene, here, camera_x, camera_y, x, y)[0]


def _held(scene: Scene, index: chex.Array) -> chex.Array:
    """First words (...) of cells, as they are, in a form that the compiler knows to be within the
    table."""
    return index & (scene.words.shape[0] - WORDS)


def _read(scene: Scene, index: chex.Array) -> chex.Array:
    """Words at `index` (...) as int32.

    The words are stored unsigned so that this bitcast is the only user of the gather: XLA fuses a
    gather into the shading loop only if nothing else reads it, and a fused look-up is several times
    faster on a CPU.
    """
    return jax.lax.bitcast_convert_type(look_up(scene.words, index), jnp.int32)


def ground(
    scene: Scene,
    here: Plane,
    camera_x: chex.Array,
    camera_y: chex.Array,
    x: chex.Array,
    y: chex.Array,
    index: chex.Array,
) -> Ground:
    """The circuit at points (x, y) (...) m from (camera_x, camera_y) () m, world axes: one cell,
    three words.

    `index` (...) is `first_word` of the same points.
    """
    _, dx, dy = _cell(scene, here, camera_x, camera_y, x, y)
    index = _held(scene, index)
    a, b, c = _read(scene, index), _read(scene, index + 1), _read(scene, index + 2)
    edge_x, edge_y = _signed(a, 8, 8, SLOPE_UNIT), _signed(a, 8, 0, SLOPE_UNIT)
    side = from_bits(float_bits(jnp.float32(1.0)) | (c & SIGN))  # the sign of 1.0
    linear = edge_x * dx + edge_y * dy
    along = (edge_y * dx - edge_x * dy) * side  # driving direction
    bounded = within(along, -1.0, 1.0)  # beyond the border cells only the linear part goes on
    rate = _unsigned(c, 10, 5, RATE_UNIT)
    return Ground(
        edge=_signed(a, 16, 16, EDGE_UNIT)
        + linear
        + _signed(c, 12, 15, 0.5 * BEND_UNIT) * (bounded * bounded),
        edge_x=edge_x,
        edge_y=edge_y,
        s=_unsigned(b, 19, 5, S_UNIT) + rate * along,
        rate=rate,
        rubber=_signed(b, 8, 24, RUBBER_UNIT) + linear * side,
        kerb=share(_unsigned(b, 5, 0, KERB_UNIT) + _signed(c, 5, 0, KERB_SLOPE_UNIT) * bounded),
    )


def barrier(
    scene: Scene,
    here: Plane,
    camera_x: chex.Array,
    camera_y: chex.Array,
    x: chex.Array,
    y: chex.Array,
) -> tuple[chex.Array, chex.Array, chex.Array]:
    """Distance (...) m to the barrier, negative behind it, and its gradient in world axes; points
    as in `ground`."""
    index, dx, dy = _cell(scene, here, camera_x, camera_y, x, y)
    word = _read(scene, _held(scene, index) + 3)
    gx, gy = _signed(word, 8, 8, SLOPE_UNIT), _signed(word, 8, 0, SLOPE_UNIT)
    return _signed(word, 16, 16, BARRIER_UNIT) + gx * dx + gy * dy, gx, gy
