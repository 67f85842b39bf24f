"""A step of the environment as users write it, on one device.

Each way drives the same batch of karts with the same actions. The environment is an argument of the
jitted function, or closed over, or closed over by a scan; or it is one of the adapters, driven as
the learners it is made for drive theirs: closed over by a jitted function of the user's own.

All these functions are compiled with `kart_jax.compiler_options()`, so that the ways are compared
and not the options; only `RacingVectorEnv` compiles its own step, without them. `RacingEnvVision`
drives one kart and `RacingParallelEnv` one race at a time: they have no batch to compare.
"""

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

import kart_jax
from kart_jax.adapters.brax import BraxState, RacingBrax
from kart_jax.adapters.gymnax import RacingGymnax, RacingGymnaxFive
from kart_jax.adapters.jaxmarl import RacingMARL

SCAN_STEPS = 16
AGENTS_PER_RACE = 2  # of JaxMARL's agents

Step = Callable[[Any], tuple[Any, Any]]  # what is carried -> the same a step later, what is read


@dataclasses.dataclass(frozen=True)
class Task:
    """What every way drives."""

    track: str
    karts: int
    frame_stack: int
    """Pictures per observation; 0 = telemetry only."""

    @property
    def observation(self) -> str:
        """What the adapters call it."""
        return "both" if self.frame_stack else "telemetry"

    @property
    def config(self) -> kart_jax.EnvConfig:
        """Shapes of the environment."""
        return kart_jax.EnvConfig(vision=self.frame_stack > 0, frame_stack=max(self.frame_stack, 1))

    @property
    def action(self) -> jax.Array:
        """Actions (karts, 2), held throughout."""
        shape = (self.karts, 2)
        return jax.random.uniform(jax.random.key(1), shape, minval=-0.3, maxval=0.6)

    @property
    def reset_keys(self) -> jax.Array:
        """One key (karts,) for each environment."""
        return jax.random.split(jax.random.key(0), self.karts)


@dataclasses.dataclass(frozen=True)
class UserLoop:
    """A loop of a user's."""

    name: str
    call: Callable[[], Any]
    """Goes on from call to call; returns what to wait for."""
    steps: int
    """Control steps of one kart that a call takes."""


def native(task: Task) -> Iterator[UserLoop]:
    """Yield the native environment as an argument, closed over, and closed over in a scan."""
    env = kart_jax.make(task.track, config=task.config)
    params = env.default_params
    action = task.action
    reset = jax.jit(kart_jax.reset_batch, static_argnames="count")
    obs, state = reset(env, jax.random.key(0), params, count=task.karts)
    start = (jax.random.key(2), state, obs)

    as_argument = _compile(_step_native)
    yield _loop("env as an argument", task, partial(as_argument, env, params, action), start)

    closed_over = partial(_step_native, env, params, action)
    yield _loop("env closed over", task, _compile(closed_over), start)

    def scan(carry: Any) -> tuple[Any, Any]:
        return jax.lax.scan(lambda carry, _: closed_over(carry), carry, length=SCAN_STEPS)

    loop = _loop(f"env closed over, scan of {SCAN_STEPS}", task, _compile(scan), start)
    yield dataclasses.replace(loop, steps=SCAN_STEPS * task.karts)


def gymnax(task: Task) -> Iterator[UserLoop]:
    """Yield gymnax's interface of six values, and that of five, as purejaxrl drives it."""
    for make in (RacingGymnax, RacingGymnaxFive):
        env = make(task.track, observation=task.observation, config=task.config)
        params = env.default_params
        action = task.action

        def step(carry: Any, env: Any = env, params: Any = params, action: Any = action) -> Any:
            key, state, _ = carry
            key, step_key = jax.random.split(key)
            keys = jax.random.split(step_key, task.karts)
            obs, state, *outcome, info = jax.vmap(env.step, in_axes=(0, 0, 0, None))(
                keys, state, action, params
            )
            return (key, state, obs), (*outcome, info["lap_time"])

        obs, state = jax.vmap(env.reset, in_axes=(0, None))(task.reset_keys, params)
        yield _loop(make.__name__, task, _compile(step), (jax.random.key(2), state, obs))


def brax(task: Task) -> Iterator[UserLoop]:
    """Yield brax's interface, whose state carries all."""
    env = RacingBrax(task.track, observation=task.observation, config=task.config)
    action = task.action

    @_compile
    def step(state: BraxState) -> tuple[BraxState, Any]:
        state = jax.vmap(env.step)(state, action)
        return state, (state.reward, state.done)

    yield _loop("RacingBrax", task, step, jax.jit(jax.vmap(env.reset))(task.reset_keys))


def jaxmarl(task: Task) -> Iterator[UserLoop]:
    """Yield JaxMARL's interface, with two karts in a race."""
    races = max(task.karts // AGENTS_PER_RACE, 1)
    env = RacingMARL(task.track, AGENTS_PER_RACE, observation=task.observation, config=task.config)
    actions = {agent: jnp.resize(task.action, (races, 2)) for agent in env.agents}

    @_compile
    def step(carry: Any) -> tuple[Any, Any]:
        key, state, _ = carry
        key, step_key = jax.random.split(key)
        keys = jax.random.split(step_key, races)
        obs, state, rewards, dones, _ = jax.vmap(env.step)(keys, state, actions)
        return (key, state, obs), (rewards, dones)

    obs, state = jax.jit(jax.vmap(env.reset))(jax.random.split(jax.random.key(0), races))
    loop = _loop(
        f"RacingMARL, races of {AGENTS_PER_RACE}", task, step, (jax.random.key(2), state, obs)
    )
    yield dataclasses.replace(loop, steps=races * AGENTS_PER_RACE)


def gymnasium(task: Task) -> Iterator[UserLoop]:
    """Yield Gymnasium's vector interface, whose every value comes to the host; pictures only."""
    if not task.frame_stack:
        return
    from kart_jax.adapters.gymnasium import RacingVectorEnv

    env = RacingVectorEnv(task.karts, task.track, telemetry_history=1, frame_stack=task.frame_stack)
    env.reset(seed=0)
    action = jax.device_get(task.action)
    yield UserLoop("RacingVectorEnv", partial(env.step, action), task.karts)


WAYS: dict[str, Callable[[Task], Iterator[UserLoop]]] = {
    "native": native,
    "gymnax": gymnax,
    "brax": brax,
    "jaxmarl": jaxmarl,
    "gymnasium": gymnasium,
}


def _compile(function: Callable[..., Any]) -> Callable[..., Any]:
    """Jit a function with the same compiler options for every way."""
    return jax.jit(function, compiler_options=kart_jax.compiler_options())


def _step_native(
    env: kart_jax.KartEnv, params: kart_jax.EnvParams, action: jax.Array, carry: Any
) -> tuple[Any, Any]:
    """Step a batch; key, state and observation are carried, what a learner reads is returned."""
    key, state, _ = carry
    key, step_key = jax.random.split(key)
    obs, state, *outcome, info = kart_jax.step_batch(env, step_key, state, action, params)
    return (key, state, obs), (*outcome, info.lap_time)


def _loop(name: str, task: Task, step: Step, start: Any) -> UserLoop:
    """Return a loop that calls a compiled step again and again, from `start` on."""
    carry = start

    def call() -> Any:
        nonlocal carry
        carry, read = step(carry)
        return carry, read

    return UserLoop(name, call, task.karts)
