"""PettingZoo face of a race: several karts on one circuit, each an agent with a driver of its own.

    env = RacingParallelEnv("circuit", karts=2)
    observations, infos = env.reset(seed=0)
    actions = {agent: env.action_space(agent).sample() for agent in env.agents}
    observations, rewards, terminations, truncations, infos = env.step(actions)

An agent whose kart is out leaves `agents`; the race is over when none is left, and `reset` must
follow: see `kart_jax.env.core`. Needs the package pettingzoo. Every value that leaves is NumPy.
"""

from typing import Any

import jax
import numpy as np

from kart_jax.adapters import contract, packages
from kart_jax.env.config import EnvConfig
from kart_jax.env.core import RaceEnv
from kart_jax.env.params import EnvParams
from kart_jax.errors import InputError

# The base class is needed as soon as the class below is made: learners ask for it with
# `isinstance`.
_ParallelEnv = packages.load("pettingzoo", "RacingParallelEnv").ParallelEnv
_spaces = packages.load("gymnasium.spaces", "RacingParallelEnv")


class RacingParallelEnv(_ParallelEnv):
    """Karts in one race, with PettingZoo's parallel interface."""

    metadata = {"name": "kart_race_v0", "render_modes": [], "is_parallelizable": True}  # noqa: RUF012
    render_mode = None

    def __init__(
        self,
        track: contract.Track = contract.TRACK,
        karts: int = 2,
        *,
        observation: str = "both",
        kart: str = contract.KART,
        config: EnvConfig | None = None,
        params: EnvParams | None = None,
    ) -> None:
        """Build the race; nothing is compiled before the first `reset`.

        Args:
            track: a shipped name, the path of a PNG or a centre-line CSV, several of those, or
                ready `Tracks`.
            karts: agents, named "kart_0" and so on.
            observation: "both", a dictionary of "vision" and "telemetry"; or one of them alone, as
                one array.
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
        self.possible_agents = contract.agents(karts)
        self.agents: list[str] = []
        # One space an agent, always the same object: each has a random state of its own.
        self.observation_spaces = {
            agent: contract.observation_space(_spaces, self.core.config, observation)
            for agent in self.possible_agents
        }
        self.action_spaces = {
            agent: contract.box(_spaces, contract.ACTION) for agent in self.possible_agents
        }
        self._random = np.random.default_rng()
        self._state = None

    def observation_space(self, agent: str) -> Any:
        """Return the Gymnasium space of what an agent observes."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> Any:
        """Return the Gymnasium `Box` (2,) in [-1, 1] of what an agent does.

        Steering (left positive) and throttle (negative = brake).
        """
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Start a race with all karts.

        Args:
            seed: makes this and the following races repeatable.
            options: none are known; given ones are ignored, as PettingZoo asks.
        """
        if seed is not None:
            self._random = np.random.default_rng(seed)
        key = jax.random.key(int(self._random.integers(2**31)))
        observation, self._state = _reset(self.core, key, self.params)
        self.agents = list(self.possible_agents)
        return self._observed(observation), {agent: {} for agent in self.agents}

    def step(
        self, actions: dict[str, np.ndarray]
    ) -> tuple[
        dict[str, Any],
        dict[str, float],
        dict[str, bool],
        dict[str, bool],
        dict[str, dict[str, Any]],
    ]:
        """Hold the action (2,) of each agent that is left for one control step of 0.04 s.

        Returns:
            Observations, rewards, terminations, truncations and infos of the agents that drove this
            step. An info has `off_track`, `lap_time` when a valid lap was completed, and `cause`
            and `episode` at the end.

        Raises:
            InputError: the race is over or has not begun, or an agent's action is missing.
        """
        driving = self.agents
        if not driving:
            raise InputError("there is no race under way; call reset() before step()")
        if missing := [agent for agent in driving if agent not in actions]:
            raise InputError(
                f"the action of {', '.join(missing)} is missing; give one for each of "
                f"{', '.join(driving)}"
            )
        stacked = np.zeros((len(self.possible_agents), *contract.ACTION.shape), np.float32)
        for index, agent in enumerate(self.possible_agents):
            if agent in driving:
                stacked[index] = actions[agent]
        observation, self._state, *outcome = _advance(self.core, self._state, stacked, self.params)
        reward, terminated, truncated, info = jax.device_get(outcome)
        ended = terminated | truncated
        indices = {
            agent: index for index, agent in enumerate(self.possible_agents) if agent in driving
        }
        infos = {
            agent: contract.make_info(jax.tree.map(lambda leaf, i=i: leaf[i], info), bool(ended[i]))
            for agent, i in indices.items()
        }
        observed = self._observed(observation)
        self.agents = [agent for agent, i in indices.items() if not ended[i]]
        return (
            observed,
            {agent: float(reward[i]) for agent, i in indices.items()},
            {agent: bool(terminated[i]) for agent, i in indices.items()},
            {agent: bool(truncated[i]) for agent, i in indices.items()},
            infos,
        )

    def render(self) -> None:
        """Draw nothing: `render_modes` is empty."""

    def close(self) -> None:
        """Do nothing: there is nothing to close."""

    def _observed(self, observation: dict[str, jax.Array]) -> dict[str, Any]:
        """Return the chosen observation of each agent that is left, as fresh NumPy arrays."""
        host = jax.device_get(contract.chosen(observation, self.observation))
        return {
            agent: jax.tree.map(lambda leaf, i=i: leaf[i].copy(), host)
            for i, agent in enumerate(self.possible_agents)
            if agent in self.agents
        }


# Jitted once for all instances: environments of the same shapes share one compilation.
_reset = jax.jit(RaceEnv.reset)


@jax.jit
def _advance(core: RaceEnv, state, actions, params: EnvParams):
    *result, info = core.step_without_reset(state, actions, params)
    return *result, info.replace(final_observation=None)  # it is the observation once more
