"""Fixed drives of one kart each, side by side: their starts, and the roll-out that counts them.

Drive 0 starts from rest on the grid; the others start rolling at places drawn with fixed seeds,
because from one start a deterministic driver always does the same. A drive ends at its first fault
or when its time is up, and no kart is set back on the track: what is counted was driven in one go.
"""

import math
from functools import partial

import jax
import jax.numpy as jnp
from flax import struct

from kart_jax.drivers.driver import Driver
from kart_jax.env.core import RaceEnv
from kart_jax.env.randomise import draw_start
from kart_jax.env.referee import FaultReferee
from kart_jax.race import channels
from kart_jax.race.types import RaceState
from kart_jax.simulate.rollout import Session, World, begin, rollout
from train.evaluation.result import Tally, new_tally


class Course(struct.PyTreeNode):
    """Where B drives begin, and how long each may take."""

    world: World  # of one kart
    races: RaceState  # (B, ...), each of one kart
    referee: FaultReferee
    steps: int = struct.field(pytree_node=False)  # control steps of a drive at most


def prepare(env: RaceEnv, drives: int, seconds: float) -> Course:
    """Prepare drives of at most `seconds` s on the circuits of an environment of one kart."""
    params, rates = env.default_params, env.config.rates
    grid = jnp.zeros(drives).at[0].set(1.0)
    keys = jax.random.split(jax.random.key(0), drives)

    def start(key: jax.Array, grid: jax.Array) -> RaceState:
        options = params.start.replace(grid=grid)
        return draw_start(key, env.tracks, params.replace(start=options), env.config.karts)

    return Course(
        world=World(tracks=env.tracks, params=params.race, rates=rates),
        races=jax.jit(jax.vmap(start))(keys, grid),
        referee=FaultReferee(params.limits.replace(episode_time=jnp.float32(seconds))),
        steps=math.ceil(seconds / rates.control_dt),
    )


@partial(jax.jit, static_argnames="recorded")
def drive_all(
    driver: Driver, course: Course, recorded: bool = False
) -> tuple[Tally, jax.Array | None]:
    """Let a driver drive every drive of a course.

    Returns:
        The counters (B,), and if `recorded` the telemetry (steps, B, C), nan from the end of each
        drive on.
    """
    world, referee = course.world, course.referee

    def one(key: jax.Array, race: RaceState) -> tuple[Tally, jax.Array | None]:
        def watch(watched, before: Session, after: Session):
            carried, tally = watched
            carried, over = referee.judge(carried, after.race, world.rates.control_dt)
            tally = tally.count(before.race, after.race, over[0])
            if not recorded:
                return (carried, tally), None
            row = channels.read_race(after.race, before.step, world.tracks, world.params.kart)[0]
            return (carried, tally), jnp.where(tally.alive, row, jnp.nan)

        watched = (referee.start(race), new_tally())
        session = begin(key, world, race, driver)
        _, (_, tally), rows = rollout(world, driver, session, course.steps, watch, watched)
        return tally, rows

    drives = course.races.tick.shape[0]
    out_axes = (0, 1 if recorded else None)
    return jax.vmap(one, out_axes=out_axes)(
        jax.random.split(jax.random.key(1), drives), course.races
    )
