"""A training run from start to end: compiled chunks of updates on the device, logging and saving on
the host.

While the device works on a chunk, the host writes down the one before it. At a checkpoint it waits:
the state is saved first, because the next chunk reuses its memory.
"""

import dataclasses

from jax.sharding import Mesh

from kart_jax.env.core import KartEnv
from train.ppo.hyperparameters import Hyperparameters
from train.ppo.train_state import TrainState
from train.ppo.update import Graph
from train.run.config import Settings
from train.run.progress import Progress
from train.run.run_folder import RunFolder


@dataclasses.dataclass(frozen=True)
class RunResult:
    """What a finished or interrupted run left behind."""

    folder: RunFolder
    """Where everything is."""
    steps: int
    """Environment steps done."""
    progress: Progress
    """Laps, times, counters."""
    interrupted: bool
    """Ended early by Ctrl-C or SIGTERM; `--resume-from` goes on."""
    failure: str | None = None
    """One sentence when training diverged: losses or network were no longer finite numbers."""


@dataclasses.dataclass
class Run:
    """A run under way."""

    folder: RunFolder
    settings: Settings
    mesh: Mesh
    env: KartEnv
    graph: Graph
    hyper: Hyperparameters
    state: TrainState
    progress: Progress
    begun: float  # s on the monotonic clock, when this session of the run began

    @property
    def steps(self) -> int:
        """Environment steps done."""
        return self.progress.updates * self.settings.ppo.steps_per_update
