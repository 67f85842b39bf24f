"""The policy: a trained driver of a run, for whoever wants to watch, record or examine it."""

import jax
from flax import nnx, struct

from train.networks import distribution
from train.networks.actor_critic import ActorCritic, Observation


class Policy(struct.PyTreeNode):
    """A trained driver, deterministic unless asked to `explore`.

    A pytree, so that it may be an argument of a jitted function.
    """

    params: nnx.State  # of the network
    graph: nnx.GraphDef[ActorCritic] = struct.field(pytree_node=False)  # static

    def __call__(self, observation: Observation) -> jax.Array:
        """Return the squashed mean: batch of observations (B, ...) -> (B, 2) in [-1, 1]."""
        mean, _, _ = nnx.merge(self.graph, self.params)(observation)
        return distribution.squash(mean)

    def explore(self, observation: Observation, key: jax.Array) -> jax.Array:
        """Draw an action as in training; shapes as in `__call__`, `key` for the whole batch."""
        mean, log_std, _ = nnx.merge(self.graph, self.params)(observation)
        noise = jax.random.normal(key, mean.shape)
        return distribution.squash(distribution.sample(noise, mean, log_std))
