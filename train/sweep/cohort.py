"""Several runs of one request, trained side by side in one compiled program: seeds,
hyperparameters, or both.

The folder of the request holds one run for each, named after what it differs in (`seed-0`,
`gamma-0.99` ...), with its own checkpoints and curves. Beside them `tensorboard/` has the mean and
the standard deviation of every scalar over the seeds, of each combination of the other values.
"""

import contextlib
import dataclasses
import math
import re
import shutil
import statistics
from collections.abc import Sequence
from pathlib import Path

import jax
from rich.console import Console
from tensorboardX import SummaryWriter

from kart_jax.errors import InputError
from train.ppo.hyperparameters import Hyperparameters
from train.run import checkpoint_scores, hosts, loop, prepare, run_folder
from train.run.config import TrainConfig
from train.run.defaults import resolve
from train.run.types import Run, RunResult
from train.sweep import combinations
from train.sweep.combinations import Axes

MOST = 1024
# What runs in one program may differ in; a profile is a choice of hyperparameters.
FREE = (
    "seed",
    "profile",
    *(n for n in Hyperparameters.__dataclass_fields__ if n in TrainConfig.__dataclass_fields__),
)
SEED = re.compile(r"(^|-)seed-\d+")  # in the name of a run


def train_seeds(
    config: TrainConfig, seeds: int, quiet: bool = False, keep: bool = False
) -> tuple[Path, list[RunResult]]:
    """Train with `seeds` seeds, from that of the request on; see `train_sweep`."""
    if seeds < 2:
        raise InputError(
            f"seeds is {seeds}; it must be from 2 to {MOST}; train one with train.train"
        )
    return train_sweep(config, {}, seeds, f"--seeds is {seeds}", quiet, keep)


def train_sweep(
    config: TrainConfig,
    axes: Axes,
    seeds: int = 1,
    where: str = "the sweep",
    quiet: bool = False,
    keep: bool = False,
) -> tuple[Path, list[RunResult]]:
    """Train every combination of values of some fields, each with `seeds` seeds.

    Args:
        config: what all have in common.
        axes: field of `TrainConfig` -> its values, as `train.sweep.combinations.read` reads them
            from a file. Fields with several values are `FREE` ones.
        seeds: from that of the request on.
        where: what the sentence of an error begins with.
        quiet, keep: as in `train.run.loop.train`.

    Returns:
        The folder that holds the runs, and what became of each. InputError when it cannot be done.
    """
    common, varied = combinations.divide(config, axes, where)
    wanted = members(common, varied, seeds, where)
    settings = resolve(
        wanted[0], jax.default_backend()
    )  # only for the first circuit, which no machine changes
    folder = run_folder.choose(
        dataclasses.replace(wanted[0], save_name=config.save_name), settings
    ).path
    runs: list[Run] = []
    try:
        for one in wanted:
            placed = dataclasses.replace(one, runs_dir=str(folder))
            runs.append(prepare.prepare(placed, runs[0].env if runs else None)[0])
    except InputError:
        shutil.rmtree(folder)  # made here a moment ago; nothing has been trained
        raise
    console = Console(stderr=config.json, quiet=quiet)
    with contextlib.ExitStack() as open_files:
        found = groups([run.folder.path.name for run in runs])
        events = {
            name: open_files.enter_context(SummaryWriter(str(folder / "tensorboard" / name)))
            for name in found
        }

        def spread(steps: int, rows: list[dict[str, float]]) -> None:
            for name, places in found.items():
                for scalar, (mean, deviation) in summarise(
                    [rows[place] for place in places]
                ).items():
                    events[name].add_scalar(f"{scalar}/mean", mean, steps)
                    events[name].add_scalar(f"{scalar}/std", deviation, steps)
                events[name].flush()

        return folder, loop.drive_together(
            runs, [f"run folders {folder}/*"], console, spread=spread, keep=keep
        )


def members(common: TrainConfig, varied: Axes, seeds: int, where: str) -> list[TrainConfig]:
    """The requests of all runs, each with its name; InputError when they cannot share a program."""
    if not 1 <= seeds <= MOST:
        raise InputError(f"--seeds is {seeds}; allowed are 1 to {MOST}")
    if hosts.several():
        raise InputError(f"{where}: runs side by side share one host; leave --coordinator out")
    if common.resume_from is not None:
        raise InputError(
            f"{where}: --resume-from goes on with one run; leave it out, or seeds and sweep"
        )
    if bound := [name for name in varied if name not in FREE]:
        raise InputError(
            f"{where}: {bound[0]} has several values, but runs side by side share one program; "
            "allowed to differ are "
            f"{', '.join(FREE)}; train those of each {bound[0]} on their own"
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
            f"{', '.join(FREE)}, or --seeds"
        )
    if None in varied.get("value_clip", ()):
        raise InputError(
            f"{where}: value_clip is left out in some runs; those are another program, train them "
            "apart"
        )
    return combinations.expand(
        dataclasses.replace(common, save_name=None), varied, where, jax.default_backend(), MOST
    )


def groups(names: Sequence[str]) -> dict[str, list[int]]:
    """Places of the runs that differ in their seed only, by what their names have in common; not of
    single ones."""
    found: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        found.setdefault(SEED.sub("", name).strip("-"), []).append(place)
    return {name: places for name, places in found.items() if len(places) > 1}


def summarise(rows: list[dict[str, float]]) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation over the seeds of each scalar; seeds that have none yet are left
    out."""
    found = {}
    for name in rows[0]:
        values = [row[name] for row in rows if math.isfinite(row[name])]
        if values:
            found[name] = (
                statistics.fmean(values),
                statistics.stdev(values) if len(values) > 1 else 0.0,
            )
    return found


def best(results: list[RunResult]) -> RunResult:
    """The run whose driver is best: it did not diverge if there is one, then by its exam, then by
    its training."""

    def rank(result: RunResult) -> tuple[bool, checkpoint_scores.Mark, tuple[float, float]]:
        exam = max(
            checkpoint_scores.read(result.folder.path).values(), default=checkpoint_scores.NONE
        )
        return result.failure is None, exam, result.progress.score

    return max(results, key=rank)
