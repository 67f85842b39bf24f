"""The device's side of runs side by side.

One chunk runs while the host reads the metrics of the one before.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from kart_jax.env.kart import KartEnv
from train.ppo.hyperparameters import Hyperparameters
from train.ppo.metrics import UpdateMetrics
from train.ppo.train_state import TrainState
from train.ppo.update import chunk
from train.run import trace_cache
from train.run.placement import replicate, stack
from train.run.types import Run


class Chunks:
    """Chunks of one run, or of several side by side in one program."""

    def __init__(self, runs: Sequence[Run]):
        """Take over the states of the runs."""
        self.runs = runs
        self.pending: UpdateMetrics | None = None

        lead = runs[0]
        self.state = lead.state
        self.hyperparameters = lead.hyperparameters
        if len(runs) > 1:
            self.state = stack([run.state for run in runs], lead.mesh)
            stacked = jax.tree.map(
                lambda *leaves: jnp.stack(leaves), *(run.hyperparameters for run in runs)
            )
            self.hyperparameters = replicate(stacked, lead.mesh)

        cached = trace_cache.find(
            lead.graph,
            lead.env,
            lead.config,
            self.hyperparameters,
            self.state,
            lead.mesh,
            len(runs),
        )
        self.chunk = cached or self._trace

    def launch(self) -> list[UpdateMetrics]:
        """Start a chunk; returns the metrics of the one before, see `finish`."""
        before = self.pending
        self.state, self.pending = self.chunk(self.runs[0].env, self.hyperparameters, self.state)
        return self._per_run(before)

    def _trace(
        self, env: KartEnv, hyper: Hyperparameters, state: TrainState
    ) -> tuple[TrainState, UpdateMetrics]:
        """Run a chunk that this process traces."""
        lead = self.runs[0]
        return chunk(
            lead.graph, env, lead.config.ppo.shape, hyper, state, lead.mesh, runs=len(self.runs)
        )

    def finish(self) -> list[UpdateMetrics]:
        """Wait for the chunk under way.

        Returns:
            For each run the metrics of the chunk's updates, stacked, on the host; nothing when no
            chunk was under way.
        """
        before = self.pending
        self.pending = None
        return self._per_run(before)

    def _per_run(self, pending: UpdateMetrics | None) -> list[UpdateMetrics]:
        """Bring the metrics of a chunk to the host, those of each run apart."""
        if pending is None:
            return []
        host = jax.device_get(pending)
        if len(self.runs) == 1:
            return [host]
        return [jax.tree.map(lambda x, i=i: x[:, i], host) for i in range(len(self.runs))]

    def hand_out(self) -> None:
        """Give each run its state; it belongs to the next chunk as soon as that is launched."""
        for i, run in enumerate(self.runs):
            run.state = (
                self.state if len(self.runs) == 1 else jax.tree.map(lambda x, i=i: x[i], self.state)
            )
