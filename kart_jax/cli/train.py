"""`kart train`: train a driver, then film it and write its telemetry into the run's folder."""

import dataclasses
import math
import statistics
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TextIO

from kart_jax.cli.devices import offer_devices
from kart_jax.cli.flags import parse
from kart_jax.cli.output import emit_json, quiet_stdout, table
from train.run.config import TrainConfig
from train.sweep import combinations
from train.sweep.combinations import Axes

if TYPE_CHECKING:
    from train.run.types import RunResult

EXAMPLES = """
kart train --track-name circuit.png
kart train --track-name a.png b.png --timesteps 20000000 --vector-envs 2048 --save-name both
kart train --resume-from circuit-1 --timesteps 2000000
kart train --track-name spa.png --resume-from circuit-1 --profile aggressive
kart train --seeds 4 --telemetry-only --save-name four
kart train --sweep numbers.toml --telemetry-only --save-name grid
kart train --coordinator first:1234 --hosts 2 --host 0    # and --host 1 on the second
"""


@dataclasses.dataclass(frozen=True)
class CommandConfig(TrainConfig):
    """Train a driver from the 84x84 view and the telemetry with PPO."""

    seeds: int = 1
    """Seeds to train side by side in one program, from --seed on; each in a folder of its own,
    seed-N, in the run's."""
    sweep: str | None = None
    """TOML file with flags and lists of values, such as `learning_rate = [3e-4, 1e-3]`: every
    combination is trained, side by side in one program, with each of the --seeds. Lists may hold
    seeds, profiles and what needs no other program: learning_rate, ent_coef, gamma, gae_lambda,
    clip_ratio, value_clip, value_coef, max_grad_norm and target_kl."""
    train_only: bool = False
    """Neither examine nor film the driver afterwards. --resume-from does both when the run is
    complete, and `kart play` films at any time."""
    coordinator: str | None = None
    """host:port of the first of several hosts that train one run, started alike on each of them;
    `auto` under Slurm, Open MPI or Kubernetes. They see one --runs-dir."""
    hosts: int | None = None
    """How many hosts there are, with --coordinator host:port."""
    host: int | None = None
    """Which of them this is, from 0."""


def run(words: Sequence[str]) -> int:
    """Run `kart train`; 130 when it was interrupted after saving, 1 when training diverged, of
    several runs all."""
    command = parse(CommandConfig, "train", words, EXAMPLES)
    config = TrainConfig(
        **{field.name: getattr(command, field.name) for field in dataclasses.fields(TrainConfig)}
    )
    axes: Axes = {}
    where = command.sweep or f"--seeds is {command.seeds}"
    if command.sweep is not None:
        config, axes = combinations.divide(config, combinations.read(command.sweep), where)
    offer_devices(config.devices or 1)
    from train.evaluation import selection
    from train.run import hosts, loop
    from train.sweep import cohort

    folder = None
    out = sys.stderr if config.json else sys.stdout
    with quiet_stdout(config.json):
        hosts.join(command.coordinator, command.hosts, command.host)
        if command.sweep is None and command.seeds == 1:
            results = [loop.train(config, keep=True)]
        else:
            folder, results = cohort.train_sweep(config, axes, command.seeds, where, keep=True)
    names = ["" if folder is None else f"{one.folder.path.name}: " for one in results]
    if folder is not None:
        print(run_table(results), file=out)
    film = None
    standings: list[list[dict[str, Any]]] = [[] for _ in results]
    try:
        for name, one in zip(names, results, strict=True):
            if one.failure is not None:
                print(f"kart: {name}{one.failure}", file=sys.stderr)
        # On several hosts reading the checkpoint is a matter for all of them: `kart play` films it
        # afterwards.
        if not command.train_only and not hosts.several():
            for place, (name, one) in enumerate(zip(names, results, strict=True)):
                standings[place] = selection.standings(
                    selection.examine(one, lambda line, name=name: tell(name + line, out))
                )
            result = cohort.best(results)
            if result.failure is None and not result.interrupted:
                film = film_driver(result, config)
    finally:  # also when there is no film: the training is done and its figures are wanted
        told = [
            {**summary(one), "exam": found} for one, found in zip(results, standings, strict=True)
        ]
        if config.json and hosts.first():
            emit_json(
                {"folder": str(folder), "runs": told, "film": film}
                if folder
                else {**told[0], "film": film}
            )
    failed = all(one.failure is not None for one in results)
    return 1 if failed else 130 if results[0].interrupted else 0


def tell(line: str, out: TextIO) -> None:
    """Show a line at once."""
    print(line, file=out, flush=True)


def run_table(results: "Sequence[RunResult]") -> str:
    """What each of several runs reached, and the mean and standard deviation over the seeds of each
    combination."""
    from train.sweep import cohort

    def numbers(result: "RunResult") -> list[float]:
        progress = result.progress
        first = math.nan if progress.first_lap_steps is None else progress.first_lap_steps
        lap = math.nan if progress.best_lap is None else progress.best_lap
        return [progress.laps, first, lap, progress.mean_return]

    def shown(values: Sequence[float]) -> list[str]:
        forms = ("{:.0f}", "{:,.0f}", "{:.3f}", "{:.0f}")
        return [
            "-" if math.isnan(value) else form.format(value)
            for form, value in zip(forms, values, strict=True)
        ]

    rows = [[result.folder.path.name, *shown(numbers(result))] for result in results]
    for name, places in cohort.groups([result.folder.path.name for result in results]).items():
        columns = [
            [value for value in column if not math.isnan(value)]
            for column in zip(*(numbers(results[place]) for place in places), strict=True)
        ]
        before = f"{name}: " if name else ""
        means = [statistics.fmean(values) if values else math.nan for values in columns]
        deviations = [
            statistics.stdev(values) if len(values) > 1 else math.nan for values in columns
        ]
        rows += [
            [f"{before}mean", *shown(means)],
            [f"{before}standard deviation", *shown(deviations)],
        ]
    return table(["", "laps", "first lap, steps", "best lap, s", "mean return"], rows)


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
