"""The circuit under points of the ground, read from the packed cells of a `Scene`."""

import chex
import jax
import jax.numpy as jnp
from flax import struct

from kart_jax.render.cell import (
    BARRIER_UNIT,
    BEND_UNIT,
    EDGE_UNIT,
    KERB_SLOPE_UNIT,
    KERB_UNIT,
    RATE_UNIT,
    RUBBER_UNIT,
    S_UNIT,
    SIGN,
    SLOPE_UNIT,
    WORDS,
    read_count,
    read_signed,
)
from kart_jax.render.scene import CellGrid, Scene
from kart_jax.xla.arithmetic import float_bits, from_bits, look_up, nearest, share
from kart_jax.xla.bounds import within


class Points(struct.PyTreeNode):
    """Points of the ground as offsets from under an eye, world axes."""

    eye_x: chex.Array  # () m, world
    eye_y: chex.Array  # () m, world
    x: chex.Array  # (...) m, from the eye along world x
    y: chex.Array  # (...) m, from the eye along world y


class Ground(struct.PyTreeNode):
    """The circuit at points of the ground; every field has the shape of the points."""

    edge: chex.Array  # m past the nearer edge of the asphalt, negative on it
    edge_x: chex.Array  # gradient of `edge` in world axes
    edge_y: chex.Array
    s: chex.Array  # m, arc length, within half a cell outside [0, length) at the start line
    rate: chex.Array  # lap metres per metre along the level line
    rubber: chex.Array  # m, distance from the rubbered line, signed
    kerb: chex.Array  # 0..1, kerb beyond the nearer edge


def first_word(scene: Scene, grid: CellGrid, points: Points) -> chex.Array:
    """Return the number (...) int32 of the first word of each point's cell, for `ground_at`.

    Worth storing before many points are looked up: in one loop with the look-up, LLVM computes all
    that an address depends on lane by lane, which costs more than the shading.
    """
    index, _, _ = _cell(scene, grid, points)
    return index


def ground_at(scene: Scene, grid: CellGrid, points: Points, index: chex.Array) -> Ground:
    """Read the circuit at points of the ground: one cell each, three words.

    Args:
        scene: all cells.
        grid: where those of the circuit lie.
        points: (...) where to read.
        index: (...) int32, `first_word` of the same points.
    """
    _, dx, dy = _cell(scene, grid, points)
    index = _held(scene, index)
    edge_word = _read(scene, index)
    lap_word = _read(scene, index + 1)
    bend_word = _read(scene, index + 2)

    edge_x = read_signed(edge_word, 8, 8, SLOPE_UNIT)
    edge_y = read_signed(edge_word, 8, 0, SLOPE_UNIT)
    side = from_bits(float_bits(jnp.float32(1.0)) | (bend_word & SIGN))  # the sign of 1.0
    linear = edge_x * dx + edge_y * dy
    along = (edge_y * dx - edge_x * dy) * side  # driving direction
    bounded = within(along, -1.0, 1.0)  # beyond the border cells only the linear part goes on

    bend = read_signed(bend_word, 12, 15, 0.5 * BEND_UNIT)
    rate = read_count(bend_word, 10, 5, RATE_UNIT)
    kerb_slope = read_signed(bend_word, 5, 0, KERB_SLOPE_UNIT)
    return Ground(
        edge=read_signed(edge_word, 16, 16, EDGE_UNIT) + linear + bend * (bounded * bounded),
        edge_x=edge_x,
        edge_y=edge_y,
        s=read_count(lap_word, 19, 5, S_UNIT) + rate * along,
        rate=rate,
        rubber=read_signed(lap_word, 8, 24, RUBBER_UNIT) + linear * side,
        kerb=share(read_count(lap_word, 5, 0, KERB_UNIT) + kerb_slope * bounded),
    )


def barrier_at(
    scene: Scene, grid: CellGrid, points: Points
) -> tuple[chex.Array, chex.Array, chex.Array]:
    """Read the distance (...) m to the barrier, negative behind it, and its gradient along x, y."""
    index, dx, dy = _cell(scene, grid, points)
    word = _read(scene, _held(scene, index) + 3)
    gx = read_signed(word, 8, 8, SLOPE_UNIT)
    gy = read_signed(word, 8, 0, SLOPE_UNIT)
    return read_signed(word, 16, 16, BARRIER_UNIT) + gx * dx + gy * dy, gx, gy


def _cell(
    scene: Scene, grid: CellGrid, points: Points
) -> tuple[chex.Array, chex.Array, chex.Array]:
    """Return the first word of each point's cell, and the offset (dx, dy) m from its middle.

    Outside of the circuit's cells they are those of the nearest cell at the border.
    """
    size = scene.cell_size
    cx = points.x * (1.0 / size) + ((points.eye_x - grid.x) * (1.0 / size) - 0.5)
    cy = points.y * (1.0 / size) + ((points.eye_y - grid.y) * (1.0 / size) - 0.5)
    column = nearest(within(cx, 0.0, (grid.columns - 1).astype(jnp.float32)))
    row = nearest(within(cy, 0.0, (grid.rows - 1).astype(jnp.float32)))

    dx = (cx - column.astype(jnp.float32)) * size
    dy = (cy - row.astype(jnp.float32)) * size
    return (grid.first + row * grid.columns + column) * WORDS, dx, dy


def _held(scene: Scene, index: chex.Array) -> chex.Array:
    """Return first words (...) unchanged, in a form that the compiler knows to be in the table."""
    return index & (scene.words.shape[0] - WORDS)


def _read(scene: Scene, index: chex.Array) -> chex.Array:
    """Read the words at `index` (...) as int32.

    The words are stored unsigned so that this bitcast is the only user of the gather: XLA fuses a
    gather into the shading loop only if nothing else reads it, and a fused look-up is several times
    faster on a CPU.
    """
    return jax.lax.bitcast_convert_type(look_up(scene.words, index), jnp.int32)
