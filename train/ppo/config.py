"""What a training run is asked to do, what it will do, and how the one follows from the other.

`TrainConfig` is the request: the flags of `kart train`. A field left at None means "choose for me",
so that a resumed run can tell a given flag from an absent one. `resolve` answers with `Settings`:
every number fixed, written to the run's `config.json`. The numbers of the algorithm are a
`PPOConfig`, chosen by profile and machine in `profiles.py`.
"""

import dataclasses

from kart_jax.errors import InputError

LARGEST = 1e38  # of any number that is a float32 on the device
MOST = 10**9  # of anything that is counted in 32 bits on the device


@dataclasses.dataclass(frozen=True)
class UpdateShape:
    """What of the algorithm decides the shapes of a compiled update; hashable, a static argument of
    `jax.jit`."""

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
    """Groups of karts of equal size, from each of which a minibatch takes as many samples: so many
    devices may share the run, and it is the same run on any number of devices that divides it."""

    def __post_init__(self) -> None:
        """Refuse impossible values and combinations."""
        for field in dataclasses.fields(UpdateShape):
            value = getattr(self, field.name)
            require(field.name, value, 1 <= value <= MOST, f"from 1 to {MOST}")
        if self.steps_per_update % self.minibatch_size:
            raise InputError(
                f"--minibatch-size is {self.minibatch_size}; it must divide the "
                f"{self.steps_per_update} samples of a "
                f"roll-out (--vector-envs {self.vector_envs} times --rollout-steps "
                f"{self.rollout_steps}); change one"
            )

        for field in ("vector_envs", "minibatch_size"):
            if getattr(self, field) % self.shards:
                raise InputError(
                    f"--{field.replace('_', '-')} is {getattr(self, field)}; it must be a "
                    "multiple of the "
                    f"{self.shards} groups of karts that the run's devices share; change it or "
                    "--devices"
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
    """Mean throttle of the untrained policy, before the squashing: above 0 it rolls instead of
    standing about."""

    def __post_init__(self) -> None:
        """Refuse impossible values and combinations."""
        super().__post_init__()
        for field in ("learning_rate", "max_grad_norm", "target_kl", "initial_std"):
            require(
                field,
                getattr(self, field),
                0.0 < getattr(self, field) <= LARGEST,
                f"above 0, up to {LARGEST:g}",
            )
        for field in ("gamma", "gae_lambda", "final_learning_rate"):
            require(field, getattr(self, field), 0.0 <= getattr(self, field) <= 1.0, "from 0 to 1")
        for field in ("ent_coef", "value_coef"):
            require(
                field,
                getattr(self, field),
                0.0 <= getattr(self, field) <= LARGEST,
                f"from 0 to {LARGEST:g}",
            )
        require("clip_ratio", self.clip_ratio, 0.0 < self.clip_ratio < 1.0, "between 0 and 1")
        clip = self.value_clip
        require(
            "value_clip", clip, clip is None or 0.0 < clip <= LARGEST, f"above 0, up to {LARGEST:g}"
        )

    @property
    def shape(self) -> UpdateShape:
        """The shape alone: runs that share it share a compiled program."""
        return UpdateShape(
            **{field.name: getattr(self, field.name) for field in dataclasses.fields(UpdateShape)}
        )


def require(field: str, value: object, holds: bool, allowed: str) -> None:
    """Raise `InputError` naming the flag unless the condition holds."""
    if not holds:
        raise InputError(f"--{field.replace('_', '-')} is {value}; it must be {allowed}")
