"""Lap and sector times of the scripted driver over circuits and classes, against real times where
there are any.

    python benchmarks/lap_times.py                                   nine shipped circuits, all classes
    python benchmarks/lap_times.py PATH/genk.csv --line given        a recorded driven line, with the real times

All karts drive at once in one batch per group of circuits of similar length. Run with --help for
the options.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import report
from flax import struct

from kart_jax.drivers import path, scripted
from kart_jax.drivers.types import Plan
from kart_jax.physics.params import CLASSES, KartParams, preset
from kart_jax.race.place import place
from kart_jax.race.step import past_edge, step
from kart_jax.track.catalogue import track_names
from kart_jax.track.derive import load_tracks
from kart_jax.track.types import Tracks

DT, SUBSTEPS = (
    0.005,
    8,
)  # s per physics step and physics steps per control step: 25 Hz, as the environment
RUN_UP = (
    60.0  # m before the line at which a kart starts, rolling at nine tenths of the planned speed
)
LONG = 2500.0  # m, longer circuits make a group of their own

# s, poles and records by centre-line file and preset: kart_physics reference, section 2.2. The
# reference gives KZ and KZ2 one mass and one power, those of our `kz2`. Row 18 asks for the first
# time of each.
REAL = {
    ("genk", "kz2"): {"KZ": 51.606, "KZ2": 52.061},
    ("genk", "ok"): {"OK": 52.109},
    ("genk", "okj"): {"OKJ": 54.281},
    ("wackersdorf", "kz2"): {"KZ": 45.397},
    ("le_mans_kart", "okj"): {"OKJ": 52.883},
}


class Trail(struct.PyTreeNode):
    """What is recorded after each control step of one kart."""

    last_lap: chex.Array  # () s, last valid lap; nan before the first
    last_sectors: chex.Array  # (3,) s
    valid_laps: chex.Array  # () int32
    deviation: chex.Array  # () m, offset from the planned path
    beyond: (
        chex.Array
    )  # () m, of the outermost wheel past the edge of the asphalt; negative = inside
    drift: chex.Array  # () rad, angle between nose and motion


def stack_params(classes: list[str]) -> KartParams:
    """Parameters of several classes, every field with a leading axis (C,)."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *[preset(name) for name in classes])


def plan(tracks: Tracks, params: KartParams, line: str) -> Plan:
    """Plans of C karts (leading axis of `params`) for T circuits."""
    return jax.vmap(lambda kart: scripted.prepare(tracks, kart, line))(params)


def drive(
    tracks: Tracks, track: chex.Array, params: KartParams, kart_plan: Plan, steps: int
) -> Trail:
    """Let one kart lap circuit `track` for `steps` control steps; fields (steps, ...)."""
    start = tracks.length[track] - RUN_UP
    offset, angle, speed = (
        path.along(values, tracks, track, start)
        for values in (kart_plan.path.offset, kart_plan.path.angle, kart_plan.speed)
    )
    race = place(tracks, track, start[None], offset[None], angle[None], 0.9 * speed[None], params)

    def advance(race, _):
        kart = jax.tree.map(lambda leaf: leaf[0], race.karts)
        hands = scripted.control(kart_plan, tracks, track, kart, params)
        race = step(
            race, jax.tree.map(lambda leaf: leaf[None], hands), tracks, params, DT, SUBSTEPS
        )
        kart, s = jax.tree.map(lambda leaf: leaf[0], race.karts), race.place.s[0]
        return race, Trail(
            last_lap=race.timing.last_lap[0],
            last_sectors=race.timing.last_sectors[0],
            valid_laps=race.timing.valid_laps[0],
            deviation=race.place.n[0] - path.along(kart_plan.path.offset, tracks, track, s),
            beyond=past_edge(kart, params, tracks, track, s),
            drift=jnp.arctan2(kart.vy, kart.vx),
        )

    return jax.lax.scan(advance, race, None, length=steps)[1]


def drive_all(tracks: Tracks, params: KartParams, plans: Plan, steps: int) -> Trail:
    """`drive` for C karts on T circuits; fields (C, T, steps, ...) as NumPy arrays."""
    lap = jax.vmap(jax.vmap(drive, (None, 0, None, None, None)), (None, None, 0, 0, None))
    run = jax.jit(lap, static_argnums=4)
    return jax.tree.map(np.asarray, run(tracks, jnp.arange(tracks.size), params, plans, steps))


def summarise(trail: Trail, ideal: float, laps: int) -> dict:
    """One row of the table from the trail of one kart (steps, ...)."""
    done = trail.valid_laps >= laps
    end = int(np.argmax(done)) if done.any() else len(done) - 1
    return {
        "lap": round(float(trail.last_lap[end]), 3) if done.any() else None,
        "sectors": [round(float(t), 3) for t in trail.last_sectors[end]] if done.any() else None,
        "ideal": round(ideal, 3),
        "deviation": round(float(np.abs(trail.deviation[: end + 1]).max()), 3),
        "beyond": round(float(trail.beyond[: end + 1].max()), 3),
        "drift": round(float(np.abs(trail.drift[: end + 1]).max()), 3),
        "clean": bool(done.any() and trail.beyond[: end + 1].max() < 0),
    }


def measure(sources: list[str], classes: list[str], line: str, laps: int) -> list[dict]:
    """Rows for every class on every circuit of one group."""
    tracks, params = load_tracks(sources), stack_params(classes)
    plans = plan(tracks, params, line)
    longest = 1.06 * float(plans.lap_time.max()) * laps + RUN_UP / 5.0
    trail = drive_all(tracks, params, plans, round(longest / (DT * SUBSTEPS)))
    rows = []
    for t, source in enumerate(sources):
        for c, name in enumerate(classes):
            lane = jax.tree.map(lambda leaf, c=c, t=t: leaf[c, t], trail)
            row: dict = {"track": Path(source).stem, "class": name, "line": line}
            row |= summarise(lane, float(plans.lap_time[c, t]), laps)
            row["real"] = REAL.get((row["track"], name)) if line == "given" else None
            rows.append(row)
    return rows


def decimals(name: str, form: str) -> Callable[[dict], str]:
    """A number of a row, or a dash."""
    return lambda row: "-" if row[name] is None else form.format(row[name])


def sectors(row: dict) -> str:
    """Times of the three sectors."""
    return " ".join(f"{t:.2f}" for t in row["sectors"]) if row["sectors"] else "-"


def real(row: dict) -> str:
    """The real times and their classes."""
    return (
        ", ".join(f"{name} {time:.3f}" for name, time in row["real"].items())
        if row["real"]
        else "-"
    )


def ratio(row: dict) -> str:
    """How far the lap is from the real ones."""
    times = row["real"].values() if row["real"] and row["lap"] else ()
    return ", ".join(f"{100 * (row['lap'] / time - 1):+.1f} %" for time in times)


COLUMNS = (
    report.text("circuit", "track", 14),
    report.text("class", "class", 13),
    report.Column("lap s", decimals("lap", "{:.3f}"), 7),
    report.Column("sectors s", sectors, 17),
    report.Column("profile s", decimals("ideal", "{:.2f}"), 9),
    report.Column("real s", real, 22),
    report.Column("to real", ratio, 14),
    report.Column("off line m", decimals("deviation", "{:.2f}"), 10),
    report.Column("past edge m", decimals("beyond", "{:.2f}"), 11),
    report.Column("clean", lambda row: "yes" if row["clean"] else "NO", 5),
)


def flags() -> report.Flags:
    """The command line."""
    parser = report.flags(__doc__)
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
        "--laps", type=report.at_least(1), default=2, help="the last of them is reported"
    )
    return parser


def measure_all(arguments: argparse.Namespace) -> Iterator[dict]:
    """The rows of every circuit that is asked for."""
    sources = arguments.tracks or (["beginner_track"] if arguments.quick else track_names())
    lengths = {source: float(load_tracks(source).length[0]) for source in sources}
    groups = [[s for s in sources if (lengths[s] > LONG) == far] for far in (False, True)]
    for group in groups:
        if group:
            yield from measure(group, arguments.kart, arguments.line, arguments.laps)


BENCHMARK = report.Benchmark(
    "lap_times", COLUMNS, measure_all, report.Plot("track", "lap", "s, lap", ("class",))
)

if __name__ == "__main__":
    report.run(BENCHMARK, flags())
