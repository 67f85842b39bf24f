"""Record a drive of the trained driver on one circuit: the one that is filmed.

A deterministic driver does the same from the same start, so one that fails from the grid is tried
from other places until a drive holds a clean lap.
"""

import dataclasses

import jax
import jax.numpy as jnp

from kart_jax.env.core import RaceEnv
from kart_jax.env.params import EnvParams
from kart_jax.env.randomise import draw_start
from kart_jax.env.referee import FaultReferee
from kart_jax.errors import InputError
from kart_jax.simulate.recording import MIN_SPEED, record_laps
from kart_jax.simulate.rollout import World, begin
from kart_jax.telemetry import laps as telemetry_laps
from kart_jax.telemetry.log import Log, log_of_kart
from train.evaluation.learned_driver import LearnedDriver
from train.networks.policy import Policy

TRIES = 6  # drives at most: one from the grid, the others rolling


@dataclasses.dataclass(frozen=True)
class Recording:
    """The drive that was chosen."""

    log: Log
    """Its telemetry, one row per control step."""
    attempt: int
    """0 = from the grid; else the seed of its rolling start."""
    clean_lap: float | None
    """Seconds of its best clean lap; None = it holds none, and neither did the other drives."""


def record_drive(policy: Policy, env: RaceEnv, laps: int) -> Recording:
    """Record the first drive with a clean lap, the one from the grid first; else the longest.

    Args:
        policy: the driver.
        env: a race of one, with one track or several; the first is driven.
        laps: complete laps wanted of a drive.

    Raises:
        InputError: every drive ended in its first step.
    """
    longest: Recording | None = None
    for attempt in range(TRIES):
        log = drive(policy, env, laps, attempt)
        clean = (
            [lap.time for lap in telemetry_laps.split_laps(log) if lap.valid] if len(log) else []
        )
        found = Recording(log, attempt, min(clean, default=None))
        if clean:
            return found
        longest = found if longest is None or _driven(log) > _driven(longest.log) else longest
    if longest is None or not len(longest.log):
        raise InputError("the driver failed in its first step; train it longer")
    return longest


def _driven(log: Log) -> float:
    """Return the metres driven."""
    return float(log["distance"][-1] - log["distance"][0]) if len(log) else -1.0


def drive(policy: Policy, env: RaceEnv, laps: int, attempt: int = 0) -> Log:
    """Record one drive by the most likely actions.

    Args:
        policy: the driver.
        env: a race of one, with one track or several; the first is driven.
        laps: complete laps wanted; the drive ends two seconds after them, or at the first fault.
        attempt: 0 = from the grid; else the seed of a rolling start somewhere.

    Returns:
        One row per control step; none when the drive ended in its first step.
    """
    start_key, session_key = jax.random.split(jax.random.key(attempt))
    params = _params(env, laps, attempt)
    race = jax.jit(draw_start, static_argnames="karts")(start_key, env.tracks, params, karts=1)

    world = World(tracks=env.tracks, params=params.race, rates=env.config.rates)
    driver = LearnedDriver(policy, env, params)
    referee = FaultReferee(params.limits)
    session = begin(session_key, world, race, driver)
    return log_of_kart(record_laps(world, driver, session, laps, referee))


def _params(env: RaceEnv, laps: int, attempt: int) -> EnvParams:
    """Start as `drive` says on the first track, with time for the laps and the way to the line."""
    params = env.default_params
    seconds = ((laps + 1) * env.tracks.length[0] / MIN_SPEED).astype(jnp.float32)
    return params.replace(
        start=params.start.replace(grid=jnp.float32(attempt == 0), track=jnp.zeros((), jnp.int32)),
        limits=params.limits.replace(episode_time=seconds),
    )
