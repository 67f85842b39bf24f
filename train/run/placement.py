"""The whole state of a training run on the device: what a checkpoint holds and a resumed run
needs."""

from collections.abc import Sequence
from functools import partial
from typing import TypeVar

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from kart_jax.env.batch import reset_batch
from kart_jax.env.core import KartEnv
from train.networks import actor_critic, resnet
from train.ppo import minibatches, return_scale
from train.ppo.train_state import TrainState, layout
from train.run import hosts
from train.run.config import Settings
from train.run.network import build_network


def start(
    env: KartEnv, settings: Settings, mesh: Mesh, weights: resnet.Weights | None = None
) -> tuple[nnx.GraphDef[actor_critic.ActorCritic], TrainState]:
    """A run before its first update: static graph of the network, and the state of network and
    karts on the mesh.

    `weights` as in `build_network`.
    """
    network_key, reset_key, run_key = jax.random.split(jax.random.key(settings.seed), 3)
    graph, params = build_network(settings, network_key, weights)
    karts = settings.ppo.vector_envs
    reset = jax.jit(reset_batch, static_argnames=("count", "mesh"))
    observation, env_state = reset(env, reset_key, env.default_params, count=karts, mesh=mesh)
    state = TrainState(
        params=params,
        optimiser=minibatches.optimiser(settings.ppo.max_grad_norm).init(
            actor_critic.divide(params)[0]
        ),
        scale=return_scale.start(),
        env_state=env_state,
        observation=observation,
        discounted=jnp.zeros((karts,)),
        key=run_key,
        update=jnp.int32(0),
    )
    return graph, spread(state, mesh)


def stack(states: Sequence[TrainState], mesh: Mesh) -> TrainState:
    """States of several runs as one, spread over the mesh."""
    return spread(jax.tree.map(lambda *leaves: jnp.stack(leaves), *states), mesh, len(states))


def spread(state: TrainState, mesh: Mesh, runs: int = 1) -> TrainState:
    """Put a state, or a stack of `runs` states, on the devices of a mesh, as `layout` says."""
    places = jax.tree.map(
        partial(NamedSharding, mesh),
        layout(runs),
        is_leaf=lambda leaf: isinstance(leaf, PartitionSpec),
    )
    return hosts.placed(state, places)


T = TypeVar("T")


def replicate(tree: T, mesh: Mesh) -> T:
    """Put a tree of arrays on every device of a mesh."""
    placed: T = hosts.placed(tree, NamedSharding(mesh, PartitionSpec()))
    return placed
