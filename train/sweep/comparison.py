"""Runs side by side compared: which differ in their seed only, how they spread, which is best."""

import math
import re
import statistics
from collections.abc import Sequence

from train.run import checkpoint_scores
from train.run.types import RunResult

SEED = re.compile(r"(^|-)seed-\d+")  # in the name of a run


def groups(names: Sequence[str]) -> dict[str, list[int]]:
    """Return the places of runs that differ in their seed only, by what their names share.

    A run without such others is left out.
    """
    found: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        found.setdefault(SEED.sub("", name).strip("-"), []).append(place)
    return {name: places for name, places in found.items() if len(places) > 1}


def summarise(rows: list[dict[str, float]]) -> dict[str, tuple[float, float]]:
    """Return mean and standard deviation over the seeds of each scalar.

    Seeds that have none yet are left out.
    """
    found = {}
    for name in rows[0]:
        values = [row[name] for row in rows if math.isfinite(row[name])]
        if values:
            deviation = statistics.stdev(values) if len(values) > 1 else 0.0
            found[name] = (statistics.fmean(values), deviation)
    return found


def best(results: list[RunResult]) -> RunResult:
    """Return the run whose driver is best.

    It did not diverge if there is one, then the scores of its checkpoints decide, then its
    training.
    """

    def rank(result: RunResult) -> tuple[bool, checkpoint_scores.Score, tuple[float, float]]:
        scores = checkpoint_scores.read(result.folder.path)
        selected = max(scores.values(), default=checkpoint_scores.NO_SCORE)
        return result.failure is None, selected, result.progress.score

    return max(results, key=rank)
