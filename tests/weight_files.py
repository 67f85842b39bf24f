"""A random ResNet-18 as a state dict, the same network in NumPy, and writers of weight files.

The files are as PyTorch and safetensors write them, made without either: PyTorch's names are put
into the pickle by stand-ins.
"""

import contextlib
import io
import json
import pickle
import sys
import zipfile
from collections import OrderedDict
from types import ModuleType
from unittest import mock

import numpy as np

STORAGES = {
    np.dtype(np.float64): "DoubleStorage",
    np.dtype(np.float32): "FloatStorage",
    np.dtype(np.float16): "HalfStorage",
    np.dtype(np.uint16): "BFloat16Storage",  # NumPy has no bfloat16: its bits
    np.dtype(np.int64): "LongStorage",
}
NAMES = {
    np.dtype(np.float64): "F64",
    np.dtype(np.float32): "F32",
    np.dtype(np.float16): "F16",
    np.dtype(np.uint16): "BF16",
    np.dtype(np.int64): "I64",
}


def resnet_shapes():
    """Names and shapes of torchvision's resnet18, written down from its definition."""
    shapes = {"conv1.weight": (64, 3, 7, 7)} | norm_shapes("bn1", 64)
    for stage, inputs, outputs in ((1, 64, 64), (2, 64, 128), (3, 128, 256), (4, 256, 512)):
        for block in (0, 1):
            name = f"layer{stage}.{block}"
            first = inputs if block == 0 else outputs
            shapes[f"{name}.conv1.weight"] = (outputs, first, 3, 3)
            shapes |= norm_shapes(f"{name}.bn1", outputs)
            shapes[f"{name}.conv2.weight"] = (outputs, outputs, 3, 3)
            shapes |= norm_shapes(f"{name}.bn2", outputs)
            if block == 0 and stage > 1:
                shapes[f"{name}.downsample.0.weight"] = (outputs, inputs, 1, 1)
                shapes |= norm_shapes(f"{name}.downsample.1", outputs)
    return shapes | {"fc.weight": (1000, 512), "fc.bias": (1000,)}


def norm_shapes(name, features):
    found = {
        f"{name}.{part}": (features,) for part in ("weight", "bias", "running_mean", "running_var")
    }
    return found | {f"{name}.num_batches_tracked": ()}


def random_resnet(seed=0):
    """A state dict whose activations keep their size; its statistics are anything but 0 and 1."""
    rng = np.random.default_rng(seed)
    state = {}
    for name, shape in resnet_shapes().items():
        if name.endswith("num_batches_tracked"):
            state[name] = np.array(7, np.int64)
        elif len(shape) == 4:
            deviation = np.sqrt(1.5 / np.prod(shape[1:]))
            state[name] = rng.normal(0.0, deviation, shape).astype(np.float32)
        elif name.endswith(("running_var", "weight")):
            state[name] = rng.uniform(0.5, 1.5, shape).astype(np.float32)
        else:
            state[name] = rng.normal(0.0, 0.2, shape).astype(np.float32)
    return state


def convolve(images, kernel, stride):
    """(B, C, H, W) and (F, C, k, k) -> (B, F, H', W') in double precision, shift by shift.

    There are `k // 2` zeros around the picture.
    """
    size = kernel.shape[-1]
    images = np.pad(images, ((0, 0), (0, 0), (size // 2, size // 2), (size // 2, size // 2)))
    rows = (images.shape[2] - size) // stride + 1
    columns = (images.shape[3] - size) // stride + 1

    total = np.zeros((images.shape[0], rows, columns, kernel.shape[0]))
    for i in range(size):
        for j in range(size):
            part = images[:, :, i : i + stride * rows : stride, j : j + stride * columns : stride]
            total += np.tensordot(
                part[:, :, :rows, :columns], kernel[:, :, i, j].astype(float), axes=(1, 1)
            )
    return total.transpose(0, 3, 1, 2)


def forward(state, pictures):
    """Features (B, 512) of (B, 3, H, W) uint8 pictures, in double precision, after He et al."""

    def norm(x, name):
        gain, bias, mean, variance = (
            state[f"{name}.{part}"].astype(float)[:, None, None]
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - mean) / np.sqrt(variance + 1e-5) * gain + bias

    mean = np.array([0.485, 0.456, 0.406])
    deviation = np.array([0.229, 0.224, 0.225])
    x = (pictures / 255.0 - mean[:, None, None]) / deviation[:, None, None]
    x = np.maximum(norm(convolve(x, state["conv1.weight"], 2), "bn1"), 0.0)
    x = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(2, 3))
    x = windows[:, :, ::2, ::2].max(axis=(4, 5))

    for stage in (1, 2, 3, 4):
        for block in (0, 1):
            name = f"layer{stage}.{block}"
            stride = 2 if stage > 1 and block == 0 else 1
            inner = norm(convolve(x, state[f"{name}.conv1.weight"], stride), f"{name}.bn1")
            inner = np.maximum(inner, 0.0)
            inner = norm(convolve(inner, state[f"{name}.conv2.weight"], 1), f"{name}.bn2")
            if stride == 2:
                shortcut = convolve(x, state[f"{name}.downsample.0.weight"], 2)
                x = norm(shortcut, f"{name}.downsample.1")
            x = np.maximum(inner + x, 0.0)
    return x.mean(axis=(2, 3))


def write_safetensors(path, tensors):
    """Write arrays as https://huggingface.co/docs/safetensors describes the format."""
    header = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, array in tensors.items():
        raw = np.ascontiguousarray(array).tobytes()
        offsets = [len(data), len(data) + len(raw)]
        header[name] = {
            "dtype": NAMES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": offsets,
        }
        data += raw

    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


class Storage:
    """Numbers that tensors lie in."""

    def __init__(self, key, array):
        self.key = key
        self.array = array


@contextlib.contextmanager
def torch_names():
    """Modules that bear PyTorch's names, so that a pickle can name what is in them."""
    torch = ModuleType("torch")
    utils = ModuleType("torch._utils")

    def _rebuild_tensor_v2(*_):
        raise AssertionError("only its name is wanted")

    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    vars(utils)["_rebuild_tensor_v2"] = _rebuild_tensor_v2
    for name in (*STORAGES.values(), "ComplexFloatStorage"):
        setattr(torch, name, type(name, (), {"__module__": "torch"}))
    with mock.patch.dict(sys.modules, {"torch": torch, "torch._utils": utils}):
        yield torch


class Pickler(pickle.Pickler):
    """Writes arrays as `torch.save` writes tensors; `storages` gathers what they lie in."""

    def __init__(self, stream, torch):
        super().__init__(stream, protocol=2)
        self.torch = torch
        self.storages = {}

    def persistent_id(self, obj):
        if not isinstance(obj, Storage):
            return None
        kind = getattr(self.torch, STORAGES[obj.array.dtype])
        return ("storage", kind, obj.key, "cpu", obj.array.size)

    def reducer_override(self, obj):
        if not isinstance(obj, np.ndarray):
            return NotImplemented
        whole = obj if obj.base is None else obj.base
        key = str(len(self.storages))
        self.storages[key] = np.ravel(whole, order="K")
        first = whole.__array_interface__["data"][0]
        offset = (obj.__array_interface__["data"][0] - first) // obj.itemsize
        steps = tuple(step // obj.itemsize for step in obj.strides)
        place = (Storage(key, self.storages[key]), offset, obj.shape, steps, False, OrderedDict())
        return sys.modules["torch._utils"]._rebuild_tensor_v2, place


def pickled(obj):
    """The pickle of an object and the storages of its arrays."""
    with torch_names() as torch:
        stream = io.BytesIO()
        pickler = Pickler(stream, torch)
        pickler.dump(obj)
    return stream.getvalue(), pickler.storages


def write_zip(path, obj, compression=zipfile.ZIP_STORED):
    """Write what `torch.save` writes since 1.6."""
    data, storages = pickled(obj)
    pack_zip(path, data, storages, compression)


def pack_zip(path, data, storages, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/byteorder", "little")
        for key, array in storages.items():
            archive.writestr(f"archive/data/{key}", array.tobytes())
        archive.writestr("archive/version", "3\n")


def write_pickles(path, obj):
    """Write what `torch.save` wrote before 1.6."""
    data, storages = pickled(obj)
    pack_pickles(path, data, storages)


def pack_pickles(path, data, storages):
    machine = {
        "protocol_version": 1001,
        "little_endian": True,
        "type_sizes": {"short": 2, "int": 4, "long": 4},
    }
    head = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, machine))
    numbers = b"".join(
        array.size.to_bytes(8, "little") + array.tobytes() for array in storages.values()
    )
    path.write_bytes(head + data + pickle.dumps(list(storages), 2) + numbers)


WRITERS = {"safetensors": write_safetensors, "zip": write_zip, "pickles": write_pickles}
