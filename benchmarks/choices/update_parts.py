"""The parts of a training update, each as a program of its own with the sizes of the run.

Every part does its work for one roll-out of T steps of B karts inside `jax.lax.scan`, as the update
does it, on the mesh of the run. No input of a network stays the same from step to step, or the
compiler would take it out of the loop.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import world
from flax import nnx
from jax.sharding import PartitionSpec
from learner import Learner

from kart_jax.devices import KARTS
from train.networks import actor_critic
from train.ppo import rollout
from train.ppo.train_state import partition_specs
from train.ppo.update import chunk

SHARED = PartitionSpec()
OVER_STEPS = PartitionSpec(None, KARTS)  # of arrays (T, B, ...)


def _map(run: Learner, part: Callable, in_specs: tuple, out_specs: Any) -> Callable:
    """`part` on every device of the run's mesh, compiled."""
    return jax.jit(
        jax.shard_map(part, mesh=run.mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False)
    )


def stepping(run: Learner, part: Callable) -> Callable[[], Any]:
    """T steps of a part of the environment, see `world`, without a network."""
    steps, karts = run.settings.ppo.rollout_steps, run.settings.ppo.vector_envs
    batch = world.of(run.env, karts, run.mesh)

    def drive(env: Any, state: Any, action: jax.Array, params: Any) -> Any:
        def step(carry: Any, key: jax.Array) -> tuple[Any, None]:
            state, _ = carry
            return part(env, key, state, action, params), None

        keys = jax.random.split(jax.random.key(0), steps)
        shapes = jax.eval_shape(part, env, keys[0], state, action, params)[1]
        read = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), shapes)
        return jax.lax.scan(step, (state, read), keys)[0]

    split = world.SPLIT
    program = _map(run, drive, (SHARED, split, split, SHARED), split)
    return lambda: program(batch.env, batch.state, batch.action, batch.params)


def without_view(run: Learner) -> Learner:
    """The run with an environment that draws nothing."""
    config = dataclasses.replace(run.env.config, vision=False, frame_stack=1)
    return dataclasses.replace(run, env=dataclasses.replace(run.env, config=config, scene=None))


def rows(observation: actor_critic.Observation, count: int) -> actor_critic.Observation:
    """Observations (B, ...) repeated until there are `count`."""
    return jax.tree.map(
        lambda x: jnp.tile(x, (-(-count // x.shape[0]), *[1] * (x.ndim - 1)))[:count], observation
    )


def part_of(
    observation: actor_critic.Observation, first: jax.Array, count: int
) -> actor_critic.Observation:
    """`count` observations from the one of number `first` on."""
    return jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, first, count), observation)


def forward(run: Learner) -> Callable[[], Any]:
    """The network's T passes over B observations."""
    steps = run.settings.ppo.rollout_steps

    def infer(params: nnx.State, observation: actor_critic.Observation) -> jax.Array:
        network = nnx.merge(run.graph, params)
        karts = observation["telemetry"].shape[0]
        many = rows(observation, karts + steps)

        def step(sums: jax.Array, first: jax.Array) -> tuple[jax.Array, None]:
            mean, _, value = network(network.encode_frozen(part_of(many, first, karts)))
            return sums + jnp.sum(mean) + jnp.sum(value), None

        return jax.lax.scan(step, jnp.float32(0.0), jnp.arange(steps))[0][None]

    program = _map(run, infer, (SHARED, world.SPLIT), world.SPLIT)
    return lambda: program(run.state.params, run.state.observation)


def backward(run: Learner) -> Callable[[], Any]:
    """As many forward and backward passes over a minibatch as an update takes; each moves the
    parameters a little."""
    ppo = run.settings.ppo
    steps, size = ppo.epochs * ppo.minibatches, ppo.minibatch_size // run.mesh.size

    def descend(params: nnx.State, observation: actor_critic.Observation) -> nnx.State:
        learning, frozen = actor_critic.split_frozen(params)
        encoded = nnx.merge(run.graph, params).encode_frozen(
            observation
        )  # a frozen encoder looks once, in the roll-out
        many = rows(encoded, size + steps)

        def loss(learning: nnx.State, seen: actor_critic.Observation) -> jax.Array:
            mean, log_std, value = nnx.merge(run.graph, learning, frozen)(seen)
            return jnp.mean(mean**2) + jnp.mean(value**2) + jnp.sum(log_std)

        def step(learning: nnx.State, first: jax.Array) -> tuple[nnx.State, None]:
            gradient = jax.grad(loss)(learning, part_of(many, first, size))
            return jax.tree.map(lambda p, g: p - 1e-6 * g, learning, gradient), None

        moved = jax.lax.scan(step, learning, jnp.arange(steps))[0]
        return jax.tree.map(lambda x: x[None], moved)

    program = _map(run, descend, (SHARED, world.SPLIT), world.SPLIT)
    return lambda: program(run.state.params, run.state.observation)


def roll_out(run: Learner) -> Callable[[], Any]:
    """Driving T steps with the network, everything kept that an update needs."""
    ppo = run.settings.ppo

    def drive(env: Any, state: Any) -> Any:
        key = jax.random.fold_in(state.key, state.update)
        step_keys = jax.random.split(key, ppo.rollout_steps)
        return rollout.collect_trajectories(
            step_keys, run.graph, env, state, run.hyper.gamma, KARTS
        )

    program = _map(run, drive, (SHARED, partition_specs()), (partition_specs(), OVER_STEPS))
    return lambda: program(run.env, run.state)


def update(run: Learner) -> Callable[[], Any]:
    """The compiled chunk of updates of `kart train`; goes on from call to call and uses the run's
    state up."""

    def step() -> Any:
        run.state, told = chunk(
            run.graph, run.env, run.settings.ppo.shape, run.hyper, run.state, run.mesh
        )
        return run.state, told

    return step
