"""What of the view a roll-out keeps, and which samples each gradient step takes."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from train.ppo import frame_store
from train.run.request import TrainConfig

from .way import Sizes, Way, sizes_of

PIXELS = (84, 84)
RGB = frame_store.RGB
PICTURE = RGB * PIXELS[0] * PIXELS[1]  # bytes

Fetch = Callable[[jax.Array, jax.Array], jax.Array]  # step () and its rows (N,) -> samples (N, ...)


def storage(request: TrainConfig) -> Iterator[Way]:
    """Yield ways to keep pictures that come in step by step.

    They are read again by one epoch of minibatches, in random order.
    """
    size = sizes_of(request)
    shape = (size.karts, *PIXELS, RGB * size.frame_stack)
    first = jax.random.randint(jax.random.key(0), shape, 0, 255, jnp.uint8)
    order = jax.random.permutation(jax.random.key(1), size.samples)
    order = order[: size.minibatches * size.minibatch].reshape(-1, size.minibatch)

    pictures = (size.steps + size.frame_stack - 1) * size.karts * PICTURE
    once = partial(_read_from_store, size, first, order)
    yield Way("each picture once, as bytes", once, order.size, pictures)

    stacked = size.samples * size.frame_stack * PICTURE
    if size.frame_stack > 1:
        as_bytes = partial(_read_from_stacks, jnp.uint8, size, first, order)
        yield Way("stacks as seen, as bytes", as_bytes, order.size, stacked)
    as_floats = partial(_read_from_stacks, jnp.float32, size, first, order)
    yield Way("stacks as seen, in float32", as_floats, order.size, 4 * stacked)


@partial(jax.jit, static_argnums=0)
def _read_from_store(size: Sizes, first: jax.Array, rows: jax.Array) -> jax.Array:
    """Keep each picture once, and read the stacks of every minibatch."""
    pictures = _drive(frame_store.newest_frame, size, first)
    store = frame_store.store_frames(first, pictures, jnp.zeros((size.steps, size.karts), bool))
    return _sum_minibatches(partial(frame_store.gather_stacks, store), rows)


@partial(jax.jit, static_argnums=(0, 1))
def _read_from_stacks(dtype: Any, size: Sizes, first: jax.Array, rows: jax.Array) -> jax.Array:
    """Keep the stacks as they are seen, and read those of every minibatch."""
    kept = _drive(lambda stack: stack.astype(dtype), size, first)
    flat = kept.reshape(-1, *kept.shape[2:])
    return _sum_minibatches(lambda part: jnp.take(flat, part, axis=0), rows)


def _drive(keep: Callable[[jax.Array], jax.Array], size: Sizes, first: jax.Array) -> jax.Array:
    """Return what is kept (T, B, ...) while each step moves the stack on by a picture."""

    def step(stack: jax.Array, t: jax.Array) -> tuple[jax.Array, jax.Array]:
        picture = stack[..., -RGB:] + t.astype(jnp.uint8)
        return jnp.concatenate([stack[..., RGB:], picture], axis=-1), keep(stack)

    return jax.lax.scan(step, first, jnp.arange(size.steps))[1]


def _sum_minibatches(batch: Callable[[jax.Array], jax.Array], rows: jax.Array) -> jax.Array:
    """Read every minibatch; rows (minibatches, N)."""
    return jax.lax.map(lambda part: jnp.sum(batch(part).astype(jnp.float32)), rows)


def minibatches(request: TrainConfig) -> Iterator[Way]:
    """Yield ways to choose samples: one epoch over pictures (T B, 84, 84, 3) that are there."""
    size = sizes_of(request)
    shape = (size.samples, *PIXELS, RGB)
    pictures = jax.random.randint(jax.random.key(0), shape, 0, 255, jnp.uint8)
    count = size.minibatches * size.minibatch
    memory = size.samples * PICTURE

    def way(name: str, program: Callable[..., jax.Array], copies: int = 1) -> Way:
        call = partial(program, size, pictures, jax.random.key(1))
        return Way(name, call, count, copies * memory)

    yield way("random samples, each minibatch gathered", _gather)
    yield way("random samples, roll-out shuffled first", _shuffle, copies=2)
    yield way("neighbours: all karts of some steps", _take_steps)
    if size.minibatch % size.steps == 0 and size.karts % (size.minibatch // size.steps) == 0:
        yield way("neighbours: all steps of some karts", _take_karts)


@partial(jax.jit, static_argnums=0)
def _gather(size: Sizes, pictures: jax.Array, key: jax.Array) -> jax.Array:
    """Gather the samples of each minibatch from all over the roll-out."""
    numbers = jax.random.permutation(key, size.samples)
    return _sum_epoch(size, lambda _, rows: jnp.take(pictures, rows, axis=0), numbers)


@partial(jax.jit, static_argnums=0)
def _shuffle(size: Sizes, pictures: jax.Array, key: jax.Array) -> jax.Array:
    """Shuffle the roll-out, then take slices of it."""
    shuffled = jnp.take(pictures, jax.random.permutation(key, size.samples), axis=0)
    take = partial(_slice, size, shuffled)
    return _sum_epoch(size, lambda step, _: take(step), jnp.arange(size.samples))


@partial(jax.jit, static_argnums=0)
def _take_steps(size: Sizes, pictures: jax.Array, key: jax.Array) -> jax.Array:
    """Take slices of the roll-out as it is, in random order."""
    firsts = jax.random.permutation(key, size.minibatches)
    take = partial(_slice, size, pictures)
    return _sum_epoch(size, lambda step, _: take(firsts[step]), jnp.arange(size.samples))


@partial(jax.jit, static_argnums=0)
def _take_karts(size: Sizes, pictures: jax.Array, key: jax.Array) -> jax.Array:
    """Take the whole drives of some karts."""
    each = size.minibatch // size.steps  # karts of a minibatch that has all of their steps
    drives = pictures.reshape(size.steps, size.karts, *pictures.shape[1:])
    firsts = each * jax.random.permutation(key, size.karts // each)

    def fetch(step: jax.Array, _: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice_in_dim(drives, firsts[step], each, axis=1)

    return _sum_epoch(size, fetch, jnp.arange(size.samples))


def _slice(size: Sizes, pictures: jax.Array, number: jax.Array) -> jax.Array:
    """Return the minibatch of a number in pictures that lie in order."""
    return jax.lax.dynamic_slice_in_dim(pictures, number * size.minibatch, size.minibatch)


def _sum_epoch(size: Sizes, fetch: Fetch, numbers: jax.Array) -> jax.Array:
    """Read every minibatch of an epoch."""
    steps = size.minibatches
    parts = numbers[: steps * size.minibatch].reshape(steps, size.minibatch)
    return jax.lax.map(
        lambda one: jnp.sum(fetch(*one).astype(jnp.float32)), (jnp.arange(steps), parts)
    )
