"""The environment with its view: frames in the observation, and the second picture that nobody pays
for unread."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kart_jax
from kart_jax.env import observe
from kart_jax.render import view
from tests.conftest import oval_line

COUNT = 3
CONFIG = kart_jax.EnvConfig(height=20, width=16, frame_stack=3)


@pytest.fixture(scope="module")
def env():
    return kart_jax.make(oval_line(), config=CONFIG)


@pytest.fixture(scope="module")
def lowered(env):
    """The step with its final observation, and as it is without being asked; not yet compiled."""
    _, state = reset(env)
    args = (env, jax.random.key(1), state, jnp.zeros((COUNT, 2)), env.default_params)
    return tuple(
        jax.jit(partial(kart_jax.step_batch, final=final)).lower(*args) for final in (True, False)
    )


@pytest.fixture(scope="module")
def step(lowered):
    return lowered[0].compile()


begin = jax.jit(kart_jax.reset_batch, static_argnames="count")
draw = jax.jit(view.render, static_argnames="config")


def reset(env):
    return begin(env, jax.random.key(0), env.default_params, count=COUNT)


def picture(env, state, i):
    """The view of environment `i`, drawn by itself."""
    kart = jax.tree.map(lambda leaf: leaf[i, 0], state.race.karts)
    params = env.default_params
    return draw(
        env.scene,
        state.race.track[i],
        observe.pose(kart, params.kart),
        params.appearance,
        env.view_config,
    )


@pytest.mark.slow
def test_all_frames_are_the_first_after_a_reset(env):
    obs, state = reset(env)
    vision = np.asarray(obs["vision"])
    assert vision.shape == (COUNT, 20, 16, 9) and vision.dtype == np.uint8
    for k in range(3):
        np.testing.assert_array_equal(vision[..., 3 * k : 3 * k + 3], vision[..., :3])
    drawn = np.asarray(picture(env, state, 1)).astype(int)
    assert np.abs(vision[1, ..., :3].astype(int) - drawn).max() <= 2
    assert drawn.std() > 10, "the picture shows something"


def test_frames_move_up_by_one_and_the_newest_shows_the_state(env, step):
    obs, state = reset(env)
    action = jnp.tile(jnp.asarray([0.5, 1.0]), (COUNT, 1))
    for i in range(4):
        before = np.asarray(obs["vision"])
        obs, state, _, terminated, truncated, info = step(
            env, jax.random.key(i), state, action, env.default_params
        )
        after = np.asarray(obs["vision"])
        assert not np.any(terminated | truncated)
        np.testing.assert_array_equal(after[..., :-3], before[..., 3:])
        np.testing.assert_array_equal(after, info.final_observation["vision"])
    drawn = np.asarray(picture(env, state, 2)).astype(int)
    assert np.abs(after[2, ..., -3:].astype(int) - drawn).max() <= 2


def test_an_end_fills_the_stack_anew_and_keeps_the_last_view_apart(env, step):
    obs, state = reset(env)
    before = np.asarray(obs["vision"])
    params = env.default_params
    limits = dataclasses.replace(params.limits, episode_time=jnp.asarray(0.0, jnp.float32))
    params = dataclasses.replace(params, limits=limits)
    obs, _, _, _, truncated, info = step(
        env, jax.random.key(9), state, jnp.zeros((COUNT, 2)), params
    )
    after, final = np.asarray(obs["vision"]), np.asarray(info.final_observation["vision"])
    assert np.all(truncated)
    np.testing.assert_array_equal(after[..., :3], after[..., -3:])
    np.testing.assert_array_equal(final[..., :-3], before[..., 3:])
    assert np.any(final[..., -3:] != after[..., -3:])


def test_an_unread_final_observation_costs_nothing(lowered):
    # Two pictures against one; the physics and everything else are the same.
    everything, lean = (program.cost_analysis()["flops"] for program in lowered)
    assert lean < 0.75 * everything
