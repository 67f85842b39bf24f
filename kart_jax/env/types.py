"""State of one environment and what a step tells about itself."""

import enum

import chex
from flax import struct

from kart_jax.race.types import RaceState


class Cause(enum.IntEnum):
    """Why an episode ended; the code in `StepInfo.cause`."""

    NONE = 0  # it goes on
    OFF_TRACK = 1  # all wheels off the track for too long
    STUCK = 2  # too slow for too long
    WRONG_WAY = 3  # driven against the direction for too long
    NON_FINITE = 4  # the physics or the action was not a finite number
    TIME_LIMIT = 5  # truncated, not terminated


class Timers(struct.PyTreeNode):
    """How long each fault has lasted without a break."""

    off_track: chex.Array  # () s
    stuck: chex.Array  # () s
    wrong_way: chex.Array  # () s


class EnvState(struct.PyTreeNode):
    """One environment: a race with one kart, its recent pictures and the bookkeeping of the
    episode."""

    race: RaceState
    frames: (
        chex.Array | None
    )  # (H, W, words) uint32, see `frames`; None unless pictures are stacked
    timers: Timers
    action: chex.Array  # (2,) last action, clipped
    step: chex.Array  # () int32, control steps of this episode
    episode_return: chex.Array  # () sum of the rewards of this episode
    drawn: (
        chex.Array | None
    )  # (V,) ± 1, what the episode got of `randomise.VARIATIONS`; None without randomisation


class StepInfo(struct.PyTreeNode):
    """What a step reports beside observation and reward; read before the auto-reset."""

    final_observation: (
        dict[str, chex.Array] | None
    )  # of the state reached, before any new episode; None = left out
    episode_return: (
        chex.Array
    )  # () reward so far, this step counted; at the end the return of the episode
    episode_length: chex.Array  # () int32, control steps so far, likewise
    lap_time: chex.Array  # () s, the valid lap completed in this step; nan = none
    lap_completed: chex.Array  # () bool, a valid lap was completed in this step
    reward_terms: chex.Array  # (R,) weighted terms of the reward in the order of `reward.TERMS`
    off_track: (
        chex.Array
    )  # () bool, all wheels were past the track limits at some time in this step
    cause: chex.Array  # () int32, `Cause`
    track: chex.Array  # () int32, circuit driven in this step


class Outcome(struct.PyTreeNode):
    """What the rules make of one control step."""

    terminated: chex.Array  # () bool, ended by a fault
    truncated: chex.Array  # () bool, ended by the clock
    cause: chex.Array  # () int32, `Cause`
    lap_completed: chex.Array  # () bool, a valid lap
    terms: chex.Array  # (R,) weighted terms of the reward in the order of `reward.TERMS`
