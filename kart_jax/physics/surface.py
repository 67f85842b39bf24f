"""The ground under the wheels: asphalt, kerb, grass, with smooth borders."""

import chex
import jax.numpy as jnp

from kart_jax.physics.params import KartParams
from kart_jax.physics.types import Surface
from kart_jax.xla.bounds import within


def _past(distance: chex.Array, width: chex.Array) -> chex.Array:
    """Smooth step from 0 to 1 around distance 0 over `width`: t²(3 - 2t)."""
    t = within(distance * (1.0 / width) + 0.5, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def asphalt(params: KartParams) -> Surface:
    """Dry asphalt under all four wheels."""
    return Surface(grip=jnp.ones(4), rolling=jnp.broadcast_to(params.rolling_asphalt, (4,)))


def blend(params: KartParams, edge_distance: chex.Array, kerb: chex.Array) -> Surface:
    """Ground under each wheel from its place relative to the edge of the asphalt.

    Args:
        params: the kart, which carries the surface coefficients.
        edge_distance: (4,) m past the nearer edge; negative on the asphalt.
        kerb: (4,) 0..1, how much of a kerb lies there; it is `kerb_width` wide, grass beyond.
    """
    off = _past(edge_distance, params.surface_blend)
    on_kerb = kerb * off * (1.0 - _past(edge_distance - params.kerb_width, params.surface_blend))
    on_grass = off - on_kerb
    grip = 1.0 + (params.grip_kerb - 1.0) * on_kerb + (params.grip_grass - 1.0) * on_grass
    rolling = (
        params.rolling_asphalt * (1.0 - off)
        + params.rolling_kerb * on_kerb
        + params.rolling_grass * on_grass
    )
    return Surface(grip=grip, rolling=rolling)
