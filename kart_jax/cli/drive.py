"""`kart drive`: the scripted driver laps a track."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from kart_jax.cli.flags import parse
from kart_jax.cli.output import emit_json, table
from kart_jax.cli.search import laps_wanted, tell
from kart_jax.errors import InputError
from kart_jax.files import check_place
from kart_jax.physics.classes import KartClass

if TYPE_CHECKING:
    from kart_jax.telemetry.laps import Lap
    from kart_jax.telemetry.log import Log
    from kart_jax.track.types import Tracks

EXAMPLES = """
kart drive --track-name circuit.png --laps 3
kart drive --track-name my_track.png --kart ok --line given --json
kart drive --track-name circuit.png --driver fastest --plot fastest.png
kart drive --track-name spa --kart kz2 --telemetry spa.csv --video spa.mp4
"""
MOST_LAPS = 1000


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
        if not 1 <= self.laps <= MOST_LAPS:
            raise InputError(f"--laps is {self.laps}; allowed are 1 to {MOST_LAPS}")
        if self.driver == "fastest" and self.line == "given":
            raise InputError(
                "--line is given; with --driver fastest the line is searched; leave --line out"
            )
        if self.driver != "fastest" and self.search_laps is not None:
            raise InputError(
                "--search-laps is for --driver fastest; leave it out or choose that driver"
            )
        check_height(self.video_height)
        check_outputs(self.telemetry, self.plot, self.video)


def check_height(height: int) -> None:
    """Refuse a height of video that H.264 or the memory cannot take."""
    if not 120 <= height <= 2160 or height % 2:
        raise InputError(
            f"--video-height is {height}; allowed are even numbers from 120 to 2160; 720 is usual"
        )


def check_outputs(telemetry: str | None, plot: str | None, video: str | None) -> None:
    """Refuse wrong endings, and places that cannot be written to, before anything is computed."""
    check_output("--telemetry", telemetry, (".csv", ".npz"))
    check_output("--plot", plot, (".png", ".pdf", ".svg"))
    check_output("--video", video, (".mp4", ".gif"))


def check_output(flag: str, path: str | None, endings: tuple[str, ...]) -> None:
    """Refuse a path, if one is given, with another ending, or that cannot be written to."""
    if path is None:
        return
    if not path.lower().endswith(endings):
        raise InputError(f"{flag} is {path}; the file must end in {' or '.join(endings)}")
    check_place(path)


def fastest_laps(tracks: "Tracks", config: DriveConfig, search_laps: int) -> "Log":
    """Search the fastest lap of the circuit and drive it."""
    from jax.tree_util import Partial

    from kart_jax.drivers import scripted
    from kart_jax.laptime import search
    from kart_jax.physics.params import preset
    from kart_jax.telemetry import session

    kart = preset(config.kart)
    plan, _ = search.find(
        tracks, kart, search_laps, report=functools.partial(tell, config.track_name)
    )
    return session.drive(tracks, 0, kart, Partial(scripted.control, plan), config.laps)


def run(words: Sequence[str]) -> None:
    """Run `kart drive`."""
    config = parse(DriveConfig, "drive", words, EXAMPLES)
    search_laps = laps_wanted(config.search_laps) if config.driver == "fastest" else None
    from kart_jax.telemetry import session
    from kart_jax.track import catalogue, derive

    catalogue.check_not_written(config.track_name, config.telemetry, config.plot)
    tracks = derive.load(catalogue.single(config.track_name))
    if search_laps is None:
        log = session.scripted_laps(tracks, config.kart, config.laps, config.line)
    else:
        log = fastest_laps(tracks, config, search_laps)
    log = log.named(f"{config.track_name}, {config.kart}")
    if not config.json:
        print(f"{config.track_name}: {config.driver} driver, {config.kart}, {config.line} line")
        print(report(log), flush=True)
    written = write_outputs(
        log, tracks, config.telemetry, config.plot, config.video, config.video_height, config.kart
    )
    if config.json:
        heading = {
            "track": config.track_name,
            "driver": config.driver,
            "kart": config.kart,
            "line": config.line,
        }
        emit_json({**heading, **summary(log), "files": written})
        return
    for path in written:
        print(f"wrote {path}")


def summary(log: "Log") -> dict[str, Any]:
    """Figures of a drive: laps with sectors in s, best lap, time off the track, top speed, lateral
    g."""
    import numpy as np

    from kart_jax.telemetry import laps

    found = laps.split(log)
    best = laps.best(found)
    return {
        "laps": [as_figures(lap) for lap in found],
        "best_lap": None if best is None else best.time,
        "off_track_time": float((log["on_track"] < 1).sum()) / log.rate,
        "top_speed_kmh": float(log["speed"].max()),
        "peak_lateral_g": float(np.percentile(np.abs(log["lateral_g"]), 99)),
        "driven_m": float(log["distance"][-1] - log["distance"][0]),
    }


def as_figures(lap: "Lap") -> dict[str, Any]:
    """One lap for JSON; times in s."""
    return {"lap": lap.number, "time": lap.time, "sectors": list(lap.sectors), "valid": lap.valid}


def report(log: "Log") -> str:
    """Lap and sector times as a table, and one line of figures."""
    from kart_jax.telemetry import laps

    found = laps.split(log)
    figures = summary(log)
    facts = (
        f"top speed {figures['top_speed_kmh']:.0f} km/h, lateral {figures['peak_lateral_g']:.2f} "
        "g, "
        f"off the track {figures['off_track_time']:.1f} s"
    )
    return f"{lap_table(found)}\n{facts}"


def lap_table(found: "list[Lap]") -> str:
    """Lap and sector times, the best lap marked with a star."""
    from kart_jax.telemetry import laps

    if not found:
        return "no complete lap"
    best = laps.best(found)
    sectors = max(len(lap.sectors) for lap in found)
    rows = [
        [
            f"{lap.number}",
            laps.clock(lap.time) + (" *" if lap is best else "  "),
            *(laps.clock(s) for s in lap.sectors),
            *[""] * (sectors - len(lap.sectors)),
            "" if lap.valid else "not valid",
        ]
        for lap in found
    ]
    return table(["lap", "time  ", *(f"sector {k + 1}" for k in range(sectors)), ""], rows)


def write_outputs(
    log: "Log",
    tracks: Any,
    telemetry: str | None,
    plot: str | None,
    video: str | None,
    height: int,
    title: str,
) -> list[str]:
    """Write what was asked for; returns the paths."""
    if telemetry is not None:
        from kart_jax.telemetry import export

        if telemetry.lower().endswith(".npz"):
            export.write_npz(telemetry, log.values[:, None, :], log.names)
        else:
            export.write_csv(telemetry, log)
    if plot is not None:
        from kart_jax.media import plots

        plots.save(plots.lap_figure(log), plot)
    if video is not None:
        from kart_jax.media import film

        film.save(video, log, tracks, 0, height, width_of(height), title)
    return [path for path in (telemetry, plot, video) if path is not None]


def width_of(height: int) -> int:
    """Columns of a 16:9 video, even."""
    return round(height * 8 / 9) * 2
