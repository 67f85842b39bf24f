"""The parts of a training update, each as a program of its own with the sizes of the run.

Every part does its work for one roll-out of T steps of B karts inside `jax.lax.scan`, as the update
does it, on the mesh of the run. No input of a network stays the same from step to step, or the
compiler would take it out of the loop.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import PartitionSpec

from kart_jax.devices import KARTS
from train.networks import actor_critic
from train.ppo import rollout
from train.ppo.train_state import TrainState, partition_specs

from ..measure import fleet
from ..measure.fleet import SHARED, SPLIT
from ..measure.learner import Learner

OVER_STEPS = PartitionSpec(None, KARTS)  # of arrays (T, B, ...)


def stepping(run: Learner, part: fleet.Part) -> Callable[[], Any]:
    """Return T steps of a part of the environment, see `fleet`, without a network."""
    steps = run.config.ppo.rollout_steps
    karts = fleet.populate(run.env, run.config.ppo.vector_envs, run.mesh)

    def drive(env: Any, state: Any, action: jax.Array, params: Any) -> Any:
        def step(carry: Any, key: jax.Array) -> tuple[Any, None]:
            state, _ = carry
            return part(env, key, state, action, params), None

        keys = jax.random.split(jax.random.key(0), steps)
        shapes = jax.eval_shape(part, env, keys[0], state, action, params)[1]
        read = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), shapes)
        return jax.lax.scan(step, (state, read), keys)[0]

    program = _on_mesh(run, drive, (SHARED, SPLIT, SPLIT, SHARED), SPLIT)
    return lambda: program(karts.env, karts.state, karts.action, karts.params)


def without_view(run: Learner) -> Learner:
    """Return the run with an environment that draws nothing."""
    core = run.env.core
    config = dataclasses.replace(core.config, vision=False, frame_stack=1)
    return dataclasses.replace(
        run, env=run.env.replace(core=core.replace(config=config, scene=None))
    )


def forward(run: Learner) -> Callable[[], Any]:
    """Return the network's T passes over B observations."""
    steps = run.config.ppo.rollout_steps

    def infer(params: nnx.State, observation: actor_critic.Observation) -> jax.Array:
        network = nnx.merge(run.graph, params)
        karts = observation["telemetry"].shape[0]
        many = _repeat(observation, karts + steps)

        def step(sums: jax.Array, first: jax.Array) -> tuple[jax.Array, None]:
            mean, _, value = network(network.encode_frozen(_slice(many, first, karts)))
            return sums + jnp.sum(mean) + jnp.sum(value), None

        return jax.lax.scan(step, jnp.float32(0.0), jnp.arange(steps))[0][None]

    program = _on_mesh(run, infer, (SHARED, SPLIT), SPLIT)
    return lambda: program(run.state.params, run.state.observation)


def backward(run: Learner) -> Callable[[], Any]:
    """Return as many forward and backward passes over a minibatch as an update takes.

    Each moves the parameters a little.
    """
    ppo = run.config.ppo
    steps = ppo.epochs * ppo.minibatches
    size = ppo.minibatch_size // run.mesh.size

    def descend(params: nnx.State, observation: actor_critic.Observation) -> nnx.State:
        learning, frozen = actor_critic.split_frozen(params)
        # A frozen encoder looks once, in the roll-out.
        encoded = nnx.merge(run.graph, params).encode_frozen(observation)
        many = _repeat(encoded, size + steps)

        def loss(learning: nnx.State, seen: actor_critic.Observation) -> jax.Array:
            mean, log_std, value = nnx.merge(run.graph, learning, frozen)(seen)
            return jnp.mean(mean**2) + jnp.mean(value**2) + jnp.sum(log_std)

        def step(learning: nnx.State, first: jax.Array) -> tuple[nnx.State, None]:
            gradient = jax.grad(loss)(learning, _slice(many, first, size))
            return jax.tree.map(lambda p, g: p - 1e-6 * g, learning, gradient), None

        moved = jax.lax.scan(step, learning, jnp.arange(steps))[0]
        return jax.tree.map(lambda x: x[None], moved)

    program = _on_mesh(run, descend, (SHARED, SPLIT), SPLIT)
    return lambda: program(run.state.params, run.state.observation)


def roll_out(run: Learner) -> Callable[[], Any]:
    """Return T steps driven with the network, everything kept that an update needs."""
    steps = run.config.ppo.rollout_steps

    def drive(env: Any, state: TrainState) -> Any:
        key = jax.random.fold_in(state.key, state.update)
        step_keys = jax.random.split(key, steps)
        gamma = run.hyperparameters.gamma
        return rollout.collect_trajectories(step_keys, run.graph, env, state, gamma, KARTS)

    specs = partition_specs()
    program = _on_mesh(run, drive, (SHARED, specs), (specs, OVER_STEPS))
    return lambda: program(run.env, run.state)


def _on_mesh(run: Learner, part: Callable, in_specs: tuple, out_specs: Any) -> Callable:
    """Return `part` on every device of the run's mesh, compiled when it is first called."""
    return jax.jit(
        jax.shard_map(part, mesh=run.mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False)
    )


def _repeat(observation: actor_critic.Observation, count: int) -> actor_critic.Observation:
    """Repeat observations (B, ...) until there are `count`."""

    def repeat(x: jax.Array) -> jax.Array:
        times = -(-count // x.shape[0])
        return jnp.tile(x, (times, *[1] * (x.ndim - 1)))[:count]

    return jax.tree.map(repeat, observation)


def _slice(
    observation: actor_critic.Observation, first: jax.Array, count: int
) -> actor_critic.Observation:
    """Take `count` observations from the one of number `first` on."""
    return jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, first, count), observation)
