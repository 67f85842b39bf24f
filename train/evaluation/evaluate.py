"""How well a trained driver drives: beside the scripted driver, and beside the minimum lap time."""

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from kart_jax.drivers import scripted
from kart_jax.drivers.driver import Driver, ScriptedDriver
from kart_jax.drivers.types import Plan
from kart_jax.env.config import EnvConfig
from kart_jax.env.core import RaceEnv
from kart_jax.env.make import Source, make
from kart_jax.errors import InputError
from kart_jax.files import check_place
from kart_jax.laptime import search
from kart_jax.physics.params import KartParams
from kart_jax.race.channels import NAMES
from kart_jax.telemetry import export
from kart_jax.track.types import Tracks
from train.evaluation import drives as fixed_drives
from train.evaluation.defaults import DRIVES, LAPS
from train.evaluation.drives import Course
from train.evaluation.learned_driver import LearnedDriver
from train.evaluation.load_policy import load_policy
from train.evaluation.result import Result, summarise, with_gaps
from train.run import run_folder, run_tracks
from train.run.config import RunConfig

MAX_RECORDING = 2_000_000_000  # bytes of telemetry of one driver on one circuit
SPARE = 1.5  # time given to a drive, over that of the scripted driver

Report = Callable[[str, int, float], None]  # circuit, laps simulated, best lap in s


@dataclasses.dataclass(frozen=True)
class Entrant:
    """A driver that is examined."""

    name: str
    """As the results call it."""
    kind: str
    """learned, scripted or fastest: a part of the name of its telemetry file."""
    driver: Driver
    """Who drives."""


def evaluate(
    run: str,
    *,
    track_name: tuple[str, ...] | None = None,
    drives: int = DRIVES,
    laps: int = LAPS,
    explore: bool = False,
    telemetry: Path | None = None,
    runs_dir: str = "runs",
    search_laps: int | None = None,
    report: Report | None = None,
) -> list[Result]:
    """Examine the driver of a run beside the scripted one, and beside the minimum lap time.

    Args:
        run: run folder, run name or checkpoint, see `load_policy`.
        track_name: circuits; default those of the run, from the copies in its folder.
        drives: drives per circuit.
        laps: how many laps a drive has time for after the way to the line, at `SPARE` times the
            scripted lap time.
        explore: draw the learned driver's actions as in training instead of taking the most likely
            ones.
        telemetry: folder for the telemetry of all drives, an npz (steps, drives, channels) for each
            circuit and driver, nan from the end of a drive on.
        runs_dir: where runs are.
        search_laps: laps to simulate in search of the minimum lap time of each circuit; None = no
            search.
        report: told circuit, laps simulated and best lap in s while a search is under way.

    Returns:
        For each circuit the result of the learned and of the scripted driver, with `search_laps`
        also of the fastest plan found. InputError for a bad run or track, or a folder that cannot
        be written to.
    """
    policy, config = load_policy(run, runs_dir)
    own = run_tracks.own(run_folder.find(run, Path(runs_dir)), config.tracks)
    if telemetry:
        check_place(recording_file(telemetry, 1, (track_name or config.tracks)[0], "learned"))

    results: list[Result] = []
    for number, track in enumerate(track_name or config.tracks, 1):
        env = race_env(track if track_name else own[track], config)
        course, plan = prepare_course(env, drives, laps)
        if telemetry:
            _check_size(course.steps, drives, laps)

        learned = LearnedDriver(policy, env, env.default_params, explore)
        entrants = [
            Entrant(run, "learned", learned),
            Entrant("scripted", "scripted", ScriptedDriver(plan)),
        ]
        minimum = None
        if search_laps is not None:
            kart = _one_kart(env)
            told = report and partial(report, track)
            best, minimum = search.find_minimum(env.tracks, kart, search_laps, report=told)
            entrants.append(Entrant("fastest", "fastest", ScriptedDriver(best)))

        rows = []
        for entrant in entrants:
            file = telemetry and recording_file(telemetry, number, track, entrant.kind)
            rows.append(_examine(entrant, track, course, file))
        results += rows if minimum is None else with_gaps(rows, minimum)
    return results


def race_env(source: Source | list[Source] | Tracks, config: RunConfig) -> RaceEnv:
    """Make the race of one in which the driver of a run is examined."""
    network = config.network
    view = EnvConfig(frame_stack=network.frame_stack, vision=not network.telemetry_only)
    return make(source, kart=config.kart, karts=1, config=view)


def prepare_course(env: RaceEnv, drives: int, laps: int) -> tuple[Course, Plan]:
    """Prepare drives that have time for some laps; also returns the scripted driver's plan."""
    plan = scripted.prepare(env.tracks, _one_kart(env))
    seconds = SPARE * (laps + 1) * float(jnp.max(plan.lap_time))
    return fixed_drives.prepare(env, drives, seconds), plan


def recording_file(folder: Path, number: int, track: str, driver: str) -> Path:
    """Name the file with the telemetry of a driver on the circuit of this number, from 1."""
    return folder / f"{number}-{Path(track).stem.replace(':', '-')}-{driver}.npz"


def _one_kart(env: RaceEnv) -> KartParams:
    """Return the parameters of the one kart of a race of one."""
    return jax.tree.map(lambda leaf: leaf[0], env.default_params.kart)


def _examine(entrant: Entrant, track: str, course: Course, telemetry: Path | None) -> Result:
    """Let one driver drive; the telemetry goes to a file, if one is named."""
    tally, values = fixed_drives.drive_all(entrant.driver, course, telemetry is not None)
    if telemetry:
        export.write_npz(telemetry, np.asarray(values))
    return summarise(entrant.name, track, tally, course.world.rates.control_dt, telemetry)


def _check_size(steps: int, drives: int, laps: int) -> None:
    """Refuse a recording that fits no memory."""
    size = 4 * steps * drives * len(NAMES)
    if size > MAX_RECORDING:
        raise InputError(
            f"telemetry of {drives} drives of {laps} laps is {size / 1e9:.1f} GB; "
            f"allowed are {MAX_RECORDING / 1e9:g} GB; ask for fewer --drives or --laps"
        )
