"""gymnax faces of the environment: `RacingGymnax` for 1.0 and later, `RacingGymnaxFive` before.

    env = RacingGymnax("circuit")
    params = env.default_params
    obs, state = env.reset(key, params)
    obs, state, reward, terminated, truncated, info = env.step(key, state, action, params)

gymnax 1.0 changed `step` from five return values, `(obs, state, reward, done, info)`, to six. rejax
0.1.3, purejaxrl and others still speak five; `RacingGymnaxFive` is the same environment for them.
The package gymnax itself is needed only for its spaces, when a learner asks for them.

`observation` is "telemetry" by default, one flat array as those learners expect it; "vision" is one
uint8 array, and "both" a dictionary for learners that take one.
"""

from typing import Any

import chex
import jax
import jax.numpy as jnp
from flax import struct

from kart_jax.adapters import contract, packages
from kart_jax.env.config import EnvConfig
from kart_jax.env.kart import KartEnv
from kart_jax.env.params import EnvParams
from kart_jax.env.types import EnvState, Observation

SPACES = "gymnax.environments.spaces"


class GymnaxParams(struct.PyTreeNode):
    """What gymnax calls the parameters of the environment."""

    kart: EnvParams  # all of ours, but `limits.episode_time`
    max_steps_in_episode: (
        chex.Numeric
    )  # control steps, truncation; it takes the place of `limits.episode_time`


class _Face:
    """What both faces share; immutable, so it may be a static argument of `jax.jit`."""

    def __init__(
        self,
        track: contract.Track = contract.TRACK,
        *,
        observation: str = "telemetry",
        kart: str = contract.KART,
        config: EnvConfig | None = None,
    ) -> None:
        """Build the environment; nothing is compiled yet.

        Args:
            track: a shipped name, the path of a PNG or a centre-line CSV, several of those, or
                ready `Tracks`.
            observation: "telemetry", "vision" or "both".
            kart: class of the kart.
            config: shapes and rates; its `vision` follows from `observation`.

        Raises:
            InputError: unknown observation, track or class, or a bad file.
        """
        self.core = contract.build(track, kart, observation, config)
        self.observation = observation

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Face":
        """Return itself: nothing in it changes, and a copy would be compiled anew."""
        return self

    @property
    def name(self) -> str:
        """Name of the environment."""
        return type(self).__name__

    @property
    def num_actions(self) -> int:
        """Length of an action."""
        return contract.ACTION.shape[0]

    @property
    def default_params(self) -> GymnaxParams:
        """The environment's own parameters, and its time limit in control steps."""
        params = self.core.default_params
        steps = jnp.round(params.limits.episode_time * self.core.config.control_rate).astype(
            jnp.int32
        )
        return GymnaxParams(kart=params, max_steps_in_episode=steps)

    def action_space(self, params: GymnaxParams | None = None) -> Any:
        """Return the `Box` (2,) in ±1: steering (left positive), throttle (negative = brake)."""
        return contract.box(packages.load(SPACES, self.name), contract.ACTION)

    def observation_space(self, params: GymnaxParams | None = None) -> Any:
        """Return the `Box` of the chosen observation, or the `Dict` of boxes for "both"."""
        return contract.observation_space(
            packages.load(SPACES, self.name), self.core.config, self.observation
        )

    def reset(self, key: chex.PRNGKey, params: GymnaxParams | None = None) -> tuple[Any, EnvState]:
        """Start an episode; returns the chosen observation and the state."""
        params = self.default_params if params is None else params
        observation, state = _reset(self.core, key, params)
        return contract.chosen(observation, self.observation), state

    def _step(
        self, key: chex.PRNGKey, state: EnvState, action: chex.Array, params: GymnaxParams | None
    ) -> tuple[Any, EnvState, chex.Array, chex.Array, chex.Array, dict[str, Any]]:
        """Hold the action (2,) for one control step; returns the six values of gymnax 1.0."""
        params = self.default_params if params is None else params
        observation, state, reward, terminated, truncated, info = _step(
            self.core, key, state, action, params
        )
        news = {
            "terminated": terminated,
            "truncated": truncated,
            "lap_time": info.lap_time,
            "final_observation": contract.chosen(info.final_observation, self.observation),
        }
        return (
            contract.chosen(observation, self.observation),
            state,
            reward,
            terminated,
            truncated,
            news,
        )


class RacingGymnax(_Face):
    """One kart with the interface of gymnax 1.0: six values.

    An episode that ends is followed by a fresh start in the same step.
    """

    def step(
        self,
        key: chex.PRNGKey,
        state: EnvState,
        action: chex.Array,
        params: GymnaxParams | None = None,
    ) -> tuple[Any, EnvState, chex.Array, chex.Array, chex.Array, dict[str, Any]]:
        """Hold the action (2,) for one control step.

        Returns:
            observation, state, reward () float32, terminated () bool, truncated () bool, info:
            `terminated` and `truncated` once more, `lap_time` () s, nan unless a valid lap was
            completed, and `final_observation`, the one reached before any new start.
        """
        return self._step(key, state, action, params)


class RacingGymnaxFive(_Face):
    """One kart with the interface that gymnax had before 1.0: five values.

    `done` is terminated or truncated.
    """

    def step(
        self,
        key: chex.PRNGKey,
        state: EnvState,
        action: chex.Array,
        params: GymnaxParams | None = None,
    ) -> tuple[Any, EnvState, chex.Array, chex.Array, dict[str, Any]]:
        """Hold the action (2,) for one control step.

        Returns:
            observation, state, reward () float32, done () bool, info: `terminated`, `truncated` and
            `lap_time`, but no observation: these learners store the info of every step.
        """
        observation, state, reward, terminated, truncated, info = self._step(
            key, state, action, params
        )
        del info["final_observation"]
        return observation, state, reward, terminated | truncated, info


# Jitted with the environment as an argument, so that a loop in Python is fast too and all instances
# share a program.
@jax.jit
def _reset(core: KartEnv, key: chex.PRNGKey, params: GymnaxParams) -> tuple[Observation, EnvState]:
    return core.reset(key, params.kart)


@jax.jit
def _step(
    core: KartEnv, key: chex.PRNGKey, state: EnvState, action: chex.Array, params: GymnaxParams
):
    kart = params.kart
    episode_time = params.max_steps_in_episode * jnp.float32(core.config.rates.control_dt)
    limits = kart.limits.replace(episode_time=episode_time)
    return core.step(key, state, action, kart.replace(limits=limits))
