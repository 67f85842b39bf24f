"""Several karts in one race: each drives, is judged and retires as it would alone; the race ends
with the last."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kart_jax
from kart_jax.env.config import EnvConfig
from kart_jax.env.multi import enter
from kart_jax.env.params import Limits, StartRange
from kart_jax.env.types import Cause

STEPS, KARTS = 30, 3


@pytest.fixture(scope="module")
def env(oval):
    return enter(kart_jax.make(oval, config=EnvConfig(vision=False)), KARTS)


@pytest.fixture(scope="module")
def standing(env):
    """Karts start on the grid; one that stands for 0.4 s is out, and 1 s is the time limit: steps
    10 and 25."""
    limits = Limits(stuck_speed=0.1, stuck_time=0.4, episode_time=1.0)
    return env.default_params.replace(limits=strong(limits), start=strong(StartRange(grid=1.0)))


def strong(params):
    """As `kart_jax.make` gives them: Python numbers would mean a second trace."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf).astype(jnp.asarray(leaf).dtype), params)


def drive(env, params, actions):
    """First state, and what each step (T, K, 2) of `actions` gives, as NumPy arrays."""
    return jax.device_get(_drive(env, params, actions))


@jax.jit
def _drive(env, params, actions):
    _, state = env.reset(jax.random.key(0), params)

    def step(state, action):
        obs, state, *rest = env.step(jax.random.key(1), state, action, params)
        return state, (obs, state, *rest)

    return state, jax.lax.scan(step, state, actions)[1]


def pedals(*throttles):
    """Actions (T, K, 2) straight ahead."""
    action = jnp.stack([jnp.zeros(KARTS), jnp.asarray(throttles, jnp.float32)], axis=-1)
    return jnp.broadcast_to(action, (STEPS, KARTS, 2))


@pytest.mark.slow
def test_every_kart_drives_as_it_would_alone(env):
    params = env.default_params
    actions = pedals(1.0, 0.3, -0.2).at[:, :, 0].set(jnp.asarray([0.1, -0.1, 0.0]))
    first, (obs, _, reward, *_) = drive(env, params, actions)

    @partial(jax.vmap, in_axes=(0, 1), out_axes=1)  # over karts
    def alone(lane, actions):
        def step(lane, action):
            seen, lane, reward, *_ = env.core.step(jax.random.key(1), lane, action, params)
            return lane, (seen, reward)

        return jax.lax.scan(step, lane, actions)[1]

    expected, gained = jax.jit(alone)(first.lanes, actions)
    chex.assert_trees_all_close((obs, reward), (expected, gained), rtol=1e-4, atol=1e-3)
    assert not np.allclose(obs["telemetry"][-1, 0], obs["telemetry"][-1, 1], atol=0.05)


@pytest.mark.slow  # the JaxMARL face is compared with it in `make test`
def test_karts_of_one_race_follow_each_other_on_one_circuit(env):
    first, _ = drive(env, env.default_params, pedals(1.0, 1.0, 1.0))
    s, length = first.lanes.race.place.s[:, 0], env.core.tracks.length[0]
    np.testing.assert_allclose(np.mod(s[:-1] - s[1:], length), 8.0, atol=0.5)
    assert len(np.unique(first.lanes.race.track)) == 1


def test_a_kart_that_stands_retires_and_the_others_race_on_to_the_time_limit(env, standing):
    _, (_, state, reward, terminated, truncated, info) = drive(env, standing, pedals(1.0, 0.0, 1.0))
    before_last = slice(0, 24)  # the 25th step ends the race
    np.testing.assert_array_equal(terminated[before_last, 1], np.arange(1, 25) >= 10)
    assert not terminated[:, [0, 2]].any()
    np.testing.assert_array_equal(truncated[:25].any(axis=1), np.arange(1, 26) == 25)
    np.testing.assert_array_equal(truncated[24], [True, False, True])
    np.testing.assert_array_equal(info.cause[[9, 10, 24], 1], [Cause.STUCK, Cause.NONE, Cause.NONE])
    assert (
        (reward[10:25, 1] == 0.0).all() and reward[9, 1] < -49.0 and (reward[10:24, 0] > 0.0).all()
    )
    np.testing.assert_array_equal(info.episode_length[24], [25, 10, 25])
    race = state.lanes.race
    assert (race.place.s[10:24, 1] == race.place.s[9, 1]).all(), "a retired kart stays where it is"
    assert (race.tick == race.tick[:, :1]).all() and (np.diff(race.tick[:24, 1]) == 8).all(), (
        "one clock for all"
    )


def test_a_race_that_is_over_is_followed_by_a_new_one(env, standing):
    _, (_, state, *_) = drive(env, standing, pedals(1.0, 0.0, 1.0))
    assert state.retired[23].tolist() == [False, True, False]
    assert (
        not state.retired[24].any()
        and (state.lanes.step[24] == 0).all()
        and (state.lanes.race.tick[24] == 0).all()
    )
    assert (state.lanes.step[25] == 1).all()


def test_a_nan_of_one_kart_is_no_concern_of_the_others(env, standing):
    clean, broken = pedals(1.0, 1.0, 1.0), pedals(1.0, 1.0, 1.0).at[3, 0].set(jnp.nan)
    _, (obs, _, reward, *_) = drive(env, standing, clean)
    _, (seen, _, gained, terminated, _, info) = drive(env, standing, broken)
    assert terminated[3].tolist() == [True, False, False] and info.cause[3, 0] == Cause.NON_FINITE
    assert np.isfinite(seen["telemetry"]).all() and np.isfinite(gained).all()
    np.testing.assert_array_equal(seen["telemetry"][:24, 1:], obs["telemetry"][:24, 1:])
    np.testing.assert_array_equal(gained[:24, 1:], reward[:24, 1:])


@pytest.mark.parametrize("karts", [0, 9])
def test_more_karts_than_the_grid_holds_are_refused(env, karts):
    with pytest.raises(kart_jax.InputError, match=f"karts is {karts}; the grid has 8 slots"):
        enter(env.core, karts)


def test_karts_of_one_race_are_not_randomised(oval):
    core = kart_jax.make(oval, config=EnvConfig(vision=False, randomize=True))
    with pytest.raises(
        kart_jax.InputError, match=r"EnvConfig\.randomize is True; karts of one race are equal"
    ):
        enter(core, 2)
