"""The numbers a run starts from, where they depend on the machine or the profile.

A 2-core CPU learns a few hundred samples per second from pixels, so a run there lives from sample
efficiency: few karts, several epochs, one frame. Few karts also bring the first lap sooner: a lap
of 70 s takes every kart 1,750 steps, which are 28,000 of the run's steps with 16 karts and 112,000
with 64. A GPU has samples in plenty: thousands of karts, large minibatches, four frames.
"""

import json
from collections.abc import Mapping
from typing import Any

from train.declaration import Computed, Leaf
from train.run.config import ProfileName, RunConfig

Values = Mapping[str, Any]  # name of a leaf of `RunConfig` -> its value

# Step size and entropy weight, the two numbers a profile stands for.
PROFILES: dict[ProfileName, Values] = {
    "conservative": {"learning_rate": 5e-4, "ent_coef": 0.0005},
    "aggressive": {"learning_rate": 1e-3, "ent_coef": 0.005},
}

COLUMNS = (
    "timesteps",
    "frame_stack",
    "vector_envs",
    "rollout_steps",
    "epochs",
    "minibatch_size",
    "updates_per_chunk",
)

# (on a CPU, telemetry only) -> the values of `COLUMNS`
MACHINES: dict[tuple[bool, bool], Values] = {
    place: dict(zip(COLUMNS, row, strict=True))
    for place, row in {
        (True, False): (600_000, 1, 16, 128, 4, 256, 1),
        (True, True): (400_000, 1, 16, 128, 6, 512, 4),
        (False, False): (50_000_000, 4, 2048, 64, 2, 8192, 4),
        (False, True): (100_000_000, 1, 2048, 64, 2, 8192, 16),
    }.items()
}


def default_words(leaf: Leaf) -> str:
    """Say which value a leaf of `RunConfig` has in a new run that is not asked for another."""
    if isinstance(leaf.default, Computed):
        return leaf.default.words
    if leaf.name in COLUMNS:
        return ", ".join(
            _machine_words(leaf.name, on_cpu, name)
            for on_cpu, name in ((True, "a CPU"), (False, "a GPU"))
        )
    usual = PROFILES[RunConfig.profile]
    if leaf.name in usual:
        others = [
            f"{_word(row[leaf.name])} with --profile {profile}"
            for profile, row in PROFILES.items()
            if profile != RunConfig.profile
        ]
        return ", ".join([_word(usual[leaf.name]), *others])
    return _word(leaf.default)


def _machine_words(name: str, on_cpu: bool, machine: str) -> str:
    """Say the value of one column on one kind of machine."""
    seen = MACHINES[on_cpu, False][name]
    blind = MACHINES[on_cpu, True][name]
    apart = f" ({_word(blind)} with --telemetry-only)" if blind != seen else ""
    return f"{_word(seen)} on {machine}{apart}"


def _word(value: Any) -> str:
    """Write a value as a flag takes it."""
    if isinstance(value, tuple):
        return " ".join(value)
    if isinstance(value, str):
        return value
    return "none" if value is None else json.dumps(value)
