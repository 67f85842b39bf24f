"""The choices inside an update of training: for each the way in use, and the ways that it was
chosen over.

What is in use is called where it stands alone; what is not is written here. Every way of a choice
does the same work.
"""

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import learner
from flax import nnx

from kart_jax.env import observe
from kart_jax.render.view import render_packed
from train.networks import convolution as convolutions
from train.ppo import frame_store
from train.run.config import TrainConfig

PIXELS = (84, 84)
RGB = frame_store.RGB
PICTURE = RGB * PIXELS[0] * PIXELS[1]  # bytes
PASSES = 2  # gradient steps of one call, where the network's convolutions are alone
LAYERS = (
    (8, 4, 32),
    (4, 2, 64),
    (3, 1, 64),
)  # side, stride and outputs of the network's convolutions
Convolve = Callable[[jax.Array, jax.Array, int], jax.Array]


@dataclasses.dataclass
class Way:
    """One way of doing something."""

    name: str
    call: Callable[[], Any]
    samples: int
    """Dealt with in one call."""
    bytes: float | None = None
    """Of memory that the way takes; None where the ways do not differ in it."""


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much there is of everything."""

    steps: int  # of a roll-out, T
    karts: int  # B
    minibatch: int  # samples, N
    frame_stack: int  # n

    @property
    def samples(self) -> int:
        """Of a roll-out."""
        return self.steps * self.karts


def sizes(config: TrainConfig) -> Sizes:
    """Those of a run."""
    settings = learner.settle(config)
    ppo = settings.ppo
    return Sizes(ppo.rollout_steps, ppo.vector_envs, ppo.minibatch_size, settings.frame_stack)


# Storage: what of the view a roll-out keeps.


def storage(config: TrainConfig) -> Iterator[Way]:
    """Pictures come in step by step and are read again by one epoch of minibatches, in random
    order."""
    size = sizes(config)
    first = jax.random.randint(
        jax.random.key(0), (size.karts, *PIXELS, RGB * size.frame_stack), 0, 255, jnp.uint8
    )
    order = jax.random.permutation(jax.random.key(1), size.samples)
    order = order[: size.samples // size.minibatch * size.minibatch].reshape(-1, size.minibatch)

    def drive(
        store: Callable[[jax.Array], jax.Array], first: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Kept pictures (T, B, ...) and the last stack: each step moves the stack on by a
        picture."""

        def step(stack: jax.Array, t: jax.Array) -> tuple[jax.Array, jax.Array]:
            picture = stack[..., -RGB:] + t.astype(jnp.uint8)
            return jnp.concatenate([stack[..., RGB:], picture], axis=-1), store(stack)

        last, kept = jax.lax.scan(step, first, jnp.arange(size.steps))
        return kept, last

    def read(batch: Callable[[jax.Array], jax.Array], rows: jax.Array) -> jax.Array:
        return jax.lax.map(lambda part: jnp.sum(batch(part).astype(jnp.float32)), rows)

    @jax.jit
    def once(first: jax.Array, rows: jax.Array) -> jax.Array:
        pictures, _ = drive(frame_store.newest_frame, first)
        store = frame_store.store_frames(first, pictures, jnp.zeros((size.steps, size.karts), bool))
        return read(partial(frame_store.gather_stacks, store), rows)

    def whole(dtype: Any) -> Callable[[jax.Array, jax.Array], jax.Array]:
        @jax.jit
        def seen(first: jax.Array, rows: jax.Array) -> jax.Array:
            kept, _ = drive(lambda stack: stack.astype(dtype), first)
            flat = kept.reshape(-1, *kept.shape[2:])
            return read(lambda part: jnp.take(flat, part, axis=0), rows)

        return seen

    pictures = (size.steps + size.frame_stack - 1) * size.karts * PICTURE
    yield Way("each picture once, as bytes", partial(once, first, order), order.size, pictures)
    stacked = size.samples * size.frame_stack * PICTURE
    if size.frame_stack > 1:
        yield Way(
            "stacks as seen, as bytes", partial(whole(jnp.uint8), first, order), order.size, stacked
        )
    yield Way(
        "stacks as seen, in float32",
        partial(whole(jnp.float32), first, order),
        order.size,
        4 * stacked,
    )


# Minibatches: which samples of a roll-out each gradient step takes.


def minibatches(config: TrainConfig) -> Iterator[Way]:
    """One epoch over pictures (T B, 84, 84, 3) that are there already; each picture is read."""
    size = sizes(config)
    steps = size.samples // size.minibatch
    pictures = jax.random.randint(
        jax.random.key(0), (size.samples, *PIXELS, RGB), 0, 255, jnp.uint8
    )

    def epoch(fetch: Callable[[jax.Array, jax.Array], jax.Array], numbers: jax.Array) -> jax.Array:
        parts = numbers[: steps * size.minibatch].reshape(steps, size.minibatch)
        return jax.lax.map(
            lambda one: jnp.sum(fetch(*one).astype(jnp.float32)), (jnp.arange(steps), parts)
        )

    @jax.jit
    def gathered(pictures: jax.Array, key: jax.Array) -> jax.Array:
        numbers = jax.random.permutation(key, size.samples)
        return epoch(lambda _, rows: jnp.take(pictures, rows, axis=0), numbers)

    @jax.jit
    def shuffled(pictures: jax.Array, key: jax.Array) -> jax.Array:
        mixed = jnp.take(pictures, jax.random.permutation(key, size.samples), axis=0)
        return epoch(partial(part, mixed), jnp.arange(size.samples))

    @jax.jit
    def neighbours(pictures: jax.Array, key: jax.Array) -> jax.Array:
        firsts = jax.random.permutation(key, steps)
        return epoch(
            lambda step, rows: part(pictures, firsts[step], rows), jnp.arange(size.samples)
        )

    def part(pictures: jax.Array, step: jax.Array, _: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice_in_dim(pictures, step * size.minibatch, size.minibatch)

    each = size.minibatch // size.steps  # karts of a minibatch that has all of their steps

    @jax.jit
    def whole_drives(pictures: jax.Array, key: jax.Array) -> jax.Array:
        drives = pictures.reshape(size.steps, size.karts, *pictures.shape[1:])
        firsts = each * jax.random.permutation(key, size.karts // each)

        def fetch(step: jax.Array, _: jax.Array) -> jax.Array:
            return jax.lax.dynamic_slice_in_dim(drives, firsts[step], each, axis=1)

        return epoch(fetch, jnp.arange(size.samples))

    key, count, taken = jax.random.key(1), steps * size.minibatch, size.samples * PICTURE
    yield Way(
        "random samples, each minibatch gathered", partial(gathered, pictures, key), count, taken
    )
    yield Way(
        "random samples, roll-out shuffled first",
        partial(shuffled, pictures, key),
        count,
        2 * taken,
    )
    yield Way(
        "neighbours: all karts of some steps", partial(neighbours, pictures, key), count, taken
    )
    if size.minibatch % size.steps == 0 and size.karts % each == 0:
        yield Way(
            "neighbours: all steps of some karts",
            partial(whole_drives, pictures, key),
            count,
            taken,
        )


# Rendering: keep the pictures, or the poses from which they can be drawn again.


def rendering(config: TrainConfig) -> Iterator[Way]:
    """Minibatches of single pictures, fetched or drawn anew."""
    run = learner.start(config)
    size, env, params = sizes(config), run.env, run.env.default_params
    scene, view_config = env.scene, env.view_config
    if scene is None:  # telemetry only: nothing to draw
        return
    steps = size.samples // size.minibatch
    rows = jax.random.permutation(jax.random.key(1), size.samples)[
        : steps * size.minibatch
    ].reshape(steps, -1)
    race = jax.tree.map(
        lambda leaf: jnp.tile(leaf, (size.steps, *[1] * (leaf.ndim - 1))), run.state.env_state.race
    )
    karts = jax.tree.map(lambda leaf: leaf[:, 0], race.karts)
    poses = (race.track, jax.jit(jax.vmap(observe.pose, in_axes=(0, None)))(karts, params.kart))
    look = params.appearance

    def draw(track: jax.Array, eye: Any) -> jax.Array:
        return render_packed(scene, track, eye, look, view_config)

    pictures = jax.jit(lambda poses: jax.lax.map(lambda pose: draw(*pose), poses))(poses)

    @jax.jit
    def fetched(pictures: jax.Array, rows: jax.Array) -> jax.Array:
        return jax.lax.map(lambda part: jnp.sum(jnp.take(pictures, part, axis=0)), rows)

    @jax.jit
    def drawn(poses: Any, rows: jax.Array) -> jax.Array:
        def one(part: jax.Array) -> jax.Array:
            return jnp.sum(
                jax.vmap(draw)(*jax.tree.map(lambda leaf: jnp.take(leaf, part, axis=0), poses))
            )

        return jax.lax.map(one, rows)

    in_bytes = size.samples * PICTURE
    yield Way("pictures kept", partial(fetched, pictures, rows), rows.size, in_bytes)
    in_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(poses))
    yield Way(
        "poses kept, drawn again in the loss", partial(drawn, poses, rows), rows.size, in_bytes
    )


# Convolution: those of the network, forward and backward.


def in_blocks(images: jax.Array, kernel: jax.Array, stride: int) -> tuple[jax.Array, jax.Array]:
    """Images and kernel with each stride x stride block as one pixel, so that the convolution has
    stride 1."""
    size, _, channels, features = kernel.shape
    blocks = size // stride
    if stride > 1:
        images = convolutions.space_to_depth(images, stride)
    weights = kernel.reshape(blocks, stride, blocks, stride, channels, features).transpose(
        0, 2, 1, 3, 4, 5
    )
    return images.astype(kernel.dtype), weights.reshape(blocks, blocks, -1, features)


def deep_convolution(images: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """`networks.lax_convolution` of blocks: the first layer's 8x8, stride 4, is 2x2 on 16 times the
    channels."""
    return convolutions.lax_convolution(*in_blocks(images, kernel, stride), stride=1)


def shifted_convolution(images: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """`networks.patch_convolution` without its copy of the image: one product for each shift,
    summed."""
    images, weights = in_blocks(images, kernel, stride)
    blocks = weights.shape[0]
    rows, columns = images.shape[1] - blocks + 1, images.shape[2] - blocks + 1
    return sum(
        images[:, i : i + rows, j : j + columns] @ weights[i, j]
        for i in range(blocks)
        for j in range(blocks)
    )  # type: ignore[return-value]


FORMS: dict[str, tuple[str, Convolve]] = {
    "patches": ("patches laid out, one product", convolutions.patch_convolution),
    "lax": ("lax.conv_general_dilated", convolutions.lax_convolution),
    "depth": ("lax.conv_general_dilated of blocks", deep_convolution),
    "shifts": ("one product for each shift", shifted_convolution),
}


def convolution(config: TrainConfig) -> Iterator[Way]:
    """Gradient steps of the three convolutions alone, inside a scan, as in an update."""
    size = sizes(config)
    used = convolutions.convolution_form(jax.default_backend())
    for form in (used, *(other for other in FORMS if other != used)):
        name, convolve = FORMS[form]
        yield Way(name, partial(_descents(LAYERS, size, 1e-9), convolve), PASSES * size.minibatch)


def scale(config: TrainConfig) -> Iterator[Way]:
    """Gradient steps of the first convolution alone: where the bytes of a picture become 0..1."""
    size = sizes(config)
    convolve = FORMS[convolutions.convolution_form(jax.default_backend())][1]

    def in_kernel(images: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
        return convolve(images, kernel * (1.0 / 255.0), stride)

    def before(images: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
        return convolve(images.astype(kernel.dtype) * (1.0 / 255.0), kernel, stride)

    descend = _descents(LAYERS[:1], size, 1.0)
    yield Way("bytes, 1 / 255 in the kernel", partial(descend, in_kernel), PASSES * size.minibatch)
    yield Way("pictures scaled to 0..1 first", partial(descend, before), PASSES * size.minibatch)


def _descents(
    layers: tuple[tuple[int, int, int], ...], size: Sizes, rate: float
) -> Callable[[Convolve], Any]:
    """A function that takes `PASSES` gradient steps of these layers alone with a form of the
    convolution: kernels."""
    channels, kernels = RGB * size.frame_stack, []
    for side, _, outputs in layers:
        kernels.append(
            0.05 * jax.random.normal(jax.random.key(outputs), (side, side, channels, outputs))
        )
        channels = outputs
    shape = (size.minibatch + PASSES, *PIXELS, RGB * size.frame_stack)
    frames = jax.random.randint(jax.random.key(0), shape, 0, 255, jnp.uint8)

    @partial(jax.jit, static_argnums=0)
    def descend(convolve: Convolve, kernels: list[jax.Array], frames: jax.Array) -> list[jax.Array]:
        def loss(kernels: list[jax.Array], seen: jax.Array) -> jax.Array:
            for kernel, (_, stride, _) in zip(kernels, layers, strict=True):
                seen = nnx.relu(convolve(seen, kernel, stride))
            return jnp.mean(seen**2)

        def step(kernels: list[jax.Array], first: jax.Array) -> tuple[list[jax.Array], None]:
            seen = jax.lax.dynamic_slice_in_dim(frames, first, size.minibatch)
            return jax.tree.map(
                lambda k, g: k - rate * g, kernels, jax.grad(loss)(kernels, seen)
            ), None

        return jax.lax.scan(step, kernels, jnp.arange(PASSES))[0]

    return lambda convolve: descend(convolve, kernels, frames)
