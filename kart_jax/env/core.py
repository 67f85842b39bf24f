"""The environment: reinforcement learning on top of a race with one kart and its view.

Native interface, pure functions of one environment, to be vmapped:

    obs, state = env.reset(key, params)
    obs, state, reward, terminated, truncated, info = env.step(key, state, action, params)

An episode that ends is followed in the same step by a fresh random start: the returned observation
and state are those of the new episode, `reward`, `terminated`, `truncated` and `info` belong to the
step just driven. The state is selected first and the picture drawn once, after.
`info.final_observation` needs a second picture; where nobody reads it, compilation drops it (a
jitted function must not return it; `batch.step_batch` does so only if asked).

`KartEnv` is a pytree: pass it to jitted functions as an argument. A jitted function that closes
over it instead works too, but carries the tracks as constants of the program, which is slow to
compile for many of them.
"""

from dataclasses import replace
from functools import partial

import chex
import jax
import jax.numpy as jnp
from flax import struct

from kart_jax.env import frames, observe, randomise, reward, terminate
from kart_jax.env.config import EnvConfig
from kart_jax.env.params import EnvParams
from kart_jax.env.types import EnvState, Outcome, StepInfo
from kart_jax.errors import InputError
from kart_jax.physics import state as physics_state
from kart_jax.physics.types import Controls
from kart_jax.race import step as race_step
from kart_jax.render import view
from kart_jax.render.scene import Scene
from kart_jax.render.types import ViewConfig
from kart_jax.track.types import Tracks

Observation = dict[str, chex.Array]


def controls(action: chex.Array) -> Controls:
    """From actions (..., 2) in [-1, 1] to controls (...): steering, and throttle or (negative)
    brake."""
    steering, pedal = action[..., 0], action[..., 1]
    return Controls(
        steering=steering, throttle=jnp.maximum(pedal, 0.0), brake=jnp.maximum(-pedal, 0.0)
    )


def clipped(action: chex.Array, shape: tuple[int, ...]) -> chex.Array:
    """An action in [-1, 1]; InputError when it has another shape."""
    if jnp.shape(action) != shape:
        raise InputError(
            f"action has the shape {jnp.shape(action)} for one race; give {shape}, steering and "
            "throttle of each kart"
        )
    return jnp.clip(jnp.asarray(action), -1.0, 1.0)


def delayed(action: chex.Array, before: chex.Array, latency: chex.Numeric, dt: float) -> chex.Array:
    """The mean (..., 2) over a control step of `dt` s of an action that comes `latency` s late;
    `before` acts first."""
    return action + jnp.clip(latency / dt, 0.0, 1.0) * (before - action)


class KartEnv(struct.PyTreeNode):
    """One kart on one circuit of a stack; make it with `kart_jax.make`.

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
        """Start an episode; returns the observation and the state."""
        return self.see(self.begin(key, params), params, fresh=jnp.ones((), bool))

    def step(
        self, key: chex.PRNGKey, state: EnvState, action: chex.Array, params: EnvParams
    ) -> tuple[Observation, EnvState, chex.Array, chex.Array, chex.Array, StepInfo]:
        """Drive one control step and begin a new episode if it ends this one.

        Args:
            key: used for the new start only.
            state: of this environment.
            action: (2,) in [-1, 1], clipped: steering (left positive), throttle (negative = brake).
            params: of this environment.

        Returns:
            observation, state, reward () float32, terminated () bool, truncated () bool,
            `StepInfo`.
        """
        driven, outcome = self._move(state, action, params)
        ended = outcome.terminated | outcome.truncated
        # The old pictures stay in place (a push that is `fresh` ignores them): selecting them would
        # copy them all.
        begun = replace(self.begin(key, params), frames=driven.frames)
        following = jax.tree.map(partial(jnp.where, ended), begun, driven)
        observation, following = self.see(following, params, fresh=ended)
        final_observation, _ = self.see(driven, params, fresh=jnp.zeros((), bool))
        info = self.tell(driven, outcome, final_observation)
        return (
            observation,
            following,
            jnp.sum(outcome.terms),
            outcome.terminated,
            outcome.truncated,
            info,
        )

    def advance(
        self, state: EnvState, action: chex.Array, params: EnvParams
    ) -> tuple[Observation, EnvState, chex.Array, chex.Array, chex.Array, StepInfo]:
        """As `step`, but an episode that ends is not followed by another: the state reached is
        returned as it is."""
        driven, outcome = self._move(state, action, params)
        observation, driven = self.see(driven, params, fresh=jnp.zeros((), bool))
        info = self.tell(driven, outcome, observation)
        return (
            observation,
            driven,
            jnp.sum(outcome.terms),
            outcome.terminated,
            outcome.truncated,
            info,
        )

    @jax.jit
    def _move(
        self, state: EnvState, action: chex.Array, params: EnvParams
    ) -> tuple[EnvState, Outcome]:
        """Drive and judge one control step."""
        params = _varied(params, state.drawn)
        driven, finite = self._drive(state, action, params)
        return self.judge(state, driven, finite, params)

    def tell(self, driven: EnvState, outcome: Outcome, final_observation: Observation) -> StepInfo:
        """What a step reports of the state it reached."""
        return StepInfo(
            final_observation=final_observation,
            episode_return=driven.episode_return,
            episode_length=driven.step,
            lap_time=jnp.where(outcome.lap_completed, driven.race.timing.last_lap[0], jnp.nan),
            lap_completed=outcome.lap_completed,
            reward_terms=outcome.terms,
            off_track=~driven.race.on_track[0],
            cause=outcome.cause,
            track=driven.race.track,
        )

    @jax.jit
    def begin(self, key: chex.PRNGKey, params: EnvParams) -> EnvState:
        """State at the start of an episode; its pictures are still to be drawn."""
        config = self.config
        drawn = None
        if config.randomize:
            key, variation_key = jax.random.split(key)
            drawn = randomise.draw(variation_key)
        params = _varied(params, drawn)
        pixels = (config.height, config.width, frames.word_count(config.frame_stack))
        state = EnvState(
            race=randomise.start(key, self.tracks, params, 1),
            frames=jnp.zeros(pixels, jnp.uint32)
            if config.vision and config.frame_stack > 1
            else None,
            timers=terminate.start(),
            action=jnp.zeros(2),
            step=jnp.zeros((), jnp.int32),
            episode_return=jnp.zeros(()),
            drawn=drawn,
        )
        # Definite types, as a step returns them: a weak one (from a Python number in params) would
        # mean a second trace.
        return jax.tree.map(lambda leaf: leaf.astype(leaf.dtype), state)

    def _drive(
        self, state: EnvState, action: chex.Array, params: EnvParams
    ) -> tuple[EnvState, chex.Array]:
        """Hold the action for one control step.

        Returns:
            The state with race, action and step moved on, and whether all of it is finite () bool.
            Where it is not, race and action stay as they were, so that no observation and no reward
            ever sees a nan.
        """
        config = self.config
        action = clipped(action, (2,))
        acting = delayed(action, state.action, params.latency, config.control_dt)
        race = race_step.step(
            state.race,
            controls(acting[None]),
            self.tracks,
            params.kart,
            config.physics_dt,
            config.substeps,
            params.limits.track_limit,
        )
        finite = jnp.all(physics_state.is_finite(race.karts)) & jnp.all(jnp.isfinite(action))
        kept = partial(jnp.where, finite)
        race = jax.tree.map(kept, race, state.race)
        return replace(
            state, race=race, action=kept(action, state.action), step=state.step + 1
        ), finite

    def judge(
        self, before: EnvState, after: EnvState, finite: chex.Array, params: EnvParams
    ) -> tuple[EnvState, Outcome]:
        """Reward and end of the step from `before` to `after`; returns `after` with timers and
        return moved on."""
        dt = self.config.control_dt
        race = after.race
        kart, place = _only_kart(race.karts), _only_kart(race.place)
        timers = terminate.count(before.timers, kart, place, race.on_track[0], params.limits, dt)
        terminated, truncated, cause = terminate.judge(
            timers, finite, after.step * dt, params.limits
        )
        lap_completed = race.timing.valid_laps[0] > before.race.timing.valid_laps[0]
        transition = reward.Transition(
            way=race.timing.progress[0] - before.race.timing.progress[0],
            length=self.tracks.length[race.track],
            on_track=race.on_track[0],
            lap_completed=lap_completed,
            touching=race.wall_distance[0] < 0.0,
            vx=kart.vx,
            vy=kart.vy,
            turned=after.action[0] - before.action[0],
            terminated=terminated,
            dt=dt,
        )
        terms = reward.terms(transition, params.rewards)
        terms = jnp.where(jnp.isfinite(terms), terms, 0.0)
        after = replace(after, timers=timers, episode_return=before.episode_return + jnp.sum(terms))
        return after, Outcome(terminated, truncated, cause, lap_completed, terms)

    @jax.jit
    def see(
        self, state: EnvState, params: EnvParams, fresh: chex.Array
    ) -> tuple[Observation, EnvState]:
        """Draw the picture of `state`, push it (or fill the stack where `fresh`), and read the
        observation."""
        race, config = state.race, self.config
        params = _varied(params, state.drawn)
        kart = _only_kart(race.karts)
        scene = observe.Scene(kart, params.kart, _only_kart(race.place), self.tracks, race.track)
        observation = {"telemetry": observe.telemetry(scene, params.sensor_noise, state.step)}
        if self.scene is not None:
            eye = observe.pose(kart, params.kart)
            look = params.appearance
            if config.randomize:  # else all pictures share one pattern of noise
                look = replace(look, seed=look.seed + state.step)
            picture = view.render_packed(self.scene, race.track, eye, look, self.view_config)
            stack = picture[..., None]
            if state.frames is not None:
                stack = frames.push(state.frames, picture, fresh, config.frame_stack)
                state = replace(state, frames=stack)
            observation["vision"] = frames.unpack(stack, config.frame_stack)
        return observation, state


def _varied(params: EnvParams, drawn: chex.Array | None) -> EnvParams:
    """The parameters of this episode."""
    return params if drawn is None else randomise.vary(params, drawn)


def _only_kart(tree):
    """Drop the axis of karts from every field of a race with one kart."""
    return jax.tree.map(lambda field: field[0], tree)
