"""brax face of the environment: for brax's PPO with its vision network, and others like it.

    env = RacingBrax("circuit")
    ppo.train(env, vision=True, network_factory=make_ppo_networks_vision, episode_length=3000, ...)

`observation` is "both" by default: {"pixels/view_0": float32 (84, 84, 3 * frame_stack) in [0, 1],
"state": float32 (9,)}, the names that brax's vision network looks for; it reads "state" too if
`policy_obs_key` and `value_obs_key` say so. "vision" leaves "state" out, and "telemetry" is the
flat array (9,) for brax's plain network.

brax's wrappers keep the clock and restart episodes: `episode_length` is the only time limit, and
`done` says that an episode ended by a fault, never by time. An environment starts each of its
episodes where it started the first, unless `num_resets_per_eval` asks brax for new starts. Domain
randomisation is brax's too: `sys` is our `EnvParams`, and a `randomization_fn(sys, rng)` returns
batched ones with their `in_axes`. The package brax itself is not needed here.
"""

import math
from typing import Any

import chex
import jax.numpy as jnp
from flax import struct

from kart_jax.adapters import contract
from kart_jax.env.config import EnvConfig
from kart_jax.env.params import EnvParams
from kart_jax.env.reward import TERMS
from kart_jax.env.types import EnvState, Observation

PIXELS, TELEMETRY = "pixels/view_0", "state"  # brax's names


class BraxState(struct.PyTreeNode):
    """The state as brax's wrappers and learners take it apart."""

    pipeline_state: EnvState
    obs: dict[str, chex.Array] | chex.Array  # the chosen observation
    reward: chex.Array  # () float32
    done: chex.Array  # () float32, 1 = ended by a fault
    metrics: dict[str, chex.Array] = struct.field(
        default_factory=dict
    )  # () each; brax sums them over an episode
    info: dict[str, Any] = struct.field(default_factory=dict)  # what brax's wrappers keep


class RacingBrax:
    """One kart with the interface of brax's `Env`."""

    def __init__(
        self,
        track: contract.Track = contract.TRACK,
        *,
        observation: str = "both",
        kart: str = contract.KART,
        config: EnvConfig | None = None,
        params: EnvParams | None = None,
    ) -> None:
        """Build the environment; nothing is compiled yet.

        Args:
            track: a shipped name, the path of a PNG or a centre-line CSV, several of those, or
                ready `Tracks`.
            observation: "both", "vision" or "telemetry".
            kart: class of the kart.
            config: shapes and rates; its `vision` follows from `observation`.
            params: traced parameters, default those of the environment; `limits.episode_time` is
                left to brax.

        Raises:
            InputError: unknown observation, track or class, or a bad file.
        """
        self.core = contract.build(track, kart, observation, config)
        self.observation = observation
        self.sys = self.core.default_params if params is None else params

    @property
    def observation_size(self) -> int | dict[str, tuple[int, ...]]:
        """Length of the telemetry, or the shape of each part of the observation by brax's name."""
        shapes = {name: limits.shape for name, limits in contract.bounds(self.core.config).items()}
        if self.observation == "telemetry":
            return shapes["telemetry"][0]
        picture = {PIXELS: shapes["vision"]}
        return picture | {TELEMETRY: shapes["telemetry"]} if self.observation == "both" else picture

    @property
    def action_size(self) -> int:
        """Length of an action in [-1, 1]: steering (left positive), throttle (negative = brake)."""
        return contract.ACTION.shape[0]

    @property
    def backend(self) -> str:
        """Name of the physics."""
        return "kart_jax"

    @property
    def unwrapped(self) -> "RacingBrax":
        """Itself."""
        return self

    @property
    def dt(self) -> float:
        """Seconds per step."""
        return self.core.config.rates.control_dt

    def reset(self, rng: chex.PRNGKey) -> BraxState:
        """Start an episode."""
        observation, state = self.core.reset(rng, self._params())
        zero = jnp.zeros(())
        metrics = dict.fromkeys((*TERMS, "laps"), zero)
        return BraxState(
            state, self._observed(observation), reward=zero, done=zero, metrics=metrics
        )

    def step(self, state: BraxState, action: chex.Array) -> BraxState:
        """Hold the action (2,) for one control step.

        `metrics` holds the terms of the reward by name, and `laps`, 1 when a valid lap was
        completed.
        """
        observation, driven, reward, terminated, _, info = self.core.step_without_reset(
            state.pipeline_state, action, self._params()
        )
        terms = dict(zip(TERMS, info.reward_terms, strict=True))
        return state.replace(
            pipeline_state=driven,
            obs=self._observed(observation),
            reward=reward,
            done=terminated.astype(jnp.float32),
            metrics=state.metrics | terms | {"laps": info.lap_completed.astype(jnp.float32)},
        )

    def _params(self) -> EnvParams:
        """Return the parameters without a time limit: that is brax's `episode_length`."""
        return self.sys.replace(limits=self.sys.limits.replace(episode_time=jnp.float32(math.inf)))

    def _observed(self, observation: Observation) -> dict[str, chex.Array] | chex.Array:
        """Return the chosen observation under brax's names."""
        if self.observation == "telemetry":
            return observation["telemetry"]
        picture = {PIXELS: observation["vision"].astype(jnp.float32) / 255.0}
        return (
            picture | {TELEMETRY: observation["telemetry"]}
            if self.observation == "both"
            else picture
        )
