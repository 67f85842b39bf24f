"""A run under way, and what is left of it."""

import dataclasses

from jax.sharding import Mesh

from kart_jax.env.kart import KartEnv
from train.ppo.hyperparameters import Hyperparameters
from train.ppo.train_state import TrainState
from train.ppo.update import Graph
from train.run.config import RunConfig
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
    """Where it is written."""
    config: RunConfig
    """Its numbers."""
    mesh: Mesh
    """Its devices."""
    env: KartEnv
    """The environment, on each device."""
    graph: Graph
    """Static graph of the network."""
    hyperparameters: Hyperparameters
    """Of the algorithm, on each device."""
    state: TrainState
    """Network and karts, spread over the devices."""
    progress: Progress
    """The host's counters."""
    begun: float
    """s on the monotonic clock, when this session of the run began."""

    @property
    def steps(self) -> int:
        """Environment steps done."""
        return self.progress.updates * self.config.ppo.steps_per_update
