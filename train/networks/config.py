"""What a training run is asked to do, what it will do, and how the one follows from the other.

`TrainConfig` is the request: the flags of `kart train`. A field left at None means "choose for me",
so that a resumed run can tell a given flag from an absent one. `resolve` answers with `Settings`:
every number fixed, written to the run's `config.json`. The numbers of the algorithm are a
`PPOConfig`, chosen by profile and machine in `profiles.py`.
"""

from typing import Literal

BackboneName = Literal["nature", "resnet18"]
PrecisionName = Literal["float32", "bfloat16"]
BACKBONE_STAGES: dict[BackboneName, int] = {
    "nature": 0,
    "resnet18": 4,
}  # that may be frozen or trained, each
