"""What a training run is asked to do, what it will do, and how the one follows from the other.

`TrainConfig` is the request: the flags of `kart train`. A field left at None means "choose for me", so that a resumed
run can tell a given flag from an absent one. `resolve` answers with `Settings`: every number fixed, written to the
run's `config.json`. The numbers of the algorithm are a `PPOConfig`, chosen by profile and machine in `profiles.py`.
"""

import dataclasses
import json
from pathlib import Path
from typing import Literal

from kart_jax.env.config import MOST as MOST_OF_ENV
from kart_jax.errors import InputError
from kart_jax.files import replacing
from kart_jax.physics.classes import KartClass

LARGEST = 1e38  # of any number that is a float32 on the device
MOST_DEVICES = 1024  # of one host; a CPU is cut into as many as are asked for
MOST = 10**9  # of anything that is counted in 32 bits on the device
ProfileName = Literal["conservative", "aggressive"]
BackboneName = Literal["nature", "resnet18"]
PrecisionName = Literal["float32", "bfloat16"]
BACKBONE_STAGES: dict[BackboneName, int] = {"nature": 0, "resnet18": 4}  # that may be frozen or trained, each


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Train a driver from the 84x84 view and the telemetry with PPO."""

    track_name: tuple[str, ...] | None = None
    """Circuits to train on: shipped names, PNG or CSV files; several share one run. Not given: circuit.png."""
    timesteps: int | None = None
    """Environment steps of the whole run, over all karts. Not given: what the machine manages in a sensible time."""
    vector_envs: int | None = None
    """Karts driven at once. Not given: 16 on a CPU, 2048 on a GPU."""
    save_name: str | None = None
    """Folder of the run under --runs-dir. Not given: the first track's name and a number."""
    learning_rate: float | None = None
    """Adam's step size at the start of the run. Not given: from the profile."""
    ent_coef: float | None = None
    """Weight of the entropy bonus. Not given: from the profile."""
    resume_from: str | None = None
    """Run folder, run name or one checkpoint to go on from; on another track or kart its driver is the start."""
    checkpoint_freq: int | None = None
    """Environment steps between checkpoints. Not given: a tenth of the run."""
    profile: ProfileName | None = None
    """conservative = small steps and little entropy; aggressive = larger ones. Not given: conservative."""
    kart: KartClass | None = None
    """Kart class. Not given: rental_gx270."""
    frame_stack: int | None = None
    """Frames stacked in the view. Not given: 1 on a CPU, 4 on a GPU."""
    telemetry_only: bool | None = None
    """Train on the nine telemetry values alone, without rendering: quick experiments. Not given: false."""
    randomize: bool | None = None
    """Give each episode another mass, grip, power, light, camera, latency and noise. Not given: false."""
    backbone: BackboneName | None = None
    """What looks at the view: nature = three convolutions that learn from nothing; resnet18 = a pretrained ResNet-18,
    35 times the work per picture. Not given: nature."""
    backbone_weights: str | None = None
    """State dict of a ResNet-18 for a new run, .pth or .safetensors; nothing in the file is run."""
    backbone_trainable: int | None = None
    """How many of the last stages of a ResNet-18 are trained, 0 to 4; the others stay as they are. Not given: 0."""
    precision: PrecisionName | None = None
    """Numbers that the network computes in, but for its outputs and a ResNet-18; its parameters are float32. On a GPU
    products of float32 are rounded to TF32. Not given: float32."""
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
    """How far the value may pay to move per update, in scaled reward. Not given: as far as it likes."""
    value_coef: float | None = None
    """Weight of the value loss. Not given: 0.5."""
    max_grad_norm: float | None = None
    """Global norm to which gradients are clipped. Not given: 0.5."""
    target_kl: float | None = None
    """An update ends early once the approximate KL divergence exceeds 1.5 times this. Not given: 0.03."""
    devices: int | None = None
    """Devices that share the karts. Not given: all GPUs of the machine; one of a CPU, whose cores it uses anyway."""
    runs_dir: str = "runs"
    """Folder that holds the runs."""
    json: bool = False
    """Print the figures as JSON when it ends; what happens meanwhile goes to stderr."""

    def __post_init__(self) -> None:
        """Refuse what no run can use; the rest is checked by `Settings`."""
        if self.track_name is not None and not self.track_name:
            raise InputError("--track-name is empty; give at least one circuit, for example circuit.png")
        most = MOST_DEVICES
        _require("devices", self.devices, self.devices is None or 1 <= self.devices <= most, f"from 1 to {most}")
        name = self.save_name
        if name is not None and (not name.isprintable() or not name or {*name} & {*"/\\"} or name.startswith(".")):
            raise InputError(f"--save-name is {name!r}; allowed is a plain folder name without slashes; choose another")
        if not self.runs_dir:
            raise InputError("--runs-dir is empty; name a folder, or leave it out for runs")


@dataclasses.dataclass(frozen=True)
class UpdateShape:
    """What of the algorithm decides the shapes of a compiled update; hashable, a static argument of `jax.jit`."""

    vector_envs: int
    """Karts driven at once."""
    rollout_steps: int
    """Steps each kart drives between two updates."""
    epochs: int
    """Passes over each roll-out."""
    minibatch_size: int
    """Samples per gradient step; divides vector_envs * rollout_steps."""
    updates_per_chunk: int = 1
    """Updates in one compiled call; between calls the host logs and saves."""
    shards: int = 1
    """Groups of karts of equal size, from each of which a minibatch takes as many samples: so many devices may share
    the run, and it is the same run on any number of devices that divides it."""

    def __post_init__(self) -> None:
        """Refuse impossible values and combinations."""
        for field in dataclasses.fields(UpdateShape):
            value = getattr(self, field.name)
            _require(field.name, value, 1 <= value <= MOST, f"from 1 to {MOST}")
        if self.steps_per_update % self.minibatch_size:
            raise InputError(
                f"--minibatch-size is {self.minibatch_size}; it must divide the {self.steps_per_update} samples of a "
                f"roll-out (--vector-envs {self.vector_envs} times --rollout-steps {self.rollout_steps}); change one"
            )

        for field in ("vector_envs", "minibatch_size"):
            if getattr(self, field) % self.shards:
                raise InputError(
                    f"--{field.replace('_', '-')} is {getattr(self, field)}; it must be a multiple of the "
                    f"{self.shards} groups of karts that the run's devices share; change it or --devices"
                )

    @property
    def steps_per_update(self) -> int:
        """Environment steps of one roll-out."""
        return self.vector_envs * self.rollout_steps

    @property
    def minibatches(self) -> int:
        """Gradient steps per epoch."""
        return self.steps_per_update // self.minibatch_size


@dataclasses.dataclass(frozen=True)
class PPOConfig(UpdateShape):
    """Numbers of the algorithm."""

    learning_rate: float = dataclasses.field(kw_only=True)
    """Adam's step size at the start."""
    ent_coef: float = dataclasses.field(kw_only=True)
    """Weight of the entropy bonus in the loss."""
    final_learning_rate: float = 0.1
    """Share of the step size that is left at the end of the run; it falls linearly."""
    gamma: float = 0.99
    """Discount per step."""
    gae_lambda: float = 0.95
    """Decay of the advantage estimate per step, on top of gamma."""
    clip_ratio: float = 0.2
    """How far the probability ratio may pay to move away from 1."""
    value_clip: float | None = None
    """How far the value may pay to move per update, in scaled reward; None = not clipped."""
    value_coef: float = 0.5
    """Weight of the value loss."""
    max_grad_norm: float = 0.5
    """Global norm to which gradients are clipped."""
    target_kl: float = 0.03
    """An update ends early once the approximate KL divergence exceeds 1.5 times this."""
    initial_std: float = 0.3
    """Standard deviation of the untrained policy, before the squashing."""
    initial_throttle: float = 0.5
    """Mean throttle of the untrained policy, before the squashing: above 0 it rolls instead of standing about."""

    def __post_init__(self) -> None:
        """Refuse impossible values and combinations."""
        super().__post_init__()
        for field in ("learning_rate", "max_grad_norm", "target_kl", "initial_std"):
            _require(field, getattr(self, field), 0.0 < getattr(self, field) <= LARGEST, f"above 0, up to {LARGEST:g}")
        for field in ("gamma", "gae_lambda", "final_learning_rate"):
            _require(field, getattr(self, field), 0.0 <= getattr(self, field) <= 1.0, "from 0 to 1")
        for field in ("ent_coef", "value_coef"):
            _require(field, getattr(self, field), 0.0 <= getattr(self, field) <= LARGEST, f"from 0 to {LARGEST:g}")
        _require("clip_ratio", self.clip_ratio, 0.0 < self.clip_ratio < 1.0, "between 0 and 1")
        clip = self.value_clip
        _require("value_clip", clip, clip is None or 0.0 < clip <= LARGEST, f"above 0, up to {LARGEST:g}")

    @property
    def shape(self) -> UpdateShape:
        """The shape alone: runs that share it share a compiled program."""
        return UpdateShape(**{field.name: getattr(self, field.name) for field in dataclasses.fields(UpdateShape)})


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
        _require("track_name", "empty", len(self.tracks) > 0, "at least one circuit")
        for field in ("timesteps", "checkpoint_freq"):
            _require(field, getattr(self, field), getattr(self, field) >= 1, "at least 1")
        most = MOST_OF_ENV["frame_stack"]
        _require("frame_stack", self.frame_stack, 1 <= self.frame_stack <= most, f"from 1 to {most}")
        longest = MOST * self.ppo.steps_per_update
        _require("timesteps", self.timesteps, self.updates <= MOST, f"at most {longest}, {MOST} updates")
        _require("seed", self.seed, 0 <= self.seed < 2**32, "from 0 to 4294967295")
        blind = self.telemetry_only and self.backbone != "nature"
        _require("backbone", self.backbone, not blind, "left out with --telemetry-only: there is no view to look at")
        stages = BACKBONE_STAGES[self.backbone]
        allowed = f"from 0 to {stages}" if stages else "0 with --backbone nature, which is trained whole"
        _require("backbone_trainable", self.backbone_trainable, 0 <= self.backbone_trainable <= stages, allowed)

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


def _require(field: str, value: object, holds: bool, allowed: str) -> None:
    """Raise `InputError` naming the flag unless the condition holds."""
    if not holds:
        raise InputError(f"--{field.replace('_', '-')} is {value}; it must be {allowed}")
