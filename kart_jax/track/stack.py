"""Join circuits into one stack by padding their arrays to common shapes."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from kart_jax.errors import InputError
from kart_jax.track.types import Tracks

MAX_INDEX = 2**31 - 1  # the look-ups flatten (track, row, column) into one int32
VIEW_WORDS = 4  # per cell, in the view's picture of the ground; one int32 numbers all words of it
PADDING = {  # value that fills each array up to the common shape; samples repeat their row 0
    "spacing": 0,
    "length": 0,
    "cells": 0,
    "origin": 0,
    "extent": 0,
    "gates": np.inf,
    "gate_count": 0,
    "sectors": 0,
    "grid_s": 0,
    "grid_n": 0,
}


def stack(circuits: Sequence[Tracks]) -> Tracks:
    """Join stacks of circuits; a circuit answers every query as it does alone.

    They follow each other along the leading axis. Samples are padded with their row 0, the other
    arrays as in `PADDING`; `count`, `extent` and `gate_count` say how much is in use.

    Raises:
        InputError: nothing to stack, different cell sizes, or more cells than an int32 can number,
            be it here or in the view, which keeps `VIEW_WORDS` words of each cell in use.
    """
    if not circuits:
        raise InputError("the list of tracks is empty; name at least one track")
    if len(circuits) == 1:
        return circuits[0]
    sizes = sorted({c.cell_size for c in circuits})
    if len(sizes) > 1:
        raise InputError(
            f"the tracks have cell sizes {sizes} m; build every track of a stack with the same "
            "cell_size"
        )
    words = VIEW_WORDS * sum(_cells_in_use(c) for c in circuits)
    if words > MAX_INDEX:
        raise InputError(
            f"the stack of {sum(c.size for c in circuits)} tracks needs {words} words for its "
            "view, more than 2^31; use fewer or smaller tracks"
        )

    samples = _join([np.asarray(c.samples) for c in circuits])
    counts = np.concatenate([np.asarray(c.count) for c in circuits])
    for rows, count in zip(samples, counts, strict=True):
        rows[count:] = rows[0]

    arrays = {}
    for name, fill in PADDING.items():
        joined = _join([np.asarray(getattr(c, name)) for c in circuits], fill)
        arrays[name] = jnp.asarray(joined)
    return Tracks(
        samples=jnp.asarray(samples), count=jnp.asarray(counts), cell_size=sizes[0], **arrays
    )


def _cells_in_use(circuits: Tracks) -> int:
    """Count the cells of the circuits' own extents, without padding."""
    sides = np.rint(np.asarray(circuits.extent, float) / circuits.cell_size).astype(int)
    return int((sides[:, 0] * sides[:, 1]).sum())


def _join(parts: list[np.ndarray], fill: float = 0) -> np.ndarray:
    """Concatenate along axis 0 after padding the other axes at their ends with `fill`."""
    shape = ()
    if parts[0].ndim > 1:
        shape = np.max([part.shape[1:] for part in parts], axis=0).astype(int)
    total = sum(len(part) for part in parts)
    if total * int(np.prod(shape)) > MAX_INDEX:
        raise InputError(
            f"the stack of {total} tracks has arrays of {' x '.join(map(str, shape))} each, more "
            "than 2^31 numbers in all; use fewer tracks, or do not mix thousands of small tracks "
            "with a very large one"
        )

    whole = np.full((total, *shape), fill, parts[0].dtype)
    row = 0
    for part in parts:
        whole[(slice(row, row + len(part)), *map(slice, part.shape[1:]))] = part
        row += len(part)
    return whole
