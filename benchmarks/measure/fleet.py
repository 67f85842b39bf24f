"""A batch of karts to be stepped part by part: physics, + telemetry and rules, + view."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import kart_jax
from kart_jax.devices import KARTS
from kart_jax.env.actions import controls
from kart_jax.env.batch import Env, step_part
from kart_jax.env.core import RaceEnv
from kart_jax.env.kart import KartEnv
from kart_jax.env.params import EnvParams
from kart_jax.env.types import EnvState
from kart_jax.race.params import RaceParams, per_kart
from kart_jax.race.step import step as race_step
from kart_jax.race.types import RaceState

PARTS = ("physics", "telemetry", "vision")
SHARED = PartitionSpec()
SPLIT = PartitionSpec(KARTS)
KEYS = 64  # for that many steps, then again from the first

Part = Callable[[KartEnv, jax.Array, EnvState, jax.Array, EnvParams], tuple[EnvState, Any]]


def drive_physics(
    env: KartEnv, key: jax.Array, state: EnvState, action: jax.Array, params: EnvParams
) -> tuple[EnvState, Any]:
    """Drive the karts (B, ...) of this device one control step, and nothing else."""
    race_params = RaceParams(per_kart(params.kart, 1), params.ground, params.air, params.rules)

    def drive(race: RaceState, action: jax.Array) -> RaceState:
        return race_step(race, controls(action[None]), env.tracks, race_params, env.config.rates)

    return state.replace(race=jax.vmap(drive)(state.race, action)), ()


def step_env(
    env: Env, key: jax.Array, state: EnvState, action: jax.Array, params: EnvParams
) -> tuple[EnvState, Any]:
    """Step the environments (B, ...) of this device; all that a learner reads is returned."""
    obs, state, reward, terminated, truncated, info = step_part(
        env, key, state, action, params, axis=KARTS
    )
    return state, (obs, reward, terminated, truncated, info.cause)


@dataclasses.dataclass
class Fleet:
    """A batch of environments on the devices of a mesh."""

    mesh: Mesh
    env: Any  # `KartEnv` or `RaceEnv`
    params: EnvParams
    state: EnvState  # (B, ...)
    action: jax.Array  # (B, 2), of races (B, K, 2)
    keys: list[jax.Array]

    @property
    def size(self) -> int:
        """Karts of all environments together."""
        return self.action.size // 2


def make(track: str, karts: int, frame_stack: int, mesh: Mesh) -> Fleet:
    """Put `karts` karts at random places of a circuit; `frame_stack` 0 = without the view."""
    config = kart_jax.EnvConfig(vision=frame_stack > 0, frame_stack=max(frame_stack, 1))
    return populate(kart_jax.make(track, config=config), karts, mesh)


def populate(env: Env, count: int, mesh: Mesh) -> Fleet:
    """Start `count` environments and choose random actions for them."""
    shared = NamedSharding(mesh, SHARED)
    env = jax.device_put(env, shared)
    params = jax.device_put(env.default_params, shared)

    reset = jax.jit(kart_jax.reset_batch, static_argnames=("count", "mesh"))
    _, state = reset(env, jax.random.key(0), params, count=count, mesh=mesh)

    shape = (count, env.config.karts, 2) if isinstance(env, RaceEnv) else (count, 2)
    action = jax.random.uniform(jax.random.key(1), shape, minval=-0.3, maxval=0.6)
    action = jax.device_put(action, NamedSharding(mesh, SPLIT))
    keys = [jax.device_put(key, shared) for key in jax.random.split(jax.random.key(2), KEYS)]
    return Fleet(mesh, env, params, state, action, keys)


def on_mesh(part: Callable, mesh: Mesh) -> Callable:
    """Return a part that runs on every device of the mesh, with its share of the karts."""
    specs = (SHARED, SHARED, SPLIT, SPLIT, SHARED)
    return partial(jax.shard_map, mesh=mesh, in_specs=specs, out_specs=SPLIT, check_vma=False)(part)


def lower(fleet: Fleet, part: str) -> jax.stages.Lowered:
    """Trace the program of one control step."""
    step = on_mesh(drive_physics if part == "physics" else step_env, fleet.mesh)
    program = jax.jit(step, donate_argnums=2, compiler_options=kart_jax.compiler_options())
    return program.lower(fleet.env, fleet.keys[0], fleet.state, fleet.action, fleet.params)


def stepper(fleet: Fleet, compiled: jax.stages.Compiled) -> Callable[[], Any]:
    """Return a function that takes one step further each time and returns what to wait for.

    The state of the fleet is used up.
    """
    count = 0

    def step() -> Any:
        nonlocal count
        key = fleet.keys[count % KEYS]
        count += 1
        fleet.state, read = compiled(fleet.env, key, fleet.state, fleet.action, fleet.params)
        return fleet.state, read

    return step
