"""Learning to drive: PPO on the device, runs, checkpoints and evaluation.

The public names are loaded when they are first used:

    result = train.train(train.TrainConfig(track_name=("circuit",), timesteps=600_000))
    policy, settings = train.load_policy(str(result.folder.path))
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from train.cohort import train_seeds, train_sweep
    from train.config import TrainConfig
    from train.exam import examine
    from train.loop import RunResult, train
    from train.policy import Policy, load_policy
    from train.record import Recording
    from train.record import choose as record_drive

# Public name -> module it is loaded from, and its name there if that differs.
_HOMES = {
    "TrainConfig": "config",
    "train": "loop",
    "train_seeds": "cohort",
    "train_sweep": "cohort",
    "examine": "exam",
    "RunResult": "loop",
    "Policy": "policy",
    "load_policy": "policy",
    "record_drive": "record:choose",
    "Recording": "record",
}

__all__ = [
    "Policy",
    "Recording",
    "RunResult",
    "TrainConfig",
    "examine",
    "load_policy",
    "record_drive",
    "train",
    "train_seeds",
    "train_sweep",
]


def __getattr__(name: str) -> object:
    """Load a public name from its module."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, there = _HOMES[name].partition(":")
    return getattr(importlib.import_module(f"{__name__}.{module}"), there or name)
