"""Plans driven from the grid as `kart drive` drives them, under the timing of the race."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
from flax import struct

from kart_jax.drivers.driver import ScriptedDriver
from kart_jax.drivers.types import Plan
from kart_jax.laptime.flying_lap import past_edge
from kart_jax.laptime.problem import TIME_MARGIN, LapProblem
from kart_jax.race.start import on_grid, start_race
from kart_jax.simulate.rollout import Session, begin, rollout_while


class Extremes(struct.PyTreeNode):
    """How near to trouble a drive has come."""

    past_edge: chex.Array  # () m, most of the outermost wheel past the edge; negative = inside
    wall_distance: chex.Array  # () m, least from bodywork to barrier


class Verification(struct.PyTreeNode):
    """What the race says of one plan's drive."""

    lap_time: chex.Array  # () s, best valid lap; nan = none
    valid_laps: chex.Array  # () int32
    extremes: Extremes


@partial(jax.jit, static_argnames="laps")
def verify(problem: LapProblem, plans: Plan, laps: int = 3) -> Verification:
    """Drive plans (leading axis) from the grid for about `laps` laps; fields with that axis."""
    return jax.lax.map(lambda plan: _verify_one(problem, plan, laps), plans)


def _verify_one(problem: LapProblem, plan: Plan, laps: int) -> Verification:
    """Drive one plan until its laps are done, or the time for them is up."""
    world = problem.world
    seconds = TIME_MARGIN * (laps + 0.5) * problem.plan.lap_time[0]
    last_step = seconds * world.rates.control_rate

    def under_way(session: Session) -> chex.Array:
        return (session.race.timing.lap[0] < laps) & (session.step < last_step)

    def watch(extremes: Extremes, before: Session, after: Session) -> tuple[Extremes, None]:
        race = after.race
        return Extremes(
            past_edge=jnp.maximum(extremes.past_edge, past_edge(world, race)),
            wall_distance=jnp.minimum(extremes.wall_distance, race.wall_distance[0]),
        ), None

    track = jnp.int32(0)
    race = start_race(world.tracks, track, on_grid(world.tracks, track, 1), world.params.kart)
    driver = ScriptedDriver(plan)
    session = begin(jax.random.key(0), world, race, driver)  # a driver without chance
    none = Extremes(past_edge=jnp.asarray(-jnp.inf), wall_distance=jnp.asarray(jnp.inf))
    session, extremes = rollout_while(world, driver, session, under_way, watch, none)

    timing = session.race.timing
    return Verification(
        lap_time=timing.best_lap[0], valid_laps=timing.valid_laps[0], extremes=extremes
    )
