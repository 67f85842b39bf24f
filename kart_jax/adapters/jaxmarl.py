"""JaxMARL face of a race: several karts on one circuit, each an agent with a driver of its own.

    env = RacingMARL("circuit", karts=2)
    obs, state = env.reset(key)
    obs, state, rewards, dones, infos = env.step(key, state, {"kart_0": action, "kart_1": action})

Observations, actions, rewards and dones are dictionaries by agent, and `dones["__all__"]` says that
the race is over; the same step then begins a new one. An agent whose kart is out stays done, with
rewards of 0, until then: see `kart_jax.env.core`. The package jaxmarl itself is needed only for
its spaces, when a learner asks for them.
"""

from functools import cached_property
from typing import Any

import chex
import jax
import jax.numpy as jnp

from kart_jax.adapters import contract, packages
from kart_jax.env.config import EnvConfig
from kart_jax.env.core import RaceEnv
from kart_jax.env.params import EnvParams
from kart_jax.env.types import EnvState

SPACES = "jaxmarl.environments.spaces"


class RacingMARL:
    """Karts in one race, with the interface of JaxMARL's `MultiAgentEnv`."""

    def __init__(
        self,
        track: contract.Track = contract.TRACK,
        karts: int = 2,
        *,
        observation: str = "telemetry",
        kart: str = contract.KART,
        config: EnvConfig | None = None,
        params: EnvParams | None = None,
    ) -> None:
        """Build the race; nothing is compiled yet.

        Args:
            track: a shipped name, the path of a PNG or a centre-line CSV, several of those, or
                ready `Tracks`.
            karts: agents, named "kart_0" and so on.
            observation: "telemetry", one flat array an agent, as most learners of JaxMARL expect
                it; "vision", one uint8 array; or "both", a dictionary.
            kart: class of the karts.
            config: shapes and rates; its `vision` follows from `observation`.
            params: traced parameters; those of `kart` have a leading axis (K,), the others are
                shared by all karts. Default those of the environment.

        Raises:
            InputError: unknown observation, track or class, a bad file, or a number of karts that
                does not fit.
        """
        self.core = contract.build_race(track, karts, kart, observation, config)
        self.params = self.core.default_params if params is None else params
        self.observation = observation
        self.num_agents = karts
        self.agents = contract.agents(karts)

    @property
    def name(self) -> str:
        """Name of the environment."""
        return type(self).__name__

    @property
    def agent_classes(self) -> dict[str, list[str]]:
        """All karts are of one class."""
        return {"kart": self.agents}

    @cached_property
    def observation_spaces(self) -> dict[str, Any]:
        """JaxMARL `Box` of the chosen observation, or `Dict` of boxes for "both", by agent."""
        space = contract.observation_space(
            packages.load(SPACES, self.name), self.core.config, self.observation
        )
        return dict.fromkeys(self.agents, space)

    @cached_property
    def action_spaces(self) -> dict[str, Any]:
        """JaxMARL `Box` (2,) in [-1, 1] by agent.

        Steering (left positive) and throttle (negative = brake).
        """
        return dict.fromkeys(
            self.agents, contract.box(packages.load(SPACES, self.name), contract.ACTION)
        )

    def observation_space(self, agent: str) -> Any:
        """Return the space of what an agent observes."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> Any:
        """Return the space of what an agent does."""
        return self.action_spaces[agent]

    def reset(self, key: chex.PRNGKey) -> tuple[dict[str, Any], EnvState]:
        """Start a race; returns the chosen observation of every agent, and the state."""
        observation, state = _reset(self.core, key, self.params)
        return self._by_agent(contract.chosen(observation, self.observation)), state

    def step(
        self, key: chex.PRNGKey, state: EnvState, actions: dict[str, chex.Array]
    ) -> tuple[
        dict[str, Any],
        EnvState,
        dict[str, chex.Array],
        dict[str, chex.Array],
        dict[str, chex.Array],
    ]:
        """Hold the actions (2,) of all agents for one control step.

        Those of agents that are done are ignored.

        Returns:
            observations, state, rewards () float32 and dones () bool by agent, the latter with
            "__all__" too, and infos, each (K,) in the order of `agents`: `truncated` bool, and
            `lap_time` in s, nan unless a valid lap was completed.
        """
        stacked = jnp.stack([actions[agent] for agent in self.agents])
        observation, state, reward, terminated, truncated, info = _step(
            self.core, key, state, stacked, self.params
        )
        ended = terminated | truncated
        dones = self._by_agent(ended) | {"__all__": jnp.all(ended)}
        infos = {"truncated": truncated, "lap_time": info.lap_time}
        observed = self._by_agent(contract.chosen(observation, self.observation))
        return observed, state, self._by_agent(reward), dones, infos

    def _by_agent(self, values: Any) -> dict[str, Any]:
        """Split values with a leading axis (K,) into a dictionary by agent."""
        return {
            agent: jax.tree.map(lambda leaf, i=i: leaf[i], values)
            for i, agent in enumerate(self.agents)
        }


# Jitted with the environment as an argument, so that a loop in Python is fast too and all instances
# share a program.
@jax.jit
def _reset(core: RaceEnv, key: chex.PRNGKey, params: EnvParams):
    return core.reset(key, params)


@jax.jit
def _step(
    core: RaceEnv, key: chex.PRNGKey, state: EnvState, actions: chex.Array, params: EnvParams
):
    *result, info = core.step(key, state, actions, params)
    return *result, info.replace(
        final_observation=None
    )  # nobody reads it, so its picture is not drawn
