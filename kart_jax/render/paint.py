"""The own kart's paint on the pixels that it hides, and how it is put over the world."""

import chex
import jax.numpy as jnp
from flax import struct

from kart_jax.render.colour import Colour, mix
from kart_jax.render.types import Appearance
from kart_jax.xla.arithmetic import pack_rgb

RUBBER = (30.0, 30.0, 32.0)
TRAY = (26.0, 26.0, 28.0)
METAL = (46.0, 46.0, 50.0)
BRIGHT = (120.0, 122.0, 126.0)
MARK = (250.0, 214.0, 40.0)


class Paint(struct.PyTreeNode):
    """The kart's colours times the share of each pixel (...) it hides, and that share."""

    red: chex.Array  # (...) 0..255
    green: chex.Array  # (...) 0..255
    blue: chex.Array  # (...) 0..255
    hidden: chex.Array  # (...) 0..1

    def under(self, colour: Colour, part: chex.Array) -> "Paint":
        """Return this paint with `colour` over it where `part` (...) is 1."""
        own = (self.red, self.green, self.blue, self.hidden)
        return Paint(*mix(own, (*colour, jnp.float32(1.0)), part))

    def packed(self) -> chex.Array:
        """Return the paint as words (...) uint32 for `over`.

        Red, green and blue from the lowest byte up, then the share hidden times 255, less 128.
        """
        hidden = (self.hidden * 255.0 + 0.5).astype(jnp.uint32) << 24
        return (pack_rgb(self.red, self.green, self.blue) | hidden) ^ jnp.uint32(2**31)


def bare(like: chex.Array) -> Paint:
    """Return the paint of pixels, as many as in `like` (...), that show nothing of the kart."""
    zero = jnp.zeros(like.shape, jnp.float32)
    return Paint(zero, zero, zero, zero)


def over(below: Colour, word: chex.Array) -> Colour:
    """Put the kart over colours (...); `word` (...) int32 of `Paint.packed`."""
    shown = 127.0 / 255.0 - (word & -(2**24)).astype(jnp.float32) * (1.0 / (255.0 * 2**24))
    kart = ((word & (255 << k)).astype(jnp.float32) * (1.0 / 2**k) for k in (0, 8, 16))
    return tuple(b * shown + own for b, own in zip(below, kart, strict=True))


def lit(colour: tuple[float, float, float], appearance: Appearance) -> Colour:
    """Return a colour of the kart in the light of the day."""
    return tuple(c * appearance.light for c in colour)
