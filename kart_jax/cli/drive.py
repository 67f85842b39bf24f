"""`kart drive`: the scripted driver laps a track."""

import dataclasses
import functools
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
"""
MAX_LAPS = 1000


@dataclasses.dataclass(frozen=True)
class DriveConfig:
    """Let a driver lap a track from a standing start and print lap and sector times."""

    track_name: str = "circuit.png"
    """Track: a shipped name, or the path of a PNG or a centre-line CSV."""
    driver: Literal["scripted", "fastest"] = "scripted"
    """Who drives; scripted = racing line, speed profile from the kart's own limits, path following;
    fastest = the same with the fastest plan that a search through the simulator finds: minutes the
    first time, then it is remembered."""
    kart: KartClass = "rental_gx270"
    """Kart class."""
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
        if self.driver != "fastest" and self.search_laps is not None:
            raise InputError(
                "--search-laps is for --driver fastest; leave it out or choose that driver"
            )
        check_files(self.files)

    @property
    def files(self) -> DriveFiles:
        """The files that are asked for."""
        return DriveFiles(self.telemetry, self.plot, self.video, self.video_height)


def fastest_laps(tracks: "Tracks", config: DriveConfig, search_laps: int) -> "Log":
    """Search the fastest lap of the circuit and drive it."""
    from kart_jax.drivers.driver import ScriptedDriver
    from kart_jax.laptime import search
    from kart_jax.physics.params import preset
    from kart_jax.telemetry import session

    kart = preset(config.kart)
    plan, _ = search.find_minimum(
        tracks, kart, search_laps, report=functools.partial(print_progress, config.track_name)
    )
    return session.drive_laps(tracks, 0, kart, ScriptedDriver(plan), config.laps)


def run(words: Sequence[str]) -> None:
    """Run `kart drive`."""
    config = parse(DriveConfig, "drive", words, EXAMPLES)
    search_laps = resolve_search_laps(config.search_laps) if config.driver == "fastest" else None
    from kart_jax.telemetry import session
    from kart_jax.track import catalogue, derive

    catalogue.check_not_written(config.track_name, config.telemetry, config.plot)
    tracks = derive.load_tracks(catalogue.single_circuit(config.track_name))

    if search_laps is None:
        log = session.scripted_laps(tracks, config.kart, config.laps, config.line)
    else:
        log = fastest_laps(tracks, config, search_laps)
    log = log.named(f"{config.track_name}, {config.kart}")

    if not config.json:
        print(f"{config.track_name}: {config.driver} driver, {config.kart}, {config.line} line")
        print(drive_report(log), flush=True)
    written = write_files(config.files, log, tracks, config.kart)
    if config.json:
        heading = {
            "track": config.track_name,
            "driver": config.driver,
            "kart": config.kart,
            "line": config.line,
        }
        emit_json({**heading, **summarise_drive(log), "files": written})
        return
    for path in written:
        print(f"wrote {path}")
