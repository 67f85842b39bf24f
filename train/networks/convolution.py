"""The convolution, in two forms with the same parameters and the same values.

- `lax`: `jax.lax.conv_general_dilated`, what an accelerator wants;
- `patches`: space-to-depth by the stride, then the shifted images side by side and ONE matrix
  product. XLA's CPU convolutions are several times slower than a matrix product of the same size;
  docs/performance.md has the figures of these and of one product per shift.
"""

from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx

from train.networks.config import PrecisionName

ConvolutionForm = Literal["lax", "patches"]
HIDDEN_SCALE = 2.0**0.5  # orthogonal gain that keeps the variance through a ReLU


def convolution_form(backend: str) -> ConvolutionForm:
    """Return the faster form on a JAX backend ("cpu", "gpu", "tpu"); see the module docstring."""
    return "patches" if backend == "cpu" else "lax"


def space_to_depth(images: jax.Array, stride: int) -> jax.Array:
    """Make each stride x stride block one pixel: (B, H, W, C) -> (B, H', W', stride² C).

    H' is H // stride, W' is W // stride; rows and columns beyond that are cut off.
    """
    batch, height, width, channels = images.shape
    rows, columns = height // stride, width // stride
    blocks = images[:, : rows * stride, : columns * stride].reshape(
        batch, rows, stride, columns, stride, channels
    )
    return blocks.transpose(0, 1, 3, 2, 4, 5).reshape(
        batch, rows, columns, stride * stride * channels
    )


def patch_convolution(images: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """Convolve without padding, as one matrix product.

    Args:
        images: (B, H, W, C) of the kernel's dtype, or uint8, which stays uint8 until the patches
            are laid out.
        kernel: (k, k, C, F); k must be a multiple of the stride.
        stride: pixels.

    Returns:
        (B, (H - k) // stride + 1, (W - k) // stride + 1, F).
    """
    size, _, channels, features = kernel.shape
    blocks = size // stride
    if stride > 1:
        images = space_to_depth(images, stride)
    weights = kernel.reshape(blocks, stride, blocks, stride, channels, features).transpose(
        0, 2, 1, 3, 4, 5
    )

    rows, columns = images.shape[1] - blocks + 1, images.shape[2] - blocks + 1
    shifted = [
        images[:, i : i + rows, j : j + columns] for i in range(blocks) for j in range(blocks)
    ]
    patches = jnp.concatenate(shifted, axis=-1).reshape(-1, size * size * channels)
    product = patches.astype(kernel.dtype) @ weights.reshape(-1, features)
    return product.reshape(images.shape[0], rows, columns, features)


def lax_convolution(images: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """Convolve without padding by `jax.lax`; shapes as in `patch_convolution`, k may be any."""
    return jax.lax.conv_general_dilated(
        images.astype(kernel.dtype),
        kernel,
        (stride, stride),
        "VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


class Convolution(nnx.Module):
    """Convolution without padding, with a bias."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        size: int,
        stride: int,
        form: ConvolutionForm,
        rngs: nnx.Rngs,
        input_scale: float = 1.0,
        precision: PrecisionName = "float32",
    ):
        """Draw an orthogonal (size, size, inputs, outputs) kernel and a zero bias.

        `input_scale` multiplies the input by way of the kernel: 1/255 for bytes.
        """
        draw = jax.nn.initializers.orthogonal(HIDDEN_SCALE)
        self.kernel = nnx.Param(draw(rngs.params(), (size, size, inputs, outputs), jnp.float32))
        self.bias = nnx.Param(jnp.zeros((outputs,), jnp.float32))
        self.stride = stride
        self.form = form
        self.input_scale = input_scale
        self.precision = precision

    def __call__(self, images: jax.Array) -> jax.Array:
        """Convolve (B, H, W, inputs) -> (B, H', W', outputs)."""
        convolve = patch_convolution if self.form == "patches" else lax_convolution
        kernel = (self.kernel[...] * self.input_scale).astype(self.precision)
        return convolve(images, kernel, self.stride) + self.bias[...].astype(self.precision)
