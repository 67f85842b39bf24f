"""The kart that is driven as the view draws it: from its parameters to an `Appearance`."""

import chex
import jax.numpy as jnp

from kart_jax.physics.params import KartParams, preset
from kart_jax.render.types import Appearance, Body, default_body

STANDARD = "senior_max"  # the class of which `default_body` is the picture


def appearance_of(appearance: Appearance, kart: KartParams, kerb_width: chex.Numeric) -> Appearance:
    """Return an appearance with the body of a kart, and with kerbs of a width.

    A measure of the body is that of `default_body`, changed by as much as the kart differs from the
    standard kart; what the appearance held before does not matter.

    Args:
        appearance: colours and eye.
        kart: the kart that is driven.
        kerb_width: () m.
    """
    standard = preset(STANDARD)
    body = default_body()
    axle = kart.front_distance - standard.front_distance
    overhang = kart.front_overhang - standard.front_overhang
    track = kart.front_track - standard.front_track
    width = kart.front_width - standard.front_width

    drawn = Body(
        front_axle=body.front_axle + axle,
        half_track=body.half_track + 0.5 * track,
        tyre_radius=body.tyre_radius + (kart.front_tyre.radius - standard.front_tyre.radius),
        nose=body.nose + (axle + overhang),
        half_width=body.half_width + 0.5 * width,
    )
    return appearance.replace(body=drawn, kerb_width=jnp.asarray(kerb_width, jnp.float32))
