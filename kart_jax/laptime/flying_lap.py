"""Flying laps in the simulator, timed place by place: what a search judges its candidates by.

A kart rolls off in the slowest corner of the lap, drives `RUN_IN` metres before the clock starts
and `AHEAD` metres after the lap is complete, because how a corner is left shows on what follows.
The speed at which it rolls off is given: that of a lap before, so that the lap is a flying one and
no candidate gains by its start. Time off the asphalt costs extra time where it happens.
"""

import chex
import jax
import jax.numpy as jnp
from flax import struct

from kart_jax import geometry
from kart_jax.drivers import path as paths
from kart_jax.drivers.driver import ScriptedDriver
from kart_jax.laptime import problem as problems
from kart_jax.laptime.problem import AHEAD, BEHIND, RUN_IN, LapProblem
from kart_jax.race.start import StartPose, start_race
from kart_jax.race.surroundings import outermost_edge
from kart_jax.race.types import RaceState
from kart_jax.simulate.rollout import Session, World, begin, rollout

START_FRACTION = 0.97  # of the planned speed at the start: that of the first generation's laps
RECOVERY_SPEED = 4.0  # m/s at which a kart that did not come round covers what is missing
OFF_TIME = 0.5  # s of penalty for each second with a wheel off the asphalt
OFF_DEPTH = 10.0  # s of penalty for each second and metre past its edge


class Trace(struct.PyTreeNode):
    """What is kept of a drive after each control step."""

    progress: chex.Array  # (steps,) m of centre line since the start
    past_edge: chex.Array  # (steps,) m, of the outermost wheel; negative = on the asphalt
    speed: chex.Array  # (steps,) m/s


class FlyingLap(struct.PyTreeNode):
    """One flying lap."""

    cost: chex.Array  # (J,) s from `BEHIND` before a place to `AHEAD` after it, with penalties
    time: chex.Array  # () s, of the lap
    speed: chex.Array  # () m/s, one lap after the start, where it was
    clean: chex.Array  # () bool, the lap was completed with no wheel off the asphalt


def first_speed(problem: LapProblem) -> chex.Array:
    """Return the speed () m/s at which the scripted driver's lap can be begun."""
    tracks = problem.world.tracks
    planned = paths.interpolate(problem.plan.speed, tracks, jnp.int32(0), problem.start_s)
    return START_FRACTION * planned


def drive(problem: LapProblem, speed: chex.Array, numbers: chex.Array) -> FlyingLap:
    """Drive a flying lap that rolls off at `speed` () m/s with the plan of numbers (4, J)."""
    world = problem.world
    track = jnp.int32(0)
    plan = problems.vary(problem, numbers)
    offset = paths.interpolate(plan.path.offset, world.tracks, track, problem.start_s)
    angle = paths.interpolate(plan.path.angle, world.tracks, track, problem.start_s)

    pose = StartPose(
        s=problem.start_s[None], n=offset[None], heading_error=angle[None], speed=speed[None]
    )
    race = start_race(world.tracks, track, pose, world.params.kart)
    driver = ScriptedDriver(plan)
    session = begin(jax.random.key(0), world, race, driver)  # a driver without chance

    def watch(_: None, before: Session, after: Session) -> tuple[None, Trace]:
        kart = after.race.karts
        moved = after.race.timing.progress - race.timing.progress
        return None, Trace(
            progress=moved[0],
            past_edge=past_edge(world, after.race),
            speed=geometry.safe_norm(kart.vx[0], kart.vy[0], 1e-3),
        )

    _, _, trace = rollout(world, driver, session, problem.steps, watch)
    return time_places(problem, trace)


def past_edge(world: World, race: RaceState) -> chex.Array:
    """Return how far () m the first kart's outermost wheel is past the edge of the asphalt."""
    kart, params = jax.tree.map(lambda leaf: leaf[0], (race.karts, world.params.kart))
    return outermost_edge(kart, race.track_point.s[0], world.tracks, race.track, params)


def time_places(problem: LapProblem, trace: Trace) -> FlyingLap:
    """Cut a drive into places, and time them."""
    knots = problem.knots
    run_in = problems.knots_within(RUN_IN, knots)
    ahead = problems.knots_within(AHEAD, knots)
    behind = problems.knots_within(BEHIND, knots)
    dt = problem.world.rates.control_dt

    # Time and penalties until each place was first reached; a kart that rolls back has passed it.
    off = jnp.maximum(trace.past_edge, 0.0)
    penalty = dt * jnp.cumsum(OFF_TIME * (off > 0) + OFF_DEPTH * off)
    zero = jnp.zeros(1)
    reached = jax.lax.cummax(jnp.concatenate([zero, trace.progress]))
    distances = jnp.arange(knots + run_in + ahead + 1) * problem.spacing
    missing = jnp.maximum(distances - reached[-1], 0.0)
    clock = dt * jnp.arange(problem.steps + 1)
    times = jnp.interp(distances, reached, clock) + missing / RECOVERY_SPEED
    penalties = jnp.interp(distances, reached, jnp.concatenate([zero, penalty]))

    # Place j is passed `nth` places after the start, and the places of the run-in a second time at
    # the end of the lap.
    nth = jnp.mod(jnp.arange(knots) - problem.start_knot, knots)
    nth = jnp.where(nth < run_in, nth + knots, nth)
    total = times + penalties
    end = run_in + knots
    cost = total[jnp.minimum(nth + ahead, end + ahead)] - total[jnp.maximum(nth - behind, 0)]

    return FlyingLap(
        cost=cost,
        time=times[end] - times[run_in],
        speed=jnp.interp(distances[knots], reached[1:], trace.speed),
        clean=(penalties[end] == 0.0) & (missing[end] == 0.0),
    )
