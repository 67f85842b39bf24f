"""The environment: reinforcement learning on top of a race of K karts and their views.

Native interface, pure functions of one environment, to be vmapped:

    obs, state = env.reset(key, params)
    obs, state, reward, terminated, truncated, info = env.step(key, state, action, params)

Observation, action, reward, ends and info carry an axis of karts (K, ...); `env/kart.py` has the
face for one kart, without it.

A kart whose episode ends stands where it is, its rewards are 0 and its `terminated` stays true,
until the race is over: when no kart is left, or when the time limit, the same for all, ends it for
those still driving. The same step then begins a new race at random: the returned observation and
state are those of the new race, `reward`, `terminated`, `truncated` and `info` belong to the step
just driven. The state is selected first and the pictures drawn once, after.
`info.final_observation` needs a second picture; where nobody reads it, compilation drops it (a
jitted function must not return it; `batch.step_batch` does so only if asked).

An environment is a pytree. A jitted function may take it as an argument or close over it; both run
equally fast, because what is closed over is hidden from the compiler, which would otherwise fold
tracks and parameters into every loop as constants. As constants they make the program larger and
slower to compile, so an argument is better for many tracks.
"""

from functools import partial
from typing import Any

import chex
import jax
import jax.numpy as jnp
from flax import struct

from kart_jax.env import frames, observe, randomise
from kart_jax.env.actions import clip_action, controls, delay_actions
from kart_jax.env.config import EnvConfig
from kart_jax.env.params import EnvParams
from kart_jax.env.score import retire, reward_and_ends, score_kart, step_info
from kart_jax.env.types import EnvState, Episode, Observation, Outcome, StepInfo
from kart_jax.physics.params import KartParams
from kart_jax.race import step as race_step
from kart_jax.race.channels import sample_kart
from kart_jax.race.types import RACE_AXES, where_karts
from kart_jax.render import view
from kart_jax.render.body import appearance_of
from kart_jax.render.scene import Scene
from kart_jax.render.types import Appearance, Pose, ViewConfig
from kart_jax.track.types import Tracks
from kart_jax.xla.stage import opaque

Step = tuple[Observation, EnvState, chex.Array, chex.Array, chex.Array, StepInfo]


# Where the axis of karts is, see `RACE_AXES`.
_AXES: Any = dict.fromkeys(EnvState.__dataclass_fields__, 0) | {"race": RACE_AXES}
STATE_AXES = EnvState(**_AXES)


class RaceEnv(struct.PyTreeNode):
    """K karts on one circuit of a stack; make it with `kart_jax.make(track, karts=K)`.

    Its parts are jitted, so that a process traces each once and not in every program that is made
    of them.
    """

    tracks: Tracks
    scene: Scene | None  # the tracks as the renderer wants them; None without vision
    default_params: EnvParams
    config: EnvConfig = struct.field(pytree_node=False)

    @property
    def view_config(self) -> ViewConfig:
        """Static part of the renderer."""
        return ViewConfig(height=self.config.height, width=self.config.width)

    def reset(self, key: chex.PRNGKey, params: EnvParams) -> tuple[Observation, EnvState]:
        """Start a race; returns the observations (K, ...) and the state."""
        return self.observe(self.initial_state(key, params), params, fresh=jnp.ones((), bool))

    def step(
        self, key: chex.PRNGKey, state: EnvState, action: chex.Array, params: EnvParams
    ) -> Step:
        """Drive one control step and begin a new race if it ends this one.

        Args:
            key: used for the new start only.
            state: of this environment.
            action: (K, 2) in [-1, 1], clipped: steering (left positive), throttle (negative =
                brake); those of karts that no longer drive are ignored.
            params: of this environment.

        Returns:
            observation (K, ...), state, reward (K,) float32, terminated (K,) bool, truncated (K,)
            bool, `StepInfo` (K, ...).
        """
        driven, outcome = self._drive(state, action, params)
        over = ~jnp.any(driven.active)
        begun = self.initial_state(key, params)
        # The old pictures stay in place (a push that is `fresh` ignores them): selecting them would
        # copy them all.
        begun = begun.replace(frames=driven.frames)
        following = jax.tree.map(partial(jnp.where, over), begun, driven)

        observation, following = self.observe(following, params, fresh=over)
        final_observation, _ = self.observe(driven, params, fresh=jnp.zeros((), bool))
        info = step_info(driven, outcome, final_observation)
        return observation, following, *reward_and_ends(outcome), info

    def step_without_reset(self, state: EnvState, action: chex.Array, params: EnvParams) -> Step:
        """Do as `step`, but return the state reached as it is when the race is over."""
        driven, outcome = self._drive(state, action, params)
        observation, driven = self.observe(driven, params, fresh=jnp.zeros((), bool))
        info = step_info(driven, outcome, observation)
        return observation, driven, *reward_and_ends(outcome), info

    @jax.jit
    def initial_state(self, key: chex.PRNGKey, params: EnvParams) -> EnvState:
        """Return the state at the start of a race; its pictures are still to be drawn."""
        env, params = opaque((self, params))
        config, karts = env.config, env.config.karts
        randomization = None
        if config.randomize:
            key, randomization_key = jax.random.split(key)
            randomization = randomise.draw(randomization_key, karts)
        params = params.replace(kart=_own_karts(params, randomization))

        pixels = (karts, config.height, config.width, frames.word_count(config.frame_stack))
        stacked = config.vision and config.frame_stack > 1
        state = EnvState(
            race=randomise.draw_start(key, env.tracks, params, karts),
            episode=Episode.start(karts),
            frames=jnp.zeros(pixels, jnp.uint32) if stacked else None,
            action=jnp.zeros((karts, 2)),
            active=jnp.ones(karts, bool),
            randomization=randomization,
        )
        # Definite types, as a step returns them: a weak one (from a Python number in params) would
        # mean a second trace.
        return jax.tree.map(lambda leaf: leaf.astype(leaf.dtype), state)

    @jax.jit
    def _drive(
        self, state: EnvState, action: chex.Array, params: EnvParams
    ) -> tuple[EnvState, Outcome]:
        """Drive one control step and score it; karts that no longer drive stay as they are."""
        env, params = opaque((self, params))
        config = env.config
        action = clip_action(action, (config.karts, 2))
        usable = jnp.all(jnp.isfinite(action), axis=-1)
        action = jnp.where((usable & state.active)[:, None], action, 0.0)

        race = race_step.step(
            state.race,
            controls(delay_actions(action, state, params, config.rates.control_dt)),
            env.tracks,
            params.replace(kart=_own_karts(params, state.randomization)).race,
            config.rates,
        )
        finite = usable & race.finite
        # Where it is not finite, kart and action stay as they were, so that no observation and no
        # reward ever sees a nan.
        moved = state.active & finite
        driven = state.replace(
            race=race.where_karts(moved, state.race),
            action=where_karts(moved, action, state.action),
        )

        score = partial(score_kart, env.tracks, params, config.rates.control_dt)
        episode, outcome = jax.vmap(score, in_axes=(STATE_AXES, STATE_AXES, 0))(
            state, driven, finite
        )
        return retire(state, driven.replace(episode=episode), outcome)

    @jax.jit
    def observe(
        self, state: EnvState, params: EnvParams, fresh: chex.Array
    ) -> tuple[Observation, EnvState]:
        """Draw the pictures of `state`, push them, and read the observations (K, ...).

        Where `fresh` () bool, each kart's stack is filled with its picture.
        """
        env, params = opaque((self, params))
        sense = partial(_sense_kart, env, params)
        telemetry, pose, appearance = jax.vmap(sense, in_axes=(STATE_AXES, 0))(state, params.kart)
        observation = {"telemetry": telemetry}
        if env.scene is None:
            return observation, state

        count = env.config.frame_stack
        pictures = _draw(env, env.scene, state.race.track, pose, appearance)
        stacks = pictures[..., None]
        if state.frames is not None:
            push = partial(frames.push, fresh=fresh, frame_stack=count)
            stacks = jax.vmap(push)(state.frames, pictures)
            state = state.replace(frames=stacks)
        observation["vision"] = jax.vmap(partial(frames.unpack, frame_stack=count))(stacks)
        return observation, state


def _own_karts(params: EnvParams, randomization: chex.Array | None) -> KartParams:
    """Return the parameters (K, ...) that the karts of this race drive with."""
    if randomization is None:
        return params.kart
    own = jax.vmap(lambda kart, drawn: randomise.vary(params.replace(kart=kart), drawn).kart)
    return own(params.kart, randomization)


def _sense_kart(
    env: RaceEnv, params: EnvParams, state: EnvState, kart: KartParams
) -> tuple[chex.Array, Pose, Appearance]:
    """Return the telemetry of ONE kart, and from where and how it sees; no axis of karts."""
    params = randomise.vary(params.replace(kart=kart), state.randomization)
    length = state.episode.length
    sample = sample_kart(state.race, length, env.tracks, params.kart)
    telemetry = observe.telemetry(sample, params.sensor_noise, length)

    appearance = appearance_of(params.appearance, params.kart, params.ground.kerb_width)
    if env.config.randomize:  # else all pictures share one pattern of noise
        appearance = appearance.replace(seed=appearance.seed + length)
    return telemetry, observe.pose(state.race.karts, params.kart), appearance


def _draw(
    env: RaceEnv, scene: Scene, track: chex.Array, pose: Pose, appearance: Appearance
) -> chex.Array:
    """Draw the pictures (K, H, W) uint32 of K karts, as `view.render_packed` does."""
    draw = partial(view.render_packed, scene, track, config=env.view_config)
    if env.config.karts > 1:
        return jax.vmap(draw)(pose, appearance)
    # An axis of one in the loops over pixels costs a CPU one more picture of memory for each kart.
    pose, appearance = jax.tree.map(lambda leaf: leaf[0], (pose, appearance))
    return draw(pose, appearance)[None]
