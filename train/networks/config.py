"""What a network is built from: what it sees, what looks at the view, and in which numbers."""

import dataclasses
from typing import Annotated, Literal

from kart_jax.env.config import MAX as MAX_OF_ENV
from train.declaration import POSITIVE, Role, check, require, within

BackboneName = Literal["nature", "resnet18"]
PrecisionName = Literal["float32", "bfloat16"]

# How many stages of each may be frozen or trained.
BACKBONE_STAGES: dict[BackboneName, int] = {"nature": 0, "resnet18": 4}


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Numbers of the network: all that its static graph and its first parameters depend on."""

    frame_stack: Annotated[int, within(1, MAX_OF_ENV["frame_stack"])]
    """Frames stacked in the view."""
    telemetry_only: bool = False
    """Train on the nine telemetry values alone, without rendering: quick experiments."""
    backbone: BackboneName = "nature"
    """What looks at the view: nature = three convolutions that learn from nothing; resnet18 = a
    pretrained ResNet-18, 35 times the work per picture."""
    backbone_trainable: Annotated[int, Role.NEW_RUN] = 0
    """How many of the last stages of a ResNet-18 are trained, 0 to 4; the others stay as they
    are."""
    precision: PrecisionName = "float32"
    """Numbers that the network computes in, but for its outputs and a ResNet-18; its parameters are
    float32. On a GPU products of float32 are rounded to TF32."""
    initial_std: Annotated[float, POSITIVE, Role.NO_FLAG] = 0.3
    """Standard deviation of the untrained policy, before the squashing."""
    initial_throttle: Annotated[float, Role.NO_FLAG] = 0.5
    """Mean throttle of the untrained policy, before the squashing: above 0 it rolls instead of
    standing about."""

    def __post_init__(self) -> None:
        """Refuse impossible values and combinations."""
        check(self)

        require(
            "backbone",
            self.backbone,
            not (self.telemetry_only and self.backbone != "nature"),
            "left out with --telemetry-only: there is no view to look at",
        )

        stages = BACKBONE_STAGES[self.backbone]
        allowed = (
            f"from 0 to {stages}" if stages else "0 with --backbone nature, which is trained whole"
        )
        trainable = self.backbone_trainable
        require("backbone_trainable", trainable, 0 <= trainable <= stages, allowed)
