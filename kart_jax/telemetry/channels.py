"""The one table of telemetry channels: name, unit, sign and meaning, and how the value follows from
the race.

This is the edge of the simulator: inside everything is SI and radians, here a driver reads km/h, g,
degrees and per cent. Signs stay ISO 8855 (left and counter-clockwise positive), so a left-hand bend
shows positive steering, lateral_g, yaw_rate and curvature. A value that does not exist yet (the
time of a lap before the first line) is nan.
"""

import dataclasses
import math
from collections.abc import Callable

import chex
import jax.numpy as jnp
from flax import struct

from kart_jax.env import observe
from kart_jax.env.observe import GRAVITY
from kart_jax.geometry import wrap_angle
from kart_jax.physics.params import KartParams
from kart_jax.physics.types import KartState, Signals
from kart_jax.race.types import Timing
from kart_jax.track.types import TrackPoint, Tracks

KMH = 3.6  # km/h per m/s
DEGREES = 180.0 / math.pi
WHEELS = ("fl", "fr", "rl", "rr")


class Sample(struct.PyTreeNode):
    """Everything that the channels of ONE kart are read from; every field without the axis of
    karts."""

    step: chex.Array  # () int32, control steps since the recording began
    time: chex.Array  # () s, race time
    state: KartState
    signals: Signals
    timing: Timing  # fields (), and (3,) for the sectors
    point: TrackPoint  # where the centre of gravity is
    on_track: chex.Array  # () bool, kept to the track limits all through the last step
    params: KartParams
    tracks: Tracks
    track: chex.Array  # () int32, index into `tracks`


@dataclasses.dataclass(frozen=True)
class Channel:
    """One column of telemetry."""

    name: str
    unit: str  # as it is shown on an axis; "" = a count or a flag
    sign: str  # what a positive value says; "" = never negative
    meaning: str
    read: Callable[[Sample], chex.Array]  # Sample -> ()
    whole: bool = False  # written without decimals


def _sector_distance(sample: Sample) -> chex.Array:
    """Metres since the start of the sector that the kart is in."""
    lines = sample.tracks.sectors[sample.track]
    return sample.point.s - jnp.max(jnp.where(lines <= sample.point.s, lines, 0.0))


def _sector(sample: Sample) -> chex.Array:
    """Sector 1, 2 or 3, by place: the last sector line behind the kart."""
    return jnp.sum(sample.tracks.sectors[sample.track] <= sample.point.s)


def _checkpoint_angle(sample: Sample) -> chex.Array:
    """Direction to the middle of the next gate as seen from the kart, degrees: the driver's own
    reading."""
    scene = observe.Scene(sample.state, sample.params, sample.point, sample.tracks, sample.track)
    return observe.checkpoint_angle(scene) * DEGREES


def _wheel(
    name: str, field: str, unit: str, sign: str, meaning: str, factor: float
) -> tuple[Channel, ...]:
    """Four channels of one wheel signal, front-left to rear-right."""

    def reader(index: int) -> Callable[[Sample], chex.Array]:
        return lambda sample: getattr(sample.signals, field)[index] * factor

    return tuple(
        Channel(f"{name}_{w}", unit, sign, f"{meaning}, {w}", reader(i))
        for i, w in enumerate(WHEELS)
    )


CHANNELS: tuple[Channel, ...] = (
    Channel(
        "step", "", "", "control steps since the recording began", lambda c: c.step, whole=True
    ),
    Channel("time", "s", "", "race time", lambda c: c.time),
    Channel(
        "lap",
        "",
        "",
        "laps completed over the line, valid or not",
        lambda c: c.timing.lap,
        whole=True,
    ),
    Channel("sector", "", "", "sector of the lap, 1 to 3", _sector, whole=True),
    Channel(
        "distance",
        "m",
        "forward",
        "metres of centre line covered since the first line",
        lambda c: c.timing.progress,
    ),
    Channel("lap_distance", "m", "", "metres since the start line", lambda c: c.point.s),
    Channel("sector_distance", "m", "", "metres since the last sector line", _sector_distance),
    Channel("x", "m", "east", "place of the centre of gravity", lambda c: c.state.x),
    Channel("y", "m", "north", "place of the centre of gravity", lambda c: c.state.y),
    Channel(
        "heading",
        "deg",
        "left",
        "yaw angle from east, within ±180",
        lambda c: wrap_angle(c.state.yaw) * DEGREES,
    ),
    Channel("speed", "km/h", "", "speed over the ground", lambda c: c.signals.speed * KMH),
    Channel(
        "steering",
        "deg",
        "left",
        "angle of the steering wheel",
        lambda c: c.state.steer * c.params.steering_ratio * DEGREES,
    ),
    Channel("throttle", "%", "", "throttle pedal", lambda c: c.state.throttle * 100.0),
    Channel("brake", "%", "", "brake pedal", lambda c: c.state.brake * 100.0),
    Channel("lateral_g", "g", "left", "lateral acceleration", lambda c: c.state.accel_y / GRAVITY),
    Channel(
        "longitudinal_g",
        "g",
        "speeding up",
        "longitudinal acceleration",
        lambda c: c.state.accel_x / GRAVITY,
    ),
    Channel("yaw_rate", "deg/s", "left", "rate of turn", lambda c: c.state.yaw_rate * DEGREES),
    Channel(
        "drift_angle",
        "deg",
        "nose right of the path",
        "side-slip angle of the kart",
        lambda c: (
            jnp.where(c.signals.speed > 1.0, jnp.arctan2(c.state.vy, c.state.vx), 0.0) * DEGREES
        ),
    ),
    Channel(
        "roll", "deg", "leaning right", "roll of the chassis", lambda c: c.signals.roll * DEGREES
    ),
    Channel(
        "pitch", "deg", "nose down", "pitch of the chassis", lambda c: c.signals.pitch * DEGREES
    ),
    Channel("rpm", "1/min", "", "crankshaft speed", lambda c: c.signals.rpm),
    Channel("gear", "", "", "gear, 1 = first", lambda c: c.state.gear + 1, whole=True),
    *_wheel("slip_ratio", "slip_ratio", "", "driving", "longitudinal slip", 1.0),
    *_wheel(
        "slip_angle", "slip_angle", "deg", "wheel points left of its path", "slip angle", DEGREES
    ),
    *_wheel("load", "wheel_load", "N", "", "vertical load", 1.0),
    Channel("dist_to_line", "m", "left", "offset from the centre line", lambda c: c.point.n),
    Channel(
        "curvature", "1/m", "left", "curvature of the centre line here", lambda c: c.point.curvature
    ),
    Channel(
        "checkpoint_angle",
        "deg",
        "left",
        "direction to the next gate, from straight ahead",
        _checkpoint_angle,
    ),
    Channel("on_track", "", "", "1 = inside the track limits", lambda c: c.on_track, whole=True),
    Channel(
        "lap_valid",
        "",
        "",
        "1 = the lap under way still counts",
        lambda c: c.timing.lap_valid,
        whole=True,
    ),
    Channel("lap_time", "s", "", "time since the start line", lambda c: c.timing.lap_time),
    Channel("last_lap", "s", "", "last valid lap by the race timing", lambda c: c.timing.last_lap),
    Channel("best_lap", "s", "", "best valid lap by the race timing", lambda c: c.timing.best_lap),
)

NAMES: tuple[str, ...] = tuple(channel.name for channel in CHANNELS)
BY_NAME: dict[str, Channel] = {channel.name: channel for channel in CHANNELS}


def read_all(sample: Sample) -> chex.Array:
    """Every channel of one kart in the order of the table: (C,) float32."""
    return jnp.stack([jnp.asarray(channel.read(sample), jnp.float32) for channel in CHANNELS])
