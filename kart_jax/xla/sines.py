"""Cosine and sine by polynomials instead of a library's calls. Why: `kart_jax.xla`."""

import chex
import jax.numpy as jnp

from kart_jax.xla.stage import stage

# pi in three parts; a whole number below 2^13 times one of the first two is exact in float32 (Cody
# and Waite).
_PI = (3.140625, 9.67502593994140625e-4, 1.509957990978376432e-7)
# cos(r) and sin(r) / r in r² with the least greatest error over |r| <= pi / 2, below the rounding
# of float32.
_COSINE = (1.0, -0.5, 0.0416666661, -1.38887822e-3, 2.47826245e-5, -2.64520865e-7)
_SINE = (1.0, -0.166666662, 8.33317872e-3, -1.98154595e-4, 2.61538108e-6)


@stage()
def cos_sin(angle: chex.Array) -> tuple[chex.Array, chex.Array]:
    """Return cosine and sine (...) of an angle (...) rad, in float32 within 3e-7.

    In other types they are the library's. With n the whole number nearest to angle / pi and
    r = angle - n pi, both are (-1)^n times a polynomial in r. Beyond 25,000 rad the error grows
    like the spacing of float32 numbers; where this leaves no direction (1e7 rad), the direction is
    that of 0. Infinity and nan give nan.
    """
    if angle.dtype != jnp.float32:
        return jnp.cos(angle), jnp.sin(angle)

    n = jnp.round(angle * (1.0 / jnp.pi))
    r = angle - n * _PI[0] - n * _PI[1] - n * _PI[2]
    r = jnp.where(jnp.abs(r) < 1.8, r, 0.0 * r)
    sign = 1.0 - 4.0 * jnp.abs(0.5 * n - jnp.round(0.5 * n))  # of (-1)^n
    square = r * r
    return sign * _polynomial(_COSINE, square), sign * r * _polynomial(_SINE, square)


def cos_sin_small(angle: chex.Array) -> tuple[chex.Array, chex.Array]:
    """Return cosine and sine of a road-wheel angle (rad), within 2e-7 up to 1.2 rad.

    Taylor series. A compiler repeats them in every fused loop that needs them, where they cost next
    to nothing.
    """
    u = angle * angle
    cosine = 1.0 + u * (-1 / 2 + u * (1 / 24 + u * (-1 / 720 + u * (1 / 40320 - u / 3628800))))
    sine = angle * (1.0 + u * (-1 / 6 + u * (1 / 120 + u * (-1 / 5040 + u / 362880))))
    return cosine, sine


def _polynomial(coefficients: tuple[float, ...], x: chex.Array) -> chex.Array:
    """Return c_0 + c_1 x + c_2 x² ... by Horner's rule."""
    value = coefficients[-1] * x
    for coefficient in coefficients[-2:0:-1]:
        value = (value + coefficient) * x
    return value + coefficients[0]
