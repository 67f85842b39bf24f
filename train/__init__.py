"""Learning to drive: PPO on the device, runs, checkpoints and evaluation.

The public names are loaded when they are first used:

    result = train.train(train.TrainConfig(track_name=("circuit",), timesteps=600_000))
    policy, config = train.load_policy(str(result.folder.path))
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from train.evaluation.load_policy import load_policy
    from train.evaluation.record_drive import Recording, record_drive
    from train.evaluation.selection import examine
    from train.networks.policy import Policy
    from train.run.loop import train
    from train.run.request import TrainConfig
    from train.run.types import RunResult
    from train.sweep.cohort import train_seeds, train_sweep

# Public name -> module it is loaded from.
_HOMES = {
    "TrainConfig": "run.request",
    "train": "run.loop",
    "train_seeds": "sweep.cohort",
    "train_sweep": "sweep.cohort",
    "examine": "evaluation.selection",
    "RunResult": "run.types",
    "Policy": "networks.policy",
    "load_policy": "evaluation.load_policy",
    "record_drive": "evaluation.record_drive",
    "Recording": "evaluation.record_drive",
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
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
