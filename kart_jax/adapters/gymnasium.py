"""Gymnasium faces of the environment: `RacingEnvVision` for one kart, `RacingVectorEnv` for many.

    env = RacingEnvVision(track_name="circuit.png", telemetry_history=4)
    observation, info = env.reset(seed=0)
    observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
    env.export_telemetry("driver_session.csv")

Needs the extra `gym`. Every value that leaves is NumPy; the simulation stays on the device.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import gymnasium
import jax
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from kart_jax.adapters import contract
from kart_jax.env import observe
from kart_jax.env.batch import reset_batch, step_batch
from kart_jax.env.config import EnvConfig
from kart_jax.env.kart import KartEnv
from kart_jax.env.make import make
from kart_jax.env.params import EnvParams
from kart_jax.env.types import StepInfo
from kart_jax.errors import InputError
from kart_jax.race import channels
from kart_jax.race.params import per_kart
from kart_jax.render import view
from kart_jax.render.body import appearance_of
from kart_jax.render.types import ViewConfig
from kart_jax.telemetry import export, log

TRACK = "circuit.png"
TELEMETRY_STEPS = 90_000  # an hour, about 25 MB
FILM = ViewConfig(height=360, width=640)  # what `render()` draws for people


def _space(config: EnvConfig, telemetry_history: int) -> spaces.Dict:
    """Make the observation space of one environment."""
    parts = contract.bounds(config)
    row = parts["telemetry"]
    rows = replace(row, shape=(telemetry_history, *row.shape))
    return spaces.Dict(
        {"vision": contract.box(spaces, parts["vision"]), "telemetry": contract.box(spaces, rows)}
    )


def _host(observation: dict[str, jax.Array], history: np.ndarray) -> dict[str, np.ndarray]:
    """Return the observation as fresh NumPy arrays.

    `history` (..., h, 9) takes the place of the newest telemetry row.
    """
    return {"vision": np.array(observation["vision"]), "telemetry": history.copy()}


def _pushed(history: np.ndarray, row: np.ndarray, fresh: np.ndarray | bool = False) -> np.ndarray:
    """Append `row` (..., 9) to `history` (..., h, 9); where `fresh`, every row becomes it."""
    moved = np.concatenate([history[..., 1:, :], row[..., None, :]], axis=-2)
    return np.where(np.asarray(fresh)[..., None, None], row[..., None, :], moved)


MAX_COUNTS = {"telemetry_history": 10_000, "telemetry_steps": 1_000_000_000, "num_envs": 1_000_000}


def _check(**counts: int) -> None:
    """Refuse impossible counts."""
    for name, value in counts.items():
        if type(value) is not int or not 1 <= value <= MAX_COUNTS[name]:
            raise InputError(
                f"{name} is {value!r}; it must be a whole number from 1 to {MAX_COUNTS[name]}"
            )


class RacingEnvVision(gymnasium.Env[dict[str, np.ndarray], np.ndarray]):
    """One kart, seen through its driver's eyes.

    Observation: `vision` uint8 (84, 84, 3 * frame_stack), oldest picture first, and `telemetry`
    float32 (telemetry_history, 9), oldest row first, channels and scales as in
    `kart_jax.env.observe.OBSERVATION`. Action: float32 (2,) in [-1, 1], steering (left positive)
    and throttle (negative = brake).
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 25}  # noqa: RUF012

    def __init__(
        self,
        track_name: str | Sequence[str] = TRACK,
        telemetry_history: int = 4,
        *,
        frame_stack: int = 4,
        kart: str = contract.KART,
        params: EnvParams | None = None,
        render_mode: str | None = None,
        telemetry_steps: int = TELEMETRY_STEPS,
    ) -> None:
        """Build the environment; nothing is compiled before the first `reset`.

        Args:
            track_name: a shipped name, the path of a PNG or a centre-line CSV, or several of them.
            telemetry_history: rows of telemetry in the observation.
            frame_stack: pictures in the observation.
            kart: class of the kart.
            params: traced parameters; default those of the environment.
            render_mode: None or "rgb_array".
            telemetry_steps: how many of the latest control steps `export_telemetry` can write; by
                default an hour.

        Raises:
            InputError: unknown track or class, bad file, or a history or telemetry shorter than 1.
        """
        _check(telemetry_history=telemetry_history, telemetry_steps=telemetry_steps)
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise InputError(
                f"render_mode is {render_mode!r}; allowed are None and 'rgb_array'; leave it out"
            )
        self.core = make(track_name, kart=kart, config=EnvConfig(frame_stack=frame_stack))
        self.params = self.core.default_params if params is None else params
        self.render_mode = render_mode
        # Gymnasium types its own `Dict` as a space of other dictionaries than it samples.
        self.observation_space = _space(self.core.config, telemetry_history)  # pyright: ignore[reportAttributeAccessIssue]
        self.action_space = contract.box(spaces, contract.ACTION)
        self._history = np.zeros((telemetry_history, len(observe.OBSERVATION)), np.float32)
        self._state = None
        self._rows: deque[np.ndarray] = deque(maxlen=telemetry_steps)
        self._steps = 0  # control steps since the environment was made

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """Begin an episode.

        Args:
            seed: makes this and the following episodes repeatable.
            options: none are known; given ones are ignored, as Gymnasium asks.
        """
        super().reset(seed=seed)
        key = jax.random.key(int(self.np_random.integers(2**31)))
        observation, self._state = _reset(self.core, key, self.params)
        self._history = _pushed(self._history, np.asarray(observation["telemetry"]), True)
        return _host(observation, self._history), {}

    def step(self, action: np.ndarray):
        """Hold the action for one control step of 0.04 s.

        After the end of an episode `reset` must follow.
        """
        if self._state is None:
            raise gymnasium.error.ResetNeeded("call reset() before step()")
        step = np.int32(self._steps)
        (observation, self._state, reward, terminated, truncated, info), row = _advance(
            self.core, self._state, np.asarray(action, np.float32), step, self.params
        )
        self._rows.append(np.asarray(row))
        self._steps += 1
        self._history = _pushed(self._history, np.asarray(observation["telemetry"]))
        return (
            _host(observation, self._history),
            float(reward),
            bool(terminated),
            bool(truncated),
            contract.make_info(jax.device_get(info), bool(terminated) or bool(truncated)),
        )

    def render(self) -> np.ndarray | None:
        """Draw the driver's view (360, 640, 3) uint8; None unless `render_mode` is "rgb_array"."""
        if self.render_mode is None or self._state is None:
            return None
        return np.array(_film(self.core, self._state, self.params))

    def export_telemetry(self, path: str | os.PathLike[str]) -> None:
        """Write the latest control steps as CSV, one row a step.

        All since the environment was made, or as many as `telemetry_steps` keeps.

        Raises:
            InputError: nothing has been driven yet, or the path does not end in .csv.
        """
        if not os.fspath(path).lower().endswith(".csv"):
            raise InputError(
                f"{os.fspath(path)}: its name must end in .csv, for `kart telemetry` to read it"
            )
        if not self._rows:
            raise InputError(
                f"{os.fspath(path)}: there is no telemetry yet; call step() before "
                "export_telemetry()"
            )
        export.write_csv(os.fspath(path), log.log_of_kart(np.stack(self._rows)))


# Jitted once for all instances: environments of the same shapes share one compilation.
_reset = jax.jit(KartEnv.reset)
_reset_all = jax.jit(reset_batch, static_argnums=3)
_step_all = jax.jit(step_batch)


@jax.jit
def _advance(env: KartEnv, state, action, step, params):
    """Take one step without auto-reset, and read its telemetry row (1, C)."""
    result = env.step_without_reset(state, action, params)
    return result, channels.read_race(result[1].race, step, env.tracks, per_kart(params.kart, 1))


@jax.jit
def _film(env: KartEnv, state, params: EnvParams):
    """Draw the view of one state at the size for people."""
    assert env.scene is not None  # the environment was made with vision
    kart = jax.tree.map(lambda field: field[0], state.race.karts)
    appearance = appearance_of(params.appearance, params.kart, params.ground.kerb_width)
    pose = observe.pose(kart, params.kart)
    return view.render(env.scene, state.race.track, pose, appearance, FILM)


class RacingVectorEnv(VectorEnv[dict[str, np.ndarray], np.ndarray, np.ndarray]):
    """Many karts at once on the device, with Gymnasium's vector interface.

    Spaces as in `RacingEnvVision` with an axis of `num_envs` in front. An environment that ends is
    reset in the same step (`AutoresetMode.SAME_STEP`): its last observation and info are in
    `infos["final_obs"]` and `infos["final_info"]`, with the masks `_final_obs` and `_final_info`.
    """

    metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012

    def __init__(
        self,
        num_envs: int,
        track_name: str | Sequence[str] = TRACK,
        telemetry_history: int = 4,
        *,
        frame_stack: int = 4,
        kart: str = contract.KART,
        params: EnvParams | None = None,
    ) -> None:
        """Build the environments; arguments as in `RacingEnvVision`.

        Raises:
            InputError: no environment, unknown track or class, bad file, or a history shorter than
                1.
        """
        _check(telemetry_history=telemetry_history, num_envs=num_envs)
        self.core = make(track_name, kart=kart, config=EnvConfig(frame_stack=frame_stack))
        self.params = self.core.default_params if params is None else params
        self.num_envs = num_envs
        self.single_observation_space = _space(self.core.config, telemetry_history)
        self.single_action_space = contract.box(spaces, contract.ACTION)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        history = (num_envs, telemetry_history, len(observe.OBSERVATION))
        self._history = np.zeros(history, np.float32)
        self._key = jax.random.key(0)
        self._state = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """Begin an episode in every environment.

        Args:
            seed: makes everything that follows repeatable.
            options: none are known; given ones are ignored, as Gymnasium asks.
        """
        super().reset(seed=seed)
        self._key = jax.random.key(int(self.np_random.integers(2**31)))
        self._key, key = jax.random.split(self._key)
        observation, self._state = _reset_all(self.core, key, self.params, self.num_envs)
        self._history = _pushed(
            self._history, np.asarray(observation["telemetry"]), np.ones(self.num_envs, bool)
        )
        return _host(observation, self._history), {}

    def step(self, actions: np.ndarray):
        """Hold each action (num_envs, 2) for one control step."""
        if self._state is None:
            raise gymnasium.error.ResetNeeded("call reset() before step()")
        before, actions = self._state, np.asarray(actions, np.float32)
        self._key, key = jax.random.split(self._key)
        observation, self._state, reward, terminated, truncated, info = _step_all(
            self.core, key, before, actions, self.params
        )
        terminated, truncated = np.array(terminated), np.array(truncated)
        ended = terminated | truncated
        infos: dict[str, Any] = {}
        if ended.any():
            # The last pictures are drawn only in the steps that need them.
            final = jax.device_get(_final_observations(self.core, before, actions, self.params))
            infos = self._final_infos(final, jax.device_get(info), ended)
        self._history = _pushed(self._history, np.asarray(observation["telemetry"]), ended)
        return _host(observation, self._history), np.array(reward), terminated, truncated, infos

    def _final_infos(
        self, final: dict[str, np.ndarray], info: StepInfo, ended: np.ndarray
    ) -> dict[str, Any]:
        """Return `final_obs` and `final_info` of the environments that ended."""
        history = _pushed(self._history, final["telemetry"])
        observations = np.full(self.num_envs, None, object)
        infos: dict[str, Any] = {}
        for index in np.flatnonzero(ended):
            observations[index] = {"vision": final["vision"][index], "telemetry": history[index]}
            own = jax.tree.map(lambda field, i=index: field[i], info)
            infos = self._add_info(infos, contract.make_info(own, True), int(index))
        return {
            "final_obs": observations,
            "_final_obs": ended,
            "final_info": infos,
            "_final_info": ended,
        }


@jax.jit
def _final_observations(env: KartEnv, state, actions, params):
    """Return the observation that each environment reaches before any reset."""
    return jax.vmap(env.step_without_reset, in_axes=(0, 0, None))(state, actions, params)[0]
