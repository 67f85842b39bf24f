"""ResNet-18 (He et al. 2015, arXiv:1512.03385) as a pretrained backbone: pictures to features.

    picture  (84, 84, 3) uint8, scaled to 0..1 and normalised by the mean and deviation of ImageNet
    stem     conv 7x7/2 -> 64, max pool 3x3/2
    stages   1 to 4 of two blocks each, 64, 128, 256 and 512 features; stages 2 to 4 begin with
             stride 2
    block    relu(conv 3x3 (relu(conv 3x3 (x))) + shortcut), the shortcut x or, where the shape
             changes, conv 1x1 (x)
    features mean over the last 3x3 pixels, 512 of each picture

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
from train.networks import weight_file
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
    """List all twenty layers by the name of the convolution in the state dict."""
    found = {"conv1": Layer("bn1", 3, WIDTHS[0], 7, 2, 0)}
    inputs = WIDTHS[0]
    for stage, width in enumerate(WIDTHS, 1):
        for block in (0, 1):
            name = f"layer{stage}.{block}"
            stride = 2 if stage > 1 and block == 0 else 1
            found[f"{name}.conv1"] = Layer(f"{name}.bn1", inputs, width, 3, stride, stage)
            found[f"{name}.conv2"] = Layer(f"{name}.bn2", width, width, 3, 1, stage)
            if inputs != width:
                found[f"{name}.downsample.0"] = Layer(
                    f"{name}.downsample.1", inputs, width, 1, stride, stage
                )
            inputs = width
    return found


LAYERS = _layers()


class LayerWeights(struct.PyTreeNode):
    """Numbers of one layer, float32."""

    kernel: np.ndarray  # (size, size, inputs, outputs)
    scale: np.ndarray  # (outputs,) factor of the normalisation
    offset: np.ndarray  # (outputs,) summand of the normalisation


Weights = Mapping[str, LayerWeights]  # by the names of LAYERS


def load(path: Path) -> Weights:
    """Read a pretrained ResNet-18.

    Args:
        path: state dict under torchvision's names, also with `module.` or `backbone.` before each;
            see `weight_file`.

    Returns:
        The weights of every layer. InputError when the file cannot be read or is not that of a
        ResNet-18.
    """
    found = {
        name.removeprefix("module.").removeprefix("backbone."): array
        for name, array in weight_file.read(path).items()
    }
    _check(path, found)
    return {name: _convert(found, name, layer.norm) for name, layer in LAYERS.items()}


def _shapes() -> dict[str, tuple[int, ...]]:
    """List the shape of every array that is used, by its name in the state dict."""
    kernels = {
        f"{name}.weight": (one.outputs, one.inputs, one.size, one.size)
        for name, one in LAYERS.items()
    }
    norms = {
        f"{layer.norm}.{part}": (layer.outputs,)
        for layer in LAYERS.values()
        for part in ("weight", "bias", "running_mean", "running_var")
    }
    return kernels | norms


def _check(path: Path, found: Mapping[str, np.ndarray]) -> None:
    """Raise `InputError` when arrays are missing, of another shape, not finite, or too many."""
    remedy = "give the state dict of torchvision's resnet18"
    wanted = _shapes()
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
        unused = name.startswith("fc.") or name.endswith("num_batches_tracked")
        if name not in wanted and not unused:
            raise InputError(f"{path}: holds {name}, which a ResNet-18 does not have; {remedy}")


def _convert(found: Mapping[str, np.ndarray], name: str, norm: str) -> LayerWeights:
    """Convert one layer: kernel (outputs, inputs, rows, columns) to ours, norm to scale, offset."""
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
    """Convolve with zeros around the picture, as many on every side as PyTorch puts there.

    They are those of its `padding=size // 2`. XLA's "SAME" would differ: with stride 2 it puts
    fewer zeros at the top and left.

    Args:
        images: (B, H, W, C).
        kernel: (k, k, C, F), k odd.
        stride: pixels.
        form: see `convolution`.

    Returns:
        (B, (H - 1) // stride + 1, (W - 1) // stride + 1, F).
    """
    size = kernel.shape[0]
    if size == 1:
        return jnp.einsum("bhwc,cf->bhwf", images[:, ::stride, ::stride], kernel[0, 0])
    around = size // 2
    if form == "lax":
        padding = ((0, 0), (around, around), (around, around), (0, 0))
        return lax_convolution(jnp.pad(images, padding), kernel, stride)

    # A side of the kernel must be a whole number of strides: rows and columns of zeros fill it up.
    more = -size % stride
    kernel = jnp.pad(kernel, ((0, more), (0, more), (0, 0), (0, 0)))
    padding = ((0, 0), (around, around + more), (around, around + more), (0, 0))
    return patch_convolution(jnp.pad(images, padding), kernel, stride)


def max_pool(images: jax.Array) -> jax.Array:
    """Take the largest of 3x3 pixels at stride 2: (B, H, W, C) -> (B, (H + 1) // 2, ..., C).

    One pixel around the picture is never the largest.
    """
    around = ((0, 0), (1, 1), (1, 1), (0, 0))
    return jax.lax.reduce_window(images, -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), around)


class NormalisedConvolution(nnx.Module):
    """Convolution, scale and offset; scale and offset never learn."""

    def __init__(
        self, layer: Layer, weights: LayerWeights | None, form: ConvolutionForm, trainable: bool
    ):
        """Take over the weights; without them all is zero. `trainable` is that of the kernel."""
        if weights is None:
            kernel = jnp.zeros((layer.size, layer.size, layer.inputs, layer.outputs), jnp.float32)
            scale = offset = jnp.zeros((layer.outputs,), jnp.float32)
        else:
            kernel, scale, offset = map(
                jnp.asarray, (weights.kernel, weights.scale, weights.offset)
            )
        self.kernel = (nnx.Param if trainable else Frozen)(kernel)
        self.scale = Frozen(scale)
        self.offset = Frozen(offset)
        self.stride = layer.stride
        self.form: ConvolutionForm = form

    def __call__(self, images: jax.Array) -> jax.Array:
        """Convolve and normalise (B, H, W, inputs) -> (B, H', W', outputs)."""
        kernel = self.kernel[...] * self.scale[...]
        return padded_convolution(images, kernel, self.stride, self.form) + self.offset[...]


class ResNet18(nnx.Module):
    """The network of the module docstring, for stacks of n pictures."""

    def __init__(
        self,
        channels: int,
        form: ConvolutionForm,
        rngs: nnx.Rngs | None = None,
        *,
        trainable: int = 0,
        weights: Weights | None = None,
    ):
        """Build the layers.

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
        """Encode (B, 84, 84, 3 n) uint8 -> (B, 512 n) float32, not negative; any side will do."""
        batch, height, width, _ = frames.shape
        pictures = frames.reshape(batch, height, width, self.frames, 3).transpose(0, 3, 1, 2, 4)
        pictures = pictures.reshape(batch * self.frames, height, width, 3)

        images = nnx.relu(self.layers["conv1"](normalise_pixels(pictures)))
        images = max_pool(images)
        for stage in range(1, 5):
            for block in (0, 1):
                images = self._block(f"layer{stage}_{block}", images)

        return jnp.mean(images, axis=(1, 2)).reshape(batch, self.features)

    def _block(self, name: str, images: jax.Array) -> jax.Array:
        """Apply one residual block: (B, H, W, C) -> (B, H', W', C')."""
        inner = nnx.relu(self.layers[f"{name}_conv1"](images))
        inner = self.layers[f"{name}_conv2"](inner)
        if f"{name}_downsample_0" in self.layers:
            images = self.layers[f"{name}_downsample_0"](images)
        return nnx.relu(inner + images)


def normalise_pixels(pictures: jax.Array) -> jax.Array:
    """Bring (B, H, W, 3) uint8 to float32 of ImageNet's mean 0 and deviation 1."""
    mean = jnp.asarray(MEAN, jnp.float32)
    deviation = jnp.asarray(DEVIATION, jnp.float32)
    return (pictures.astype(jnp.float32) / 255.0 - mean) / deviation
