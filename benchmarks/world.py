"""A batch of karts to be stepped by benchmarks, part by part: physics, + telemetry and rules, +
view."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import kart_jax
from kart_jax.devices import KARTS
from kart_jax.env.batch import step_part
from kart_jax.env.core import KartEnv, controls
from kart_jax.env.params import EnvParams
from kart_jax.env.types import EnvState
from kart_jax.race.step import step as race_step

PARTS = ("physics", "telemetry", "vision")
SHARED, SPLIT = PartitionSpec(), PartitionSpec(KARTS)
KEYS = 64  # for that many steps, then again from the first

Part = Callable[[KartEnv, jax.Array, EnvState, jax.Array, EnvParams], tuple[EnvState, Any]]


def physics(
    env: KartEnv, key: jax.Array, state: EnvState, action: jax.Array, params: EnvParams
) -> tuple[EnvState, Any]:
    """The karts (B, ...) of this device driven one control step, and nothing else."""
    config = env.config

    def one(race: Any, act: jax.Array) -> Any:
        return race_step(
            race, controls(act[None]), env.tracks, params.kart, config.physics_dt, config.substeps
        )

    return dataclasses.replace(state, race=jax.vmap(one)(state.race, action)), ()


def whole(
    env: KartEnv, key: jax.Array, state: EnvState, action: jax.Array, params: EnvParams
) -> tuple[EnvState, Any]:
    """A step of the environment, all of which a learner reads, for the karts (B, ...) of this
    device."""
    obs, state, gained, terminated, truncated, info = step_part(
        env, key, state, action, params, axis=KARTS
    )
    return state, (obs, gained, terminated, truncated, info.cause)


@dataclasses.dataclass
class World:
    """A batch on the devices of a mesh."""

    mesh: Mesh
    env: KartEnv
    params: EnvParams
    state: EnvState  # (B, ...)
    action: jax.Array  # (B, 2)
    keys: list[jax.Array]

    @property
    def karts(self) -> int:
        """B."""
        return self.action.shape[0]


def make(track: str, karts: int, frame_stack: int, mesh: Mesh) -> World:
    """`karts` karts at random places of a circuit; `frame_stack` 0 = without the view."""
    config = kart_jax.EnvConfig(vision=frame_stack > 0, frame_stack=max(frame_stack, 1))
    return of(kart_jax.make(track, config=config), karts, mesh)


def of(env: KartEnv, karts: int, mesh: Mesh) -> World:
    """`karts` karts of an environment, with random actions."""
    shared, split = NamedSharding(mesh, SHARED), NamedSharding(mesh, SPLIT)
    env = jax.device_put(env, shared)
    params = jax.device_put(env.default_params, shared)
    reset = jax.jit(kart_jax.reset_batch, static_argnames=("count", "mesh"))
    _, state = reset(env, jax.random.key(0), params, count=karts, mesh=mesh)
    action = jax.random.uniform(jax.random.key(1), (karts, 2), minval=-0.3, maxval=0.6)
    keys = [jax.device_put(key, shared) for key in jax.random.split(jax.random.key(2), KEYS)]
    return World(mesh, env, params, state, jax.device_put(action, split), keys)


def split(part: Callable, mesh: Mesh) -> Callable:
    """A part on every device of the mesh, with its share of the karts."""
    specs = (SHARED, SHARED, SPLIT, SPLIT, SHARED)
    return partial(jax.shard_map, mesh=mesh, in_specs=specs, out_specs=SPLIT, check_vma=False)(part)


def lower(world: World, part: str) -> jax.stages.Lowered:
    """The traced program of one control step."""
    driven = split(physics if part == "physics" else whole, world.mesh)
    program = jax.jit(driven, donate_argnums=2, compiler_options=kart_jax.compiler_options())
    return program.lower(world.env, world.keys[0], world.state, world.action, world.params)


def stepper(world: World, compiled: jax.stages.Compiled) -> Callable[[], Any]:
    """A function that takes one step further each time and returns what to wait for; the world's
    state is used up."""
    count = 0

    def step() -> Any:
        nonlocal count
        key = world.keys[count % KEYS]
        count += 1
        world.state, read = compiled(world.env, key, world.state, world.action, world.params)
        return world.state, read

    return step
