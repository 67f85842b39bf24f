"""`kart play`: a trained driver laps a track and is filmed; `kart train` ends with it."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from kart_jax.cli.drive import MOST_LAPS, check_height, check_outputs, lap_table, summary, write_outputs
from kart_jax.cli.flags import parse
from kart_jax.cli.output import emit_json
from kart_jax.errors import InputError

if TYPE_CHECKING:
    from kart_jax.env.core import KartEnv
    from kart_jax.telemetry.log import Log

EXAMPLES = """
kart play runs/circuit-1
kart play circuit-1 --track-name spa.png --laps 1 --gif spa.gif
kart play runs/circuit-1 --no-video --json
"""
CHUNK = 50  # control steps per compiled call
SLOWEST = 4.0  # m/s on average; a slower driver is cut off


@dataclasses.dataclass(frozen=True)
class PlayConfig:
    """Let the trained driver of a run lap a track from the grid, film it and write its telemetry."""

    run: tyro.conf.Positional[str]
    """The run: its folder, its name under --runs-dir, or one of its checkpoints."""
    track_name: str | None = None
    """Track: a shipped name, or the path of a PNG or a centre-line CSV; default the first one of the run."""
    laps: int = 2
    """Complete laps, 1 to 1000; the drive ends earlier when the driver fails."""
    video: str | None = None
    """The .mp4 file; default videos/<track>.mp4 in the run's folder."""
    gif: str | None = None
    """Write a .gif as well, small enough for a README."""
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
        if self.gif is not None and not self.gif.lower().endswith(".gif"):
            raise InputError(f"--gif is {self.gif}; the file must end in .gif")


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
    for path in figures["files"]:
        print(f"wrote {path}")


def play(config: PlayConfig) -> "tuple[dict[str, Any], Log]":
    """Drive, write and film; returns the figures and the telemetry."""
    from kart_jax.env.config import EnvConfig
    from kart_jax.env.make import make
    from train import run_folder
    from train.policy import load_policy

    policy, settings = load_policy(config.run, config.runs_dir)
    track = settings.tracks[0] if config.track_name is None else config.track_name
    env = make(
        track,
        kart=settings.kart,
        config=EnvConfig(frame_stack=settings.frame_stack, vision=not settings.telemetry_only),
    )
    log = rollout(policy, env, config.laps).named(f"{track}, {settings.kart}")
    folder, name = run_folder.find(config.run, Path(config.runs_dir)), Path(track).stem
    video = str(folder.videos / f"{name}.mp4") if config.video is None else config.video
    telemetry = str(folder.telemetry / f"{name}.csv") if config.telemetry is None else config.telemetry
    written = write_outputs(
        log, env.tracks, telemetry, None, None if config.no_video else video, config.video_height, settings.kart
    )
    if config.gif is not None:
        written += write_outputs(log, env.tracks, None, None, config.gif, 360, settings.kart)
    return {"run": config.run, "track": track, "kart": settings.kart, **summary(log), "files": written}, log


def rollout(policy: Any, env: "KartEnv", laps: int) -> "Log":
    """Telemetry of one drive from the grid, by the most likely actions.

    Args:
        policy: observations (1, ...) -> actions (1, 2), traceable.
        env: with one track or several; the first is driven.
        laps: complete laps wanted; the drive ends two seconds after them, or at the first fault.

    Returns:
        One row per control step.
    """
    import jax
    import jax.numpy as jnp
    import numpy as np

    from kart_jax.env.batch import reset_batch, step_batch
    from kart_jax.telemetry import record
    from kart_jax.telemetry.log import of_kart

    rate = env.config.control_rate
    limit = (laps + 1) * float(env.tracks.length[0]) / SLOWEST
    params = dataclasses.replace(
        env.default_params,
        start=dataclasses.replace(env.default_params.start, grid=jnp.ones(()), track=jnp.zeros((), jnp.int32)),
        limits=dataclasses.replace(env.default_params.limits, episode_time=jnp.asarray(limit)),
    )
    key = jax.random.key(0)

    @jax.jit
    def chunk(driver, circuit, carry, first):
        def body(carry, step):
            observation, state, ended = carry
            observation, state, _, terminated, truncated, _ = step_batch(
                circuit, key, state, driver(observation), params
            )
            ended = ended | (terminated | truncated)[0]
            race = jax.tree.map(lambda leaf: leaf[0], state.race)
            row = record.frame(race, step, circuit.tracks, params.kart)
            return (observation, state, ended), (row, ended)

        return jax.lax.scan(body, carry, first + jnp.arange(CHUNK))

    carry = (*reset_batch(env, key, params, 1), jnp.zeros((), bool))
    parts, laps_done = [], 0
    while laps_done < laps:
        carry, (rows, ended) = chunk(policy, env, carry, len(parts) * CHUNK)
        # A row after the end belongs to the next episode.
        parts.append(np.asarray(rows)[~np.asarray(ended)])
        laps_done = int(carry[1].race.timing.lap[0, 0])
        if bool(carry[2]):
            break
    log = of_kart(np.concatenate(parts))
    if not len(log):
        raise InputError("the driver failed in its first step; train it longer")
    done = np.flatnonzero(log["lap"] >= laps)
    return log.rows(0, int(done[0]) + 2 * rate) if len(done) else log
