"""The frames of a roll-out, each stored once; stacks of n are laid out when they are asked for.

Stored as seen, the stacks of a roll-out would hold every frame n times. Here frame t of a kart is
what its step t added, and `before` holds the n - 1 frames that were in the stack when the roll-out
began. The stack of step t is the frames t - n + 1 ... t, except that an episode that began at frame
f fills its stack with f: frame t - k becomes max(t - k, f).
"""

import jax
import jax.numpy as jnp
from flax import struct

RGB = 3


class FrameStore(struct.PyTreeNode):
    """T frames of each of B karts."""

    frames: jax.Array  # (T, B, H, W, 3) uint8
    before: jax.Array  # (n - 1, B, H, W, 3) uint8, older than the roll-out, oldest first
    first: jax.Array  # (T, B) int32, frame with which the episode of step t began; 1 - n = before


def newest_frame(stack: jax.Array) -> jax.Array:
    """Return the frame that a step added to a stack (..., 3 n) -> (..., 3)."""
    return stack[..., -RGB:]


def store_frames(first_stack: jax.Array, frames: jax.Array, ended: jax.Array) -> FrameStore:
    """Store the frames of a roll-out.

    Args:
        first_stack: (B, H, W, 3 n) uint8, the stack before the first step.
        frames: (T, B, H, W, 3) uint8, `newest_frame` of the stack before each step.
        ended: (T, B) bool, whether the episode ended with the step, so that the next frame is the
            first of another.
    """
    count = first_stack.shape[-1] // RGB
    earlier = [first_stack[..., RGB * i : RGB * (i + 1)] for i in range(count - 1)]
    before = jnp.stack(earlier) if earlier else jnp.zeros((0, *frames.shape[1:]), frames.dtype)

    step = jnp.arange(frames.shape[0], dtype=jnp.int32)[:, None]
    begins = jnp.concatenate([jnp.full_like(ended[:1], False), ended[:-1]])
    return FrameStore(frames, before, jax.lax.cummax(jnp.where(begins, step, 1 - count)))


def gather_stacks(store: FrameStore, rows: jax.Array) -> jax.Array:
    """Lay out the stacks that the network saw.

    Args:
        store: of the roll-out.
        rows: (N,) int32, t B + b for the stack before step t of kart b.

    Returns:
        (N, H, W, 3 n) uint8, oldest frame first.
    """
    karts = store.frames.shape[1]
    earlier = store.before.shape[0]
    step, kart = rows // karts, rows % karts
    frames, before = (x.reshape(-1, *x.shape[2:]) for x in (store.frames, store.before))
    first = jnp.take(store.first.reshape(-1), rows)

    layers = []
    for back in range(earlier, 0, -1):
        index = jnp.maximum(step - back, first)
        recent = jnp.take(frames, jnp.maximum(index, 0) * karts + kart, axis=0)
        old = jnp.take(before, jnp.minimum(index + earlier, earlier - 1) * karts + kart, axis=0)
        layers.append(jnp.where((index >= 0)[:, None, None, None], recent, old))
    layers.append(jnp.take(frames, rows, axis=0))
    return jnp.concatenate(layers, axis=-1)
