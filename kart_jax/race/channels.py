"""The one table of what can be read off a kart, and the readers that read it.

A `Channel` specifies a quantity: name, unit, sign, meaning. Its reader stands apart in `READERS`,
so that a quantity which only a logger's file holds can be specified without one. Readers return SI
and radians; a channel's unit is the one a driver reads (km/h, g, degrees, per cent), and `read_all`
converts to it, where a recording is made. Signs are ISO 8855 (left and counter-clockwise positive),
so a left-hand bend shows positive steering, lateral_g, yaw_rate and curvature. A value that does
not exist yet (the time of a lap before the first line) is nan.
"""

import dataclasses
import math
from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
from flax import struct

from kart_jax.geometry import wrap_angle
from kart_jax.physics.params import KartParams
from kart_jax.physics.signals import signals
from kart_jax.physics.types import KartState, Signals
from kart_jax.race import timing
from kart_jax.race.types import RACE_AXES, RaceState, Timing
from kart_jax.track import query
from kart_jax.track.types import TrackPoint, Tracks

STANDARD_GRAVITY = 9.80665  # m/s² in a g, by definition
GATE_CLEARANCE = 5.0  # m, a gate nearer than this counts as passed: its bearing would say nothing
DRIFT_SPEED = 1.0  # m/s, below it the direction of travel is noise and the drift angle is 0
WHEELS = ("fl", "fr", "rl", "rr")

# How many of each unit make one SI unit.
UNITS: dict[str, float] = {
    "": 1.0,
    "s": 1.0,
    "m": 1.0,
    "1/m": 1.0,
    "m/s": 1.0,
    "N": 1.0,
    "rad": 1.0,
    "km/h": 3.6,
    "deg": 180.0 / math.pi,
    "deg/s": 180.0 / math.pi,
    "1/min": 30.0 / math.pi,
    "g": 1.0 / STANDARD_GRAVITY,
    "%": 100.0,
}


class Sample(struct.PyTreeNode):
    """Everything that the channels of ONE kart are read from, without an axis of karts."""

    step: chex.Array  # () int32, control steps since the recording began
    time: chex.Array  # () s, race time
    kart: KartState  # fields () and those of its wheels
    signals: Signals  # fields () and (4,)
    timing: Timing  # fields () and (3,) for the sectors
    track_point: TrackPoint  # fields (), where the centre of gravity is
    on_track: chex.Array  # () bool, kept to the track limits all through the last step
    params: KartParams  # of this kart
    tracks: Tracks  # the stack of circuits
    track: chex.Array  # () int32, index into `tracks`


@dataclasses.dataclass(frozen=True)
class Channel:
    """The specification of one quantity."""

    name: str
    unit: str  # as it is shown and recorded, a key of `UNITS`; "" = a count, a flag or a ratio
    sign: str  # what a positive value says; "" = never negative
    meaning: str
    whole: bool = False  # written without decimals
    recorded: bool = True  # a column of recordings; else only the driver's observation reads it


def _wheel_channels(name: str, unit: str, sign: str, meaning: str) -> tuple[Channel, ...]:
    """Specify one signal of the four wheels, front-left to rear-right."""
    return tuple(Channel(f"{name}_{wheel}", unit, sign, f"{meaning}, {wheel}") for wheel in WHEELS)


CHANNELS: tuple[Channel, ...] = (
    Channel("step", "", "", "control steps since the recording began", whole=True),
    Channel("time", "s", "", "race time"),
    Channel("lap", "", "", "laps completed over the line, valid or not", whole=True),
    Channel("sector", "", "", "sector of the lap, 1 to 3", whole=True),
    Channel("distance", "m", "forward", "metres of centre line covered since the first line"),
    Channel("lap_distance", "m", "", "metres since the start line"),
    Channel("sector_distance", "m", "", "metres since the last sector line"),
    Channel("x", "m", "east", "place of the centre of gravity"),
    Channel("y", "m", "north", "place of the centre of gravity"),
    Channel("heading", "deg", "left", "yaw angle from east, within ±180"),
    Channel("speed", "km/h", "", "speed over the ground"),
    Channel("steering", "deg", "left", "angle of the steering wheel"),
    Channel("throttle", "%", "", "throttle pedal"),
    Channel("brake", "%", "", "brake pedal"),
    Channel("lateral_g", "g", "left", "lateral acceleration"),
    Channel("longitudinal_g", "g", "speeding up", "longitudinal acceleration"),
    Channel("yaw_rate", "deg/s", "left", "rate of turn"),
    Channel("drift_angle", "deg", "nose right of the path", "side-slip angle of the kart"),
    Channel("roll", "deg", "leaning right", "roll of the chassis"),
    Channel("pitch", "deg", "nose down", "pitch of the chassis"),
    Channel("rpm", "1/min", "", "crankshaft speed"),
    Channel("gear", "", "", "gear, 1 = first", whole=True),
    *_wheel_channels("slip_ratio", "", "driving", "longitudinal slip"),
    *_wheel_channels("slip_angle", "deg", "wheel points left of its path", "slip angle"),
    *_wheel_channels("load", "N", "", "vertical load"),
    Channel("dist_to_line", "m", "left", "offset from the centre line"),
    Channel("curvature", "1/m", "left", "curvature of the centre line here"),
    Channel("checkpoint_angle", "deg", "left", "direction to the next gate, from straight ahead"),
    Channel("on_track", "", "", "1 = inside the track limits", whole=True),
    Channel("lap_valid", "", "", "1 = the lap under way still counts", whole=True),
    Channel("lap_time", "s", "", "time since the start line"),
    Channel("last_lap", "s", "", "last valid lap by the race timing"),
    Channel("best_lap", "s", "", "best valid lap by the race timing"),
    Channel("steering_lock", "", "left", "steering as a part of full lock", recorded=False),
)

BY_NAME: dict[str, Channel] = {channel.name: channel for channel in CHANNELS}
# The columns of a recording, in their order.
NAMES: tuple[str, ...] = tuple(channel.name for channel in CHANNELS if channel.recorded)


def speed(kart: KartState) -> chex.Array:
    """Return the speed () m/s over the ground, with a gradient that is finite at rest."""
    squared = kart.vx**2 + kart.vy**2
    moving = squared > 0.0
    return jnp.where(moving, jnp.sqrt(jnp.where(moving, squared, 1.0)), 0.0)


def sector(sample: Sample) -> chex.Array:
    """Return sector 1, 2 or 3, by place: that of the last sector line behind the kart."""
    return jnp.sum(sample.tracks.sectors[sample.track] <= sample.track_point.s)


def sector_distance(sample: Sample) -> chex.Array:
    """Return the metres () since the start of the sector that the kart is in."""
    s = sample.track_point.s
    lines = sample.tracks.sectors[sample.track]
    return s - jnp.max(jnp.where(lines <= s, lines, 0.0))


def drift_angle(sample: Sample) -> chex.Array:
    """Return the side-slip angle () rad of the kart, 0 below `DRIFT_SPEED`."""
    kart = sample.kart
    return jnp.where(sample.signals.speed > DRIFT_SPEED, jnp.arctan2(kart.vy, kart.vx), 0.0)


def checkpoint_angle(sample: Sample) -> chex.Array:
    """Return the bearing () rad of the next gate's middle from the nose, positive = left."""
    tracks = sample.tracks
    track = sample.track
    kart = sample.kart

    gate = timing.next_gate(tracks, track, sample.track_point.s, GATE_CLEARANCE)
    row = track * tracks.gates.shape[1] + gate
    gate_s = jnp.take(tracks.gates.reshape(-1), row, mode="clip")
    x, y, _ = query.pose_at(tracks, track, gate_s)
    return wrap_angle(jnp.arctan2(y - kart.y, x - kart.x) - kart.yaw)


Reader = Callable[[Sample], chex.Array]  # Sample -> () in SI


def _wheel_readers(name: str, field: str) -> dict[str, Reader]:
    """Read one signal of the four wheels, front-left to rear-right."""

    def reader(index: int) -> Reader:
        return lambda sample: getattr(sample.signals, field)[index]

    return {f"{name}_{wheel}": reader(index) for index, wheel in enumerate(WHEELS)}


READERS: dict[str, Reader] = {
    "step": lambda sample: sample.step,
    "time": lambda sample: sample.time,
    "lap": lambda sample: sample.timing.lap,
    "sector": sector,
    "distance": lambda sample: sample.timing.progress,
    "lap_distance": lambda sample: sample.track_point.s,
    "sector_distance": sector_distance,
    "x": lambda sample: sample.kart.x,
    "y": lambda sample: sample.kart.y,
    "heading": lambda sample: wrap_angle(sample.kart.yaw),
    "speed": lambda sample: speed(sample.kart),
    "steering": lambda sample: sample.kart.steer * sample.params.steering_ratio,
    "throttle": lambda sample: sample.kart.throttle,
    "brake": lambda sample: sample.kart.brake,
    "lateral_g": lambda sample: sample.kart.accel_y,
    "longitudinal_g": lambda sample: sample.kart.accel_x,
    "yaw_rate": lambda sample: sample.kart.yaw_rate,
    "drift_angle": drift_angle,
    "roll": lambda sample: sample.signals.roll,
    "pitch": lambda sample: sample.signals.pitch,
    "rpm": lambda sample: sample.kart.engine_speed,
    "gear": lambda sample: sample.kart.gear + 1,
    **_wheel_readers("slip_ratio", "slip_ratio"),
    **_wheel_readers("slip_angle", "slip_angle"),
    **_wheel_readers("load", "wheel_load"),
    "dist_to_line": lambda sample: sample.track_point.n,
    "curvature": lambda sample: sample.track_point.curvature,
    "checkpoint_angle": checkpoint_angle,
    "on_track": lambda sample: sample.on_track,
    "lap_valid": lambda sample: sample.timing.lap_valid,
    "lap_time": lambda sample: sample.timing.lap_time,
    "last_lap": lambda sample: sample.timing.last_lap,
    "best_lap": lambda sample: sample.timing.best_lap,
    "steering_lock": lambda sample: sample.kart.steer / sample.params.max_steer,
}


def read_channel(name: str, sample: Sample, unit: str | None = None) -> chex.Array:
    """Return one channel () in `unit`, a key of `UNITS`; None = the channel's own."""
    factor = UNITS[BY_NAME[name].unit if unit is None else unit]
    return READERS[name](sample) * factor


def read_all(sample: Sample) -> chex.Array:
    """Return one row of a recording: the channels (C,) float32 of one kart, as in `NAMES`."""
    return jnp.stack([jnp.asarray(read_channel(name, sample), jnp.float32) for name in NAMES])


def sample_kart(race: RaceState, step: chex.Numeric, tracks: Tracks, params: KartParams) -> Sample:
    """Gather what the channels of ONE kart are read from.

    Args:
        race: after a step, without the axis of karts (`jax.vmap` over `RACE_AXES` takes it away).
        step: () int32, control steps since the recording began.
        tracks: the stack of circuits.
        params: of the kart.
    """
    return Sample(
        step=jnp.asarray(step, jnp.int32),
        time=race.time,
        kart=race.karts,
        signals=signals(race.karts, params),
        timing=race.timing,
        track_point=race.track_point,
        on_track=race.on_track,
        params=params,
        tracks=tracks,
        track=race.track,
    )


def read_race(
    race: RaceState, step: chex.Numeric, tracks: Tracks, params: KartParams
) -> chex.Array:
    """Read a recording's row of each of a race's K karts; `jax.vmap` over races is the caller's.

    Called in a scan over control steps, it makes that scan's output a recording:

        def body(race, step):
            race = race_step(race, ...)
            return race, read_race(race, step, tracks, params)

        _, values = jax.lax.scan(body, race, jnp.arange(steps))  # (steps, K, C)

    Args:
        race: after a step.
        step: () int32, control steps since the recording began.
        tracks: the stack of circuits.
        params: shared by the K karts, or every field with a leading axis (K,).

    Returns:
        (K, C) float32, columns as in `NAMES`.
    """

    def read_kart(race: RaceState, params: KartParams) -> chex.Array:
        return read_all(sample_kart(race, step, tracks, params))

    params_axis = 0 if jnp.ndim(params.mass) else None
    return jax.vmap(read_kart, in_axes=(RACE_AXES, params_axis))(race, params)
