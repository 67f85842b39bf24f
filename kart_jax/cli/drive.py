"""`kart drive`: a driver laps a track, be it scripted or trained."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from kart_jax.cli.drive_output import (
    DriveFiles,
    check_files,
    drive_report,
    summarise_drive,
    write_files,
)
from kart_jax.cli.flags import parse
from kart_jax.cli.output import emit_json
from kart_jax.cli.search import print_progress, resolve_search_laps
from kart_jax.errors import InputError
from kart_jax.physics.classes import KartClass

if TYPE_CHECKING:
    from kart_jax.telemetry.log import Log
    from kart_jax.track.types import Tracks

EXAMPLES = """
kart drive --track-name circuit.png --laps 3
kart drive --track-name my_track.png --kart ok --line given --json
kart drive --track-name circuit.png --driver fastest --plot fastest.png
kart drive --track-name spa --kart kz2 --telemetry spa.csv --video spa.mp4
kart drive --track-name circuit.png --driver runs/circuit-1
"""
MAX_LAPS = 1000
STANDARD_KART: KartClass = "rental_gx270"


@dataclasses.dataclass(frozen=True)
class DriveConfig:
    """Let a driver lap a track from a standing start and print lap and sector times."""

    track_name: str = "circuit.png"
    """Track: a shipped name, or the path of a PNG or a centre-line CSV."""
    driver: str = "scripted"
    """Who drives; scripted = racing line, speed profile from the kart's own limits, path following;
    fastest = the same with the fastest plan that a search through the simulator finds: minutes the
    first time, then it is remembered; else the run of a trained driver, its folder, its name under
    --runs-dir, or one of its checkpoints."""
    kart: KartClass | None = None
    """Kart class; default rental_gx270, or that of the run."""
    line: Literal["optimal", "given"] = "optimal"
    """optimal = least curvature within the track's width; given = the track's centre line."""
    search_laps: int | None = None
    """Laps to simulate in that search, in whole generations of 33; default 1320."""
    laps: int = 3
    """Complete laps, 1 to 1000; the first one starts from standstill."""
    telemetry: str | None = None
    """Write the telemetry to this .csv or .npz file."""
    plot: str | None = None
    """Draw the best lap into this .png, .pdf or .svg file."""
    video: str | None = None
    """Film the drive into this .mp4 or .gif file."""
    video_height: int = 720
    """Rows of the video in pixels; it is 16:9."""
    runs_dir: str = "runs"
    """Folder of the runs."""
    json: bool = False
    """Print the figures as JSON."""

    def __post_init__(self) -> None:
        """Refuse what no drive can be."""
        if not 1 <= self.laps <= MAX_LAPS:
            raise InputError(f"--laps is {self.laps}; allowed are 1 to {MAX_LAPS}")
        if self.driver == "fastest" and self.line == "given":
            raise InputError(
                "--line is given; with --driver fastest the line is searched; leave --line out"
            )
        if self.trained and self.line == "given":
            raise InputError("--line is given; a trained driver chooses its own; leave --line out")
        if self.driver != "fastest" and self.search_laps is not None:
            raise InputError(
                "--search-laps is for --driver fastest; leave it out or choose that driver"
            )
        check_files(self.files)

    @property
    def trained(self) -> bool:
        """Whether the driver is that of a run."""
        return self.driver not in ("scripted", "fastest")

    @property
    def files(self) -> DriveFiles:
        """The files that are asked for."""
        return DriveFiles(self.telemetry, self.plot, self.video, self.video_height)


def drive(tracks: "Tracks", config: DriveConfig, search_laps: int | None) -> "tuple[Log, str]":
    """Let the driver that is asked for lap the circuit; returns its laps and the class of kart."""
    if config.trained:
        return trained_laps(tracks, config)
    from kart_jax.telemetry import session

    kart = config.kart or STANDARD_KART
    if search_laps is None:
        return session.scripted_laps(tracks, kart, config.laps, config.line), kart
    return fastest_laps(tracks, config, kart, search_laps), kart


def fastest_laps(tracks: "Tracks", config: DriveConfig, kart: str, search_laps: int) -> "Log":
    """Search the fastest lap of the circuit and drive it."""
    from kart_jax.drivers.driver import ScriptedDriver
    from kart_jax.laptime import search
    from kart_jax.physics.params import preset
    from kart_jax.telemetry import session

    params = preset(kart)
    report = functools.partial(print_progress, config.track_name)
    plan, _ = search.find_minimum(tracks, params, search_laps, report=report)
    return session.drive_laps(tracks, 0, params, ScriptedDriver(plan), config.laps)


def trained_laps(tracks: "Tracks", config: DriveConfig) -> "tuple[Log, str]":
    """Let the driver of a run lap the circuit, until its first fault."""
    from kart_jax.env.referee import FaultReferee
    from kart_jax.physics.params import preset
    from kart_jax.telemetry import session
    from train.evaluation.evaluate import race_env
    from train.evaluation.learned_driver import LearnedDriver
    from train.evaluation.load_policy import load_policy

    policy, run = load_policy(config.driver, config.runs_dir)
    kart = config.kart or run.kart
    env = race_env(tracks, dataclasses.replace(run, kart=kart))
    params = env.default_params
    driver = LearnedDriver(policy, env, params)
    limits = params.limits.replace(episode_time=math.inf)
    referee = FaultReferee(limits)
    log = session.drive_laps(tracks, 0, preset(kart), driver, config.laps, referee)
    if not len(log):
        raise InputError(f"{config.driver}: the driver failed in its first step; train it longer")
    return log, kart


def run(words: Sequence[str]) -> None:
    """Run `kart drive`."""
    config = parse(DriveConfig, "drive", words, EXAMPLES)
    search_laps = resolve_search_laps(config.search_laps) if config.driver == "fastest" else None
    from kart_jax.track import catalogue, derive

    catalogue.check_not_written(config.track_name, config.telemetry, config.plot)
    tracks = derive.load_tracks(catalogue.single_circuit(config.track_name))

    log, kart = drive(tracks, config, search_laps)
    log = log.named(f"{config.track_name}, {kart}")

    if not config.json:
        line = "its own" if config.trained else config.line
        print(f"{config.track_name}: {config.driver} driver, {kart}, {line} line")
        print(drive_report(log), flush=True)
    written = write_files(config.files, log, tracks, kart)
    if config.json:
        heading = {
            "track": config.track_name,
            "driver": config.driver,
            "kart": kart,
            "line": None if config.trained else config.line,
        }
        emit_json({**heading, **summarise_drive(log), "files": written})
        return
    for path in written:
        print(f"wrote {path}")
