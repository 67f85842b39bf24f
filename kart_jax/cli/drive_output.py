"""What a drive leaves behind: its lap table, its figures, and the files that are asked for."""

import dataclasses
from typing import TYPE_CHECKING, Any

from kart_jax.cli.output import table
from kart_jax.errors import InputError
from kart_jax.files import check_place

if TYPE_CHECKING:
    from kart_jax.telemetry.laps import Lap
    from kart_jax.telemetry.log import Log
    from kart_jax.track.types import Tracks

TELEMETRY_ENDINGS = (".csv", ".npz")
PLOT_ENDINGS = (".png", ".pdf", ".svg")
VIDEO_ENDINGS = (".mp4", ".gif")
MIN_VIDEO_HEIGHT = 120  # rows
MAX_VIDEO_HEIGHT = 2160  # rows, what H.264 and the memory take


@dataclasses.dataclass(frozen=True)
class DriveFiles:
    """The files of a drive that are asked for; None where one is not."""

    telemetry: str | None = None
    """Telemetry, a .csv or .npz file."""
    plot: str | None = None
    """Page of the best lap, a .png, .pdf or .svg file."""
    video: str | None = None
    """Film, a .mp4 or .gif file."""
    video_height: int = 720
    """Rows of the film in pixels; it is 16:9."""


def check_files(files: DriveFiles) -> None:
    """Refuse a wrong height, wrong endings and bad places before anything is computed.

    Raises:
        InputError: the height is out of range, or a file has another ending or cannot be written.
    """
    height = files.video_height
    if not MIN_VIDEO_HEIGHT <= height <= MAX_VIDEO_HEIGHT or height % 2:
        raise InputError(
            f"--video-height is {height}; allowed are even numbers from {MIN_VIDEO_HEIGHT} to "
            f"{MAX_VIDEO_HEIGHT}; 720 is usual"
        )
    check_file("--telemetry", files.telemetry, TELEMETRY_ENDINGS)
    check_file("--plot", files.plot, PLOT_ENDINGS)
    check_file("--video", files.video, VIDEO_ENDINGS)


def check_file(flag: str, path: str | None, endings: tuple[str, ...]) -> None:
    """Refuse a path, if one is given, with another ending, or that cannot be written to.

    Raises:
        InputError: it has, or cannot.
    """
    if path is None:
        return
    if not path.lower().endswith(endings):
        raise InputError(f"{flag} is {path}; the file must end in {' or '.join(endings)}")
    check_place(path)


def write_files(files: DriveFiles, log: "Log", tracks: "Tracks", title: str) -> list[str]:
    """Write what was asked for; return the paths.

    Args:
        files: what is wanted.
        log: telemetry of the drive.
        tracks: where it was driven, in circuit 0.
        title: name of the kart, for the film.
    """
    if files.telemetry is not None:
        from kart_jax.telemetry import export

        if files.telemetry.lower().endswith(".npz"):
            export.write_npz(files.telemetry, log.values[:, None, :], log.names)
        else:
            export.write_csv(files.telemetry, log)
    if files.plot is not None:
        from kart_jax.media import plots

        plots.save_figure(plots.lap_figure(log), files.plot)
    if files.video is not None:
        from kart_jax.media import film

        height = files.video_height
        film.save_film(files.video, log, tracks, 0, height, video_width(height), title)
    return [path for path in (files.telemetry, files.plot, files.video) if path is not None]


def video_width(height: int) -> int:
    """Return the columns of a 16:9 video, an even number."""
    return round(height * 8 / 9) * 2


def summarise_drive(log: "Log") -> dict[str, Any]:
    """Return the figures of a drive for JSON.

    Laps with sectors in s, best lap in s, time off the track in s, top speed in km/h, lateral
    acceleration in g, way driven in m.
    """
    import numpy as np

    from kart_jax.telemetry import laps

    found = laps.split_laps(log)
    best = laps.best_lap(found)
    return {
        "laps": [summarise_lap(lap) for lap in found],
        "best_lap": None if best is None else best.time,
        "off_track_time": float((log["on_track"] < 1).sum()) / log.rate,
        "top_speed_kmh": float(log["speed"].max()),
        "peak_lateral_g": float(np.percentile(np.abs(log["lateral_g"]), 99)),
        "driven_m": float(log["distance"][-1] - log["distance"][0]),
    }


def summarise_lap(lap: "Lap") -> dict[str, Any]:
    """Return one lap for JSON; times in s."""
    return {"lap": lap.number, "time": lap.time, "sectors": list(lap.sectors), "valid": lap.valid}


def drive_report(log: "Log") -> str:
    """Return lap and sector times as a table, and one line of figures."""
    from kart_jax.telemetry import laps

    figures = summarise_drive(log)
    facts = (
        f"top speed {figures['top_speed_kmh']:.0f} km/h, lateral {figures['peak_lateral_g']:.2f} "
        f"g, off the track {figures['off_track_time']:.1f} s"
    )
    return f"{lap_table(laps.split_laps(log))}\n{facts}"


def lap_table(found: "list[Lap]") -> str:
    """Return lap and sector times as a table, the best lap marked with a star."""
    from kart_jax.telemetry import laps

    if not found:
        return "no complete lap"
    best = laps.best_lap(found)
    sectors = max(len(lap.sectors) for lap in found)
    rows = [
        [
            f"{lap.number}",
            laps.format_time(lap.time) + (" *" if lap is best else "  "),
            *(laps.format_time(s) for s in lap.sectors),
            *[""] * (sectors - len(lap.sectors)),
            "" if lap.valid else "not valid",
        ]
        for lap in found
    ]
    return table(["lap", "time  ", *(f"sector {k + 1}" for k in range(sectors)), ""], rows)
