"""What is written into the four packed words of a cell, and how it is read again.

word 0   edge distance 16 bits, its gradient along x 8 and along y 8
word 1   distance from the rubbered line 8, arc length 19, kerb 5
word 2   side of the centre line 1, bend of the edge 12, rate 10, slope of the kerb 5
word 3   barrier distance 16, its gradient along x 8 and along y 8
"""

import chex
import jax.numpy as jnp
from flax import struct

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


class Cell(struct.PyTreeNode):
    """What is known of the middle of a cell; every field (...)."""

    edge: chex.Array  # m past the nearer edge of the asphalt, negative on it
    edge_x: chex.Array  # gradient of `edge` along world x
    edge_y: chex.Array  # gradient of `edge` along world y
    rubber: chex.Array  # m, to the left of the rubbered line
    s: chex.Array  # m, arc length
    kerb: chex.Array  # 0..1, kerb beyond the nearer edge
    side: chex.Array  # 1 to the left of the centre line, -1 to the right of it
    bend: chex.Array  # 1/m, second derivative of `edge` along the lap
    rate: chex.Array  # lap metres per metre along the level line
    kerb_slope: chex.Array  # 1/m, change of `kerb` along the lap
    barrier: chex.Array  # m to the nearer barrier, negative behind it
    barrier_x: chex.Array  # gradient of `barrier` along world x
    barrier_y: chex.Array  # gradient of `barrier` along world y


def write(cell: Cell) -> chex.Array:
    """Return the words (..., 4) int32 of cells (...)."""
    edge_word = (
        write_signed(cell.edge, EDGE_UNIT, 16, 16)
        | write_signed(cell.edge_x, SLOPE_UNIT, 8, 8)
        | write_signed(cell.edge_y, SLOPE_UNIT, 8, 0)
    )
    lap_word = (
        write_signed(cell.rubber, RUBBER_UNIT, 8, 24)
        | write_count(cell.s, S_UNIT, 19, 5)
        | write_count(cell.kerb, KERB_UNIT, 5, 0)
    )
    bend_word = (
        write_signed(cell.bend, BEND_UNIT, 12, 15)
        | write_count(cell.rate, RATE_UNIT, 10, 5)
        | write_signed(cell.kerb_slope, KERB_SLOPE_UNIT, 5, 0)
        | jnp.where(cell.side < 0, SIGN, 0)
    )
    barrier_word = (
        write_signed(cell.barrier, BARRIER_UNIT, 16, 16)
        | write_signed(cell.barrier_x, SLOPE_UNIT, 8, 8)
        | write_signed(cell.barrier_y, SLOPE_UNIT, 8, 0)
    )
    return jnp.stack([edge_word, lap_word, bend_word, barrier_word], axis=-1)


def write_signed(value: chex.Array, unit: float, bits: int, shift: int) -> chex.Array:
    """Return round(value / unit), clipped to `bits` with a sign, moved up by `shift`; int32.

    The word's uppermost field is a two's complement, the others count from their least value, so
    that one mask and one conversion read either.
    """
    top = 2 ** (bits - 1) - 1
    number = jnp.clip(jnp.round(value / unit), -top, top).astype(jnp.int32)
    return ((number + _offset(bits, shift)) & (2**bits - 1)) << shift


def write_count(value: chex.Array, unit: float, bits: int, shift: int) -> chex.Array:
    """Return round(value / unit), clipped to `bits` without a sign, moved up by `shift`; int32.

    The field must leave bit 31 alone.
    """
    return jnp.clip(jnp.round(value / unit), 0, 2**bits - 1).astype(jnp.int32) << shift


def read_count(word: chex.Array, bits: int, shift: int, unit: float) -> chex.Array:
    """Read a field of `write_count`: its bits stay in place, and the unit makes up for it."""
    mask = (2**bits - 1) << shift
    signed_mask = jnp.int32(mask - 2**32 if mask >= 2**31 else mask)
    return (word & signed_mask).astype(jnp.float32) * (unit / 2**shift)


def read_signed(word: chex.Array, bits: int, shift: int, unit: float) -> chex.Array:
    """Read a field written by `write_signed`."""
    return read_count(word, bits, shift, unit) - _offset(bits, shift) * unit


def _offset(bits: int, shift: int) -> int:
    """Return what a signed field adds to its number."""
    return 0 if bits + shift == 32 else 2 ** (bits - 1)
