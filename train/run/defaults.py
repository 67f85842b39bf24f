"""The numbers a run starts from: one table by machine and input, one by profile; and how a request
fills them in.

A 2-core CPU learns a few hundred samples per second from pixels, so a run there lives from sample
efficiency: few karts, several epochs, one frame. Few karts also bring the first lap sooner: a lap
of 70 s takes every kart 1,750 steps, which are 28,000 of the run's steps with 16 karts and 112,000
with 64. A GPU has samples in plenty: thousands of karts, large minibatches, four frames.
"""

import dataclasses
from typing import TypeVar

from kart_jax.errors import InputError
from train.networks.config import BackboneName
from train.ppo.config import PPOConfig
from train.run.config import ProfileName, Settings, TrainConfig

# Step size and entropy weight, the two numbers a profile stands for.
PROFILES: dict[ProfileName, dict[str, float]] = {
    "conservative": {"learning_rate": 5e-4, "ent_coef": 0.0005},
    "aggressive": {"learning_rate": 1e-3, "ent_coef": 0.005},
}


@dataclasses.dataclass(frozen=True)
class Machine:
    """Defaults that depend on where the run is and on what the driver sees."""

    timesteps: int
    frame_stack: int
    vector_envs: int
    rollout_steps: int
    epochs: int
    minibatch_size: int
    updates_per_chunk: int


# (on a CPU, telemetry only) -> defaults
MACHINES: dict[tuple[bool, bool], Machine] = {
    (True, False): Machine(600_000, 1, 16, 128, 4, 256, 1),
    (True, True): Machine(400_000, 1, 16, 128, 6, 512, 4),
    (False, False): Machine(50_000_000, 4, 2048, 64, 2, 8192, 4),
    (False, True): Machine(100_000_000, 1, 2048, 64, 2, 8192, 16),
}


T = TypeVar("T")


def _pick(*choices: T | None) -> T:
    """The first choice that is not None."""
    return next(choice for choice in choices if choice is not None)


def resolve(
    config: TrainConfig, backend: str, saved: Settings | None = None, devices: int = 1
) -> Settings:
    """Fix every number of a run.

    Args:
        config: the request.
        backend: JAX backend, "cpu" or another.
        saved: settings of the run to go on from; they stand in for every flag that was not given.
        devices: that share the karts of a new run unless the request says otherwise.

    Returns:
        The settings. InputError when the numbers do not fit together, or the backbone with the
        saved run.
    """
    backbone: BackboneName = _pick(config.backbone, saved and saved.backbone, "nature")
    _check_backbone(backbone, config.backbone_weights, saved)
    telemetry_only = _pick(config.telemetry_only, saved and saved.telemetry_only, False)
    machine = MACHINES[backend == "cpu", telemetry_only]
    profile: ProfileName = config.profile or (saved.profile if saved else "conservative")
    chosen = PROFILES[profile]
    own = {field.name for field in dataclasses.fields(PPOConfig)} & {
        field.name for field in dataclasses.fields(config)
    }
    given = {field: getattr(config, field) for field in own if getattr(config, field) is not None}
    if saved is None:
        sizes = ("vector_envs", "rollout_steps", "epochs", "minibatch_size", "updates_per_chunk")
        defaults = {field: getattr(machine, field) for field in sizes}
        shards = _pick(config.devices, devices)
        ppo = PPOConfig(**{**defaults, **chosen, **given, "shards": shards})
    else:
        reprofiled = chosen if config.profile is not None else {}
        ppo = dataclasses.replace(saved.ppo, **{**reprofiled, **given})
    timesteps = _pick(config.timesteps, saved and saved.timesteps, machine.timesteps)
    return Settings(
        tracks=_pick(config.track_name, saved and saved.tracks, ("circuit.png",)),
        kart=_pick(config.kart, saved and saved.kart, "rental_gx270"),
        seed=_pick(config.seed, saved and saved.seed, 0),
        telemetry_only=telemetry_only,
        frame_stack=_pick(config.frame_stack, saved and saved.frame_stack, machine.frame_stack),
        randomize=_pick(config.randomize, saved and saved.randomize, False),
        timesteps=timesteps,
        checkpoint_freq=_pick(
            config.checkpoint_freq, saved and saved.checkpoint_freq, max(timesteps // 10, 1)
        ),
        profile=profile,
        ppo=ppo,
        precision=_pick(config.precision, saved and saved.precision, "float32"),
        backbone=backbone,
        backbone_trainable=_pick(config.backbone_trainable, saved and saved.backbone_trainable, 0),
    )


def _check_backbone(backbone: BackboneName, weights: str | None, saved: Settings | None) -> None:
    """InputError unless a new pretrained backbone comes with weights, and only that, and a resumed
    one stays."""
    if saved is not None and backbone != saved.backbone:
        raise InputError(
            f"--backbone is {backbone}, but the run to go on from has {saved.backbone}; leave it "
            "out, or begin a new "
            "run without --resume-from"
        )
    if saved is not None and weights is not None:
        raise InputError(
            f"--backbone-weights is {weights}, but the run to go on from brings its weights "
            "along; leave it out"
        )
    if saved is None and backbone == "nature" and weights is not None:
        raise InputError(
            f"--backbone-weights is {weights}, but nature starts from none; add --backbone resnet18"
        )
    if saved is None and backbone != "nature" and weights is None:
        raise InputError(
            f"--backbone is {backbone}, but there are no weights for it; add --backbone-weights "
            "with the .pth or "
            ".safetensors file of a pretrained one"
        )
