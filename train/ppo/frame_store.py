"""The pictures of a roll-out, each stored once; the stacks of n that the network sees are laid out
when asked for.

Stored as seen, the stacks of a roll-out would hold every picture n times. Here picture t of a kart
is what its step t added, and `before` holds the n - 1 pictures that were in the stack when the
roll-out began. The stack of step t is the pictures t - n + 1 ... t, except that an episode that
began at picture f fills its stack with f: picture t - k becomes max(t - k, f).
"""

import jax
import jax.numpy as jnp
from flax import struct

RGB = 3


class Film(struct.PyTreeNode):
    """T pictures of each of B karts."""

    pictures: jax.Array  # (T, B, H, W, 3) uint8
    before: jax.Array  # (n - 1, B, H, W, 3) uint8, oldest first
    first: (
        jax.Array
    )  # (T, B) int32, picture with which the episode of step t began; 1 - n = before the roll-out


def newest(stack: jax.Array) -> jax.Array:
    """The picture that a step added to a stack (..., 3 n) -> (..., 3)."""
    return stack[..., -RGB:]


def record(begun_with: jax.Array, pictures: jax.Array, ended: jax.Array) -> Film:
    """The film of a roll-out.

    Args:
        begun_with: (B, H, W, 3 n) uint8, the stack before the first step.
        pictures: (T, B, H, W, 3) uint8, `newest` of the stack before each step.
        ended: (T, B) bool, whether the episode ended with the step, so that the next picture is the
            first of another.
    """
    count = begun_with.shape[-1] // RGB
    earlier = [begun_with[..., RGB * i : RGB * (i + 1)] for i in range(count - 1)]
    before = jnp.stack(earlier) if earlier else jnp.zeros((0, *pictures.shape[1:]), pictures.dtype)
    step = jnp.arange(pictures.shape[0], dtype=jnp.int32)[:, None]
    began = jnp.concatenate([jnp.full_like(ended[:1], False), ended[:-1]])
    return Film(pictures, before, jax.lax.cummax(jnp.where(began, step, 1 - count)))


def stacks(film: Film, rows: jax.Array) -> jax.Array:
    """The stacks that the network saw.

    Args:
        film: of the roll-out.
        rows: (N,) int32, t B + b for the stack before step t of kart b.

    Returns:
        (N, H, W, 3 n) uint8, oldest picture first.
    """
    karts, earlier = film.pictures.shape[1], film.before.shape[0]
    step, kart = rows // karts, rows % karts
    pictures, before = (x.reshape(-1, *x.shape[2:]) for x in (film.pictures, film.before))
    first = jnp.take(film.first.reshape(-1), rows)
    layers = []
    for back in range(earlier, 0, -1):
        at = jnp.maximum(step - back, first)
        recent = jnp.take(pictures, jnp.maximum(at, 0) * karts + kart, axis=0)
        old = jnp.take(before, jnp.minimum(at + earlier, earlier - 1) * karts + kart, axis=0)
        layers.append(jnp.where((at >= 0)[:, None, None, None], recent, old))
    layers.append(jnp.take(pictures, rows, axis=0))
    return jnp.concatenate(layers, axis=-1)
