"""The Gymnasium faces: the checker passes, histories move, episodes end as Gymnasium says."""

import warnings

import numpy as np
import pytest

gymnasium = pytest.importorskip("gymnasium", reason="the extra `gym` is not installed")

from gymnasium.utils.env_checker import check_env  # noqa: E402
from gymnasium.vector import AutoresetMode  # noqa: E402

from kart_jax.adapters.gymnasium import RacingEnvVision, RacingVectorEnv  # noqa: E402
from kart_jax.errors import InputError  # noqa: E402
from kart_jax.telemetry import export  # noqa: E402

FULL = np.array([0.0, 1.0], np.float32)


class Lane(gymnasium.Env):
    """One lane of a `RacingVectorEnv` as an ordinary environment, so that the checker can look at
    it."""

    def __init__(self, vector: RacingVectorEnv) -> None:
        self.vector = vector
        self.observation_space, self.action_space = (
            vector.single_observation_space,
            vector.single_action_space,
        )

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        observation, info = self.vector.reset(seed=seed, options=options)
        return {name: value[0].copy() for name, value in observation.items()}, info

    def step(self, action):
        observation, reward, terminated, truncated, info = self.vector.step(
            np.stack([action] * self.vector.num_envs)
        )
        ended = bool(terminated[0] or truncated[0])
        last = (
            info["final_obs"][0]
            if ended
            else {name: value[0] for name, value in observation.items()}
        )
        return last, float(reward[0]), bool(terminated[0]), bool(truncated[0]), {}


@pytest.fixture(scope="module")
def env():
    return RacingEnvVision(
        track_name="beginner_track.png", telemetry_history=4, render_mode="rgb_array"
    )


@pytest.fixture(scope="module")
def vector():
    return RacingVectorEnv(3, "beginner_track", telemetry_history=2)


def test_gymnasium_checker_accepts_the_environment(env):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings(
            "ignore", message=".*alternative render modes.*"
        )  # needs gymnasium.make
        check_env(env)


@pytest.mark.slow
def test_gymnasium_checker_accepts_a_lane_of_the_vector_environment():
    check_env(
        Lane(RacingVectorEnv(3, "beginner_track", telemetry_history=2)), skip_render_check=True
    )


def test_histories_move_by_one_each_step(env):
    first, _ = env.reset(seed=3)
    assert first["vision"].shape == (84, 84, 12) and first["telemetry"].shape == (4, 9)
    assert (first["telemetry"] == first["telemetry"][-1]).all(), (
        "a new episode fills the history with its first row"
    )
    second, *_ = env.step(FULL)
    np.testing.assert_array_equal(second["telemetry"][:-1], first["telemetry"][1:])
    np.testing.assert_array_equal(second["vision"][..., :9], first["vision"][..., 3:])
    assert not np.array_equal(second["vision"][..., 9:], first["vision"][..., 9:])


def test_exported_telemetry_has_one_row_a_step(tmp_path):
    env = RacingEnvVision("beginner_track")
    with pytest.raises(InputError, match="call step"):
        env.export_telemetry(tmp_path / "driver_session.csv")
    env.reset(seed=0)
    for _ in range(5):
        env.step(FULL)
    env.export_telemetry(tmp_path / "driver_session.csv")
    log = export.read_log(tmp_path / "driver_session.csv")
    np.testing.assert_array_equal(log["step"], np.arange(5))
    np.testing.assert_allclose(np.diff(log["time"]), 0.04, atol=1e-5)
    assert log["throttle"][-1] > 50.0


def test_only_the_latest_telemetry_is_kept(tmp_path):
    env = RacingEnvVision("beginner_track", telemetry_steps=3)
    env.reset(seed=0)
    for _ in range(5):
        env.step(FULL)
    env.export_telemetry(tmp_path / "latest.csv")
    np.testing.assert_array_equal(export.read_log(tmp_path / "latest.csv")["step"], [2, 3, 4])
    with pytest.raises(InputError, match="telemetry_steps is 0"):
        RacingEnvVision("beginner_track", telemetry_steps=0)


def test_no_face_claims_pictures_that_it_does_not_draw(env, vector):
    assert env.metadata["render_modes"] == ["rgb_array"]
    assert vector.metadata["render_modes"] == [] and vector.render_mode is None


def test_render_is_a_picture_for_people(env):
    env.reset(seed=0)
    picture = env.render()
    assert picture.shape == (360, 640, 3) and picture.dtype == np.uint8 and picture.std() > 20


@pytest.mark.slow
def test_vector_environment_resets_in_the_same_step_and_keeps_the_last_observation(vector):
    assert vector.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    observation, _ = vector.reset(seed=5)
    assert vector.observation_space.contains(observation)
    for _ in range(400):  # nobody presses the throttle: every kart rolls off or gets stuck
        before = observation
        observation, reward, terminated, truncated, infos = vector.step(
            np.zeros((3, 2), np.float32)
        )
        if terminated.any():
            break
    lane = int(np.flatnonzero(terminated)[0])
    assert not truncated.any() and reward.shape == (3,)
    final = infos["final_obs"][lane]
    assert infos["_final_obs"][lane] and vector.single_observation_space.contains(final)
    np.testing.assert_array_equal(final["telemetry"][0], before["telemetry"][lane, -1])
    new = observation["telemetry"][lane]
    assert (new == new[-1]).all() and not np.array_equal(new[-1], final["telemetry"][-1])
    assert infos["final_info"]["cause"][lane] in ("stuck", "off_track")
    assert infos["final_info"]["episode"]["l"][lane] >= 50


@pytest.mark.slow
def test_same_seed_gives_the_same_drive(vector):
    def drive():
        vector.reset(seed=11)
        return [vector.step(np.full((3, 2), 0.3, np.float32))[0]["telemetry"] for _ in range(4)]

    np.testing.assert_array_equal(drive(), drive())


@pytest.mark.parametrize(
    "wrong",
    [{"track_name": "nowhere"}, {"telemetry_history": 0}, {"kart": "f1"}, {"render_mode": "human"}],
)
def test_bad_arguments_get_a_sentence(wrong):
    with pytest.raises(InputError):
        RacingEnvVision(**wrong)
    if "render_mode" not in wrong:
        with pytest.raises(InputError):
            RacingVectorEnv(2, **wrong)


@pytest.mark.parametrize(
    "wrong", [{"num_envs": 0}, {"num_envs": 1.5}, {"num_envs": 10**10}, {"telemetry_history": 1.5}]
)
def test_counts_that_cannot_be_get_a_sentence(wrong):
    name, value = next(iter(wrong.items()))
    with pytest.raises(InputError, match=f"{name} is {value}; it must be a whole number from 1 to"):
        RacingVectorEnv(**{"num_envs": 2, **wrong})


@pytest.mark.parametrize("action", [None, 0.5, [0.5], [0.1, 0.2, 0.3]])
def test_an_action_of_another_shape_gets_a_sentence(action):
    env = RacingEnvVision("beginner_track")
    env.reset(seed=0)
    with pytest.raises(InputError, match=r"action has the shape .* for one race; give \(2,\)"):
        env.step(action)
