"""`kart train`: train a driver, then film it and write its telemetry into the run's folder."""

import dataclasses
import math
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import tyro

from kart_jax.cli.devices import offer_devices
from kart_jax.cli.flags import parse
from kart_jax.cli.output import emit_json, quiet_stdout, table
from train.run.request import PER_RUN, TrainConfig
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


SWEEP_HELP = (
    "TOML file with flags and lists of values, such as `learning_rate = [3e-4, 1e-3]`: every "
    "combination is trained, side by side in one program, with each of the --seeds. Lists may hold "
    f"what needs no other program: {', '.join(PER_RUN)}."
)


@dataclasses.dataclass(frozen=True)
class CommandConfig(TrainConfig):
    """Train a driver from the 84x84 view and the telemetry with PPO."""

    seeds: int = 1
    """Seeds to train side by side in one program, from --seed on; each in a folder of its own,
    seed-N, in the run's."""
    sweep: Annotated[str | None, tyro.conf.arg(help=SWEEP_HELP)] = None
    """TOML file with flags and lists of values."""
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
    """Run `kart train`.

    Returns:
        0; 130 when it was interrupted after saving; 1 when training diverged, of several runs all.
    """
    command = parse(CommandConfig, "train", words, EXAMPLES)
    folder, results = train_all(command)

    out = sys.stderr if command.json else sys.stdout
    if folder is not None:
        print(run_table(results), file=out)

    # Figures of each run; more are added below.
    figures: list[dict[str, Any]] = [{**summary(one), "exam": []} for one in results]
    film = None
    try:
        film = look_at_drivers(command, folder, results, figures)
    finally:  # also when there is no film: the training is done and its figures are wanted
        emit_figures(command, folder, figures, film)

    failed = all(one.failure is not None for one in results)
    return 1 if failed else 130 if results[0].interrupted else 0


def train_all(command: CommandConfig) -> tuple[Path | None, "list[RunResult]"]:
    """Train what the command asks for.

    Returns:
        The folder that holds the runs, if there are several, and what became of each.
    """
    request = TrainConfig(
        **{field.name: getattr(command, field.name) for field in dataclasses.fields(TrainConfig)}
    )
    axes: Axes = {}
    where = command.sweep or f"--seeds is {command.seeds}"
    if command.sweep is not None:
        request, axes = combinations.divide(request, combinations.read(command.sweep), where)

    offer_devices(request.devices or 1)
    from train.run import hosts, loop, trace_cache
    from train.sweep import cohort

    with quiet_stdout(command.json), trace_cache.enabled():
        hosts.join(command.coordinator, command.hosts, command.host)
        if command.sweep is None and command.seeds == 1:
            return None, [loop.train(request)]
        return cohort.train_sweep(request, axes, command.seeds, where)


def look_at_drivers(
    command: CommandConfig,
    folder: Path | None,
    results: "list[RunResult]",
    figures: list[dict[str, Any]],
) -> dict[str, Any] | None:
    """Examine the checkpoints of each run, note their scores in its figures, film the best.

    Returns:
        The figures of the film; None without one.
    """
    from train.evaluation import selection
    from train.run import hosts
    from train.sweep import comparison

    out = sys.stderr if command.json else sys.stdout
    names = ["" if folder is None else f"{one.folder.path.name}: " for one in results]
    for name, one in zip(names, results, strict=True):
        if one.failure is not None:
            print(f"kart: {name}{one.failure}", file=sys.stderr)

    # On several hosts reading the checkpoint is a matter for all of them: `kart play` films it
    # afterwards.
    if command.train_only or hosts.several():
        return None

    for name, one, found in zip(names, results, figures, strict=True):
        ranked = selection.examine(one, lambda line, name=name: show_line(name + line, out))
        found["exam"] = selection.standings(ranked)

    best = comparison.best(results)
    if best.failure is not None or best.interrupted:
        return None
    return film_driver(best, command)


def emit_figures(
    command: CommandConfig,
    folder: Path | None,
    figures: list[dict[str, Any]],
    film: dict[str, Any] | None,
) -> None:
    """Print the figures as JSON, if that is asked for; the first host does."""
    from train.run import hosts

    if command.json and hosts.first():
        if folder is None:
            emit_json({**figures[0], "film": film})
        else:
            emit_json({"folder": str(folder), "runs": figures, "film": film})


def show_line(line: str, out: TextIO) -> None:
    """Show a line at once."""
    print(line, file=out, flush=True)


def run_table(results: "Sequence[RunResult]") -> str:
    """Tell what each of several runs reached, and the spread over the seeds of each combination."""
    from train.sweep import comparison

    names = [result.folder.path.name for result in results]
    reached = [_reached(result) for result in results]
    rows = [[name, *_cells(values)] for name, values in zip(names, reached, strict=True)]

    for name, places in comparison.groups(names).items():
        columns = [
            [value for value in column if not math.isnan(value)]
            for column in zip(*(reached[place] for place in places), strict=True)
        ]
        means = [statistics.fmean(values) if values else math.nan for values in columns]
        deviations = [
            statistics.stdev(values) if len(values) > 1 else math.nan for values in columns
        ]
        before = f"{name}: " if name else ""
        rows.append([f"{before}mean", *_cells(means)])
        rows.append([f"{before}standard deviation", *_cells(deviations)])

    return table(["", "laps", "first lap, steps", "best lap, s", "mean return"], rows)


def _reached(result: "RunResult") -> list[float]:
    """Return laps, steps to the first, best lap in s and mean return of a run; nan without one."""
    progress = result.progress
    first = math.nan if progress.first_lap_steps is None else progress.first_lap_steps
    lap = math.nan if progress.best_lap is None else progress.best_lap
    return [progress.laps, first, lap, progress.mean_return]


def _cells(values: Sequence[float]) -> list[str]:
    """Write what `_reached` returns as the cells of a table."""
    forms = ("{:.0f}", "{:,.0f}", "{:.3f}", "{:.0f}")
    return [
        "-" if math.isnan(value) else form.format(value)
        for form, value in zip(forms, values, strict=True)
    ]


def film_driver(result: "RunResult", request: TrainConfig) -> dict[str, Any]:
    """Film the best driver of a run and show its figures, which are returned."""
    from kart_jax.cli.play import PlayConfig, describe_lap, play

    out = sys.stderr if request.json else sys.stdout
    print("filming the driver; on a CPU this takes a minute or more ...", file=out, flush=True)
    figures, _ = play(PlayConfig(run=str(result.folder.path), runs_dir=request.runs_dir))
    print(f"film: {describe_lap(figures)}", file=out)
    for path in figures["files"]:
        print(f"wrote {path}", file=out)
    return figures


def summary(result: "RunResult") -> dict[str, Any]:
    """Return the figures of a run; times in s, counts of environment steps and of clean laps."""
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
