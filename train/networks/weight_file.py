"""The file of weights that PyTorch or safetensors wrote, read as NumPy arrays; nothing in it runs.

Three forms of a state dict are read, without PyTorch:

- safetensors: 8 bytes little-endian length, a JSON header of that length, the numbers;
- `torch.save`, a zip: `NAME/data.pkl` holds a pickle of the state dict, `NAME/data/KEY` the numbers
  of one storage;
- `torch.save` before PyTorch 1.6: five pickles (magic number, version, machine, state dict, storage
  keys), then each storage as 8 bytes of length and the numbers. Weights published in those years
  still come like this.
"""

import io
import json
import math
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from kart_jax.errors import InputError
from train.networks.tensor import DTYPES, Tensor, to_array
from train.networks.torch_pickle import Unpickler, state_dict, unpickle

MAX_BYTES = 2**30  # of a file, and of the arrays in it
MAGIC = 0x1950A86A20F9469CFC6C  # first pickle of the older torch form

# The tensors of a file, and the way to the bytes of a storage by its key.
Tensors = tuple[dict[str, Tensor], Callable[[str], memoryview]]


def read(path: Path) -> dict[str, np.ndarray]:
    """Read a state dict.

    Args:
        path: .safetensors, or .pth (.pt) as `torch.save` writes it.

    Returns:
        Arrays by name; those of floating point as float32. InputError when the file cannot be read,
        is too large, damaged, no state dict, of an unknown number type, or names what no state dict
        needs.
    """
    data = _bytes(path)
    try:
        if data[:4] == b"PK\x03\x04":
            return _arrays(*_zip(data))
        if data[8:9] == b"{":
            return _arrays(*_safetensors(data))
        if data[:1] == b"\x80":
            return _arrays(*_pickles(data))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except Exception as error:  # a damaged file may raise anything inside pickle and zipfile
        raise InputError(
            f"{path}: is damaged and cannot be read ({type(error).__name__}); get it anew"
        ) from error

    raise InputError(
        f"{path}: is no file of weights; give a .safetensors file or what torch.save wrote (.pth)"
    )


def _bytes(path: Path) -> bytes:
    """Read the whole file; InputError when there is none or it is too large."""
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path}: is not a file; give a .pth or .safetensors file of weights")
        if (size := path.stat().st_size) > MAX_BYTES:
            raise InputError(
                f"{path}: has {size:,} bytes; at most {MAX_BYTES:,} are read, give the weights "
                "alone"
            )
        return path.read_bytes()

    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        reason = getattr(error, "strerror", None) or "no possible name"
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path}: cannot be read ({reason}); give a .pth or .safetensors file of weights"
        ) from error


def _arrays(
    tensors: dict[str, Tensor], storage: Callable[[str], memoryview]
) -> dict[str, np.ndarray]:
    """Copy every tensor into an array of its own; InputError when they are too large together."""
    total = sum(8 * math.prod(tensor.size) for tensor in tensors.values())
    if total > MAX_BYTES:
        raise InputError(
            f"holds {total // 8:,} numbers; at most {MAX_BYTES // 8:,} are read, give the weights "
            "alone"
        )
    return {
        name: to_array(name, tensor, storage(tensor.storage)) for name, tensor in tensors.items()
    }


def _safetensors(data: bytes) -> Tensors:
    """Find the tensors of a safetensors file, each a storage of its own."""
    begin = 8 + int.from_bytes(data[:8], "little")
    if begin > len(data):
        raise InputError(
            f"is damaged: its header ends at byte {begin:,} of {len(data):,}; get it anew"
        )
    header = json.loads(data[8:begin])
    header.pop("__metadata__", None)

    tensors: dict[str, Tensor] = {}
    spans: dict[str, tuple[int, int]] = {}
    for name, about in header.items():
        dtype = about["dtype"]
        size = tuple(about["shape"])
        start, stop = about["data_offsets"]
        if dtype not in DTYPES:
            raise InputError(
                f"holds {name} as {dtype}; allowed are {', '.join(DTYPES)}: save it as one of them"
            )

        wanted = math.prod(size) * np.dtype(DTYPES[dtype]).itemsize
        if not 0 <= start <= stop <= len(data) - begin or stop - start != wanted:
            raise InputError(
                f"is damaged: {name} of shape {size} has bytes {start} to {stop}; get it anew"
            )

        stride = tuple(math.prod(size[i + 1 :]) for i in range(len(size)))
        tensors[name] = Tensor(dtype, storage=name, offset=0, size=size, stride=stride)
        spans[name] = (begin + start, begin + stop)
    return tensors, lambda name: memoryview(data)[slice(*spans[name])]


def _zip(data: bytes) -> Tensors:
    """Find the tensors of a zip of `torch.save`."""
    archive = zipfile.ZipFile(io.BytesIO(data))
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
        raise InputError(
            "is a compressed zip; torch.save compresses nothing: unpack it and give the file inside"
        )
    pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise InputError(
            "is a zip without the data.pkl of torch.save; unpack it and give the file inside"
        )
    root = pickles[0].removesuffix("data.pkl")
    if f"{root}byteorder" in archive.namelist() and archive.read(f"{root}byteorder") != b"little":
        raise InputError("was written big-endian; save it again on a little-endian machine")

    tensors = state_dict(unpickle(io.BytesIO(archive.read(pickles[0]))))
    storages = {
        key: memoryview(archive.read(f"{root}data/{key}"))
        for key in {tensor.storage for tensor in tensors.values()}
    }
    return tensors, storages.__getitem__


def _pickles(data: bytes) -> Tensors:
    """Find the tensors of a file of `torch.save` before 1.6."""
    stream = io.BytesIO(data)
    if unpickle(stream) != MAGIC:
        raise InputError(
            "is a pickle, but none of torch.save; give what torch.save(model.state_dict(), FILE) "
            "wrote"
        )
    unpickle(stream)  # the version
    machine = unpickle(stream)
    if machine.get("little_endian") is not True:
        raise InputError("was written big-endian; save it again on a little-endian machine")

    unpickler = Unpickler(stream)
    tensors = state_dict(unpickle(stream, unpickler))
    storages: dict[str, memoryview] = {}
    for key in unpickle(stream):
        count = int.from_bytes(stream.read(8), "little")
        begin = stream.tell()
        end = begin + count * np.dtype(DTYPES[unpickler.storages[key]]).itemsize
        if end > len(data):
            raise InputError(
                f"is damaged: it ends at byte {len(data):,}, before its last numbers; get it anew"
            )
        storages[key] = memoryview(data)[begin:end]
        stream.seek(end)
    return tensors, storages.__getitem__
