"""The minimum lap time of a kart on a circuit: the fastest clean lap that a search finds.

The search goes through the simulator and varies the scripted driver's plan: its line, and how much
of the grip and of the brakes its speeds count on, every few metres. What it finds is a lap that was
driven, so it is an upper bound of the true minimum. It is kept on disk, as a circuit and a kart are
asked for again and again.
"""

import dataclasses
import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.sharding import Mesh, PartitionSpec

from kart_jax.devices import KARTS, kart_mesh
from kart_jax.drivers import profile, scripted
from kart_jax.drivers.types import Plan
from kart_jax.errors import InputError
from kart_jax.laptime import evolution, flying_lap
from kart_jax.laptime import problem as problems
from kart_jax.laptime.evolution import SearchDistribution
from kart_jax.laptime.flying_lap import FlyingLap
from kart_jax.laptime.problem import LapProblem
from kart_jax.laptime.verification import Verification, verify
from kart_jax.physics.params import KartParams
from kart_jax.track import cache
from kart_jax.track.types import Tracks

PAIRS = 16  # mirrored pairs of candidates in a generation
GENERATION_LAPS = 2 * PAIRS + 1  # with that of the mean
# Standard deviations at the start, of `PlanVariation`: m of offset, m of broad offset, part of the
# lateral limit, part of the braking limit.
START_STD = (0.25, 0.08, 0.03, 0.05)
DEFAULT_LAPS = 40 * GENERATION_LAPS  # simulated
MAX_LAPS = 1_000_000
# The code that a result depends on, beside that of the tracks, which the cache knows itself.
SOURCES = ("geometry.py", "xla", "physics", "race", "drivers", "simulate", "laptime")

Report = Callable[[int, float], None]  # laps simulated so far, best lap in s


@dataclasses.dataclass(frozen=True)
class Minimum:
    """The fastest lap found for one kart on one circuit."""

    lap_time: float
    """Seconds, flying, clean, as the race timed it in a drive from the grid."""
    scripted: float
    """Seconds, of the scripted driver in the same drive."""
    quasi_steady: float
    """Seconds, of a point mass at all of the measured limits on the line found: a plausibility
    check."""
    past_edge: float
    """Metres of the outermost contact patch past the asphalt in that drive; negative = inside."""
    wall_distance: float
    """Metres, least distance to a barrier in that drive."""
    laps: int
    """Laps simulated in the search."""
    seed: int
    """Of the search."""
    history: tuple[float, ...]
    """Seconds, best clean lap after each generation of `GENERATION_LAPS`; inf = none yet."""


class Generation(struct.PyTreeNode):
    """What one generation leaves behind."""

    search: SearchDistribution  # that the next one is drawn from
    speed: chex.Array  # () m/s at which the next laps roll off: where the mean's lap ended
    best_time: chex.Array  # () s, of the fastest clean lap; inf = there is none
    best_numbers: chex.Array  # (4, J), of that lap


def check_laps(laps: int) -> None:
    """Refuse a search of less than one generation, or one without end."""
    if not GENERATION_LAPS <= laps <= MAX_LAPS:
        raise InputError(f"--search-laps is {laps}; allowed are {GENERATION_LAPS} to {MAX_LAPS}")


def _check_single(tracks: Tracks) -> None:
    """Refuse a stack of several circuits."""
    if tracks.size != 1:
        raise InputError(
            f"the fastest lap is searched on one circuit at a time; here are {tracks.size}; name "
            "them singly"
        )


def find_minimum(
    tracks: Tracks,
    kart: KartParams,
    laps: int = DEFAULT_LAPS,
    seed: int = 0,
    report: Report | None = None,
) -> tuple[Plan, Minimum]:
    """Search for the fastest lap, or recall what an equal search has found, and verify it.

    Args:
        tracks: a stack of one circuit.
        kart: the kart.
        laps: laps to simulate; rounded down to whole generations.
        seed: the same seed finds the same lap on the same machine.
        report: told the progress.

    Returns:
        The plan for a `ScriptedDriver` and its figures; the scripted driver's own where nothing
        faster held.

    Raises:
        InputError: several circuits, a wrong number of laps, or a circuit that the scripted driver
            cannot lap.
    """
    _check_single(tracks)
    check_laps(laps)

    problem = problems.prepare(tracks, kart)
    generations = laps // GENERATION_LAPS
    content = _content(problem, generations, seed)
    found = cache.fetch(content, lambda: evolve(problem, generations, seed, report))

    varied = jax.jit(problems.vary)(problem, jnp.asarray(found["numbers"]))
    plans = jax.tree.map(lambda *leaves: jnp.stack(leaves), problem.plan, varied)
    verified = verify(problem, plans)
    best = _better_plan(verified)
    plan = (problem.plan, varied)[best]

    lap_time, extremes = verified.lap_time, verified.extremes
    return plan, Minimum(
        lap_time=float(lap_time[best]),
        scripted=float(lap_time[0]),
        quasi_steady=float(quasi_steady(problem, plan)),
        past_edge=float(extremes.past_edge[best]),
        wall_distance=float(extremes.wall_distance[best]),
        laps=generations * GENERATION_LAPS,
        seed=seed,
        history=tuple(float(time) for time in found["history"]),
    )


def _better_plan(verified: Verification) -> int:
    """Return 1 where the plan found (1) beats the scripted driver's (0) in the same drive.

    It must keep to the asphalt there as the search demanded, too.
    """
    times = np.asarray(verified.lap_time)
    past_edge = np.asarray(verified.extremes.past_edge)
    if not np.isfinite(times[0]):
        raise InputError(
            "the scripted driver has no clean lap here to start a search from; choose another "
            "track or kart"
        )
    return int(times[1] < times[0] and past_edge[1] <= max(0.0, past_edge[0]))  # nan is never less


def evolve(
    problem: LapProblem, generations: int, seed: int, report: Report | None = None
) -> cache.Arrays:
    """Evolve plans.

    Returns:
        numbers (4, J), those of the fastest clean lap; history (generations,) s, the best clean lap
        so far.
    """
    devices = max(d for d in range(1, jax.local_device_count() + 1) if PAIRS % d == 0)
    mesh = kart_mesh(devices)
    key = jax.random.key(seed)
    std = jnp.asarray(START_STD)[:, None] * jnp.ones((len(START_STD), problem.knots))
    search = SearchDistribution(mean=jnp.zeros_like(std), std=std)
    speed = flying_lap.first_speed(problem)

    best, fastest = np.zeros(std.shape, np.float32), np.inf
    history = []
    for number in range(generations):
        # These few numbers pass through the host, so that the first call and the others are of one
        # kind: one trace.
        search, speed = jax.device_get((search, speed))
        done = run_generation(problem, search, speed, jax.random.fold_in(key, number), mesh)
        search, speed = done.search, done.speed

        if done.best_time < fastest:
            best, fastest = np.asarray(done.best_numbers), float(done.best_time)
        history.append(fastest)
        if report is not None:
            report((number + 1) * GENERATION_LAPS, fastest)
    return {"numbers": best, "history": np.asarray(history)}


@partial(jax.jit, static_argnames="mesh")
def run_generation(
    problem: LapProblem,
    search: SearchDistribution,
    speed: chex.Array,
    key: chex.PRNGKey,
    mesh: Mesh,
) -> Generation:
    """Drive one generation, whose laps roll off at `speed` () m/s."""
    steps = evolution.sample_steps(key, search, PAIRS)
    numbers = evolution.candidates(search, steps)
    laps = drive_all(problem, speed, numbers, mesh)
    times = jnp.where(laps.clean, laps.time, jnp.inf)
    best = jnp.argmin(times)
    return Generation(
        search=evolution.update(search, steps, laps.cost),
        speed=laps.speed[0],
        best_time=times[best],
        best_numbers=numbers[best],
    )


def drive_all(problem: LapProblem, speed: chex.Array, numbers: chex.Array, mesh: Mesh) -> FlyingLap:
    """Drive candidates (N, 4, J), split over the devices of the mesh; fields (N, ...)."""
    count = numbers.shape[0]
    filled = jnp.concatenate([numbers, jnp.repeat(numbers[:1], -count % mesh.size, axis=0)])
    split, shared = PartitionSpec(KARTS), PartitionSpec()
    drive = jax.vmap(flying_lap.drive, in_axes=(None, None, 0))
    # Nothing is exchanged between devices, so there is nothing for the check of varying values to
    # find.
    drive = jax.shard_map(
        drive, mesh=mesh, in_specs=(shared, shared, split), out_specs=split, check_vma=False
    )
    return jax.tree.map(lambda leaf: leaf[:count], drive(problem, speed, filled))


@jax.jit
def quasi_steady(problem: LapProblem, plan: Plan) -> chex.Array:
    """Return the lap time () s of a point mass at all of the measured limits on the plan's line."""
    path = jax.tree.map(lambda leaf: leaf[0], plan.path)
    step = problem.corridor.step
    speed = profile.speeds(path, step, scripted.measured_limits(problem.kart))
    return profile.lap_time(speed, path, step)


def _content(problem: LapProblem, generations: int, seed: int) -> bytes:
    """Return all that a search's result depends on: circuit, kart, amount, seed and the code."""
    digest = hashlib.sha256(f"{generations} {seed} {problem.world.rates}".encode())
    for leaf in jax.tree.leaves(problem.world):
        digest.update(np.asarray(leaf).tobytes())
    root = Path(__file__).parents[1]
    for source in SOURCES:
        for file in sorted(root.glob(f"{source}/*.py")) or [root / source]:
            digest.update(file.read_bytes())
    return b"fastest" + digest.digest()
