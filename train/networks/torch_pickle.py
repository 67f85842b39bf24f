"""The pickle in which PyTorch saves a state dict, read without PyTorch and without running it.

A pickle is a program that may call anything. Here it may name an ordered dictionary, a tensor and a
storage, all three of our making, and nothing else.
"""

import io
import pickle
import pickletools
from collections import OrderedDict
from typing import Any

from kart_jax.errors import InputError
from train.networks.tensor import DTYPES, Tensor

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


class Unpickler(pickle.Unpickler):
    """Builds dictionaries and `Tensor`s, and refuses every other name in a pickle."""

    def __init__(self, stream: io.BytesIO):
        """Read from here; `storages` gathers the number type of each storage met."""
        super().__init__(stream, encoding="utf-8")
        self.storages: dict[str, str] = {}

    def find_class(self, module: str, name: str, /) -> Any:
        """Return what stands for a name in the pickle."""
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
            "give what torch.save(model.state_dict(), FILE) wrote"
        )

    def persistent_load(self, pid: Any, /) -> tuple[str, str]:
        """Return a storage as number type and key."""
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
    ) -> Tensor:
        """Stand in for `torch._utils._rebuild_tensor_v2`."""
        return Tensor(*storage, offset, tuple(size), tuple(stride))

    @staticmethod
    def _parameter(tensor: Tensor, *_: Any) -> Tensor:
        """Stand in for `torch._utils._rebuild_parameter`."""
        return tensor


def unpickle(stream: io.BytesIO, unpickler: Unpickler | None = None) -> Any:
    """Read the next object of a stream of pickles.

    The pickle is looked through first: it must be whole, and a memo entry of number 2³¹ would take
    34 GB of memory.
    """
    begin = stream.tell()
    size = stream.getbuffer().nbytes
    for opcode, argument, _ in pickletools.genops(stream):
        if argument is None or opcode.name not in ("PUT", "BINPUT", "LONG_BINPUT"):
            continue
        if argument > size:
            raise InputError(
                "is damaged: its pickle numbers more objects than it can hold; get it anew"
            )

    stream.seek(begin)
    return (unpickler or Unpickler(stream)).load()


def state_dict(found: Any) -> dict[str, Tensor]:
    """Return the tensors of a state dict, or of a training checkpoint that holds one."""
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
