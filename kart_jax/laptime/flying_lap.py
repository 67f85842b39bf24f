"""Flying laps in the simulator, timed place by place: what the search for the fastest lap judges
its candidates by.

A kart rolls off in the slowest bend of the lap, drives `RUN_IN` metres before the clock starts and
`AHEAD` metres after the lap is complete, because how a bend is left shows on what follows. The
speed at which it rolls off is given: that of a lap before, so that the lap is a flying one and no
candidate gains by its start. Time off the asphalt costs extra time where it happens.
"""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from kart_jax import geometry
from kart_jax.drivers import path, scripted
from kart_jax.drivers.path import Corridor
from kart_jax.drivers.types import Plan
from kart_jax.env.config import EnvConfig
from kart_jax.laptime import variation
from kart_jax.laptime.variation import Variation
from kart_jax.physics.params import KartParams
from kart_jax.race.place import place, place_on_grid
from kart_jax.race.step import past_edge, step
from kart_jax.race.types import RaceState
from kart_jax.track.types import Tracks

KNOT_SPACING = (
    12.0  # m, between places at which a plan is varied: a kart's length of bend has one or two
)
LEAST_KNOTS = 8  # of the shortest circuit
BEHIND, AHEAD = (
    60.0,
    120.0,
)  # m before and after a place in which its numbers are felt: braking zone, and exit
RUN_IN = 60.0  # m from the start to where the clock starts
START_SPEED = (
    0.97  # of the scripted driver's planned speed at the start: that of the first generation
)
SLOW = 4.0  # m/s at which a kart that did not come round is taken to cover what is missing
OFF_TIME, OFF_DEPTH = (
    0.5,
    10.0,
)  # s of penalty for each second with a wheel off the asphalt, and for each m and second
ROOM = 1.05  # time given, over that of the scripted driver


class Course(struct.PyTreeNode):
    """One circuit, one kart, one plan to start from, and how a lap is cut into K places."""

    tracks: Tracks  # of one circuit
    kart: KartParams
    plan: Plan  # of the scripted driver
    lane: Corridor  # (M,), where a line may lie
    start: chex.Array  # () m, arc length at which a lap rolls off: place `first`
    knots: int = struct.field(pytree_node=False)  # K
    first: int = struct.field(pytree_node=False)  # the place at which a lap rolls off
    steps: int = struct.field(
        pytree_node=False
    )  # control steps of a flying lap with run-in and run-out
    config: EnvConfig = struct.field(pytree_node=False)  # rates

    @property
    def spacing(self) -> chex.Array:
        """Arc length () m from place to place."""
        return self.tracks.length[0] / self.knots

    def places(self, way: float) -> int:
        """So many metres as whole places, at least one and at most half a lap."""
        return max(1, min(round(way / KNOT_SPACING), self.knots // 2))


class Splits(struct.PyTreeNode):
    """One flying lap."""

    cost: (
        chex.Array
    )  # (K,) s, time from `BEHIND` before a place until `AHEAD` after it, with penalties
    time: chex.Array  # () s, of the lap
    speed: chex.Array  # () m/s, one lap after the start, where it was
    clean: chex.Array  # () bool, the lap was completed with no wheel off the asphalt


class Proof(struct.PyTreeNode):
    """One plan driven as `kart drive` drives it, timed by the race."""

    lap_time: chex.Array  # () s, best valid lap; nan = none
    valid_laps: chex.Array  # () int32
    beyond: (
        chex.Array
    )  # () m, of the outermost contact patch past the edge of the asphalt; negative = inside
    wall: chex.Array  # () m, least distance to a barrier


def course(tracks: Tracks, kart: KartParams, config: EnvConfig | None = None) -> Course:
    """Prepare a search on a stack of one circuit."""
    plan = scripted.prepare(tracks, kart)
    length, nodes = float(tracks.length[0]), plan.speed.shape[-1]
    knots = max(LEAST_KNOTS, round(length / KNOT_SPACING))
    first = round(int(np.argmin(np.asarray(plan.speed[0]))) * knots / nodes) % knots
    start = jnp.asarray(first * length / knots)
    config = EnvConfig() if config is None else config
    whole = Course(
        tracks=tracks,
        kart=jax.tree.map(jnp.asarray, kart),
        plan=plan,
        lane=path.corridor(tracks, jnp.int32(0), jnp.asarray(kart.rear_width) / 2, nodes),
        start=start,
        knots=knots,
        first=first,
        steps=0,
        config=config,
    )
    laps = 1.0 + (whole.places(RUN_IN) + whole.places(AHEAD)) / knots
    return whole.replace(
        steps=int(ROOM * laps * float(plan.lap_time[0]) * config.control_rate) + config.control_rate
    )


def start_speed(course: Course) -> chex.Array:
    """Speed () m/s at which the scripted driver's lap can be begun."""
    return START_SPEED * path.along(course.plan.speed, course.tracks, jnp.int32(0), course.start)


def varied(course: Course, numbers: chex.Array) -> Plan:
    """The plan with its line, grip and braking changed by numbers (4, K), see `Variation`."""
    change = Variation(*numbers)
    return variation.vary(course.plan, course.lane, scripted.USE, scripted.USE_BRAKE, change)


def _advance(course: Course, plan: Plan, race: RaceState) -> tuple[RaceState, chex.Array]:
    """One control step; returns the race and how far () m the outermost contact patch is past the
    edge."""
    tracks, track = course.tracks, race.track
    kart = jax.tree.map(lambda leaf: leaf[0], race.karts)
    hands = scripted.control(plan, tracks, track, kart, course.kart)
    hands = jax.tree.map(lambda leaf: leaf[None], hands)
    race = step(race, hands, tracks, course.kart, course.config.physics_dt, course.config.substeps)
    kart = jax.tree.map(lambda leaf: leaf[0], race.karts)
    return race, past_edge(kart, course.kart, tracks, track, race.place.s[0])


def fly(course: Course, speed: chex.Array, numbers: chex.Array) -> Splits:
    """Drive a flying lap that rolls off at `speed` () m/s with the plan that numbers (4, K)
    make."""
    plan, track = varied(course, numbers), jnp.int32(0)
    offset, angle = (
        path.along(v, course.tracks, track, course.start)
        for v in (plan.path.offset, plan.path.angle)
    )
    race = place(
        course.tracks,
        track,
        course.start[None],
        offset[None],
        angle[None],
        speed[None],
        course.kart,
    )

    def advance(
        race: RaceState, _: None
    ) -> tuple[RaceState, tuple[chex.Array, chex.Array, chex.Array]]:
        race, beyond = _advance(course, plan, race)
        kart = race.karts
        return race, (
            race.timing.progress[0],
            beyond,
            geometry.safe_norm(kart.vx[0], kart.vy[0], 1e-3),
        )

    _, (progress, beyond, speeds) = jax.lax.scan(advance, race, None, length=course.steps)
    return split(course, progress - race.timing.progress[0], beyond, speeds)


def split(course: Course, progress: chex.Array, beyond: chex.Array, speeds: chex.Array) -> Splits:
    """Cut a drive into places.

    Args:
        course: the course.
        progress: (steps,) m of centre line since the start, after each control step.
        beyond: (steps,) m, of the outermost wheel past the edge.
        speeds: (steps,) m/s.
    """
    knots, dt = course.knots, course.config.control_dt
    run_in, ahead, behind = (course.places(way) for way in (RUN_IN, AHEAD, BEHIND))
    off = jnp.maximum(beyond, 0.0)
    penalty = dt * jnp.cumsum(OFF_TIME * (off > 0) + OFF_DEPTH * off)
    zero = jnp.zeros(1)
    # A kart that rolls back has passed a place when it first did.
    reached = jax.lax.cummax(jnp.concatenate([zero, progress]))
    marks = jnp.arange(knots + run_in + ahead + 1) * course.spacing
    missing = jnp.maximum(marks - reached[-1], 0.0)
    times = jnp.interp(marks, reached, dt * jnp.arange(course.steps + 1)) + missing / SLOW
    penalties = jnp.interp(marks, reached, jnp.concatenate([zero, penalty]))
    # Place j is passed `nth` places after the start, and the places of the run-in a second time at
    # the end of the lap.
    nth = jnp.mod(jnp.arange(knots) - course.first, knots)
    nth = jnp.where(nth < run_in, nth + knots, nth)
    total, end = times + penalties, run_in + knots
    cost = total[jnp.minimum(nth + ahead, end + ahead)] - total[jnp.maximum(nth - behind, 0)]
    return Splits(
        cost=cost,
        time=times[end] - times[run_in],
        speed=jnp.interp(marks[knots], reached[1:], speeds),
        clean=(penalties[end] == 0.0) & (missing[end] == 0.0),
    )


@partial(jax.jit, static_argnames="laps")
def prove(course: Course, plans: Plan, laps: int = 3) -> Proof:
    """Drive plans (leading axis) from the grid for about `laps` laps; fields with that axis."""
    rate = course.config.control_rate
    seconds = ROOM * (laps + 0.5) * course.plan.lap_time[0]

    def one(plan: Plan) -> Proof:
        race = place_on_grid(course.tracks, jnp.int32(0), 1, course.kart)
        most, least = jnp.asarray(-jnp.inf), jnp.asarray(jnp.inf)

        def advance(carry: tuple) -> tuple:
            race, most, least, tick = carry
            race, beyond = _advance(course, plan, race)
            return (
                race,
                jnp.maximum(most, beyond),
                jnp.minimum(least, race.wall_distance[0]),
                tick + 1,
            )

        def under_way(carry: tuple) -> chex.Array:
            race, _, _, tick = carry
            return (race.timing.lap[0] < laps) & (tick < seconds * rate)

        race, most, least, _ = jax.lax.while_loop(
            under_way, advance, (race, most, least, jnp.int32(0))
        )
        return Proof(race.timing.best_lap[0], race.timing.valid_laps[0], most, least)

    return jax.lax.map(one, plans)
