"""Several runs of one request, trained side by side in one compiled program.

They differ in their seeds, in hyperparameters, or both. The folder of the request holds one run for
each, named after what it differs in (`seed-0`, `gamma-0.99` ...), with its own checkpoints and
curves. Beside them `tensorboard/` has the mean and the standard deviation of every scalar over the
seeds, of each combination of the other values.
"""

import contextlib
import dataclasses
import shutil
from pathlib import Path

import jax
from rich.console import Console
from tensorboardX import SummaryWriter

from kart_jax.errors import InputError
from train.run import hosts, loop, prepare, run_folder
from train.run.request import PER_RUN, TrainConfig
from train.run.resolve import resolve
from train.run.types import Run, RunResult
from train.sweep import combinations, comparison
from train.sweep.combinations import Axes

MAX_RUNS = 1024


def train_seeds(
    config: TrainConfig, seeds: int, quiet: bool = False
) -> tuple[Path, list[RunResult]]:
    """Train with `seeds` seeds, from that of the request on; see `train_sweep`."""
    if seeds < 2:
        raise InputError(
            f"seeds is {seeds}; it must be from 2 to {MAX_RUNS}; train one with train.train"
        )
    return train_sweep(config, {}, seeds, f"--seeds is {seeds}", quiet)


def train_sweep(
    config: TrainConfig,
    axes: Axes,
    seeds: int = 1,
    where: str = "the sweep",
    quiet: bool = False,
) -> tuple[Path, list[RunResult]]:
    """Train every combination of values of some fields, each with `seeds` seeds.

    Args:
        config: what all have in common.
        axes: field of `TrainConfig` -> its values, as `train.sweep.combinations.read` reads them
            from a file. Fields with several values are those of `PER_RUN`.
        seeds: from that of the request on.
        where: what the sentence of an error begins with.
        quiet: as in `train.run.loop.train`.

    Returns:
        The folder that holds the runs, and what became of each. InputError when it cannot be done.
    """
    common, varied = combinations.divide(config, axes, where)
    requests = members(common, varied, seeds, where)
    folder = new_folder(requests[0], config.save_name)
    runs = prepare_all(requests, folder)

    console = Console(stderr=config.json, quiet=quiet)
    with contextlib.ExitStack() as open_files:
        groups = comparison.groups([run.folder.path.name for run in runs])
        events = {
            name: open_files.enter_context(SummaryWriter(str(folder / "tensorboard" / name)))
            for name in groups
        }

        def write_spread(steps: int, rows: list[dict[str, float]]) -> None:
            for name, places in groups.items():
                spread = comparison.summarise([rows[place] for place in places])
                for scalar, (mean, deviation) in spread.items():
                    events[name].add_scalar(f"{scalar}/mean", mean, steps)
                    events[name].add_scalar(f"{scalar}/std", deviation, steps)
                events[name].flush()

        return folder, loop.run_side_by_side(
            runs, [f"run folders {folder}/*"], console, spread=write_spread
        )


def members(common: TrainConfig, varied: Axes, seeds: int, where: str) -> list[TrainConfig]:
    """Return the requests of all runs, each with its name.

    InputError when they cannot share a program.
    """
    if not 1 <= seeds <= MAX_RUNS:
        raise InputError(f"--seeds is {seeds}; allowed are 1 to {MAX_RUNS}")
    if hosts.several():
        raise InputError(f"{where}: runs side by side share one host; leave --coordinator out")
    if common.resume_from is not None:
        raise InputError(
            f"{where}: --resume-from goes on with one run; leave it out, or seeds and sweep"
        )
    if bound := [name for name in varied if name not in PER_RUN]:
        raise InputError(
            f"{where}: {bound[0]} has several values, but runs side by side share one program; "
            f"allowed to differ are {', '.join(PER_RUN)}; train those of each {bound[0]} on their "
            "own"
        )

    if seeds > 1:
        if "seed" in varied:
            raise InputError(f"{where}: seed is given there and by --seeds; give it in one place")
        first = common.seed or 0
        varied = {**varied, "seed": tuple(range(first, first + seeds))}
        common = dataclasses.replace(common, seed=None)

    if not varied:
        raise InputError(
            f"{where}: asks for one run; give a list of at least two values to one of "
            f"{', '.join(PER_RUN)}, or --seeds"
        )
    if None in varied.get("value_clip", ()):
        raise InputError(
            f"{where}: value_clip is left out in some runs; those are another program, train them "
            "apart"
        )
    return combinations.expand(
        dataclasses.replace(common, save_name=None), varied, where, jax.default_backend(), MAX_RUNS
    )


def new_folder(request: TrainConfig, name: str | None) -> Path:
    """Make the folder of all runs, named as one run of that name would be."""
    # The name may come from the first circuit, which no machine changes.
    config = resolve(request, jax.default_backend())
    return run_folder.choose(dataclasses.replace(request, save_name=name), config).path


def prepare_all(requests: list[TrainConfig], folder: Path) -> list[Run]:
    """Prepare the runs in their folder, all in one environment; without a trace when one cannot."""
    runs: list[Run] = []
    try:
        for request in requests:
            placed = dataclasses.replace(request, runs_dir=str(folder))
            runs.append(prepare.prepare(placed, runs[0].env if runs else None)[0])
    except InputError:
        shutil.rmtree(folder)  # made a moment ago; nothing has been trained
        raise
    return runs
