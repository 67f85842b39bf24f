"""The convolutions of the network, forward and backward, in the form in use and in others."""

import functools
import operator
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from train.networks import convolution as convolutions
from train.run.request import TrainConfig

from .storage import PIXELS, RGB
from .way import Sizes, Way, sizes_of

STEPS = 2  # gradient steps of one call
LAYERS = ((8, 4, 32), (4, 2, 64), (3, 1, 64))  # side, stride and outputs of the convolutions

Layers = tuple[tuple[int, int, int], ...]
Convolve = Callable[[jax.Array, jax.Array, int], jax.Array]


def convolution(request: TrainConfig) -> Iterator[Way]:
    """Yield gradient steps of the three convolutions alone, inside a scan, as in an update."""
    size = sizes_of(request)
    used = convolutions.convolution_form(jax.default_backend())
    for form in (used, *(other for other in FORMS if other != used)):
        name, convolve = FORMS[form]
        yield Way(name, partial(_descend_by(LAYERS, size, 1e-9), convolve), STEPS * size.minibatch)


def scale(request: TrainConfig) -> Iterator[Way]:
    """Yield gradient steps of the first convolution: where the bytes of a picture become 0..1."""
    size = sizes_of(request)
    convolve = FORMS[convolutions.convolution_form(jax.default_backend())][1]

    def in_kernel(images: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
        return convolve(images, kernel * (1.0 / 255.0), stride)

    def before(images: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
        return convolve(images.astype(kernel.dtype) * (1.0 / 255.0), kernel, stride)

    descend = _descend_by(LAYERS[:1], size, 1.0)
    samples = STEPS * size.minibatch
    yield Way("bytes, 1 / 255 in the kernel", partial(descend, in_kernel), samples)
    yield Way("pictures scaled to 0..1 first", partial(descend, before), samples)


def deep_convolution(images: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """Convolve blocks: the first layer's 8x8, stride 4, is 2x2 on 16 times the channels."""
    return convolutions.lax_convolution(*_in_blocks(images, kernel, stride), stride=1)


def shifted_convolution(images: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """Convolve as patches do without a copy of the image: one product for each shift, summed."""
    images, weights = _in_blocks(images, kernel, stride)
    blocks = weights.shape[0]
    rows = images.shape[1] - blocks + 1
    columns = images.shape[2] - blocks + 1
    products = [
        images[:, i : i + rows, j : j + columns] @ weights[i, j]
        for i in range(blocks)
        for j in range(blocks)
    ]
    return functools.reduce(operator.add, products)


FORMS: dict[str, tuple[str, Convolve]] = {
    "patches": ("patches laid out, one product", convolutions.patch_convolution),
    "lax": ("lax.conv_general_dilated", convolutions.lax_convolution),
    "depth": ("lax.conv_general_dilated of blocks", deep_convolution),
    "shifts": ("one product for each shift", shifted_convolution),
}


def _in_blocks(images: jax.Array, kernel: jax.Array, stride: int) -> tuple[jax.Array, jax.Array]:
    """Make each stride x stride block of images and kernel one pixel, for a stride of 1."""
    size, _, channels, features = kernel.shape
    blocks = size // stride
    if stride > 1:
        images = convolutions.space_to_depth(images, stride)
    weights = kernel.reshape(blocks, stride, blocks, stride, channels, features)
    weights = weights.transpose(0, 2, 1, 3, 4, 5).reshape(blocks, blocks, -1, features)
    return images.astype(kernel.dtype), weights


def _descend_by(layers: Layers, size: Sizes, learning_rate: float) -> Callable[[Convolve], Any]:
    """Return a function that takes `STEPS` gradient steps of these layers alone.

    It is given a form of the convolution and returns the kernels.
    """
    channels = RGB * size.frame_stack
    kernels = []
    for side, _, outputs in layers:
        shape = (side, side, channels, outputs)
        kernels.append(0.05 * jax.random.normal(jax.random.key(outputs), shape))
        channels = outputs
    frames_shape = (size.minibatch + STEPS, *PIXELS, RGB * size.frame_stack)
    frames = jax.random.randint(jax.random.key(0), frames_shape, 0, 255, jnp.uint8)

    @partial(jax.jit, static_argnums=0)
    def descend(convolve: Convolve, kernels: list[jax.Array], frames: jax.Array) -> list[jax.Array]:
        def loss(kernels: list[jax.Array], seen: jax.Array) -> jax.Array:
            for kernel, (_, stride, _) in zip(kernels, layers, strict=True):
                seen = nnx.relu(convolve(seen, kernel, stride))
            return jnp.mean(seen**2)

        def step(kernels: list[jax.Array], first: jax.Array) -> tuple[list[jax.Array], None]:
            seen = jax.lax.dynamic_slice_in_dim(frames, first, size.minibatch)
            gradients = jax.grad(loss)(kernels, seen)
            return jax.tree.map(lambda k, g: k - learning_rate * g, kernels, gradients), None

        return jax.lax.scan(step, kernels, jnp.arange(STEPS))[0]

    return lambda convolve: descend(convolve, kernels, frames)
