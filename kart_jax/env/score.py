"""What a control step was worth: rewards, ends, and what the step reports of itself."""

import chex
import jax.numpy as jnp

from kart_jax.env import reward, terminate
from kart_jax.env.params import EnvParams
from kart_jax.env.types import Cause, EnvState, Episode, Observation, Outcome, StepInfo
from kart_jax.race.types import where_karts
from kart_jax.track.types import Tracks


def score_kart(
    tracks: Tracks,
    params: EnvParams,
    dt: float,
    before: EnvState,
    after: EnvState,
    finite: chex.Array,
) -> tuple[Episode, Outcome]:
    """Score the step of ONE kart from `before` to `after`; states without the axis of karts."""
    race, episode = after.race, before.episode
    length = episode.length + 1
    timers = terminate.count_faults(
        episode.timers, race.karts, race.track_point, race.on_track, params.limits, dt
    )
    terminated, truncated, cause = terminate.find_end(timers, finite, length * dt, params.limits)

    lap_completed = race.timing.valid_laps > before.race.timing.valid_laps
    transition = reward.Transition(
        progress_delta=race.timing.progress - before.race.timing.progress,
        length=tracks.length[race.track],
        on_track=race.on_track,
        lap_completed=lap_completed,
        wall_contact=race.wall_distance < 0.0,
        vx=race.karts.vx,
        vy=race.karts.vy,
        steering_change=after.action[0] - before.action[0],
        terminated=terminated,
        dt=dt,
    )
    terms = reward.reward_terms(transition, params.rewards)
    terms = jnp.where(jnp.isfinite(terms), terms, 0.0)

    episode_return = episode.episode_return + jnp.sum(terms)
    return (
        Episode(timers=timers, length=length, episode_return=episode_return),
        Outcome(terminated, truncated, cause, lap_completed, ~race.on_track, terms),
    )


def retire(before: EnvState, after: EnvState, outcome: Outcome) -> tuple[EnvState, Outcome]:
    """Let karts whose episode ended stand, and those that stood before have no part in the step."""
    drove = before.active
    state = after.replace(
        episode=where_karts(drove, after.episode, before.episode),
        active=drove & ~(outcome.terminated | outcome.truncated),
    )
    return state, Outcome(
        terminated=outcome.terminated | ~drove,
        truncated=outcome.truncated & drove,
        cause=jnp.where(drove, outcome.cause, Cause.NONE).astype(jnp.int32),
        lap_completed=outcome.lap_completed & drove,
        off_track=outcome.off_track & drove,
        reward_terms=jnp.where(drove[:, None], outcome.reward_terms, 0.0),
    )


def reward_and_ends(outcome: Outcome) -> tuple[chex.Array, chex.Array, chex.Array]:
    """Return reward, terminated and truncated (K,)."""
    return jnp.sum(outcome.reward_terms, axis=-1), outcome.terminated, outcome.truncated


def step_info(state: EnvState, outcome: Outcome, final_observation: Observation) -> StepInfo:
    """Report a step and the state it reached."""
    race = state.race
    return StepInfo(
        final_observation=final_observation,
        episode_return=state.episode.episode_return,
        episode_length=state.episode.length,
        lap_time=jnp.where(outcome.lap_completed, race.timing.last_lap, jnp.nan),
        lap_completed=outcome.lap_completed,
        reward_terms=outcome.reward_terms,
        off_track=outcome.off_track,
        cause=outcome.cause,
        track=jnp.broadcast_to(race.track, outcome.cause.shape),
    )
