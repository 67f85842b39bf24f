"""A tensor of a file of weights: where its numbers lie in a storage, and how they are read."""

import math
from dataclasses import dataclass

import numpy as np

from kart_jax.errors import InputError

# Names of safetensors, and how NumPy reads them; BF16 is the upper half of a float32.
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "BOOL": "?"} | {
    f"{kind.upper()}{8 * size}": f"<{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)
}


@dataclass(frozen=True)
class Tensor:
    """Where a tensor's numbers are; element `i` lies at `offset` + sum of `i` times `stride`."""

    dtype: str
    """Key of `DTYPES`."""
    storage: str
    """Key of the storage."""
    offset: int
    """Of its first number in the storage, in numbers."""
    size: tuple[int, ...]
    """Its shape."""
    stride: tuple[int, ...]
    """Numbers from one index to the next, per axis."""


def to_array(name: str, tensor: Tensor, storage: memoryview) -> np.ndarray:
    """Copy a tensor out of the bytes of its storage; floating point becomes float32.

    InputError, with the tensor's name, when its numbers are not all there.
    """
    numbers = np.frombuffer(storage, DTYPES[tensor.dtype])
    places = (tensor.offset, *tensor.size, *tensor.stride)
    if not all(isinstance(place, int) and place >= 0 for place in places):
        raise InputError(f"is damaged: {name} has a shape that is none; get it anew")

    last = tensor.offset + sum(
        (n - 1) * step for n, step in zip(tensor.size, tensor.stride, strict=True)
    )
    count = math.prod(tensor.size)
    if count > numbers.size or (count and last >= numbers.size):
        raise InputError(
            f"is damaged: {name} reaches beyond the numbers that are there; get it anew"
        )

    strides = [step * numbers.itemsize for step in tensor.stride]
    view = np.lib.stride_tricks.as_strided(
        numbers[tensor.offset :] if count else numbers, tensor.size, strides
    )
    if tensor.dtype == "BF16":
        return (view.astype(np.uint32) << 16).view(np.float32)
    with np.errstate(over="ignore"):  # a double beyond float32 becomes infinite
        return view.astype(np.float32 if view.dtype.kind == "f" else view.dtype)
