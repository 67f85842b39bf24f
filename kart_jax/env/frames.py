"""The stack of the last n pictures, oldest first, kept as 32-bit words.

A pixel of the stack is the byte string R G B (oldest) ... R G B (newest). Pushing a picture shifts
each string by three bytes; done on bytes with a channel axis of 12 this is the dearest copy of the
whole step on a CPU, done on words it runs at memory speed. Word j holds the bytes 4j..4j+3, lowest
byte first; bytes past 3n are zero.
"""

import chex
import jax
import jax.numpy as jnp


def word_count(frame_stack: int) -> int:
    """Return the words per pixel for `frame_stack` pictures: ceil(3 n / 4)."""
    return -(-3 * frame_stack // 4)


def _newest(pixel: chex.Array, frame_stack: int) -> list[chex.Array]:
    """Return the words of a stack in which all but the newest picture are black."""
    words = [jnp.zeros_like(pixel) for _ in range(word_count(frame_stack))]
    word, byte = divmod(3 * frame_stack - 3, 4)
    words[word] = pixel << (8 * byte)
    if byte > 1:
        words[word + 1] = pixel >> (8 * (4 - byte))
    return words


def _shift(words: list[chex.Array]) -> list[chex.Array]:
    """Drop the oldest picture."""
    following = [*words[1:], jnp.zeros_like(words[0])]
    return [(word >> 24) | (after << 8) for word, after in zip(words, following, strict=True)]


def push(
    frames: chex.Array, picture: chex.Array, fresh: chex.Array, frame_stack: int
) -> chex.Array:
    """Append a picture; where `fresh`, all pictures of the stack become it.

    Args:
        frames: (H, W, words) uint32.
        picture: (H, W) uint32, as `view.render_packed` draws it: R in the lowest byte, then G and
            B.
        fresh: () bool.
        frame_stack: n.
    """
    newest = _newest(picture, frame_stack)
    filled = newest
    for _ in range(frame_stack - 1):
        filled = [a | b for a, b in zip(_shift(filled), newest, strict=True)]
    kept = _shift([frames[..., j] for j in range(word_count(frame_stack))])
    words = [
        jnp.where(fresh, full, old | new)
        for full, old, new in zip(filled, kept, newest, strict=True)
    ]
    return jnp.stack(words, axis=-1)


def unpack(frames: chex.Array, frame_stack: int) -> chex.Array:
    """Return the observation (H, W, 3 n) uint8, oldest picture first."""
    height, width, words = frames.shape
    channels = jax.lax.bitcast_convert_type(frames, jnp.uint8).reshape(height, width, 4 * words)
    return channels[..., : 3 * frame_stack]
