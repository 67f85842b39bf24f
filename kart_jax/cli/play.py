"""`kart play`: a trained driver laps a track and is filmed; `kart train` ends with it."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from kart_jax.cli.drive import (
    MOST_LAPS,
    check_height,
    check_output,
    check_outputs,
    lap_table,
    summary,
    write_outputs,
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
        if not 1 <= self.laps <= MOST_LAPS:
            raise InputError(f"--laps is {self.laps}; allowed are 1 to {MOST_LAPS}")
        check_height(self.video_height)
        check_outputs(self.telemetry, None, self.video)
        check_output("--gif", self.gif, (".gif",))


def run(words: Sequence[str]) -> None:
    """Run `kart play`."""
    config = parse(PlayConfig, "play", words, EXAMPLES)
    figures, log = play(config)
    if config.json:
        emit_json(figures)
        return
    from kart_jax.telemetry import laps

    print(f"{figures['track']}: driver of {config.run}, {figures['kart']}")
    print(lap_table(laps.split(log)))
    print(shown(figures))
    for path in figures["files"]:
        print(f"wrote {path}")


def play(config: PlayConfig) -> "tuple[dict[str, Any], Log]":
    """Drive, write and film; returns the figures and the telemetry."""
    from kart_jax.env.config import EnvConfig
    from kart_jax.env.make import make
    from kart_jax.track import catalogue
    from train.evaluation import record_drive
    from train.evaluation.load_policy import load_policy
    from train.run import run_folder, run_tracks

    if config.track_name is not None:
        catalogue.check_not_written(config.track_name, config.telemetry)
        catalogue.single(config.track_name)
    policy, settings = load_policy(config.run, config.runs_dir)
    folder = run_folder.find(config.run, Path(config.runs_dir))
    track = catalogue.first(settings.tracks[0]) if config.track_name is None else config.track_name
    env = make(
        run_tracks.own(folder, settings.tracks).get(track, track)
        if config.track_name is None
        else track,
        kart=settings.kart,
        config=EnvConfig(frame_stack=settings.frame_stack, vision=not settings.telemetry_only),
    )
    recording = record_drive.choose(policy, env, config.laps)
    log, name = recording.log.named(f"{track}, {settings.kart}"), Path(track).stem.replace(":", "-")
    video = str(folder.videos / f"{name}.mp4") if config.video is None else config.video
    telemetry = (
        str(folder.telemetry / f"{name}.csv") if config.telemetry is None else config.telemetry
    )
    written = write_outputs(
        log,
        env.tracks,
        telemetry,
        None,
        None if config.no_video else video,
        config.video_height,
        settings.kart,
    )
    if config.gif is not None:
        written += write_outputs(
            log, env.tracks, None, None, config.gif, min(config.video_height, 360), settings.kart
        )
    heading = {"run": config.run, "track": track, "kart": settings.kart}
    start = {
        "start": "grid" if recording.attempt == 0 else "rolling",
        "clean_lap": recording.clean_lap,
    }
    return {**heading, **start, **summary(log), "files": written}, log


def shown(figures: "dict[str, Any]") -> str:
    """Whether the drive holds a clean lap, in one sentence."""
    from kart_jax.telemetry.laps import clock
    from train.evaluation.record_drive import TRIES

    start = "the grid" if figures["start"] == "grid" else "a rolling start"
    if figures["clean_lap"] is None:
        return f"no clean lap in {TRIES} drives; this is the longest one, from {start}"
    return f"a clean lap of {clock(figures['clean_lap'])}, from {start}"
