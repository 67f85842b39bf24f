"""The hyperparameters of a run as traced numbers: runs that differ in them share one program."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from train.ppo.config import PPOConfig


class Hyperparameters(struct.PyTreeNode):
    """Numbers of the algorithm that a compiled update is given.

    Fields () are float32 and those of `PPOConfig` unless said otherwise; of a cohort (runs,).
    """

    learning_rate: jax.Array  # at the start
    final_learning_rate: jax.Array  # share of it that is left at the end
    updates: jax.Array  # int32, of the whole run; from `RunConfig`
    ent_coef: jax.Array  # weight of the entropy bonus
    gamma: jax.Array  # discount per step
    gae_lambda: jax.Array  # decay of the advantage estimate per step
    clip_ratio: jax.Array  # of the probability ratio around 1
    value_clip: jax.Array | None  # scaled reward; None = not clipped, which is another program
    value_coef: jax.Array  # weight of the value loss
    max_grad_norm: jax.Array  # global norm
    target_kl: jax.Array  # nats

    @classmethod
    def from_config(cls, config: PPOConfig, updates: int) -> "Hyperparameters":
        """Trace the numbers of a run of so many updates."""
        names = [field.name for field in dataclasses.fields(cls) if field.name != "updates"]
        values = {name: getattr(config, name) for name in names}
        traced: dict[str, Any] = {
            name: None if value is None else jnp.float32(value) for name, value in values.items()
        }
        return cls(**traced, updates=jnp.int32(updates))
