"""The ground under the wheels: asphalt, kerb, grass, with smooth borders."""

import chex
import jax.numpy as jnp

from kart_jax.physics.params import GroundParams, KartParams
from kart_jax.physics.types import Surface
from kart_jax.xla.bounds import within


def _smooth_step(distance: chex.Array, width: chex.Numeric) -> chex.Array:
    """Return t²(3 - 2t), which goes from 0 to 1 over `width` (m) around distance 0."""
    t = within(distance * (1.0 / width) + 0.5, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def asphalt(params: KartParams) -> Surface:
    """Return dry asphalt under all four wheels."""
    return Surface(grip=jnp.ones(4), rolling=jnp.broadcast_to(params.rolling_resistance, (4,)))


def blend(
    params: KartParams, ground: GroundParams, edge_distance: chex.Array, kerb: chex.Array
) -> Surface:
    """Blend the ground under each wheel from its place relative to the edge of the asphalt.

    Args:
        params: the kart, whose tyres roll.
        ground: what lies beside the asphalt.
        edge_distance: (4,) m past the nearer edge; negative on the asphalt.
        kerb: (4,) 0..1, how much of a kerb lies there; it is `kerb_width` wide, grass beyond.
    """
    off_asphalt = _smooth_step(edge_distance, ground.surface_blend)
    past_kerb = _smooth_step(edge_distance - ground.kerb_width, ground.surface_blend)
    on_kerb = kerb * off_asphalt * (1.0 - past_kerb)
    on_grass = off_asphalt - on_kerb

    grip = 1.0 + (ground.grip_kerb - 1.0) * on_kerb + (ground.grip_grass - 1.0) * on_grass
    rolling = (
        params.rolling_resistance * (1.0 - off_asphalt)
        + ground.rolling_kerb * on_kerb
        + ground.rolling_grass * on_grass
    )
    return Surface(grip=grip, rolling=rolling)
