"""`kart train`: train a driver, then film it and write its telemetry into the run's folder."""

import contextlib
import dataclasses
import math
import statistics
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kart_jax.cli.flags import parse
from kart_jax.cli.output import emit_json, quiet_stdout, table
from train.config import TrainConfig

if TYPE_CHECKING:
    from train.evaluate import Result
    from train.loop import RunResult

EXAMPLES = """
kart train --track-name circuit.png
kart train --track-name a.png b.png --timesteps 20000000 --vector-envs 2048 --save-name both
kart train --resume-from circuit-1 --timesteps 2000000
kart train --track-name spa.png --resume-from circuit-1 --profile aggressive
kart train --seeds 4 --telemetry-only --save-name four
kart train --coordinator first:1234 --hosts 2 --host 0    # and --host 1 on the second
"""


@dataclasses.dataclass(frozen=True)
class CommandConfig(TrainConfig):
    """Train a driver from the 84x84 view and the telemetry with PPO."""

    seeds: int = 1
    """Seeds to train side by side in one program, from --seed on; each in a folder of its own, seed-N, in the run's."""
    coordinator: str | None = None
    """host:port of the first of several hosts that train one run, started alike on each of them; `auto` under Slurm,
    Open MPI or Kubernetes. They see one --runs-dir."""
    hosts: int | None = None
    """How many hosts there are, with --coordinator host:port."""
    host: int | None = None
    """Which of them this is, from 0."""


def run(words: Sequence[str]) -> int:
    """Run `kart train`; 130 when it was interrupted after saving, 1 when training diverged."""
    command = parse(CommandConfig, "train", words, EXAMPLES)
    config = TrainConfig(**{field.name: getattr(command, field.name) for field in dataclasses.fields(TrainConfig)})
    offer_devices(config.devices or 1)
    from train import hosts, loop, seeds

    folder = None
    with quiet_stdout(config.json):
        hosts.join(command.coordinator, command.hosts, command.host)
        if command.seeds == 1:
            results = [loop.train(config, keep=True)]
        else:
            folder, results = seeds.train(config, command.seeds, keep=True)
            print(seed_table(results), file=sys.stderr if config.json else sys.stdout)
    result = seeds.best(results)
    film = None
    standings: list[dict[str, Any]] = []
    try:
        for one in results:
            if one.failure is not None:
                print(f"kart: {one.failure}", file=sys.stderr)
        # On several hosts reading the checkpoint is a matter for all of them: `kart play` films it afterwards.
        if result.failure is None and not result.interrupted and not hosts.several():
            standings = examine(result, config)
            film = film_driver(result, config)
    finally:  # also when there is no film: the training is done and its figures are wanted
        if config.json and folder is None and hosts.first():
            emit_json({**summary(result), "exam": standings, "film": film})
        elif config.json and folder is not None:
            seeds_told = [summary(one) for one in results]
            emit_json({"folder": str(folder), "seeds": seeds_told, "exam": standings, "film": film})
    return 1 if result.failure is not None else 130 if result.interrupted else 0


def seed_table(results: "Sequence[RunResult]") -> str:
    """What each seed reached, and their mean and standard deviation."""

    def numbers(result: "RunResult") -> list[float]:
        progress = result.progress
        first = math.nan if progress.first_lap_steps is None else progress.first_lap_steps
        lap = math.nan if progress.best_lap is None else progress.best_lap
        return [progress.laps, first, lap, progress.mean_return]

    def shown(values: Sequence[float]) -> list[str]:
        forms = ("{:.0f}", "{:,.0f}", "{:.3f}", "{:.0f}")
        return ["-" if math.isnan(value) else form.format(value) for form, value in zip(forms, values, strict=True)]

    columns = [
        [value for value in column if not math.isnan(value)]
        for column in zip(*(numbers(result) for result in results), strict=True)
    ]
    rows = [[result.folder.path.name, *shown(numbers(result))] for result in results]
    rows.append(["mean", *shown([statistics.fmean(values) if values else math.nan for values in columns])])
    deviations = [statistics.stdev(values) if len(values) > 1 else math.nan for values in columns]
    rows.append(["standard deviation", *shown(deviations)])
    return table(["", "laps", "first lap, steps", "best lap, s", "mean return"], rows)


def offer_devices(count: int) -> None:
    """Cut the CPU into as many devices as are asked for, unless JAX runs already."""
    import jax

    with contextlib.suppress(RuntimeError):
        jax.config.update("jax_num_cpu_devices", count)


def examine(result: "RunResult", config: TrainConfig) -> list[dict[str, Any]]:
    """Let the kept checkpoints of a driver that laps show which drives best; figures of each, the best first."""
    from train import checkpoint, exam

    count = len(checkpoint.find(result.folder.path))
    if count < 2 or not result.progress.laps:
        return []
    out = sys.stderr if config.json else sys.stdout
    print(f"examining the {count} checkpoints that were kept ...", file=out, flush=True)

    def report(one: "Result") -> None:
        mean = "" if one.mean_lap is None else f", mean lap {one.mean_lap:.3f} s"
        lapped = f"{round(one.completion_rate * one.drives)} of {one.drives} drives with a clean lap{mean}"
        print(f"after {int(one.driver):,} steps: {lapped}", file=out, flush=True)

    fields = ("drives", "completion_rate", "mean_lap")
    ranked = exam.hold(result.folder, report)
    return [{"steps": int(one.driver), **{field: getattr(one, field) for field in fields}} for one in ranked]


def film_driver(result: "RunResult", config: TrainConfig) -> dict[str, Any]:
    """Film the best driver of a run and tell what the film shows; returns its figures."""
    from kart_jax.cli.play import PlayConfig, play, shown

    out = sys.stderr if config.json else sys.stdout
    print("filming the driver; on a CPU this takes a minute or more ...", file=out, flush=True)
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
