"""Proximal policy optimisation (Schulman et al. 2017, arXiv:1707.06347): the loss and one update's
gradient steps.

    ratio    = exp(log p_new(a) - log p_old(a))
    L_policy = -mean(min(ratio A, clip(ratio, 1 - eps, 1 + eps) A))
    L_value  = 1/2 mean((V - target)²); with value clipping the larger of that and of the error of the old value
               moved by at most value_clip
    L        = L_policy + value_coef L_value - ent_coef H

A is normalised over the roll-out to mean 0 and standard deviation 1. Every mean is weighted: a
sample of weight 0 (a step cut by the time limit, see `advantage`) has no part in it. The KL
divergence is estimated as mean(ratio - 1 - log ratio) (Schulman 2020,
http://joschu.net/blog/kl-approx.html), before each step; once it exceeds 1.5 target_kl the update
ends.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from train.ppo.config import PPOConfig


class Hyperparameters(struct.PyTreeNode):
    """What a compiled update is told of the algorithm, so that runs which differ in it only share
    one program.

    Fields () are float32 and those of `PPOConfig` unless said otherwise; of a cohort (runs,).
    """

    learning_rate: jax.Array  # at the start
    final_learning_rate: jax.Array  # share of it that is left at the end
    updates: jax.Array  # int32, of the whole run; from `Settings`
    ent_coef: jax.Array
    gamma: jax.Array
    gae_lambda: jax.Array
    clip_ratio: jax.Array
    value_clip: jax.Array | None  # scaled reward; None = not clipped, which is another program
    value_coef: jax.Array
    max_grad_norm: jax.Array
    target_kl: jax.Array  # nats


def hyperparameters(config: PPOConfig, updates: int) -> Hyperparameters:
    """Those of a run of so many updates."""
    names = [name for name in Hyperparameters.__dataclass_fields__ if name != "updates"]
    values = {name: getattr(config, name) for name in names}
    traced: dict[str, Any] = {
        name: None if value is None else jnp.float32(value) for name, value in values.items()
    }
    return Hyperparameters(**traced, updates=jnp.int32(updates))
