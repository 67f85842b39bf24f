"""Colours as three channels, and how they are laid side by side or over one another.

A feature bounded by the zero of a distance a covers clip(a / w + 1/2, 0, 1) of a pixel over whose
footprint a changes by w. Features that lie side by side share the pixel out among them, and each
channel is the sum of their colours times their shares.
"""

import chex

from kart_jax.xla.arithmetic import share

Colour = tuple[chex.Array, ...]  # red, green, blue, each (...) 0..255


def covered(distance: chex.Array, sharp: chex.Array) -> chex.Array:
    """Return the share of pixels (...) in which `distance` (...) is positive.

    Args:
        distance: m, or whatever unit, from the edge of a feature; positive inside.
        sharp: one over the change of `distance` across the pixel.
    """
    return share(distance * sharp + 0.5)


def channels(colour: chex.Array) -> Colour:
    """Return the three channels of a colour (3,)."""
    return colour[0], colour[1], colour[2]


def mix(below: Colour, above: Colour, part: chex.Array) -> Colour:
    """Put `above` over `below` where `part` (...) is 1."""
    return tuple(b + (a - b) * part for b, a in zip(below, above, strict=True))


def blend(*layers: tuple[chex.Array, chex.Array]) -> Colour:
    """Return the sum of colours (3,) times their shares (...)."""
    (colour, part), *others = layers
    total = tuple(c * part for c in channels(colour))
    for colour, part in others:
        total = tuple(below + c * part for below, c in zip(total, channels(colour), strict=True))
    return total
