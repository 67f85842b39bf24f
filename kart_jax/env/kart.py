"""The environment of one kart: a race of one, without the axis of karts."""

from typing import Any

import chex
import jax
from flax import struct

from kart_jax.env.actions import clip_action
from kart_jax.env.config import EnvConfig
from kart_jax.env.core import RaceEnv, Step
from kart_jax.env.params import EnvParams
from kart_jax.env.types import EnvState, Observation
from kart_jax.race.params import per_kart
from kart_jax.render.scene import Scene
from kart_jax.render.types import ViewConfig
from kart_jax.track.types import Tracks


class KartEnv(struct.PyTreeNode):
    """One kart on one circuit of a stack; make it with `kart_jax.make(track)`.

    The interface is that of `core.RaceEnv`; action (2,), observation, reward, ends, info and the
    kart of the parameters have no axis of karts. The state is that of a race of one, with it.
    """

    core: RaceEnv  # of one kart

    @property
    def tracks(self) -> Tracks:
        """The stack of circuits."""
        return self.core.tracks

    @property
    def scene(self) -> Scene | None:
        """The circuits as the renderer wants them; None without vision."""
        return self.core.scene

    @property
    def config(self) -> EnvConfig:
        """Shapes and rates."""
        return self.core.config

    @property
    def view_config(self) -> ViewConfig:
        """Static part of the renderer."""
        return self.core.view_config

    @property
    def default_params(self) -> EnvParams:
        """Parameters to begin with."""
        params = self.core.default_params
        return params.replace(kart=_only(params.kart))

    def with_default_params(self, params: EnvParams) -> "KartEnv":
        """Return the same environment with other parameters to begin with."""
        return self.replace(core=self.core.replace(default_params=_of_race(params)))

    def reset(self, key: chex.PRNGKey, params: EnvParams) -> tuple[Observation, EnvState]:
        """Start an episode; returns the observation and the state."""
        observation, state = self.core.reset(key, _of_race(params))
        return _only(observation), state

    def step(
        self, key: chex.PRNGKey, state: EnvState, action: chex.Array, params: EnvParams
    ) -> Step:
        """Drive one control step and begin a new episode if it ends this one.

        Args:
            key: used for the new start only.
            state: of this environment.
            action: (2,) in [-1, 1], clipped: steering (left positive), throttle (negative = brake).
            params: of this environment.

        Returns:
            observation, state, reward () float32, terminated () bool, truncated () bool,
            `StepInfo` with fields ().
        """
        return _step_of_one(self.core.step(key, state, _action(action), _of_race(params)))

    def step_without_reset(self, state: EnvState, action: chex.Array, params: EnvParams) -> Step:
        """Do as `step`, but return the state reached as it is when the episode is over."""
        result = self.core.step_without_reset(state, _action(action), _of_race(params))
        return _step_of_one(result)


def _action(action: chex.Array) -> chex.Array:
    """Return an action (2,) as that of a race of one, (1, 2); checks its shape."""
    return clip_action(action, (2,))[None]


def _of_race(params: EnvParams) -> EnvParams:
    """Return the parameters for a race of one."""
    return params.replace(kart=per_kart(params.kart, 1))


def _only(tree: Any) -> Any:
    """Drop the axis of karts (1, ...) from every leaf."""
    return jax.tree.map(lambda leaf: leaf[0], tree)


def _step_of_one(result: Step) -> Step:
    """Drop the axis of karts from what a step returns, but for the state."""
    observation, state, reward, terminated, truncated, info = result
    return _only(observation), state, reward[0], terminated[0], truncated[0], _only(info)
