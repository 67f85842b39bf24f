"""ResNet-18 (He et al. 2015, arXiv:1512.03385) as a pretrained backbone: pictures in, 512 pooled
features each out.

    picture  (84, 84, 3) uint8, scaled to 0..1 and normalised by the mean and deviation of ImageNet
    stem     conv 7x7/2 -> 64, max pool 3x3/2
    stages   1 to 4 of two blocks each, 64, 128, 256 and 512 features; stages 2 to 4 begin with stride 2
    block    relu(conv 3x3 (relu(conv 3x3 (x))) + shortcut), the shortcut x or, where the shape changes, conv 1x1 (x)
    features mean over the last 3x3 pixels

Weights are those of torchvision's `resnet18`, by its names; its last layer (`fc`) is not used.
Batch normalisation stands behind every convolution in the form it has in use, as scale = weight /
sqrt(variance + 1e-5) and offset = bias - mean scale, and does not learn: PPO's batches are neither
ImageNet's nor alike from update to update. Of the kernels, those of the last `trainable` stages
learn. The pictures of a stack go through one by one, as the weights were trained on single
pictures, and their features stand side by side, oldest first.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx, struct

from kart_jax.errors import InputError
from train.networks import weight_file as weights_file
from train.networks.actor_critic import Frozen
from train.networks.convolution import ConvolutionForm, lax_convolution, patch_convolution

WIDTHS = (64, 128, 256, 512)
FEATURES = WIDTHS[-1]
# Of ImageNet's pictures in 0..1, red, green, blue, as torchvision's weights expect them.
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
EPSILON = 1e-5  # PyTorch's default in batch normalisation


@dataclass(frozen=True)
class Layer:
    """A convolution and the normalisation behind it."""

    norm: str
    """Name of the normalisation in the state dict."""
    inputs: int
    """Channels in."""
    outputs: int
    """Channels out."""
    size: int
    """Side of the kernel, pixels."""
    stride: int
    """Pixels."""
    stage: int
    """1 to 4; 0 = the stem."""


def _layers() -> dict[str, Layer]:
    """All twenty layers by the name of the convolution in the state dict."""
    found = {"conv1": Layer("bn1", 3, WIDTHS[0], 7, 2, 0)}
    before = WIDTHS[0]
    for stage, width in enumerate(WIDTHS, 1):
        for block in (0, 1):
            name, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            found[f"{name}.conv1"] = Layer(f"{name}.bn1", before, width, 3, stride, stage)
            found[f"{name}.conv2"] = Layer(f"{name}.bn2", width, width, 3, 1, stage)
            if before != width:
                found[f"{name}.downsample.0"] = Layer(
                    f"{name}.downsample.1", before, width, 1, stride, stage
                )
            before = width
    return found


LAYERS = _layers()


class LayerWeights(struct.PyTreeNode):
    """Numbers of one layer, float32."""

    kernel: np.ndarray
    """(size, size, inputs, outputs)."""
    scale: np.ndarray
    """(outputs,)."""
    offset: np.ndarray
    """(outputs,)."""


Weights = Mapping[str, LayerWeights]  # by the names of LAYERS


def load(path: Path) -> Weights:
    """Read a pretrained ResNet-18.

    Args:
        path: state dict under torchvision's names, also with `module.` or `backbone.` before each;
            see `weights`.

    Returns:
        The weights of every layer. InputError when the file cannot be read or is not that of a
        ResNet-18.
    """
    found = {
        name.removeprefix("module.").removeprefix("backbone."): x
        for name, x in weights_file.read(path).items()
    }
    wanted = {
        f"{name}.weight": (one.outputs, one.inputs, one.size, one.size)
        for name, one in LAYERS.items()
    }
    for layer in LAYERS.values():
        wanted |= {
            f"{layer.norm}.{part}": (layer.outputs,)
            for part in ("weight", "bias", "running_mean", "running_var")
        }
    remedy = "give the state dict of torchvision's resnet18"
    for name, shape in wanted.items():
        if name not in found:
            raise InputError(f"{path}: has no {name}; {remedy}")
        if found[name].shape != shape:
            raise InputError(
                f"{path}: {name} has shape {found[name].shape}, a ResNet-18's has {shape}; {remedy}"
            )
        if not np.all(np.isfinite(found[name])):
            raise InputError(f"{path}: {name} holds numbers that are not finite; {remedy}")
        if name.endswith("running_var") and np.any(found[name] < 0.0):
            raise InputError(f"{path}: {name} holds variances below 0; {remedy}")
    for name in found:
        if (
            name not in wanted
            and not name.startswith("fc.")
            and not name.endswith("num_batches_tracked")
        ):
            raise InputError(f"{path}: holds {name}, which a ResNet-18 does not have; {remedy}")
    return {name: _convert(found, name, layer.norm) for name, layer in LAYERS.items()}


def _convert(found: Mapping[str, np.ndarray], name: str, norm: str) -> LayerWeights:
    """One layer: kernel from (outputs, inputs, rows, columns) to ours, normalisation as scale and
    offset."""
    gain, bias, mean, variance = (
        found[f"{norm}.{part}"].astype(np.float64)
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    scale = gain / np.sqrt(variance + EPSILON)
    offset = bias - mean * scale
    kernel = np.ascontiguousarray(found[f"{name}.weight"].transpose(2, 3, 1, 0), np.float32)
    return LayerWeights(kernel, scale.astype(np.float32), offset.astype(np.float32))


def padded_convolution(
    images: jax.Array, kernel: jax.Array, stride: int, form: ConvolutionForm
) -> jax.Array:
    """Convolution with zeros around the picture, as many on every side as PyTorch's `padding=size
    // 2` puts there.

    XLA's "SAME" would differ: with stride 2 it puts fewer zeros at the top and left.

    Args:
        images: (B, H, W, C).
        kernel: (k, k, C, F), k odd.
        stride: pixels.
        form: see `networks`.

    Returns:
        (B, (H - 1) // stride + 1, (W - 1) // stride + 1, F).
    """
    size = kernel.shape[0]
    if size == 1:
        return jnp.einsum("bhwc,cf->bhwf", images[:, ::stride, ::stride], kernel[0, 0])
    around = size // 2
    if form == "lax":
        return lax_convolution(
            jnp.pad(images, ((0, 0), (around, around), (around, around), (0, 0))), kernel, stride
        )
    more = (
        -size % stride
    )  # the product of patches wants a whole number of strides: a row and column of zeros more
    kernel = jnp.pad(kernel, ((0, more), (0, more), (0, 0), (0, 0)))
    after = around + more
    return patch_convolution(
        jnp.pad(images, ((0, 0), (around, after), (around, after), (0, 0))), kernel, stride
    )


def max_pool(images: jax.Array) -> jax.Array:
    """Largest of 3x3 pixels at stride 2, with one around that never is: (B, H, W, C) -> (B, (H + 1)
    // 2, ..., C)."""
    around = ((0, 0), (1, 1), (1, 1), (0, 0))
    return jax.lax.reduce_window(images, -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), around)


class NormalisedConvolution(nnx.Module):
    """Convolution, scale and offset; scale and offset never learn."""

    def __init__(
        self, layer: Layer, weights: LayerWeights | None, form: ConvolutionForm, learns: bool
    ):
        """Take over the weights; zeros without them."""
        zeros = jnp.zeros((layer.outputs,), jnp.float32)
        kernel = jnp.zeros((layer.size, layer.size, layer.inputs, layer.outputs), jnp.float32)
        self.kernel = (nnx.Param if learns else Frozen)(
            kernel if weights is None else jnp.asarray(weights.kernel)
        )
        self.scale = Frozen(zeros if weights is None else jnp.asarray(weights.scale))
        self.offset = Frozen(zeros if weights is None else jnp.asarray(weights.offset))
        self.stride = layer.stride
        self.form: ConvolutionForm = form

    def __call__(self, images: jax.Array) -> jax.Array:
        """(B, H, W, inputs) -> (B, H', W', outputs)."""
        kernel = self.kernel[...] * self.scale[...]
        return padded_convolution(images, kernel, self.stride, self.form) + self.offset[...]


class ResNet18(nnx.Module):
    """(B, 84, 84, 3 n) uint8 -> (B, 512 n) float32, not negative; see the module docstring."""

    def __init__(
        self,
        channels: int,
        form: ConvolutionForm,
        rngs: nnx.Rngs | None = None,
        *,
        trainable: int = 0,
        weights: Weights | None = None,
    ):
        """Build it.

        Args:
            channels: 3 per stacked picture.
            form: of the convolutions.
            rngs: not used: nothing is drawn.
            trainable: how many of the last stages learn, 0 to 4.
            weights: from `load`; without them all is zero, to be filled from a checkpoint.
        """
        self.frames = channels // 3
        self.features = FEATURES * self.frames
        self.frozen = trainable == 0
        self.layers = nnx.Dict(
            {
                name.replace(".", "_"): NormalisedConvolution(
                    layer,
                    None if weights is None else weights[name],
                    form,
                    layer.stage > 4 - trainable,
                )
                for name, layer in LAYERS.items()
            }
        )

    def __call__(self, frames: jax.Array, /) -> jax.Array:
        """(B, 84, 84, 3 n) uint8 -> (B, 512 n) float32, not negative; other sides than 84 will
        do."""
        batch, height, width, _ = frames.shape
        pictures = frames.reshape(batch, height, width, self.frames, 3).transpose(0, 3, 1, 2, 4)
        pictures = pictures.reshape(batch * self.frames, height, width, 3)
        images = normalise(pictures)
        images = nnx.relu(self.layers["conv1"](images))
        images = max_pool(images)
        for stage in range(1, 5):
            for block in (0, 1):
                images = self._block(f"layer{stage}_{block}", images)
        return jnp.mean(images, axis=(1, 2)).reshape(batch, self.features)

    def _block(self, name: str, images: jax.Array) -> jax.Array:
        """One residual block: (B, H, W, C) -> (B, H', W', C')."""
        inner = nnx.relu(self.layers[f"{name}_conv1"](images))
        inner = self.layers[f"{name}_conv2"](inner)
        if f"{name}_downsample_0" in self.layers:
            images = self.layers[f"{name}_downsample_0"](images)
        return nnx.relu(inner + images)


def normalise(pictures: jax.Array) -> jax.Array:
    """(B, H, W, 3) uint8 -> float32 of ImageNet's mean 0 and deviation 1."""
    mean, deviation = jnp.asarray(MEAN, jnp.float32), jnp.asarray(DEVIATION, jnp.float32)
    return (pictures.astype(jnp.float32) / 255.0 - mean) / deviation
