"""What a race is driven with: its karts, its ground, its air and its rules."""

import chex
import jax
import jax.numpy as jnp
from flax import struct

from kart_jax.physics.params import AirParams, GroundParams, KartParams


class RaceRules(struct.PyTreeNode):
    """What race control decides by."""

    track_limit: chex.Numeric = 0.15  # m, innermost wheel past the asphalt at most: the white line


class RaceParams(struct.PyTreeNode):
    """Parameters of one race of K karts."""

    kart: KartParams  # every field with a leading axis (K,)
    ground: GroundParams = GroundParams()
    air: AirParams = AirParams()
    rules: RaceRules = RaceRules()


def per_kart(kart: KartParams, karts: int) -> KartParams:
    """Give each of `karts` karts the parameters of one: every field gets a leading axis (K,)."""
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (karts, *jnp.shape(leaf))), kart)
