"""Files of weights: the state dict that PyTorch or safetensors wrote, as NumPy arrays; nothing in a
file is ever run.

Three forms are read, without PyTorch:

- safetensors: 8 bytes little-endian length, a JSON header of that length, the numbers;
- `torch.save`, a zip: `NAME/data.pkl` holds a pickle of the state dict, `NAME/data/KEY` the numbers
  of one storage;
- `torch.save` before PyTorch 1.6: five pickles (magic number, version, machine, state dict, storage
    keys), then each storage as 8 bytes of length and the numbers. Weights published in those years
    still come like this.

A pickle is a program that may call anything. Here it may name an ordered dictionary, a tensor and a
storage, all three of this file's making, and nothing else.
"""

import io
import json
import math
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kart_jax.errors import InputError

LARGEST = 2**30  # bytes of a file and of the arrays in it
MAGIC = 0x1950A86A20F9469CFC6C  # first pickle of the older torch form
# Names of safetensors, and how NumPy reads them; BF16 is the upper half of a float32.
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "BOOL": "?"} | {
    f"{kind.upper()}{8 * size}": f"<{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)
}
STORAGES = {
    "DoubleStorage": "F64",
    "FloatStorage": "F32",
    "HalfStorage": "F16",
    "BFloat16Storage": "BF16",
    "LongStorage": "I64",
    "IntStorage": "I32",
    "ShortStorage": "I16",
    "CharStorage": "I8",
    "ByteStorage": "U8",
    "BoolStorage": "BOOL",
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
    """The whole file; InputError when there is none or it is too large."""
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path}: is not a file; give a .pth or .safetensors file of weights")
        if (size := path.stat().st_size) > LARGEST:
            raise InputError(
                f"{path}: has {size:,} bytes; at most {LARGEST:,} are read, give the weights alone"
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
    tensors: Mapping[str, Tensor], storage: Callable[[str], memoryview]
) -> dict[str, np.ndarray]:
    """Every tensor as an array of its own."""
    total = sum(8 * math.prod(tensor.size) for tensor in tensors.values())
    if total > LARGEST:
        raise InputError(
            f"holds {total // 8:,} numbers; at most {LARGEST // 8:,} are read, give the weights "
            "alone"
        )
    return {name: _array(name, tensor, storage(tensor.storage)) for name, tensor in tensors.items()}


def _array(name: str, tensor: Tensor, raw: memoryview) -> np.ndarray:
    """One tensor out of the bytes of its storage."""
    numbers = np.frombuffer(raw, DTYPES[tensor.dtype])
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
    steps = [step * numbers.itemsize for step in tensor.stride]
    found = np.lib.stride_tricks.as_strided(
        numbers[tensor.offset :] if count else numbers, tensor.size, steps
    )
    if tensor.dtype == "BF16":
        return (found.astype(np.uint32) << 16).view(np.float32)
    with np.errstate(over="ignore"):  # a double beyond float32 becomes infinite
        return found.astype(np.float32 if found.dtype.kind == "f" else found.dtype)


def _safetensors(data: bytes) -> tuple[dict[str, Tensor], Callable[[str], memoryview]]:
    """Tensors of a safetensors file, each a storage of its own, and the way to their bytes."""
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
        dtype, size, (start, stop) = about["dtype"], tuple(about["shape"]), about["data_offsets"]
        if dtype not in DTYPES:
            raise InputError(
                f"holds {name} as {dtype}; allowed are {', '.join(DTYPES)}: save it as one of them"
            )
        wanted = math.prod(size) * np.dtype(DTYPES[dtype]).itemsize
        if not 0 <= start <= stop <= len(data) - begin or stop - start != wanted:
            raise InputError(
                f"is damaged: {name} of shape {size} has bytes {start} to {stop}; get it anew"
            )
        tensors[name] = Tensor(
            dtype, name, 0, size, tuple(math.prod(size[i + 1 :]) for i in range(len(size)))
        )
        spans[name] = (begin + start, begin + stop)
    return tensors, lambda name: memoryview(data)[slice(*spans[name])]


def _zip(data: bytes) -> tuple[dict[str, Tensor], Callable[[str], memoryview]]:
    """Tensors of a zip of `torch.save`, and the way to the bytes of their storages."""
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
    tensors = _state_dict(_unpickle(io.BytesIO(archive.read(pickles[0]))))
    raw = {
        key: memoryview(archive.read(f"{root}data/{key}"))
        for key in {t.storage for t in tensors.values()}
    }
    return tensors, raw.__getitem__


def _pickles(data: bytes) -> tuple[dict[str, Tensor], Callable[[str], memoryview]]:
    """Tensors of a file of `torch.save` before 1.6, and the way to the bytes of their storages."""
    stream = io.BytesIO(data)
    if _unpickle(stream) != MAGIC:
        raise InputError(
            "is a pickle, but none of torch.save; give what torch.save(model.state_dict(), FILE) "
            "wrote"
        )
    _version, machine = _unpickle(stream), _unpickle(stream)
    if machine.get("little_endian") is not True:
        raise InputError("was written big-endian; save it again on a little-endian machine")
    unpickler = _Unpickler(stream)
    tensors = _state_dict(_unpickle(stream, unpickler))
    raw: dict[str, memoryview] = {}
    for key in _unpickle(stream):
        count, begin = int.from_bytes(stream.read(8), "little"), stream.tell()
        end = begin + count * np.dtype(DTYPES[unpickler.storages[key]]).itemsize
        if end > len(data):
            raise InputError(
                f"is damaged: it ends at byte {len(data):,}, before its last numbers; get it anew"
            )
        raw[key] = memoryview(data)[begin:end]
        stream.seek(end)
    return tensors, raw.__getitem__


class _Unpickler(pickle.Unpickler):
    """Builds dictionaries and `Tensor`s, and refuses every other name in a pickle."""

    def __init__(self, stream: io.BytesIO):
        """Read from here; `storages` gathers the number type of each storage met."""
        super().__init__(stream, encoding="utf-8")
        self.storages: dict[str, str] = {}

    def find_class(self, module: str, name: str, /) -> Any:
        """What stands for a name in the pickle."""
        if module == "collections" and name == "OrderedDict":
            return OrderedDict
        if module == "torch._utils" and name in ("_rebuild_tensor", "_rebuild_tensor_v2"):
            return self._tensor
        if module == "torch._utils" and name == "_rebuild_parameter":
            return self._parameter
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        if module == "torch" and name.endswith("Storage"):
            raise InputError(
                f"holds a {name}; allowed are {', '.join(STORAGES)}: save it as one of them"
            )
        raise InputError(
            f"its pickle wants {module}.{name}, which no state dict needs, and nothing was run; "
            "give what "
            "torch.save(model.state_dict(), FILE) wrote"
        )

    def persistent_load(self, pid: Any, /) -> tuple[str, str]:
        """A storage as number type and key."""
        tag, dtype, key = pid[:3]
        if tag != "storage" or dtype not in DTYPES or not isinstance(key, str) or any(pid[5:]):
            raise InputError(
                "holds storages of another kind than PyTorch 0.4 and later write; save it again "
                "with one"
            )
        self.storages[key] = dtype
        return dtype, key

    @staticmethod
    def _tensor(
        storage: tuple[str, str],
        offset: int,
        size: tuple[int, ...],
        stride: tuple[int, ...],
        *_: Any,
    ):
        """Stands for `torch._utils._rebuild_tensor_v2`."""
        return Tensor(*storage, offset, tuple(size), tuple(stride))

    @staticmethod
    def _parameter(tensor: Tensor, *_: Any) -> Tensor:
        """Stands for `torch._utils._rebuild_parameter`."""
        return tensor


def _unpickle(stream: io.BytesIO, unpickler: _Unpickler | None = None) -> Any:
    """The next object of a stream of pickles.

    The pickle is looked through first: it must be whole, and a memo entry of number 2³¹ would take
    34 GB of memory.
    """
    begin, size = stream.tell(), stream.getbuffer().nbytes
    for opcode, argument, _ in pickletools.genops(stream):
        if (
            opcode.name in ("PUT", "BINPUT", "LONG_BINPUT")
            and argument is not None
            and argument > size
        ):
            raise InputError(
                "is damaged: its pickle numbers more objects than it can hold; get it anew"
            )
    stream.seek(begin)
    return (unpickler or _Unpickler(stream)).load()


def _state_dict(found: Any) -> dict[str, Tensor]:
    """The tensors of a pickled object: a state dict, or a training checkpoint that holds one."""
    for key in ("state_dict", "model"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    tensors = (
        {k: v for k, v in found.items() if isinstance(v, Tensor)} if isinstance(found, dict) else {}
    )
    if not tensors or not all(isinstance(name, str) for name in tensors):
        raise InputError(
            "holds no state dict; give what torch.save(model.state_dict(), FILE) wrote"
        )
    return tensors
