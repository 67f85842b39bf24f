"""PyTorch, unmodified, writes a ResNet-18 and runs it; ours reads the files to the same features.

Slow because it installs PyTorch; `make test-all` runs it. torchvision is not needed: the program
builds its resnet18 from torch.nn under the same names.
"""

import json
import subprocess
import sys

import jax
import numpy as np
import pytest
from flax import nnx

from train.networks import resnet

PROGRAM = """
import json
import sys
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        inner = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(inner + (x if self.downsample is None else self.downsample(x)))

class ResNet18(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        for stage, (inputs, outputs) in enumerate(((64, 64), (64, 128), (128, 256), (256, 512)), 1):
            stride = 1 if stage == 1 else 2
            blocks = Block(inputs, outputs, stride), Block(outputs, outputs, 1)
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
        self.fc = nn.Linear(512, 1000)

    def forward(self, x):
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        return self.layer4(self.layer3(self.layer2(self.layer1(x)))).mean((2, 3))

def safetensors(tensors, name):
    header, data = {}, b""
    for key, tensor in tensors.items():
        kind = {torch.float32: "F32", torch.int64: "I64", torch.bfloat16: "BF16"}[tensor.dtype]
        raw = b""
        if tensor.numel():
            raw = bytes(tensor.contiguous().reshape(-1).view(torch.uint8).tolist())
        offsets = [len(data), len(data) + len(raw)]
        header[key] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": offsets}
        data += raw
    text = json.dumps(header).encode()
    with open(name, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + data)

def features(model, pictures):
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    deviation = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    with torch.no_grad():
        return model((pictures.float() / 255 - mean) / deviation)

torch.manual_seed(0)
model = ResNet18().eval()
for layer in model.modules():
    if isinstance(layer, nn.BatchNorm2d):
        nn.init.uniform_(layer.weight, 0.5, 1.5), nn.init.normal_(layer.bias, 0.0, 0.2)
        nn.init.normal_(layer.running_mean, 0.0, 0.2), nn.init.uniform_(layer.running_var, 0.5, 1.5)
pictures = torch.randint(0, 256, (4, 3, 84, 84), dtype=torch.uint8)
pictures[2] //= 8  # a dark one
pictures[3] = pictures[3, :, :12, :12].repeat_interleave(7, 1).repeat_interleave(7, 2)
state = model.state_dict()
torch.save(state, "zip.pth")
wrapped = {"module." + k: v for k, v in state.items()}
torch.save({"epoch": 1, "state_dict": wrapped}, "checkpoint.pth")
torch.save(state, "pickles.pth", _use_new_zipfile_serialization=False)
torch.save(dict(model.to(memory_format=torch.channels_last).state_dict()), "channels_last.pth")
safetensors(state, "numbers.safetensors")
found = {"pictures": pictures.permute(0, 2, 3, 1), "float32": features(model, pictures)}
for kind in ("float16", "bfloat16"):
    dtype = getattr(torch, kind)
    short = {k: v.to(dtype) if v.is_floating_point() else v for k, v in state.items()}
    torch.save(short, f"{kind}.pth")
    model.load_state_dict(short)
    found[kind] = features(model, pictures)
safetensors(short, "bfloat16.safetensors")
for name, tensor in found.items():
    with open(f"{name}.json", "w") as file:
        json.dump(tensor.tolist(), file)
"""
FILES = {
    "zip.pth": "float32",
    "checkpoint.pth": "float32",
    "pickles.pth": "float32",
    "channels_last.pth": "float32",
    "numbers.safetensors": "float32",
    "float16.pth": "float16",
    "bfloat16.pth": "bfloat16",
    "bfloat16.safetensors": "bfloat16",
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Folder of what PyTorch made in an environment of its own: files, pictures and features."""
    folder = tmp_path_factory.mktemp("torch")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    interpreter = folder / "venv" / "bin" / "python"

    install = subprocess.run(
        [interpreter, "-m", "pip", "install", "-q", "torch==2.13.0"],
        capture_output=True,
        text=True,
        check=False,
    )
    if install.returncode:
        pytest.skip(f"PyTorch cannot be installed here: {install.stderr.strip().splitlines()[-1]}")

    made = subprocess.run(
        [interpreter, "-c", PROGRAM], cwd=folder, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr[-3000:]
    return folder


def read(folder, name):
    return np.array(json.loads((folder / f"{name}.json").read_text()))


@pytest.fixture(scope="module")
def run():
    """The compiled network: weights and pictures -> features, in both forms of a convolution."""

    def both(weights, pictures):
        for form in ("lax", "patches"):
            graph, params = nnx.split(resnet.ResNet18(3, form, weights=weights))
            yield form, np.asarray(apply(graph, params, pictures))

    apply = jax.jit(
        lambda graph, params, frames: nnx.merge(graph, params)(frames), static_argnums=0
    )
    return both


@pytest.mark.slow
@pytest.mark.parametrize(("file", "precision"), FILES.items())
def test_features_equal_those_of_pytorch(written, run, file, precision):
    expected = read(written, precision)
    assert expected.shape == (4, 512) and 0.05 < expected.std() < 20.0
    scale = np.abs(expected).max()
    for form, found in run(resnet.load(written / file), read(written, "pictures").astype(np.uint8)):
        error = np.abs(found - expected).max() / scale
        print(f"{file}, {form}: largest error {error:.1e} of the largest feature, {scale:.3f}")
        assert error < 1e-4
