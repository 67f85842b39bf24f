"""What the driver is told: nine channels, each with its scale, and the pose of the view."""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from kart_jax.physics.params import KartParams
from kart_jax.physics.signals import signals
from kart_jax.physics.types import KartState
from kart_jax.race import channels
from kart_jax.render.types import Pose
from kart_jax.xla.arithmetic import hashed

LIMIT = 3.0  # scaled values are clipped to [-LIMIT, LIMIT]


class Observed(NamedTuple):
    """One number of the observation."""

    name: str  # as learners know it
    channel: str  # of `channels.CHANNELS`
    unit: str  # of the scale, a key of `channels.UNITS`
    scale: float  # the value in `unit` that becomes 1


OBSERVATION: tuple[Observed, ...] = (
    Observed("speed", "speed", "m/s", 40.0),
    Observed("steering", "steering_lock", "", 1.0),
    Observed("throttle", "throttle", "", 1.0),
    Observed("brake", "brake", "", 1.0),
    Observed("lat_g", "lateral_g", "g", 2.5),
    Observed("long_g", "longitudinal_g", "g", 1.0),
    Observed("dist_to_line", "dist_to_line", "m", 6.0),
    Observed("curvature", "curvature", "1/m", 0.1),
    Observed("checkpoint_angle", "checkpoint_angle", "rad", 1.0),
)


def pose(kart: KartState, params: KartParams) -> Pose:
    """Return where the chassis is and how the kart is steered, for the view."""
    sensed = signals(kart, params)
    return Pose(
        x=kart.x,
        y=kart.y,
        yaw=kart.yaw,
        roll=sensed.roll,
        pitch=sensed.pitch,
        steering_wheel=kart.steer * params.steering_ratio,
        road_wheel=kart.steer,
    )


def telemetry(
    sample: channels.Sample, noise: chex.Numeric = 0.0, step: chex.Numeric = 0
) -> chex.Array:
    """Return the observation (9,) float32 of one kart, in the order of `OBSERVATION`.

    Each channel is divided by its scale and clipped to [-LIMIT, LIMIT]; nan becomes 0.

    Args:
        sample: what is measured.
        noise: () standard deviation of the error of each scaled channel, evenly spread.
        step: () int32, which error of each.
    """
    values = jnp.stack(
        [channels.read_channel(row.channel, sample, row.unit) / row.scale for row in OBSERVATION]
    )
    count = len(OBSERVATION)
    s_bits = jax.lax.bitcast_convert_type(jnp.asarray(sample.track_point.s, jnp.float32), jnp.int32)
    values = values + noise * hashed(jnp.arange(count) + count * step, s_bits)
    return jnp.nan_to_num(jnp.clip(values, -LIMIT, LIMIT)).astype(jnp.float32)
