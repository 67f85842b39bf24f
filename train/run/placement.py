"""Where the arrays of a run lie: the mesh of its devices, and the state spread over it."""

from collections.abc import Sequence
from functools import partial
from typing import TypeVar

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from kart_jax.devices import kart_mesh
from kart_jax.env.batch import reset_batch
from kart_jax.env.kart import KartEnv
from kart_jax.errors import InputError
from train.networks import actor_critic, resnet
from train.ppo import minibatches, return_scale
from train.ppo.train_state import TrainState, partition_specs
from train.run import hosts
from train.run.config import RunConfig
from train.run.network import build_network

T = TypeVar("T")


def choose_mesh(wanted: int | None, shards: int) -> Mesh:
    """Choose the devices of a run.

    Args:
        wanted: devices that are asked for; None = as many as there are and can share the groups.
        shards: groups of karts of the run, which its devices share.

    Returns:
        The mesh. InputError when the groups cannot be shared so.
    """
    there = jax.device_count()
    if hosts.several() and (shards % there or wanted not in (None, there)):
        raise InputError(
            f"the run has {shards} groups of karts, --devices is {wanted} and the hosts have "
            f"{there} devices; several hosts use all their devices, so begin a new run on them"
        )
    if wanted is None:
        return kart_mesh(
            max(count for count in range(1, min(there, shards) + 1) if shards % count == 0)
        )
    if shards % wanted:
        raise InputError(
            f"--devices is {wanted}; it must divide the {shards} groups of karts of the run"
        )
    return kart_mesh(wanted)


def initial_state(
    env: KartEnv, config: RunConfig, mesh: Mesh, weights: resnet.Weights | None = None
) -> tuple[nnx.GraphDef[actor_critic.ActorCritic], TrainState]:
    """Draw network and karts of a run before its first update.

    Returns:
        Static graph of the network, and the state on the mesh. `weights` as in `build_network`.
    """
    network_key, reset_key, run_key = jax.random.split(jax.random.key(config.seed), 3)
    graph, params = build_network(config.network, network_key, weights)

    karts = config.ppo.vector_envs
    reset = jax.jit(reset_batch, static_argnames=("count", "mesh"))
    observation, env_state = reset(env, reset_key, env.default_params, count=karts, mesh=mesh)

    trainable, _ = actor_critic.split_frozen(params)
    state = TrainState(
        params=params,
        opt_state=minibatches.optimiser(config.ppo.max_grad_norm).init(trainable),
        scale=return_scale.initial_scale(),
        env_state=env_state,
        observation=observation,
        discounted_return=jnp.zeros((karts,)),
        key=run_key,
        update=jnp.int32(0),
    )
    return graph, spread(state, mesh)


def stack(states: Sequence[TrainState], mesh: Mesh) -> TrainState:
    """Stack the states of several runs into one, spread over the mesh."""
    return spread(jax.tree.map(lambda *leaves: jnp.stack(leaves), *states), mesh, len(states))


def spread(state: TrainState, mesh: Mesh, runs: int = 1) -> TrainState:
    """Put a state, or a stack of `runs` states, on a mesh, as `partition_specs` says."""
    places = jax.tree.map(
        partial(NamedSharding, mesh),
        partition_specs(runs),
        is_leaf=lambda leaf: isinstance(leaf, PartitionSpec),
    )
    return hosts.place(state, places)


def replicate(tree: T, mesh: Mesh) -> T:
    """Put a tree of arrays on every device of a mesh."""
    placed: T = hosts.place(tree, NamedSharding(mesh, PartitionSpec()))
    return placed
