"""The ground as the view reads it: four packed words per cell, made once from `Tracks`.

Each cell holds the second-order expansion of the track's distance field about its middle, so that
one look-up answers a pixel: with (dx, dy) the offset from the middle of the cell, g the gradient of
the edge distance, u = g_y dx - g_x dy the way along the level line, k that line's curvature and r
the lap metres per metre,

    edge = e0 + g · (dx, dy) + k u² / 2,      s = s0 ± r u,      barrier = b0 + h · (dx, dy).

Cells of all circuits lie end to end, 16 bytes each, and zeros fill the table up to a power of two:
a masked index is then in range for certain, and XLA's own check of every look-up folds away.
"""

import functools

import chex
import jax
import jax.numpy as jnp
from flax import struct

from kart_jax.render.cell import WORDS, Cell, write
from kart_jax.track import query
from kart_jax.track.types import Tracks


class Scene(struct.PyTreeNode):
    """The ground of T circuits for the view."""

    words: (
        chex.Array
    )  # (power of two,) uint32, cells of `cell.py`; circuits end to end, south first
    first: chex.Array  # (T,) int32, first cell of each circuit
    columns: chex.Array  # (T,) int32, cells from west to east
    rows: chex.Array  # (T,) int32, cells from south to north
    origin: chex.Array  # (T, 2) float32, m, south-west corner
    length: chex.Array  # (T,) float32, m, lap length
    cell_size: float = struct.field(pytree_node=False, default=1.0)  # m


class CellGrid(struct.PyTreeNode):
    """Where the cells of one circuit lie, taken out of the `Scene` once per kart."""

    first: chex.Array  # () int32, first cell
    columns: chex.Array  # () int32, cells from west to east
    rows: chex.Array  # () int32, cells from south to north
    x: chex.Array  # () m, south-west corner
    y: chex.Array  # () m
    length: chex.Array  # () m, lap length


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

    parts: list[chex.Array] = []
    first: list[int] = []
    total = 0
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
    """Return the power of two that holds `words` words."""
    return 1 << (words - 1).bit_length()


def cell_grid(scene: Scene, track: chex.Array) -> CellGrid:
    """Take the cells of circuit `track` (() int32) out of the stack."""

    def own(values: chex.Array) -> chex.Array:
        return jnp.take(values, track, mode="clip")

    return CellGrid(
        first=own(scene.first),
        columns=own(scene.columns),
        rows=own(scene.rows),
        x=own(scene.origin[:, 0]),
        y=own(scene.origin[:, 1]),
        length=own(scene.length),
    )


@jax.jit
def _circuit_words(tracks: Tracks, track: chex.Array) -> chex.Array:
    """Return the words (H, W, 4) of one circuit, padding included.

    Row by row, to keep the memory small.
    """
    height, width = tracks.cells.shape[1:]
    x = tracks.origin[track, 0] + (jnp.arange(width) + 0.5) * tracks.cell_size

    def row(index: chex.Array) -> chex.Array:
        y = jnp.broadcast_to(tracks.origin[track, 1] + (index + 0.5) * tracks.cell_size, x.shape)
        return _cell_words(tracks, track, x, y)

    return jax.lax.map(row, jnp.arange(height), batch_size=16)


def _cell_words(tracks: Tracks, track: chex.Array, x: chex.Array, y: chex.Array) -> chex.Array:
    """Return the words (..., 4) of cells with middles (x, y), by differences of the query."""
    h = 0.5 * tracks.cell_size
    find = functools.partial(query.locate, tracks, track)
    here = find(x, y)
    tx, ty = here.tx, here.ty
    ahead = find(x + h * tx, y + h * ty)
    behind = find(x - h * tx, y - h * ty)
    left = find(x - h * ty, y + h * tx)
    right = find(x + h * ty, y - h * tx)

    # Where the neighbours belong to another stretch of the circuit the differences mean nothing.
    length = tracks.length[track]
    way = jnp.mod(ahead.s - behind.s + 0.5 * length, length) - 0.5 * length
    across = jnp.abs(jnp.mod(left.s - right.s + 0.5 * length, length) - 0.5 * length)
    along_ok = jnp.abs(way) < 8.0 * h
    across_ok = (across < 4.0 * h) & (left.n * right.n > 0)

    def gradient(name: str, plain: chex.Array) -> tuple[chex.Array, chex.Array]:
        """Return the gradient of a field of the query along x and y; across, `plain` if unsure."""
        a, b, c, d = (getattr(p, name) for p in (ahead, behind, left, right))
        g_along = jnp.where(along_ok, (a - b) / (2.0 * h), 0.0)
        g_across = jnp.where(across_ok, (c - d) / (2.0 * h), plain)
        return g_along * tx - g_across * ty, g_along * ty + g_across * tx

    side = jnp.where(here.n >= 0, 1.0, -1.0)
    edge_x, edge_y = gradient("edge", side)
    barrier_x, barrier_y = gradient("barrier", -side)
    bend = (ahead.edge + behind.edge - 2.0 * here.edge) / (h * h)
    cell = Cell(
        edge=here.edge,
        edge_x=edge_x,
        edge_y=edge_y,
        rubber=here.n - here.rubber,
        s=here.s,
        kerb=here.kerb,
        side=side,
        bend=jnp.where(along_ok, bend, 0.0),
        rate=jnp.where(along_ok, way / (2.0 * h), 1.0),
        kerb_slope=jnp.where(along_ok, (ahead.kerb - behind.kerb) / (2.0 * h), 0.0),
        barrier=here.barrier,
        barrier_x=barrier_x,
        barrier_y=barrier_y,
    )
    return write(cell)
