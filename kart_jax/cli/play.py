"""`kart play`: a trained driver laps a track and is filmed; `kart train` ends with it."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from kart_jax.cli.drive import MAX_LAPS
from kart_jax.cli.drive_output import (
    DriveFiles,
    check_file,
    check_files,
    lap_table,
    summarise_drive,
    write_files,
)
from kart_jax.cli.flags import parse
from kart_jax.cli.output import emit_json
from kart_jax.errors import InputError

if TYPE_CHECKING:
    from kart_jax.telemetry.log import Log

EXAMPLES = """
kart play runs/circuit-1
kart play circuit-1 --track-name spa.png --laps 1 --gif spa.gif
kart play runs/circuit-1 --no-video --json
"""
MAX_GIF_HEIGHT = 360  # rows


@dataclasses.dataclass(frozen=True)
class PlayConfig:
    """Let the trained driver of a run lap a track, film it and write its telemetry.

    It starts from the grid. If that brings no clean lap, rolling starts with fixed seeds are tried
    until one does.
    """

    run: tyro.conf.Positional[str]
    """The run: its folder, its name under --runs-dir, or one of its checkpoints."""
    track_name: str | None = None
    """Track: a shipped name, or the path of a PNG or a centre-line CSV; default the first one of
    the run, from the copy in its folder."""
    laps: int = 2
    """Complete laps, 1 to 1000; the drive ends earlier when the driver fails."""
    video: str | None = None
    """The .mp4 file; default videos/<track>.mp4 in the run's folder."""
    gif: str | None = None
    """Write a .gif as well, of 360 rows at most; half a megabyte for each second."""
    telemetry: str | None = None
    """The .csv or .npz file; default telemetry/<track>.csv in the run's folder."""
    video_height: int = 720
    """Rows of the video in pixels; it is 16:9."""
    no_video: bool = False
    """Only drive and write the telemetry."""
    runs_dir: str = "runs"
    """Folder of the runs."""
    json: bool = False
    """Print the figures as JSON."""

    def __post_init__(self) -> None:
        """Refuse what no drive can be."""
        if not 1 <= self.laps <= MAX_LAPS:
            raise InputError(f"--laps is {self.laps}; allowed are 1 to {MAX_LAPS}")
        check_files(DriveFiles(self.telemetry, None, self.video, self.video_height))
        check_file("--gif", self.gif, (".gif",))


def run(words: Sequence[str]) -> None:
    """Run `kart play`."""
    config = parse(PlayConfig, "play", words, EXAMPLES)
    figures, log = play(config)
    if config.json:
        emit_json(figures)
        return
    from kart_jax.telemetry import laps

    print(f"{figures['track']}: driver of {config.run}, {figures['kart']}")
    print(lap_table(laps.split_laps(log)))
    print(describe_lap(figures))
    for path in figures["files"]:
        print(f"wrote {path}")


def play(config: PlayConfig) -> "tuple[dict[str, Any], Log]":
    """Drive, write and film.

    Returns:
        The figures for JSON, and the telemetry.
    """
    from kart_jax.track import catalogue
    from train.evaluation.evaluate import race_env
    from train.evaluation.load_policy import load_policy
    from train.evaluation.record_drive import record_drive
    from train.run import run_folder, run_tracks

    if config.track_name is not None:
        catalogue.check_not_written(config.track_name, config.telemetry)
        catalogue.single_circuit(config.track_name)

    policy, settings = load_policy(config.run, config.runs_dir)
    folder = run_folder.find(config.run, Path(config.runs_dir))
    if config.track_name is None:
        track = catalogue.first_circuit(settings.tracks[0])
        source = run_tracks.own(folder, settings.tracks).get(track, track)
    else:
        track = source = config.track_name
    env = race_env(source, settings)
    recording = record_drive(policy, env, config.laps)
    log = recording.log.named(f"{track}, {settings.kart}")

    name = Path(track).stem.replace(":", "-")
    video = str(folder.videos / f"{name}.mp4") if config.video is None else config.video
    telemetry = (
        str(folder.telemetry / f"{name}.csv") if config.telemetry is None else config.telemetry
    )
    files = DriveFiles(telemetry, None, None if config.no_video else video, config.video_height)
    written = write_files(files, log, env.tracks, settings.kart)
    if config.gif is not None:
        height = min(config.video_height, MAX_GIF_HEIGHT)
        gif = DriveFiles(video=config.gif, video_height=height)
        written += write_files(gif, log, env.tracks, settings.kart)

    heading = {"run": config.run, "track": track, "kart": settings.kart}
    start = {
        "start": "grid" if recording.attempt == 0 else "rolling",
        "clean_lap": recording.clean_lap,
    }
    return {**heading, **start, **summarise_drive(log), "files": written}, log


def describe_lap(figures: "dict[str, Any]") -> str:
    """Say in one sentence whether the drive holds a clean lap."""
    from kart_jax.telemetry.laps import format_time
    from train.evaluation.record_drive import TRIES

    start = "the grid" if figures["start"] == "grid" else "a rolling start"
    if figures["clean_lap"] is None:
        return f"no clean lap in {TRIES} drives; this is the longest one, from {start}"
    return f"a clean lap of {format_time(figures['clean_lap'])}, from {start}"
