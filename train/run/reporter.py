"""Writes down the finished chunks of a run: log, screen, counters, checkpoints, how it ended."""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from train.ppo.metrics import UpdateMetrics
from train.run import hosts
from train.run.checkpoint import Checkpoints
from train.run.console import Screen, clock
from train.run.metrics_log import MetricsLog
from train.run.types import Run


@jax.jit
def finite(tree: Any) -> jax.Array:
    """Return whether every number in a tree of arrays is finite, () bool."""
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]))


class Reporter:
    """Writes down the finished chunks of one run."""

    def __init__(self, run: Run, screen: Screen, name: str = ""):
        """Open the run's checkpoints and, on the first host, its log.

        `name` stands before what the screen says of it.
        """
        self.run = run
        self.screen = screen
        self.name = name
        self.log = MetricsLog(run.folder, run.steps) if hosts.first() else None
        self.checkpoints = Checkpoints(run.folder.checkpoints, run.steps)
        self.since = run.begun
        self.diverged = False  # losses or network are no longer finite numbers

    def save(self, after_save: Callable[[], None]) -> None:
        """Write a checkpoint, unless training has diverged."""
        state = self.run.state
        self.diverged = self.diverged or not bool(
            finite((state.params, state.opt_state, state.scale))
        )
        if not self.diverged:
            self.checkpoints.save(self.run.steps, state, self.run.progress)
            after_save()

    def take(self, stacked: UpdateMetrics) -> list[dict[str, float]]:
        """Report each update of a finished chunk, whose metrics are on the host.

        Returns the scalars of each update.
        """
        # By NumPy: a question to the device would wait for the chunk that runs on it.
        signs = jax.tree.leaves((stacked.losses, stacked.reward_scale, stacked.std))
        self.diverged = self.diverged or not all(np.all(np.isfinite(values)) for values in signs)

        now = time.monotonic()
        progress = self.run.progress
        config = self.run.config
        progress.elapsed += now - self.since
        fps = config.steps_per_chunk / max(now - self.since, 1e-9)
        self.since = now
        unlapped = progress.first_lap_steps is None

        rows = []
        for index in range(config.ppo.updates_per_chunk):
            one = jax.tree.map(lambda x, i=index: x[i], stacked)
            steps = self.run.steps + config.ppo.steps_per_update
            scalars = progress.take(one, steps)
            rows.append(scalars | {"train/fps": fps, "train/seconds": progress.elapsed})
            if self.log is not None:
                self.log.write(steps, rows[-1])
        if self.log is not None:
            self.log.flush()

        if unlapped:
            self._say_first_lap()
        return rows

    def _say_first_lap(self) -> None:
        """Say when the first clean lap came, if it has."""
        progress = self.run.progress
        if progress.first_lap_steps is None or progress.first_lap_seconds is None:
            return
        self.screen.say(
            f"{self.name}first clean lap after {clock(progress.first_lap_seconds)}, "
            f"{progress.first_lap_steps:,} steps: {progress.best_lap:.3f} s"
        )

    def close(self) -> None:
        """Finish the log."""
        if self.log is not None:
            self.log.close()


def farewell(run: Run, stopped: bool) -> str:
    """Return the last line: what was reached and where it is."""
    progress = run.progress
    laps = "no clean lap yet"
    if progress.best_lap is not None:
        laps = f"{progress.laps} clean laps, best lap {progress.best_lap:.3f} s"
    reached = f"{run.steps:,} steps in {clock(progress.elapsed)}, {laps}"
    if stopped:
        return f"stopped: {reached}; saved, go on with --resume-from {run.folder.path}"
    return f"done: {reached}; saved in {run.folder.path}"


def divergence(run: Run) -> str:
    """Return what to say when training diverged."""
    what = f"losses or network are no longer finite numbers after {run.steps:,} steps"
    if any(run.folder.checkpoints.iterdir()):
        return (
            f"{what}; the checkpoints before are good: go on with --resume-from "
            f"{run.folder.path} and other numbers"
        )
    return f"{what}, before the first checkpoint; begin anew with a smaller --learning-rate"
