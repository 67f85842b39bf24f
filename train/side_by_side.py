"""Several runs of one request, trained side by side in one compiled program: seeds, numbers of the algorithm, or both.

The folder of the request holds one run for each, named after what it differs in (`seed-0`, `gamma-0.99` ...), with
its own checkpoints and curves. Where that is the seed alone, `tensorboard/` beside them has the mean and the standard
deviation over the seeds of every scalar.
"""

import dataclasses
import math
import shutil
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
from rich.console import Console
from tensorboardX import SummaryWriter

from kart_jax.errors import InputError
from train import hosts, loop, marks, run_folder
from train import sweep as sweeps
from train.config import TrainConfig
from train.loop import RunResult
from train.ppo import Numbers
from train.profiles import resolve

MOST = 1024
# What runs in one program may differ in: a profile is a choice of numbers.
FREE = ("seed", "profile", *(name for name in Numbers.__dataclass_fields__ if name in TrainConfig.__dataclass_fields__))


def train_seeds(
    config: TrainConfig, seeds: int, quiet: bool = False, keep: bool = False
) -> tuple[Path, list[RunResult]]:
    """Train with `seeds` seeds, from that of the request on; see `train_sweep`."""
    if not 2 <= seeds <= MOST:
        raise InputError(f"--seeds is {seeds}; allowed are 1 to {MOST}")
    return train_sweep(config, {}, seeds, f"--seeds is {seeds}", quiet, keep)


def train_sweep(
    config: TrainConfig,
    axes: Mapping[str, Sequence[Any]],
    seeds: int = 1,
    where: str = "the sweep",
    quiet: bool = False,
    keep: bool = False,
) -> tuple[Path, list[RunResult]]:
    """Train every combination of values of some fields, each with `seeds` seeds.

    Args:
        config: what all have in common.
        axes: field of `TrainConfig` -> its values, as `train.sweep.read` reads them from a file. Fields with several
            values are `FREE` ones.
        seeds: from that of the request on.
        where: what the sentence of an error begins with.
        quiet, keep: as in `train.loop.train`.

    Returns:
        The folder that holds the runs, and what became of each. InputError when it cannot be done.
    """
    if hosts.several():
        raise InputError(f"{where}, but runs side by side share one host; leave --coordinator out")
    if config.resume_from is not None:
        raise InputError(f"{where}, but --resume-from goes on with one run; leave one of them out")
    if bound := [name for name, values in axes.items() if len(values) > 1 and name not in FREE]:
        raise InputError(
            f"{where}: {bound[0]} has several values, but runs side by side share one program; allowed to differ are "
            f"{', '.join(FREE)}; train those of each {bound[0]} on their own"
        )
    if seeds > 1:
        if "seed" in axes:
            raise InputError(f"{where}: seed is given there and by --seeds; give it in one place")
        first = config.seed or 0
        axes = {**axes, "seed": range(first, first + seeds)}
        config = dataclasses.replace(config, seed=None)
    if all(len(values) < 2 for values in axes.values()):
        raise InputError(f"{where}: asks for one run; give a list of at least two values to one of {', '.join(FREE)}")
    wanted = sweeps.expand(dataclasses.replace(config, save_name=None), axes, where, jax.default_backend(), MOST)
    first_settings = resolve(wanted[0], jax.default_backend())
    folder = run_folder.choose(dataclasses.replace(wanted[0], save_name=config.save_name), first_settings).path
    runs: list[loop.Run] = []
    try:
        for one in wanted:
            placed = dataclasses.replace(one, runs_dir=str(folder))
            runs.append(loop.prepare(placed, runs[0].env if runs else None)[0])
    except InputError:
        shutil.rmtree(folder)  # made here a moment ago; nothing has been trained
        raise
    console = Console(stderr=config.json, quiet=quiet)
    notes = [f"run folders {folder}/*" if axes.keys() - {"seed"} else f"run folders {folder}/seed-*"]
    if any(len(values) > 1 for name, values in axes.items() if name != "seed"):
        return folder, loop.drive_together(runs, notes, console, keep=keep)
    with SummaryWriter(str(folder / "tensorboard")) as events:

        def spread(steps: int, rows: list[dict[str, float]]) -> None:
            for name, (mean, deviation) in summarise(rows).items():
                events.add_scalar(f"{name}/mean", mean, steps)
                events.add_scalar(f"{name}/std", deviation, steps)
            events.flush()

        return folder, loop.drive_together(runs, notes, console, spread=spread, keep=keep)


def summarise(rows: list[dict[str, float]]) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation over the seeds of each scalar; seeds that have none yet are left out."""
    found = {}
    for name in rows[0]:
        values = [row[name] for row in rows if math.isfinite(row[name])]
        if values:
            found[name] = statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0
    return found


def best(results: list[RunResult]) -> RunResult:
    """The run whose driver is best: it did not diverge if there is one, then by its exam, then by its training."""

    def rank(result: RunResult) -> tuple[bool, marks.Mark, tuple[float, float]]:
        exam = max(marks.read(result.folder.path).values(), default=marks.NONE)
        return result.failure is None, exam, result.progress.score

    return max(results, key=rank)
