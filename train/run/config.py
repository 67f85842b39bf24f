"""What a run is: every number fixed, declared once, written to the run's `config.json`."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Literal

from kart_jax.files import replacing
from kart_jax.physics.classes import KartClass
from train.declaration import (
    MAX_COUNT,
    Bounds,
    Computed,
    Name,
    Role,
    at_least,
    check,
    require,
    within,
)
from train.networks.config import NetworkConfig
from train.ppo.config import PPOConfig

ProfileName = Literal["conservative", "aggressive"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """A run with every number fixed; what `config.json` holds."""

    tracks: Annotated[
        tuple[str, ...], Name("track_name"), Bounds(bool, "at least one circuit"), Role.NEW_RUN
    ] = ("circuit.png",)
    """Circuits to train on: shipped names, PNG or CSV files; several share one run."""
    timesteps: Annotated[int, at_least(1)]
    """Environment steps of the whole run, over all karts."""
    checkpoint_freq: Annotated[
        int,
        at_least(1),
        Computed(lambda known: max(known["timesteps"] // 10, 1), "a tenth of the run"),
    ]
    """Environment steps between checkpoints."""
    kart: Annotated[KartClass, Role.NEW_RUN] = "rental_gx270"
    """Kart class."""
    seed: Annotated[int, within(0, 2**32 - 1), Role.PER_RUN, Role.NEW_RUN] = 0
    """Seed of network, starts and exploration."""
    randomize: Annotated[bool, Role.NEW_RUN] = False
    """Give each episode another mass, grip, power, light, camera, latency and noise."""
    profile: Annotated[ProfileName, Role.PER_RUN] = "conservative"
    """conservative = small steps and little entropy; aggressive = larger ones."""
    network: NetworkConfig
    """Numbers of the network."""
    ppo: PPOConfig
    """Numbers of the algorithm."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        check(self)

        longest = MAX_COUNT * self.ppo.steps_per_update
        require(
            "timesteps",
            self.timesteps,
            self.updates <= MAX_COUNT,
            f"at most {longest}, {MAX_COUNT} updates",
        )

    @property
    def steps_per_chunk(self) -> int:
        """Environment steps of one compiled call."""
        return self.ppo.steps_per_update * self.ppo.updates_per_chunk

    @property
    def chunks(self) -> int:
        """Compiled calls of the whole run: timesteps rounded up to whole chunks."""
        return -(-self.timesteps // self.steps_per_chunk)

    @property
    def updates(self) -> int:
        """Updates of the whole run."""
        return self.chunks * self.ppo.updates_per_chunk

    def save(self, path: Path) -> None:
        """Write as JSON, whole or not at all."""
        with replacing(path) as part:
            part.write_text(json.dumps(dataclasses.asdict(self), indent=2) + "\n")
