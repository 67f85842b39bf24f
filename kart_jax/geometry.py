"""Two-dimensional maths shared by every room: rotation, angle wrap, safe norm.

Conventions are ISO 8855: x forward, y left, angles counter-clockwise in radians.
"""

import chex
import jax.numpy as jnp

from kart_jax.xla.sines import cos_sin


def rotate(x: chex.Array, y: chex.Array, angle: chex.Array) -> tuple[chex.Array, chex.Array]:
    """Turn the vector (x, y) counter-clockwise by `angle`.

    Args:
        x: (...) first component.
        y: (...) second component.
        angle: (...) rad.

    Returns:
        The two components (...) of the turned vector, in the unit of the input.
    """
    cosine, sine = cos_sin(angle)
    return cosine * x - sine * y, sine * x + cosine * y


def wrap_angle(angle: chex.Array) -> chex.Array:
    """Bring an angle (...) rad into [-pi, pi)."""
    return jnp.mod(angle + jnp.pi, 2.0 * jnp.pi) - jnp.pi


def safe_norm(x: chex.Array, y: chex.Array, floor: float = 1e-12) -> chex.Array:
    """Return sqrt(x² + y² + floor²), a length whose gradient is finite at the origin.

    Args:
        x: (...) first component.
        y: (...) second component.
        floor: least length, in the unit of the input.
    """
    return jnp.sqrt(x * x + y * y + floor * floor)
