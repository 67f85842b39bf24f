"""Several seeds of one run, trained side by side in one compiled program, and how far they spread.

The folder of the run holds one run per seed, `seed-0`, `seed-1` ..., each with its own checkpoints and curves, and
beside them `tensorboard/` with the mean and the standard deviation over the seeds of every scalar.
"""

import dataclasses
import math
import shutil
import statistics
from pathlib import Path

from rich.console import Console
from tensorboardX import SummaryWriter

from kart_jax.errors import InputError
from train import hosts, loop, run_folder
from train.config import TrainConfig
from train.loop import RunResult
from train.profiles import resolve

MOST = 1024


def train(config: TrainConfig, seeds: int, quiet: bool = False, keep: bool = False) -> tuple[Path, list[RunResult]]:
    """Train with `seeds` seeds, from that of the request on; `quiet` and `keep` as in `train.loop.train`.

    Returns:
        The folder that holds the runs, and what became of each. InputError when it cannot be done.
    """
    if not 2 <= seeds <= MOST:
        raise InputError(f"--seeds is {seeds}; allowed are 1 to {MOST}")
    if hosts.several():
        raise InputError(f"--seeds is {seeds}, but seeds share one host; leave --coordinator out")
    if config.resume_from is not None:
        raise InputError(f"--seeds is {seeds}, but --resume-from goes on with one run; leave --seeds out")
    settings = resolve(config, "cpu")  # only for the first circuit and seed, which no machine changes
    folder = run_folder.choose(config, settings).path
    runs: list[loop.Run] = []
    try:
        for seed in range(settings.seed, settings.seed + seeds):
            one = dataclasses.replace(config, seed=seed, runs_dir=str(folder), save_name=f"seed-{seed}")
            runs.append(loop.prepare(one, runs[0].env if runs else None)[0])
    except InputError:
        shutil.rmtree(folder)  # made here a moment ago; nothing has been trained
        raise
    events = SummaryWriter(str(folder / "tensorboard"))

    def spread(steps: int, rows: list[dict[str, float]]) -> None:
        for name, (mean, deviation) in summarise(rows).items():
            events.add_scalar(f"{name}/mean", mean, steps)
            events.add_scalar(f"{name}/std", deviation, steps)
        events.flush()

    console = Console(stderr=config.json, quiet=quiet)
    results = loop.drive_together(runs, [f"run folders {folder}/seed-*"], console, spread=spread, keep=keep)
    events.close()
    return folder, results


def summarise(rows: list[dict[str, float]]) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation over the seeds of each scalar; seeds that have none yet are left out."""
    found = {}
    for name in rows[0]:
        values = [row[name] for row in rows if math.isfinite(row[name])]
        if values:
            found[name] = statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0
    return found


def best(results: list[RunResult]) -> RunResult:
    """The run whose driver is best, of those that did not diverge if there is one."""
    return max(results, key=lambda result: (result.failure is None, result.progress.score))
