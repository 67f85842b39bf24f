"""One way of doing something, and how much there is to do."""

import dataclasses
from collections.abc import Callable
from typing import Any

from train.run.request import TrainConfig

from ..measure import learner


@dataclasses.dataclass(frozen=True)
class Way:
    """One way of doing something."""

    name: str
    call: Callable[[], Any]
    samples: int
    """Dealt with in one call."""
    bytes: float | None = None
    """Of memory that the way takes; None where the ways do not differ in it."""


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much there is of everything."""

    steps: int
    """Of a roll-out, T."""
    karts: int
    """B."""
    minibatch: int
    """Samples, N."""
    frame_stack: int
    """Pictures per observation, n."""

    @property
    def samples(self) -> int:
        """Of a roll-out."""
        return self.steps * self.karts

    @property
    def minibatches(self) -> int:
        """Whole minibatches of a roll-out."""
        return self.samples // self.minibatch


def sizes_of(request: TrainConfig) -> Sizes:
    """Return the sizes of a run."""
    config = learner.fix(request)
    ppo = config.ppo
    return Sizes(
        steps=ppo.rollout_steps,
        karts=ppo.vector_envs,
        minibatch=ppo.minibatch_size,
        frame_stack=config.network.frame_stack,
    )
