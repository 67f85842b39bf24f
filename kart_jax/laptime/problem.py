"""What a search for the fastest lap starts from: one kart, one circuit, one plan, J places."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from kart_jax.drivers import path as paths
from kart_jax.drivers import scripted
from kart_jax.drivers.path import Corridor
from kart_jax.drivers.types import Plan
from kart_jax.laptime.variation import PlanVariation, UsedFractions, vary_plan
from kart_jax.physics.params import KartParams
from kart_jax.race.params import RaceParams, per_kart
from kart_jax.simulate.rollout import World
from kart_jax.track.types import Tracks

KNOT_SPACING = 12.0  # m, between places at which a plan is varied: a kart corner has one or two
MIN_KNOTS = 8  # of the shortest circuit
RUN_IN = 60.0  # m from the start to where the clock starts
AHEAD = 120.0  # m after a place in which its numbers are felt: the exit, and the straight
BEHIND = 60.0  # m before a place in which its numbers are felt: the braking zone
TIME_MARGIN = 1.05  # time given to a drive, over that of the scripted driver


class LapProblem(struct.PyTreeNode):
    """One circuit, one kart, one plan to start from, and how a lap is cut into J places."""

    world: World  # of one kart on one circuit
    plan: Plan  # of the scripted driver
    corridor: Corridor  # (M,), where a line may lie
    start_s: chex.Array  # () m, arc length at which a lap rolls off: that of place `start_knot`
    knots: int = struct.field(pytree_node=False)  # J
    start_knot: int = struct.field(pytree_node=False)  # the place at which a lap rolls off
    steps: int = struct.field(pytree_node=False)  # control steps from the start to the run-out

    @property
    def spacing(self) -> chex.Array:
        """Arc length () m from place to place."""
        return self.world.tracks.length[0] / self.knots

    @property
    def kart(self) -> KartParams:
        """Parameters of the kart."""
        return jax.tree.map(lambda leaf: leaf[0], self.world.params.kart)


def knots_within(distance: float, knots: int) -> int:
    """Return so many metres as whole places of `knots`: at least one, at most half a lap."""
    return max(1, min(round(distance / KNOT_SPACING), knots // 2))


def prepare(tracks: Tracks, kart: KartParams) -> LapProblem:
    """Prepare a search.

    Args:
        tracks: a stack of one circuit.
        kart: the kart.
    """
    karts = per_kart(jax.tree.map(jnp.asarray, kart), 1)
    world = World(tracks=tracks, params=RaceParams(kart=karts))
    plan = scripted.prepare(tracks, kart)
    nodes = plan.speed.shape[-1]
    length = float(tracks.length[0])
    knots = max(MIN_KNOTS, round(length / KNOT_SPACING))

    # A lap rolls off where the plan is slowest.
    slowest = int(np.argmin(np.asarray(plan.speed[0])))
    start_knot = round(slowest * knots / nodes) % knots

    laps = 1.0 + (knots_within(RUN_IN, knots) + knots_within(AHEAD, knots)) / knots
    seconds = TIME_MARGIN * laps * float(plan.lap_time[0])
    rate = world.rates.control_rate
    half_width = jnp.asarray(kart.rear_width) / 2

    return LapProblem(
        world=world,
        plan=plan,
        corridor=paths.find_corridor(tracks, jnp.int32(0), half_width, nodes),
        start_s=jnp.asarray(start_knot * length / knots),
        knots=knots,
        start_knot=start_knot,
        steps=int(seconds * rate) + rate,
    )


def vary(problem: LapProblem, numbers: chex.Array) -> Plan:
    """Return the plan changed by numbers (4, J), the fields of a `PlanVariation`."""
    used = UsedFractions(grip=scripted.GRIP_FRACTION, brake=scripted.BRAKE_FRACTION)
    return vary_plan(problem.plan, problem.corridor, used, PlanVariation(*numbers))
