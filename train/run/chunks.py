"""The device's side of runs side by side: one chunk runs while the host reads what the one before
told."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from kart_jax.env.core import KartEnv
from train.ppo.hyperparameters import Hyperparameters
from train.ppo.metrics import UpdateMetrics
from train.ppo.train_state import TrainState
from train.ppo.update import chunk
from train.run import trace_cache
from train.run.placement import replicate, stack

if TYPE_CHECKING:
    from train.run.types import Run


class Chunks:
    """Chunks of one run, or of several side by side in one program."""

    def __init__(self, runs: Sequence["Run"], keep: bool = False):
        """Take over the states of the runs; `keep` as in `train.run.trace_cache`: what was traced
        before is not traced again."""
        self.runs = runs
        self.pending: UpdateMetrics | None = None
        lead = runs[0]
        self.state, self.hyper = lead.state, lead.hyper
        if len(runs) > 1:
            self.state = stack([run.state for run in runs], lead.mesh)
            hypers = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(run.hyper for run in runs))
            self.hyper = replicate(hypers, lead.mesh)
        given = (lead.graph, lead.env, lead.settings, self.hyper, self.state, lead.mesh, len(runs))
        self.chunk = (trace_cache.find(*given) if keep else None) or self._trace

    def launch(self) -> list[UpdateMetrics]:
        """Start a chunk; returns what the one before told, see `finish`."""
        before = self.pending
        self.state, self.pending = self.chunk(self.runs[0].env, self.hyper, self.state)
        return self._told(before)

    def _trace(
        self, env: KartEnv, hyper: Hyperparameters, state: TrainState
    ) -> tuple[TrainState, UpdateMetrics]:
        """A chunk, traced by this process."""
        lead = self.runs[0]
        return chunk(
            lead.graph, env, lead.settings.ppo.shape, hyper, state, lead.mesh, runs=len(self.runs)
        )

    def finish(self) -> list[UpdateMetrics]:
        """Wait for the chunk under way; what its updates told, stacked, for each run; nothing if
        none is."""
        before, self.pending = self.pending, None
        return self._told(before)

    def _told(self, pending: UpdateMetrics | None) -> list[UpdateMetrics]:
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
