"""A trained policy as a driver: it makes its own observation of a race and drives all its karts."""

import jax
import jax.numpy as jnp
from flax import struct

from kart_jax.env import frames
from kart_jax.env.actions import controls
from kart_jax.env.core import RaceEnv
from kart_jax.env.params import EnvParams
from kart_jax.env.types import EnvState, Episode
from kart_jax.physics.types import Controls
from kart_jax.race.params import RaceParams
from kart_jax.race.types import RaceState
from kart_jax.track.types import Tracks
from train.networks.policy import Policy


class Eyes(struct.PyTreeNode):
    """What a learned driver carries from step to step."""

    frames: jax.Array | None  # (K, H, W, words) uint32, its recent pictures; None unless stacked
    length: jax.Array  # () int32, control steps since it began


class LearnedDriver(struct.PyTreeNode):
    """Drives every kart of a race by one policy, from what that kart's driver sees."""

    policy: Policy
    env: RaceEnv  # which looks at the race: its view, made of the circuits that are driven
    params: EnvParams  # of that look; karts and ground are those of the race
    explore: bool = struct.field(pytree_node=False, default=False)  # draw actions as in training

    def initial_state(self, race: RaceState, tracks: Tracks, params: RaceParams) -> Eyes:
        """Open the eyes: no pictures yet."""
        config = self.env.config
        words = frames.word_count(config.frame_stack)
        shape = (race.size, config.height, config.width, words)
        stacked = config.vision and config.frame_stack > 1
        return Eyes(
            frames=jnp.zeros(shape, jnp.uint32) if stacked else None,
            length=jnp.zeros((), jnp.int32),
        )

    def act(
        self, key: jax.Array, race: RaceState, carried: Eyes, tracks: Tracks, params: RaceParams
    ) -> tuple[Controls, Eyes]:
        """Look at the race and take the most likely action, or draw one; see `Driver.act`.

        `tracks` must be those of the environment, which holds them as its renderer wants them.
        """
        look = self.params.replace(kart=params.kart, ground=params.ground)
        observation, seen = self.env.observe(_state(race, carried), look, fresh=carried.length == 0)
        action = self.policy.explore(observation, key) if self.explore else self.policy(observation)
        return controls(action), Eyes(frames=seen.frames, length=carried.length + 1)


def _state(race: RaceState, eyes: Eyes) -> EnvState:
    """Return the race as the state of an environment that observes it."""
    length = jnp.broadcast_to(eyes.length, (race.size,))
    return EnvState(
        race=race,
        episode=Episode.start(race.size).replace(length=length),
        frames=eyes.frames,
        action=jnp.zeros((race.size, 2)),
        active=jnp.ones(race.size, bool),
        randomization=None,
    )
