"""What the driver is told: the telemetry table (order, unit, scale, meaning) and the pose of the
view."""

import dataclasses
from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp

from kart_jax import geometry
from kart_jax.physics.params import KartParams
from kart_jax.physics.signals import signals
from kart_jax.physics.types import KartState
from kart_jax.race import timing
from kart_jax.render.types import Pose
from kart_jax.track import query
from kart_jax.track.types import TrackPoint, Tracks
from kart_jax.xla.arithmetic import hashed

GRAVITY = 9.80665  # m/s²
CHECKPOINT_CLEARANCE = (
    5.0  # m, a gate nearer than this counts as passed: its bearing would say nothing
)
LIMIT = 3.0  # scaled values are clipped to [-LIMIT, LIMIT]


@dataclasses.dataclass(frozen=True)
class Scene:
    """What the channels are read from: one kart and where it is on its circuit."""

    kart: KartState
    params: KartParams
    place: TrackPoint
    tracks: Tracks
    track: chex.Array  # () int32


@dataclasses.dataclass(frozen=True)
class Channel:
    """One number of the observation."""

    name: str
    unit: str
    scale: float  # the value in `unit` that becomes 1
    read: Callable[[Scene], chex.Array]  # () value in `unit`


def pose(kart: KartState, params: KartParams) -> Pose:
    """Where the chassis is and how the driver holds the wheel, for the view."""
    sensed = signals(kart, params)
    turned = kart.steer * params.steering_ratio
    return Pose(
        x=kart.x,
        y=kart.y,
        yaw=kart.yaw,
        roll=sensed.roll,
        pitch=sensed.pitch,
        steering_wheel=turned,
    )


def checkpoint_angle(scene: Scene) -> chex.Array:
    """Bearing () rad of the next gate's middle from the nose, positive = to the left."""
    tracks, track, kart = scene.tracks, scene.track, scene.kart
    gate = timing.next_gate(tracks, track, scene.place.s, CHECKPOINT_CLEARANCE)
    mark = jnp.take(tracks.gates.reshape(-1), track * tracks.gates.shape[1] + gate, mode="clip")
    x, y, _ = query.pose_at(tracks, track, mark)
    return geometry.wrap_angle(jnp.arctan2(y - kart.y, x - kart.x) - kart.yaw)


CHANNELS: tuple[Channel, ...] = (
    Channel("speed", "m/s", 40.0, lambda scene: geometry.safe_norm(scene.kart.vx, scene.kart.vy)),
    Channel("steering", "-1..1", 1.0, lambda scene: scene.kart.steer / scene.params.max_steer),
    Channel("throttle", "0..1", 1.0, lambda scene: scene.kart.throttle),
    Channel("brake", "0..1", 1.0, lambda scene: scene.kart.brake),
    Channel("lat_g", "g", 2.5, lambda scene: scene.kart.accel_y / GRAVITY),
    Channel("long_g", "g", 1.0, lambda scene: scene.kart.accel_x / GRAVITY),
    Channel("dist_to_line", "m", 6.0, lambda scene: scene.place.n),
    Channel("curvature", "1/m", 0.1, lambda scene: scene.place.curvature),
    Channel("checkpoint_angle", "rad", 1.0, checkpoint_angle),
)


def telemetry(scene: Scene, noise: chex.Numeric = 0.0, step: chex.Numeric = 0) -> chex.Array:
    """The channels (9,) float32 in table order, each divided by its scale and clipped to [-LIMIT,
    LIMIT]; nan is 0.

    Args:
        scene: what is measured.
        noise: () standard deviation of the error of each scaled channel, evenly spread.
        step: () int32, which error of each.
    """
    values = jnp.stack([channel.read(scene) / channel.scale for channel in CHANNELS])
    place = jax.lax.bitcast_convert_type(jnp.asarray(scene.place.s, jnp.float32), jnp.int32)
    values = values + noise * hashed(jnp.arange(len(CHANNELS)) + len(CHANNELS) * step, place)
    return jnp.nan_to_num(jnp.clip(values, -LIMIT, LIMIT)).astype(jnp.float32)
