"""Lap and sector times of the scripted driver over circuits and classes, beside real times.

    python -m benchmarks.lap_times
    python -m benchmarks.lap_times PATH/genk.csv --line given

The first drives all classes on the shipped circuits, the second a recorded driven line, for which
there are real times. All karts drive at once in one batch per group of circuits of similar length.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from kart_jax.drivers import path, scripted
from kart_jax.drivers.driver import ScriptedDriver
from kart_jax.drivers.types import Plan
from kart_jax.physics.params import CLASSES, KartParams, preset
from kart_jax.race.params import RaceParams, per_kart
from kart_jax.race.start import StartPose, start_race
from kart_jax.race.surroundings import outermost_edge
from kart_jax.simulate.rollout import Session, World, begin, rollout
from kart_jax.track.catalogue import track_names
from kart_jax.track.derive import load_tracks
from kart_jax.track.types import Tracks

from .measure import flags, report, table
from .measure.benchmark import Benchmark, Plot

RUN_UP = 60.0  # m before the line at which a kart starts
RUN_UP_FRACTION = 0.9  # of the planned speed at which it then rolls
LONG = 2500.0  # m, longer circuits make a group of their own

# s, poles and records by centre-line file and preset: kart_physics reference, section 2.2. The
# reference gives KZ and KZ2 one mass and one power, those of our `kz2`. The first time of each is
# the one to match.
REAL = {
    ("genk", "kz2"): {"KZ": 51.606, "KZ2": 52.061},
    ("genk", "ok"): {"OK": 52.109},
    ("genk", "okj"): {"OKJ": 54.281},
    ("wackersdorf", "kz2"): {"KZ": 45.397},
    ("le_mans_kart", "okj"): {"OKJ": 52.883},
}


class LapTrace(struct.PyTreeNode):
    """What is recorded after each control step of one kart."""

    last_lap: chex.Array  # () s, last valid lap; nan before the first
    last_sectors: chex.Array  # (3,) s
    valid_laps: chex.Array  # () int32
    deviation: chex.Array  # () m, offset from the planned path
    past_edge: chex.Array  # () m, of the outermost wheel past the asphalt; negative = inside
    drift: chex.Array  # () rad, angle between nose and motion


def stack_params(classes: list[str]) -> KartParams:
    """Return the parameters of several classes, every field with a leading axis (C,)."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *[preset(name) for name in classes])


def plan_laps(tracks: Tracks, params: KartParams, line: str) -> Plan:
    """Plan the laps of C karts (leading axis of `params`) on T circuits."""
    return jax.vmap(lambda kart: scripted.prepare(tracks, kart, line))(params)


def drive_laps(
    tracks: Tracks, track: chex.Array, params: KartParams, plan: Plan, steps: int
) -> LapTrace:
    """Let one kart lap circuit `track` for `steps` control steps; fields (steps, ...)."""
    start = tracks.length[track] - RUN_UP
    offset, angle, speed = (
        path.interpolate(values, tracks, track, start)
        for values in (plan.path.offset, plan.path.angle, plan.speed)
    )
    pose = StartPose(
        s=start[None],
        n=offset[None],
        heading_error=angle[None],
        speed=RUN_UP_FRACTION * speed[None],
    )

    world = World(tracks, RaceParams(per_kart(params, 1)))
    race = start_race(tracks, track, pose, world.params.kart)
    driver = ScriptedDriver(plan)
    session = begin(jax.random.key(0), world, race, driver)  # a driver without chance

    def watch(_: None, before: Session, after: Session) -> tuple[None, LapTrace]:
        race = after.race
        kart, point, timing = jax.tree.map(
            lambda leaf: leaf[0], (race.karts, race.track_point, race.timing)
        )
        planned = path.interpolate(plan.path.offset, tracks, track, point.s)
        return None, LapTrace(
            last_lap=timing.last_lap,
            last_sectors=timing.last_sectors,
            valid_laps=timing.valid_laps,
            deviation=point.n - planned,
            past_edge=outermost_edge(kart, point.s, tracks, track, params),
            drift=jnp.arctan2(kart.vy, kart.vx),
        )

    return rollout(world, driver, session, steps, watch)[2]


def drive_all(tracks: Tracks, params: KartParams, plans: Plan, steps: int) -> LapTrace:
    """Drive C karts on T circuits, see `drive_laps`; fields (C, T, steps, ...) on the host."""
    on_circuits = jax.vmap(drive_laps, (None, 0, None, None, None))
    all_karts = jax.jit(jax.vmap(on_circuits, (None, None, 0, 0, None)), static_argnums=4)
    traces = all_karts(tracks, jnp.arange(tracks.size), params, plans, steps)
    return jax.tree.map(np.asarray, traces)


def summarise(trace: LapTrace, ideal: float, laps: int) -> dict:
    """Make one row of the table from the trace of one kart (steps, ...)."""
    done = trace.valid_laps >= laps
    end = int(np.argmax(done)) if done.any() else len(done) - 1
    past_edge = trace.past_edge[: end + 1].max()
    return {
        "lap": round(float(trace.last_lap[end]), 3) if done.any() else None,
        "sectors": [round(float(t), 3) for t in trace.last_sectors[end]] if done.any() else None,
        "ideal": round(ideal, 3),
        "deviation": round(float(np.abs(trace.deviation[: end + 1]).max()), 3),
        "beyond": round(float(past_edge), 3),
        "drift": round(float(np.abs(trace.drift[: end + 1]).max()), 3),
        "clean": bool(done.any() and past_edge < 0),
    }


def measure_group(sources: list[str], classes: list[str], line: str, laps: int) -> list[dict]:
    """Return the rows of every class on every circuit of one group."""
    tracks = load_tracks(sources)
    params = stack_params(classes)
    plans = plan_laps(tracks, params, line)
    longest = 1.06 * float(plans.lap_time.max()) * laps + RUN_UP / 5.0
    traces = drive_all(tracks, params, plans, round(longest / World.rates.control_dt))

    rows = []
    for t, source in enumerate(sources):
        for c, name in enumerate(classes):
            trace = jax.tree.map(lambda leaf, c=c, t=t: leaf[c, t], traces)
            row: dict = {"track": Path(source).stem, "class": name, "line": line}
            row |= summarise(trace, float(plans.lap_time[c, t]), laps)
            row["real"] = REAL.get((row["track"], name)) if line == "given" else None
            rows.append(row)
    return rows


def show_number(name: str, form: str) -> Callable[[dict], str]:
    """Return a function that shows a number of a row, or a dash."""
    return lambda row: "-" if row[name] is None else form.format(row[name])


def show_sectors(row: dict) -> str:
    """Show the times of the three sectors."""
    return " ".join(f"{t:.2f}" for t in row["sectors"]) if row["sectors"] else "-"


def show_real(row: dict) -> str:
    """Show the real times and their classes."""
    times = row["real"].items() if row["real"] else ()
    return ", ".join(f"{name} {time:.3f}" for name, time in times) or "-"


def show_ratio(row: dict) -> str:
    """Show how far the lap is from the real ones."""
    times = row["real"].values() if row["real"] and row["lap"] else ()
    return ", ".join(f"{100 * (row['lap'] / time - 1):+.1f} %" for time in times)


COLUMNS = (
    table.text("circuit", "track", 14),
    table.text("class", "class", 13),
    table.TableColumn("lap s", show_number("lap", "{:.3f}"), 7),
    table.TableColumn("sectors s", show_sectors, 17),
    table.TableColumn("profile s", show_number("ideal", "{:.2f}"), 9),
    table.TableColumn("real s", show_real, 22),
    table.TableColumn("to real", show_ratio, 14),
    table.TableColumn("off line m", show_number("deviation", "{:.2f}"), 10),
    table.TableColumn("past edge m", show_number("beyond", "{:.2f}"), 11),
    table.TableColumn("clean", lambda row: "yes" if row["clean"] else "NO", 5),
)


def make_flags() -> flags.Flags:
    """Return the command line."""
    parser = flags.shared(__doc__)

    parser.add_argument(
        "tracks",
        nargs="*",
        help="names, pictures or centre-line CSV files; default the shipped ones",
    )
    parser.add_argument("--kart", nargs="+", default=list(CLASSES), choices=CLASSES, help="classes")
    parser.add_argument(
        "--line", default="optimal", choices=scripted.LINES, help="racing line or the given line"
    )
    parser.add_argument(
        "--laps", type=flags.at_least(1), default=2, help="the last of them is reported"
    )
    return parser


def measure_laps(arguments: argparse.Namespace) -> Iterator[dict]:
    """Drive on every circuit that is asked for."""
    sources = arguments.tracks or (["beginner_track"] if arguments.quick else track_names())
    lengths = {source: float(load_tracks(source).length[0]) for source in sources}
    groups = [[s for s in sources if (lengths[s] > LONG) == far] for far in (False, True)]
    for group in groups:
        if group:
            yield from measure_group(group, arguments.kart, arguments.line, arguments.laps)


BENCHMARK = Benchmark(
    "lap_times", COLUMNS, measure_laps, Plot("track", "lap", "s, lap", ("class",))
)

if __name__ == "__main__":
    report.run(BENCHMARK, make_flags())
