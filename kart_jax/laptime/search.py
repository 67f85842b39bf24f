"""The minimum lap time of a kart on a circuit: the fastest clean lap that a search through the
simulator finds.

The search varies the scripted driver's plan: its line, and how much of the grip and of the brakes
its speeds count on, every few metres (`variation`, `flying_lap`, `evolution`). It is a lap that was
driven, so it is an upper bound of the true minimum. What is found is kept on disk, as a circuit and
a kart are asked for again and again.
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
from jax.sharding import Mesh, PartitionSpec

from kart_jax.devices import KARTS, kart_mesh
from kart_jax.drivers import profile, scripted
from kart_jax.drivers.types import Plan
from kart_jax.errors import InputError
from kart_jax.laptime import evolution, flying_lap
from kart_jax.laptime.evolution import Search
from kart_jax.laptime.flying_lap import Course, Splits
from kart_jax.physics.params import KartParams
from kart_jax.track import cache
from kart_jax.track.types import Tracks

PAIRS = 16  # mirrored pairs of candidates in a generation
GENERATION = 2 * PAIRS + 1  # laps, with that of the mean
# At the start, of `Variation`: m of offset, m of shift, part of the lateral limit, part of the
# braking limit.
SPREADS = (0.25, 0.08, 0.03, 0.05)
SEARCH_LAPS = 40 * GENERATION  # simulated by default
MOST_LAPS = 1_000_000
# The code that a result depends on, beside that of the tracks, which the cache knows itself.
SOURCES = ("geometry.py", "xla", "physics", "race", "drivers", "laptime")

Report = Callable[[int, float], None]  # laps simulated so far, best lap in s


@dataclasses.dataclass(frozen=True)
class Minimum:
    """The fastest lap found for one kart on one circuit."""

    lap_time: float
    """Seconds, flying, clean, as the race timed it in a drive from the grid."""
    scripted: float
    """Seconds, of the scripted driver in the same drive."""
    quasi_steady: float
    """Seconds, of a point mass with all of the measured limits on the line found: a check of
    plausibility."""
    beyond: float
    """Metres of the outermost contact patch past the edge of the asphalt in that drive; negative =
    inside."""
    wall: float
    """Metres, least distance to a barrier in that drive."""
    laps: int
    """Laps simulated in the search."""
    seed: int
    """Of the search."""
    history: tuple[float, ...]
    """Seconds, best clean lap after each generation of `GENERATION` laps; inf = none yet."""


def check_laps(laps: int) -> None:
    """Refuse a search of less than one generation, or one without end."""
    if not GENERATION <= laps <= MOST_LAPS:
        raise InputError(f"--search-laps is {laps}; allowed are {GENERATION} to {MOST_LAPS}")


def find(
    tracks: Tracks,
    kart: KartParams,
    laps: int = SEARCH_LAPS,
    seed: int = 0,
    report: Report | None = None,
) -> tuple[Plan, Minimum]:
    """Search for the fastest lap, or recall what an equal search has found, and prove it.

    Args:
        tracks: a stack of one circuit.
        kart: the kart.
        laps: laps to simulate; rounded down to whole generations.
        seed: the same seed finds the same lap on the same machine.
        report: told the progress.

    Returns:
        The plan for `scripted.control` and its figures; the scripted driver's own where nothing
        faster held.

    Raises:
        InputError: several circuits, a wrong number of laps, or a circuit that the scripted driver
            cannot lap.
    """
    if tracks.size != 1:
        raise InputError(
            f"the fastest lap is searched on one circuit at a time; here are {tracks.size}; name "
            "them singly"
        )
    check_laps(laps)
    course = flying_lap.course(tracks, kart)
    generations = laps // GENERATION
    content = _content(course, generations, seed)
    found = cache.fetch(content, lambda: search(course, generations, seed, report))
    varied = jax.jit(flying_lap.varied)(course, jnp.asarray(found["numbers"]))
    proof = flying_lap.prove(
        course, jax.tree.map(lambda *leaves: jnp.stack(leaves), course.plan, varied)
    )
    times = np.asarray(proof.lap_time)
    if not np.isfinite(times[0]):
        raise InputError(
            "the scripted driver has no clean lap here to start a search from; choose another "
            "track or kart"
        )
    # The plan found must keep to the asphalt as the search demanded, in this drive as well; nan is
    # never less.
    best = int(times[1] < times[0] and proof.beyond[1] <= max(0.0, float(proof.beyond[0])))
    plan = (course.plan, varied)[best]
    return plan, Minimum(
        lap_time=float(times[best]),
        scripted=float(times[0]),
        quasi_steady=float(quasi_steady(course, plan)),
        beyond=float(proof.beyond[best]),
        wall=float(proof.wall[best]),
        laps=generations * GENERATION,
        seed=seed,
        history=tuple(float(time) for time in found["history"]),
    )


def search(
    course: Course, generations: int, seed: int, report: Report | None = None
) -> cache.Arrays:
    """Evolve plans for a course.

    Returns:
        numbers (4, K), those of the fastest clean lap; history (generations,) s, the best clean lap
        so far.
    """
    devices = max(d for d in range(1, jax.local_device_count() + 1) if PAIRS % d == 0)
    mesh = kart_mesh(devices)
    key = jax.random.key(seed)
    spread = jnp.asarray(SPREADS)[:, None] * jnp.ones((len(SPREADS), course.knots))
    state, speed = Search(jnp.zeros_like(spread), spread), flying_lap.start_speed(course)
    best, fastest, history = np.zeros(spread.shape, np.float32), np.inf, []
    for number in range(generations):
        # These few numbers pass through the host, so that the first call and the others are of one
        # kind: one trace.
        state, speed = jax.device_get((state, speed))
        state, speed, time, numbers = generation(
            course, state, speed, jax.random.fold_in(key, number), mesh
        )
        if time < fastest:
            best, fastest = np.asarray(numbers), float(time)
        history.append(fastest)
        if report is not None:
            report((number + 1) * GENERATION, fastest)
    return {"numbers": best, "history": np.asarray(history)}


@partial(jax.jit, static_argnames="mesh")
def generation(
    course: Course, state: Search, speed: chex.Array, key: chex.PRNGKey, mesh: Mesh
) -> tuple[Search, chex.Array, chex.Array, chex.Array]:
    """One generation, whose laps roll off at `speed` () m/s.

    Returns:
        The next search, the speed () m/s at which its laps roll off: where the mean's lap ended,
        and of the fastest clean lap the time () s, inf where there is none, and the numbers (4, K).
    """
    steps = evolution.draw(key, state, PAIRS)
    numbers = evolution.candidates(state, steps)
    splits = fly_all(course, speed, numbers, mesh)
    times = jnp.where(splits.clean, splits.time, jnp.inf)
    best = jnp.argmin(times)
    return evolution.update(state, steps, splits.cost), splits.speed[0], times[best], numbers[best]


def fly_all(course: Course, speed: chex.Array, numbers: chex.Array, mesh: Mesh) -> Splits:
    """`flying_lap.fly` of candidates (N, 4, K), split over the devices of the mesh; fields (N,
    ...)."""
    count = numbers.shape[0]
    filled = jnp.concatenate([numbers, jnp.repeat(numbers[:1], -count % mesh.size, axis=0)])
    split, shared = PartitionSpec(KARTS), PartitionSpec()
    fly = jax.vmap(flying_lap.fly, in_axes=(None, None, 0))
    # Nothing is exchanged between devices, so there is nothing for the check of varying values to
    # find.
    fly = jax.shard_map(
        fly, mesh=mesh, in_specs=(shared, shared, split), out_specs=split, check_vma=False
    )
    return jax.tree.map(lambda leaf: leaf[:count], fly(course, speed, filled))


@jax.jit
def quasi_steady(course: Course, plan: Plan) -> chex.Array:
    """Lap time () s of a point mass on the plan's line that uses all of the limits measured on the
    simulator."""
    way = jax.tree.map(lambda leaf: leaf[0], plan.path)
    limits = scripted.full_limits(course.kart)
    return profile.lap_time(profile.speeds(way, course.lane.step, limits), way, course.lane.step)


def _content(course: Course, generations: int, seed: int) -> bytes:
    """Everything that the result of a search depends on: circuit, kart, amount, seed and the
    code."""
    digest = hashlib.sha256(f"{generations} {seed} {course.config}".encode())
    for leaf in jax.tree.leaves((course.tracks, course.kart)):
        digest.update(np.asarray(leaf).tobytes())
    root = Path(__file__).parents[1]
    for source in SOURCES:
        for file in sorted(root.glob(f"{source}/*.py")) or [root / source]:
            digest.update(file.read_bytes())
    return b"fastest" + digest.digest()
