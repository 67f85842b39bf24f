"""Several karts in one race, each with a driver of its own.

    obs, state = env.reset(key, params)
    obs, state, reward, terminated, truncated, info = env.step(key, state, actions, params)

as in `KartEnv`, with an axis of karts (K,) in front of every field of observation, action, reward,
ends and info.

All karts are in one `RaceState`: one circuit, one clock, one call of `race.step`, where karts meet.
Each is then judged and shown its view as `KartEnv` does it for a single one, in a lane of its own.
Karts do not touch or see each other yet; the day `race.step` lets them, this environment and the
faces over it stay as they are.

A kart whose episode ends is retired: it stays where it is, its rewards are 0 and its `terminated`
stays true, until the race is over. The race is over when no kart is left; the time limit, the same
for all, ends it for those still driving. `step` then begins a new one.
"""

from dataclasses import replace
from functools import partial

import chex
import jax
import jax.numpy as jnp
from flax import struct

from kart_jax.env import randomise
from kart_jax.env.config import EnvConfig
from kart_jax.env.core import KartEnv, Observation, clipped, controls, delayed
from kart_jax.env.params import EnvParams
from kart_jax.env.types import Cause, EnvState, Outcome, StepInfo
from kart_jax.errors import InputError
from kart_jax.physics import state as physics_state
from kart_jax.race import step as race_step
from kart_jax.race.types import RaceState


class MultiState(struct.PyTreeNode):
    """A race of K karts."""

    lanes: EnvState  # every field with a leading axis (K,): each kart in a race by itself, all of one track and clock
    retired: chex.Array  # (K,) bool, the episode of this kart has ended


class MultiKartEnv(struct.PyTreeNode):
    """K karts on one circuit; make it with `enter`."""

    core: KartEnv  # what one kart sees, and how it is judged
    karts: int = struct.field(pytree_node=False)

    @property
    def config(self) -> EnvConfig:
        """Shapes and rates of one kart's environment."""
        return self.core.config

    @property
    def default_params(self) -> EnvParams:
        """Parameters that all karts share."""
        return self.core.default_params

    def reset(self, key: chex.PRNGKey, params: EnvParams) -> tuple[Observation, MultiState]:
        """Start a race; returns the observations (K, ...) and the state."""
        return self._see(self._begin(key, params), params, fresh=jnp.ones(self.karts, bool))

    def step(
        self, key: chex.PRNGKey, state: MultiState, actions: chex.Array, params: EnvParams
    ) -> tuple[Observation, MultiState, chex.Array, chex.Array, chex.Array, StepInfo]:
        """Drive one control step and begin a new race if it ends this one.

        Args:
            key: used for a new start only.
            state: of this race.
            actions: (K, 2) in [-1, 1], clipped; those of retired karts are ignored.
            params: shared by the karts.

        Returns:
            observations (K, ...), state, reward (K,), terminated (K,) bool, truncated (K,) bool,
            `StepInfo` (K, ...).
        """
        driven, outcome = self._move(state, actions, params)
        over = jnp.all(driven.retired)
        begun = self._begin(key, params)
        begun = replace(
            begun, lanes=replace(begun.lanes, frames=driven.lanes.frames)
        )  # see `KartEnv.step`
        following = jax.tree.map(partial(jnp.where, over), begun, driven)
        observation, following = self._see(
            following, params, fresh=jnp.broadcast_to(over, (self.karts,))
        )
        final_observation, _ = self._see(driven, params, fresh=jnp.zeros(self.karts, bool))
        return observation, following, *self._tell(driven, outcome, final_observation)

    def advance(
        self, state: MultiState, actions: chex.Array, params: EnvParams
    ) -> tuple[Observation, MultiState, chex.Array, chex.Array, chex.Array, StepInfo]:
        """As `step`, but a race that is over is not followed by another."""
        driven, outcome = self._move(state, actions, params)
        observation, driven = self._see(driven, params, fresh=jnp.zeros(self.karts, bool))
        return observation, driven, *self._tell(driven, outcome, observation)

    def _begin(self, key: chex.PRNGKey, params: EnvParams) -> MultiState:
        """State at the start of a race; its pictures are still to be drawn."""
        lane = self.core.begin(key, params)
        race = randomise.start(key, self.core.tracks, params, self.karts)
        lanes = jax.tree.map(
            lambda field: jnp.broadcast_to(field, (self.karts, *field.shape)), lane
        )
        state = MultiState(
            lanes=replace(lanes, race=_split(race)), retired=jnp.zeros(self.karts, bool)
        )
        return jax.tree.map(
            lambda leaf: leaf.astype(leaf.dtype), state
        )  # definite types, see `KartEnv.begin`

    def _move(
        self, state: MultiState, actions: chex.Array, params: EnvParams
    ) -> tuple[MultiState, Outcome]:
        """Drive all karts together, then judge each; where one was retired before, nothing of it
        changes."""
        before, retired = state.lanes, state.retired
        driven, finite = self._drive(state, actions, params)
        judged, outcome = jax.vmap(self.core.judge, in_axes=(0, 0, 0, None))(
            before, driven, finite, params
        )
        lanes = _where(retired, before, judged)
        clock = replace(
            lanes.race, tick=driven.race.tick, time=driven.race.time
        )  # one for all, retired or not
        outcome = Outcome(
            terminated=outcome.terminated | retired,
            truncated=outcome.truncated & ~retired,
            cause=jnp.where(retired, Cause.NONE, outcome.cause).astype(jnp.int32),
            lap_completed=outcome.lap_completed & ~retired,
            terms=jnp.where(retired[:, None], 0.0, outcome.terms),
        )
        return MultiState(
            replace(lanes, race=clock), retired=outcome.terminated | outcome.truncated
        ), outcome

    def _drive(
        self, state: MultiState, actions: chex.Array, params: EnvParams
    ) -> tuple[EnvState, chex.Array]:
        """Hold the actions for one control step of the race.

        Returns:
            The lanes with race, action and step moved on, and for which of them (K,) bool all of it
            is finite. The others keep kart and action, so that no observation, no reward and no
            other kart ever sees a nan.
        """
        before, config = state.lanes, self.config
        actions = clipped(actions, (self.karts, 2))
        usable = jnp.all(jnp.isfinite(actions), axis=-1)
        actions = jnp.where((usable & ~state.retired)[:, None], actions, 0.0)
        race = race_step.step(
            _join(before.race),
            controls(delayed(actions, before.action, params.latency, config.control_dt)),
            self.core.tracks,
            params.kart,
            config.physics_dt,
            config.substeps,
            params.limits.track_limit,
        )
        finite = usable & jax.vmap(physics_state.is_finite)(race.karts)
        driven = _where(finite, replace(before, race=_split(race), action=actions), before)
        clock = replace(driven.race, tick=_split(race).tick, time=_split(race).time)
        return replace(driven, race=clock, step=before.step + 1), finite

    def _see(
        self, state: MultiState, params: EnvParams, fresh: chex.Array
    ) -> tuple[Observation, MultiState]:
        """Draw the view of every kart."""
        observation, lanes = jax.vmap(self.core.see, in_axes=(0, None, 0))(
            state.lanes, params, fresh
        )
        return observation, replace(state, lanes=lanes)

    def _tell(self, driven: MultiState, outcome: Outcome, final_observation: Observation):
        """Reward, terminated, truncated and info of every kart."""
        info = jax.vmap(self.core.tell)(driven.lanes, outcome, final_observation)
        return jnp.sum(outcome.terms, axis=-1), outcome.terminated, outcome.truncated, info


def enter(core: KartEnv, karts: int) -> MultiKartEnv:
    """Let `karts` karts into the environment of one.

    Raises:
        InputError: fewer than one, or more than the grid has slots; or episodes are to differ by
            randomisation, which belongs to one kart.
    """
    if core.config.randomize:
        raise InputError(
            "EnvConfig.randomize is True; karts of one race are equal; set it to False"
        )
    slots = core.tracks.grid_s.shape[1]
    if not 1 <= karts <= slots:
        raise InputError(f"karts is {karts}; the grid has {slots} slots; ask for 1 to {slots}")
    return MultiKartEnv(core=core, karts=karts)


def _split(race: RaceState) -> RaceState:
    """One race of K karts as K races (K, ...) of one kart each, with the same clock and track."""
    count = race.on_track.shape[0]
    alone = jax.tree.map(lambda field: field[:, None], _own(race))
    shared = {name: jnp.broadcast_to(getattr(race, name), (count,)) for name in _SHARED}
    return replace(race, **alone, **shared)


def _join(lanes: RaceState) -> RaceState:
    """The race of which `lanes` are the parts."""
    together = jax.tree.map(lambda field: field[:, 0], _own(lanes))
    return replace(lanes, **together, **{name: getattr(lanes, name)[0] for name in _SHARED})


_SHARED = ("tick", "time", "track")  # fields of `RaceState` without an axis of karts


def _own(race: RaceState) -> dict:
    """Fields of `RaceState` with an axis of karts."""
    return {name: value for name, value in vars(race).items() if name not in _SHARED}


def _where(chosen: chex.Array, one, other):
    """Fields of `one` for the karts (K,) that are chosen, else of `other`."""
    return jax.tree.map(
        lambda a, b: jnp.where(jax.lax.expand_dims(chosen, range(1, jnp.ndim(a))), a, b), one, other
    )
