"""Many environments at once: one key per batch and step, split here and nowhere else."""

import chex
import jax

from kart_jax.env.core import KartEnv, Observation
from kart_jax.env.params import EnvParams
from kart_jax.env.types import EnvState, StepInfo


def reset_batch(
    env: KartEnv, key: chex.PRNGKey, params: EnvParams, count: int, varied: bool = False
) -> tuple[Observation, EnvState]:
    """Reset `count` environments.

    Args:
        env: the environment.
        key: one key; environment i gets the i-th of its `count` splits.
        params: of all environments, or with a leading axis (count,) on every leaf if `varied`.
        count: environments.
        varied: whether `params` differ between environments.
    """
    keys = jax.random.split(key, count)
    return jax.vmap(env.reset, in_axes=(0, 0 if varied else None))(keys, params)


def step_batch(
    env: KartEnv, key: chex.PRNGKey, state: EnvState, action: chex.Array, params: EnvParams, varied: bool = False
) -> tuple[Observation, EnvState, chex.Array, chex.Array, chex.Array, StepInfo]:
    """Step a batch; every field of `state` and `action` (B, 2) has the leading axis, see `reset_batch`."""
    keys = jax.random.split(key, action.shape[0])
    return jax.vmap(env.step, in_axes=(0, 0, 0, 0 if varied else None))(keys, state, action, params)
