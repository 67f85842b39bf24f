"""All randomisation of the environment: the start of an episode, its kart, light and senses."""

import dataclasses
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import chex
import jax
import jax.numpy as jnp

from kart_jax.env.params import EnvParams, StartRange
from kart_jax.race.start import StartPose, on_grid, start_race
from kart_jax.race.types import RaceState
from kart_jax.track import query
from kart_jax.track.types import SampleColumn, Tracks

LOOK_AHEAD = (
    0.0,
    4.0,
    8.0,
    14.0,
    22.0,
    32.0,
    45.0,
    60.0,
)  # m, where the curvature is read for the start speed
GAP = 8.0  # m along the track between karts that start together


def draw_start(key: chex.PRNGKey, tracks: Tracks, params: EnvParams, karts: int) -> RaceState:
    """Draw the race at the start of an episode.

    track: uniform over the stack, or `params.start.track` where that is not negative.
    place: uniform over the lap; `karts` > 1 follow each other at `GAP`.
    offset: uniform in ± `offset` of the half-width on that side.
    heading: uniform in ± `heading_error` around the centre line's.
    speed: uniform between 0 and `safe_speed` there.
    With `params.start.grid` = 1 the karts stand on the first slots of the grid instead.
    """
    track_key, place_key, pose_key = jax.random.split(key, 3)
    options = params.start
    drawn = jax.random.randint(track_key, (), 0, tracks.size)
    track = jnp.where(jnp.asarray(options.track) < 0, drawn, options.track).astype(jnp.int32)

    first = jax.random.uniform(place_key) * tracks.length[track]
    s = jnp.mod(first - GAP * jnp.arange(karts), tracks.length[track])
    offset, heading, speed = jax.random.uniform(pose_key, (3, karts))
    rolling = StartPose(
        s=s,
        n=(2.0 * offset - 1.0) * options.offset * _half_width(tracks, track, s),
        heading_error=(2.0 * heading - 1.0) * options.heading_error,
        speed=speed * safe_speed(tracks, track, s, options),
    )

    standing = on_grid(tracks, track, karts)
    chosen = partial(jnp.where, jnp.asarray(options.grid) > 0.5)
    return start_race(tracks, track, jax.tree.map(chosen, standing, rolling), params.kart)


@dataclasses.dataclass(frozen=True)
class Variation:
    """One thing that differs from episode to episode; drawn uniformly in ± `spread`."""

    name: str
    spread: float  # in `unit`
    unit: str  # "1" = share of the nominal value
    meaning: str
    apply: Callable[[EnvParams, chex.Array], EnvParams]  # nominal parameters and the value () drawn


def _mass(p: EnvParams, v: chex.Array) -> EnvParams:
    kart = replace(p.kart, mass=p.kart.mass * (1.0 + v), yaw_inertia=p.kart.yaw_inertia * (1.0 + v))
    return replace(p, kart=kart)


def _grip(p: EnvParams, v: chex.Array) -> EnvParams:
    front, rear = (
        replace(tyre, friction=tyre.friction * (1.0 + v))
        for tyre in (p.kart.front_tyre, p.kart.rear_tyre)
    )
    return replace(p, kart=replace(p.kart, front_tyre=front, rear_tyre=rear))


def _power(p: EnvParams, v: chex.Array) -> EnvParams:
    return replace(p, kart=replace(p.kart, torque=p.kart.torque * (1.0 + v)))


def _brakes(p: EnvParams, v: chex.Array) -> EnvParams:
    front, rear = p.kart.front_brake * (1.0 + v), p.kart.rear_brake * (1.0 + v)
    return replace(p, kart=replace(p.kart, front_brake=front, rear_brake=rear))


def _driver_lag(p: EnvParams, v: chex.Array) -> EnvParams:
    names = ("steer_lag", "throttle_lag", "brake_lag")
    return replace(
        p, kart=replace(p.kart, **{name: getattr(p.kart, name) * (1.0 + v) for name in names})
    )


def _vary_appearance(
    field: str, change: Callable[[chex.Array, chex.Array], chex.Array]
) -> Callable:
    """Make the function that applies a variation to one field of the appearance."""
    return lambda p, v: replace(
        p, appearance=replace(p.appearance, **{field: change(getattr(p.appearance, field), v)})
    )


VARIATIONS: tuple[Variation, ...] = (
    Variation("mass", 0.08, "1", "mass and yaw inertia", _mass),
    Variation("grip", 0.08, "1", "friction of all tyres together", _grip),
    Variation("power", 0.08, "1", "torque of the engine", _power),
    Variation("brakes", 0.15, "1", "torque of the brakes", _brakes),
    Variation("driver_lag", 0.4, "1", "lags of the driver's hands and feet", _driver_lag),
    Variation(
        "light",
        0.25,
        "1",
        "brightness of the world",
        _vary_appearance("light", lambda x, v: x * (1.0 + v)),
    ),
    Variation(
        "camera_height",
        0.06,
        "m",
        "height of the eye",
        _vary_appearance("camera_height", lambda x, v: x + v),
    ),
    Variation(
        "camera_pitch",
        0.035,
        "rad",
        "tilt of the head",
        _vary_appearance("camera_pitch", lambda x, v: x + v),
    ),
    Variation(
        "pixel_noise",
        6.0,
        "grey levels",
        "size of the camera's noise",
        _vary_appearance("noise", lambda x, v: x + abs(v)),
    ),
    Variation(
        "latency",
        0.04,
        "s",
        "size of the delay of the actions",
        lambda p, v: replace(p, latency=p.latency + abs(v)),
    ),
    Variation(
        "sensor_noise",
        0.02,
        "scaled",
        "size of the telemetry's noise",
        lambda p, v: replace(p, sensor_noise=p.sensor_noise + abs(v)),
    ),
)


def draw(key: chex.PRNGKey, karts: int) -> chex.Array:
    """Draw what each kart of an episode gets of `VARIATIONS`: (K, V), parts of the spreads.

    Each is uniform in ± 1.
    """
    return jax.random.uniform(key, (karts, len(VARIATIONS)), minval=-1.0)


def vary(params: EnvParams, randomization: chex.Array | None) -> EnvParams:
    """Return the parameters of one kart that drew (V,) numbers; None = the parameters as given."""
    if randomization is None:
        return params
    for variation, part in zip(VARIATIONS, randomization, strict=True):
        params = variation.apply(params, variation.spread * part)
    return params


def safe_speed(tracks: Tracks, track: chex.Array, s: chex.Array, options: StartRange) -> chex.Array:
    """Return the highest start speed (K,) m/s at arc lengths `s` (K,).

    The least of sqrt(lateral / |k| + 2 braking d) over the curvatures k at d m ahead, and of
    `options.speed`.
    """
    way = jnp.asarray(LOOK_AHEAD)[None, :]
    bend = jnp.abs(_column(tracks, track, s[:, None] + way, SampleColumn.CURVATURE))
    limit = options.lateral / jnp.maximum(bend, 1e-4) + 2.0 * options.braking * way
    return jnp.minimum(options.speed, jnp.sqrt(jnp.min(limit, axis=-1)))


def _half_width(tracks: Tracks, track: chex.Array, s: chex.Array) -> chex.Array:
    """Return the narrower half-width (K,) m of the asphalt at `s` (K,)."""
    left = _column(tracks, track, s, SampleColumn.HALF_LEFT)
    return jnp.minimum(left, _column(tracks, track, s, SampleColumn.HALF_RIGHT))


def _column(tracks: Tracks, track: chex.Array, s: chex.Array, column: SampleColumn) -> chex.Array:
    """Read a column of the samples nearest to arc lengths `s`, which may lie beyond the line."""
    index = query.sample_at(tracks, track, jnp.mod(s, tracks.length[track]))
    rows = tracks.samples.shape[1]
    return jnp.take(
        tracks.samples.reshape(-1), (track * rows + index) * len(SampleColumn) + column, mode="clip"
    )
