"""All randomisation of the environment: where an episode starts, and which kart, ground and light it gets."""

from dataclasses import replace

import chex
import jax
import jax.numpy as jnp

from kart_jax.env.params import EnvParams, StartRange
from kart_jax.race.place import place
from kart_jax.race.types import RaceState
from kart_jax.track.types import Column, Tracks

LOOK_AHEAD = (0.0, 4.0, 8.0, 14.0, 22.0, 32.0, 45.0, 60.0)  # m, where the curvature is read for the start speed
GAP = 8.0  # m along the track between karts that start together


def start(key: chex.PRNGKey, tracks: Tracks, params: EnvParams, karts: int) -> RaceState:
    """Draw the race at the start of an episode.

    track: uniform over the stack, or `params.start.track` where that is not negative.
    place: uniform over the lap; `karts` > 1 follow each other at `GAP`.
    offset: uniform in ± `offset` of the half-width on that side.
    heading: uniform in ± `turn` around the centre line's.
    speed: uniform between 0 and `safe_speed` there.
    With `params.start.grid` = 1 the karts stand on the first slots of the grid instead.
    """
    track_key, place_key, pose_key = jax.random.split(key, 3)
    options = params.start
    drawn = jax.random.randint(track_key, (), 0, tracks.size)
    track = jnp.where(jnp.asarray(options.track) < 0, drawn, options.track).astype(jnp.int32)
    first = jax.random.uniform(place_key) * tracks.length[track]
    s = jnp.mod(first - GAP * jnp.arange(karts), tracks.length[track])
    offset, turn, speed = jax.random.uniform(pose_key, (3, karts))
    n = (2.0 * offset - 1.0) * options.offset * _half_width(tracks, track, s)
    turn = (2.0 * turn - 1.0) * options.turn
    speed = speed * safe_speed(tracks, track, s, options)

    on_grid = jnp.asarray(options.grid) > 0.5
    s = jnp.where(on_grid, tracks.grid_s[track, :karts], s)
    n = jnp.where(on_grid, tracks.grid_n[track, :karts], n)
    turn, speed = jnp.where(on_grid, 0.0, turn), jnp.where(on_grid, 0.0, speed)
    return place(tracks, track, s, n, turn, speed, params.kart)


def randomise(key: chex.PRNGKey, params: EnvParams, spread: chex.Numeric = 1.0) -> EnvParams:
    """Draw another kart and light around `params`: domain randomisation of one environment, to be vmapped over keys.

    mass: uniform ± 8 %. friction of both axles' tyres: uniform ± 8 %, together. engine torque: uniform ± 8 %.
    brake torque: uniform ± 15 %. limbs' lags: uniform ± 40 %. light: uniform ± 25 %. camera: height uniform ± 0.06 m,
    pitch uniform ± 0.035 rad (2°). All widths times `spread`.
    """
    kart_key, look_key = jax.random.split(key)
    draws = spread * jax.random.uniform(kart_key, (5,), minval=-1.0)
    mass, grip, engine, brake, lag = 1.0 + draws * jnp.asarray([0.08, 0.08, 0.08, 0.15, 0.4])
    light, height, pitch = spread * jax.random.uniform(look_key, (3,), minval=-1.0)
    kart, look = params.kart, params.appearance
    return replace(
        params,
        kart=replace(
            kart,
            mass=kart.mass * mass,
            yaw_inertia=kart.yaw_inertia * mass,
            front_tyre=replace(kart.front_tyre, friction=kart.front_tyre.friction * grip),
            rear_tyre=replace(kart.rear_tyre, friction=kart.rear_tyre.friction * grip),
            torque=kart.torque * engine,
            front_brake=kart.front_brake * brake,
            rear_brake=kart.rear_brake * brake,
            steer_lag=kart.steer_lag * lag,
            throttle_lag=kart.throttle_lag * lag,
            brake_lag=kart.brake_lag * lag,
        ),
        appearance=replace(
            look,
            light=look.light * (1.0 + 0.25 * light),
            camera_height=look.camera_height + 0.06 * height,
            camera_pitch=look.camera_pitch + 0.035 * pitch,
        ),
    )


def safe_speed(tracks: Tracks, track: chex.Array, s: chex.Array, options: StartRange) -> chex.Array:
    """Highest start speed at arc lengths `s` (K,): sqrt(lateral / |k| + 2 braking d) over the bends d m ahead, m/s."""
    way = jnp.asarray(LOOK_AHEAD)[None, :]
    bend = jnp.abs(_column(tracks, track, s[:, None] + way, Column.CURVATURE))
    limit = options.lateral / jnp.maximum(bend, 1e-4) + 2.0 * options.braking * way
    return jnp.minimum(options.speed, jnp.sqrt(jnp.min(limit, axis=-1)))


def _half_width(tracks: Tracks, track: chex.Array, s: chex.Array) -> chex.Array:
    """Narrower half-width of the asphalt at `s`, m."""
    left = _column(tracks, track, s, Column.HALF_LEFT)
    return jnp.minimum(left, _column(tracks, track, s, Column.HALF_RIGHT))


def _column(tracks: Tracks, track: chex.Array, s: chex.Array, column: Column) -> chex.Array:
    """One column of the samples nearest to arc lengths `s`."""
    index = jnp.mod(jnp.round(s / tracks.spacing[track]).astype(jnp.int32), tracks.count[track])
    rows = tracks.samples.shape[1]
    return jnp.take(tracks.samples.reshape(-1), (track * rows + index) * len(Column) + column, mode="clip")
