"""The numbers of the algorithm: what decides shapes, and what a compiled update is told."""

import dataclasses
from typing import Annotated

from kart_jax.errors import InputError
from train.declaration import COUNT, FRACTION, NOT_NEGATIVE, POSITIVE, Role, between, check


@dataclasses.dataclass(frozen=True)
class UpdateShape:
    """What decides the shapes of a compiled update; hashable, a static argument of `jax.jit`."""

    vector_envs: Annotated[int, COUNT, Role.NEW_RUN]
    """Karts driven at once."""
    rollout_steps: Annotated[int, COUNT, Role.NEW_RUN]
    """Steps each kart drives between two updates."""
    epochs: Annotated[int, COUNT]
    """Passes over each roll-out."""
    minibatch_size: Annotated[int, COUNT]
    """Samples per gradient step; divides vector_envs * rollout_steps."""
    updates_per_chunk: Annotated[int, COUNT, Role.NEW_RUN, Role.NO_FLAG] = 1
    """Updates in one compiled call; between calls the host logs and saves."""
    shards: Annotated[int, COUNT, Role.NO_FLAG] = 1
    """Groups of karts of equal size, from each of which a minibatch takes as many samples: so many
    devices may share the run, and it is the same run on any number of devices that divides it."""

    def __post_init__(self) -> None:
        """Refuse impossible values and combinations."""
        check(self)

        if self.steps_per_update % self.minibatch_size:
            raise InputError(
                f"--minibatch-size is {self.minibatch_size}; it must divide the "
                f"{self.steps_per_update} samples of a roll-out (--vector-envs "
                f"{self.vector_envs} times --rollout-steps {self.rollout_steps}); change one"
            )

        shared = {"--vector-envs": self.vector_envs, "--minibatch-size": self.minibatch_size}
        for flag, value in shared.items():
            if value % self.shards:
                raise InputError(
                    f"{flag} is {value}; it must be a multiple of the {self.shards} groups of "
                    "karts that the run's devices share; change it or --devices"
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
    """Numbers of the algorithm; its own ones are told to a compiled update as `Hyperparameters`."""

    learning_rate: Annotated[float, POSITIVE, Role.PER_RUN] = dataclasses.field(kw_only=True)
    """Adam's step size at the start of the run."""
    ent_coef: Annotated[float, NOT_NEGATIVE, Role.PER_RUN] = dataclasses.field(kw_only=True)
    """Weight of the entropy bonus in the loss."""
    final_learning_rate: Annotated[float, FRACTION, Role.PER_RUN, Role.NO_FLAG] = 0.1
    """Share of the step size that is left at the end of the run; it falls linearly."""
    gamma: Annotated[float, FRACTION, Role.PER_RUN] = 0.99
    """Discount per step, at 25 steps per second."""
    gae_lambda: Annotated[float, FRACTION, Role.PER_RUN] = 0.95
    """Decay of the advantage estimate per step, on top of gamma."""
    clip_ratio: Annotated[float, between(0, 1), Role.PER_RUN] = 0.2
    """How far the probability ratio may pay to move away from 1."""
    value_clip: Annotated[float | None, POSITIVE, Role.PER_RUN] = None
    """How far the value may pay to move per update, in scaled reward; none = as far as it likes."""
    value_coef: Annotated[float, NOT_NEGATIVE, Role.PER_RUN] = 0.5
    """Weight of the value loss."""
    max_grad_norm: Annotated[float, POSITIVE, Role.PER_RUN] = 0.5
    """Global norm to which gradients are clipped."""
    target_kl: Annotated[float, POSITIVE, Role.PER_RUN] = 0.03
    """An update ends early once the approximate KL divergence exceeds 1.5 times this."""

    @property
    def shape(self) -> UpdateShape:
        """The shape alone: runs that share it share a compiled program."""
        return UpdateShape(
            **{field.name: getattr(self, field.name) for field in dataclasses.fields(UpdateShape)}
        )
