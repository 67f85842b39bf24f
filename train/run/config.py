"""What a training run is asked to do, what it will do, and how the one follows from the other.

`TrainConfig` is the request: the flags of `kart train`. A field left at None means "choose for me",
so that a resumed run can tell a given flag from an absent one. `resolve` answers with `Settings`:
every number fixed, written to the run's `config.json`. The numbers of the algorithm are a
`PPOConfig`, chosen by profile and machine in `profiles.py`.
"""

import dataclasses
import json
from pathlib import Path
from typing import Literal

from kart_jax.env.config import MOST as MOST_OF_ENV
from kart_jax.errors import InputError
from kart_jax.files import replacing
from kart_jax.physics.classes import KartClass
from train.networks.config import BACKBONE_STAGES, BackboneName, PrecisionName
from train.ppo.config import MOST, PPOConfig, require

MOST_DEVICES = 1024  # of one host; a CPU is cut into as many as are asked for
ProfileName = Literal["conservative", "aggressive"]


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Train a driver from the 84x84 view and the telemetry with PPO."""

    track_name: tuple[str, ...] | None = None
    """Circuits to train on: shipped names, PNG or CSV files; several share one run. Not given:
    circuit.png."""
    timesteps: int | None = None
    """Environment steps of the whole run, over all karts. Not given: what the machine manages in a
    sensible time."""
    vector_envs: int | None = None
    """Karts driven at once. Not given: 16 on a CPU, 2048 on a GPU."""
    save_name: str | None = None
    """Folder of the run under --runs-dir. Not given: the first track's name and a number."""
    learning_rate: float | None = None
    """Adam's step size at the start of the run. Not given: from the profile."""
    ent_coef: float | None = None
    """Weight of the entropy bonus. Not given: from the profile."""
    resume_from: str | None = None
    """Run folder, run name or one checkpoint to go on from; on another track or kart its driver is
    the start."""
    checkpoint_freq: int | None = None
    """Environment steps between checkpoints. Not given: a tenth of the run."""
    profile: ProfileName | None = None
    """conservative = small steps and little entropy; aggressive = larger ones. Not given:
    conservative."""
    kart: KartClass | None = None
    """Kart class. Not given: rental_gx270."""
    frame_stack: int | None = None
    """Frames stacked in the view. Not given: 1 on a CPU, 4 on a GPU."""
    telemetry_only: bool | None = None
    """Train on the nine telemetry values alone, without rendering: quick experiments. Not given:
    false."""
    randomize: bool | None = None
    """Give each episode another mass, grip, power, light, camera, latency and noise. Not given:
    false."""
    backbone: BackboneName | None = None
    """What looks at the view: nature = three convolutions that learn from nothing; resnet18 = a
    pretrained ResNet-18, 35 times the work per picture. Not given: nature."""
    backbone_weights: str | None = None
    """State dict of a ResNet-18 for a new run, .pth or .safetensors; nothing in the file is run."""
    backbone_trainable: int | None = None
    """How many of the last stages of a ResNet-18 are trained, 0 to 4; the others stay as they are.
    Not given: 0."""
    precision: PrecisionName | None = None
    """Numbers that the network computes in, but for its outputs and a ResNet-18; its parameters are
    float32. On a GPU products of float32 are rounded to TF32. Not given: float32."""
    seed: int | None = None
    """Seed of network, starts and exploration. Not given: 0."""
    rollout_steps: int | None = None
    """Steps each kart drives between two updates."""
    epochs: int | None = None
    """Passes over each roll-out."""
    minibatch_size: int | None = None
    """Samples per gradient step."""
    gamma: float | None = None
    """Discount per step, at 25 steps per second."""
    gae_lambda: float | None = None
    """Decay of the advantage estimate per step, on top of gamma. Not given: 0.95."""
    clip_ratio: float | None = None
    """How far the probability ratio may pay to move away from 1. Not given: 0.2."""
    value_clip: float | None = None
    """How far the value may pay to move per update, in scaled reward. Not given: as far as it
    likes."""
    value_coef: float | None = None
    """Weight of the value loss. Not given: 0.5."""
    max_grad_norm: float | None = None
    """Global norm to which gradients are clipped. Not given: 0.5."""
    target_kl: float | None = None
    """An update ends early once the approximate KL divergence exceeds 1.5 times this. Not given:
    0.03."""
    devices: int | None = None
    """Devices that share the karts. Not given: all GPUs of the machine; one of a CPU, whose cores
    it uses anyway."""
    runs_dir: str = "runs"
    """Folder that holds the runs."""
    json: bool = False
    """Print the figures as JSON when it ends; what happens meanwhile goes to stderr."""

    def __post_init__(self) -> None:
        """Refuse what no run can use; the rest is checked by `Settings`."""
        if self.track_name is not None and not self.track_name:
            raise InputError(
                "--track-name is empty; give at least one circuit, for example circuit.png"
            )
        most = MOST_DEVICES
        require(
            "devices",
            self.devices,
            self.devices is None or 1 <= self.devices <= most,
            f"from 1 to {most}",
        )
        name = self.save_name
        if name is not None and (
            not name.isprintable() or not name or {*name} & {*"/\\"} or name.startswith(".")
        ):
            raise InputError(
                f"--save-name is {name!r}; allowed is a plain folder name without slashes; choose "
                "another"
            )
        if not self.runs_dir:
            raise InputError("--runs-dir is empty; name a folder, or leave it out for runs")


@dataclasses.dataclass(frozen=True)
class Settings:
    """A run with every number fixed; what `config.json` holds."""

    tracks: tuple[str, ...]
    """Circuits, as given: shipped names or paths."""
    kart: KartClass
    """Kart class."""
    seed: int
    """Seed of network, starts and exploration."""
    telemetry_only: bool
    """Without the view."""
    frame_stack: int
    """Frames stacked in the view."""
    timesteps: int
    """Environment steps of the whole run."""
    checkpoint_freq: int
    """Environment steps between checkpoints."""
    profile: ProfileName
    """Which row of `profiles.py` the numbers started from."""
    ppo: PPOConfig
    """Numbers of the algorithm."""
    backbone: BackboneName = "nature"
    """What looks at the view; a run from before there was a choice has `nature`."""
    backbone_trainable: int = 0
    """How many of the backbone's last stages are trained, where stages can be frozen."""
    randomize: bool = False
    """Domain randomisation: another kart, light and senses in each episode."""
    precision: PrecisionName = "float32"
    """Numbers that the network computes in."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        require("track_name", "empty", len(self.tracks) > 0, "at least one circuit")
        for field in ("timesteps", "checkpoint_freq"):
            require(field, getattr(self, field), getattr(self, field) >= 1, "at least 1")
        most = MOST_OF_ENV["frame_stack"]
        require("frame_stack", self.frame_stack, 1 <= self.frame_stack <= most, f"from 1 to {most}")
        longest = MOST * self.ppo.steps_per_update
        require(
            "timesteps", self.timesteps, self.updates <= MOST, f"at most {longest}, {MOST} updates"
        )
        require("seed", self.seed, 0 <= self.seed < 2**32, "from 0 to 4294967295")
        blind = self.telemetry_only and self.backbone != "nature"
        require(
            "backbone",
            self.backbone,
            not blind,
            "left out with --telemetry-only: there is no view to look at",
        )
        stages = BACKBONE_STAGES[self.backbone]
        allowed = (
            f"from 0 to {stages}" if stages else "0 with --backbone nature, which is trained whole"
        )
        require(
            "backbone_trainable",
            self.backbone_trainable,
            0 <= self.backbone_trainable <= stages,
            allowed,
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
