"""`kart train`: train a driver, then film it and write its telemetry into the run's folder."""

import contextlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kart_jax.cli.flags import parse
from kart_jax.cli.output import emit_json
from train.config import TrainConfig

if TYPE_CHECKING:
    from train.loop import RunResult

EXAMPLES = """
kart train --track-name circuit.png
kart train --track-name a.png b.png --timesteps 20000000 --vector-envs 2048 --save-name both
kart train --resume-from circuit-1 --timesteps 2000000
kart train --track-name spa.png --resume-from circuit-1 --profile aggressive
"""


def run(words: Sequence[str]) -> int:
    """Run `kart train`; 130 when it was interrupted after saving, 1 when training diverged."""
    config = parse(TrainConfig, "train", words, EXAMPLES)
    offer_devices(config.devices or 1)
    from train.loop import train

    result = train(config)
    film = None
    try:
        if result.failure is not None:
            print(f"kart: {result.failure}", file=sys.stderr)
        elif not result.interrupted:
            film = film_driver(result, config)
    finally:  # also when there is no film: the training is done and its figures are wanted
        if config.json:
            emit_json({**summary(result), "film": film})
    return 1 if result.failure is not None else 130 if result.interrupted else 0


def offer_devices(count: int) -> None:
    """Cut the CPU into as many devices as are asked for, unless JAX runs already."""
    import jax

    with contextlib.suppress(RuntimeError):
        jax.config.update("jax_num_cpu_devices", count)


def film_driver(result: "RunResult", config: TrainConfig) -> dict[str, Any]:
    """Film the best driver of a run and tell what the film shows; returns its figures."""
    from kart_jax.cli.play import PlayConfig, play, shown

    out = sys.stderr if config.json else sys.stdout
    print("filming the driver ...", file=out, flush=True)
    figures, _ = play(PlayConfig(run=str(result.folder.path), runs_dir=config.runs_dir))
    print(f"film: {shown(figures)}", file=out)
    for path in figures["files"]:
        print(f"wrote {path}", file=out)
    return figures


def summary(result: "RunResult") -> dict[str, Any]:
    """Figures of a run; times in s, counts of environment steps and of clean laps."""
    progress = result.progress
    return {
        "folder": str(result.folder.path),
        "steps": result.steps,
        "seconds": progress.elapsed,
        "laps": progress.laps,
        "best_lap": progress.best_lap,
        "first_lap_steps": progress.first_lap_steps,
        "first_lap_seconds": progress.first_lap_seconds,
        "interrupted": result.interrupted,
        "failure": result.failure,
    }
