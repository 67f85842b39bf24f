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
from kart_jax.env.params import EpisodeLimits, StartRange
from kart_jax.env.types import Cause
from kart_jax.race.params import RaceRules

STEPS, KARTS = 30, 3


@pytest.fixture(scope="module")
def env(oval):
    return kart_jax.make(oval, karts=KARTS, config=EnvConfig(vision=False))


@pytest.fixture(scope="module")
def standing(env):
    """Karts start on the grid; one that stands for 0.4 s is out, and 1 s is the time limit: steps
    10 and 25."""
    limits = EpisodeLimits(stuck_speed=0.1, stuck_time=0.4, episode_time=1.0)
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


def test_every_kart_drives_as_it_would_alone(env, oval):
    params = env.default_params
    alone = kart_jax.make(oval, karts=1, config=EnvConfig(vision=False))
    actions = pedals(1.0, 0.3, -0.2).at[:, :, 0].set(jnp.asarray([0.1, -0.1, 0.0]))
    first, (obs, _, reward, *_) = drive(env, params, actions)

    @partial(jax.vmap, in_axes=(0, 1), out_axes=1)  # over karts
    def each(lane, actions):
        def step(lane, action):
            given = alone.default_params
            seen, lane, reward, *_ = alone.step(jax.random.key(1), lane, action[None], given)
            return lane, (jax.tree.map(lambda leaf: leaf[0], seen), reward[0])

        return jax.lax.scan(step, lane, actions)[1]

    # The race of K karts as K races of one.
    lanes = jax.tree.map(
        lambda leaf: leaf[:, None] if jnp.ndim(leaf) else jnp.broadcast_to(leaf, (KARTS,)), first
    )
    expected, rewards = jax.jit(each)(lanes, actions)
    chex.assert_trees_all_close((obs, reward), (expected, rewards), rtol=1e-4, atol=1e-3)
    assert not np.allclose(obs["telemetry"][-1, 0], obs["telemetry"][-1, 1], atol=0.05)


def test_karts_of_one_race_follow_each_other_on_one_circuit(env):
    first, _ = drive(env, env.default_params, pedals(1.0, 1.0, 1.0))
    s, length = first.race.track_point.s, env.tracks.length[0]
    np.testing.assert_allclose(np.mod(s[:-1] - s[1:], length), 8.0, atol=0.5)


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
    race = state.race
    s = race.track_point.s
    assert (s[10:24, 1] == s[9, 1]).all(), "a retired kart stays where it is"
    assert (np.diff(race.tick[:24]) == 8).all(), "the clock of the race goes on"


def test_a_retired_kart_is_not_reported_off_the_track(env, standing):
    nowhere = standing.replace(rules=strong(RaceRules(track_limit=-100.0)))
    *_, info = drive(env, nowhere, pedals(1.0, 0.0, 1.0))[1]
    np.testing.assert_array_equal(info.off_track[:24, 1], np.arange(1, 25) <= 10)
    assert info.off_track[:24, [0, 2]].all()


def test_a_race_that_is_over_is_followed_by_a_new_one(env, standing):
    _, (_, state, *_) = drive(env, standing, pedals(1.0, 0.0, 1.0))
    length = state.episode.length
    assert state.active[23].tolist() == [True, False, True]
    assert state.active[24].all() and (length[24] == 0).all() and state.race.tick[24] == 0
    assert (length[25] == 1).all()


def test_a_nan_of_one_kart_is_no_concern_of_the_others(env, standing):
    clean, broken = pedals(1.0, 1.0, 1.0), pedals(1.0, 1.0, 1.0).at[3, 0].set(jnp.nan)
    _, (obs, _, reward, *_) = drive(env, standing, clean)
    _, (seen, _, gained, terminated, _, info) = drive(env, standing, broken)
    assert terminated[3].tolist() == [True, False, False] and info.cause[3, 0] == Cause.NON_FINITE
    assert np.isfinite(seen["telemetry"]).all() and np.isfinite(gained).all()
    np.testing.assert_array_equal(seen["telemetry"][:24, 1:], obs["telemetry"][:24, 1:])
    np.testing.assert_array_equal(gained[:24, 1:], reward[:24, 1:])


def test_what_a_user_closes_over_is_hidden_from_the_compiler(env, standing):
    """Else XLA:CPU folds the circuit into every loop, and a step takes several times as long."""
    key, actions = jax.random.key(0), jnp.zeros((KARTS, 2))
    _, state = jax.eval_shape(lambda key: env.reset(key, standing), key)
    texts = {
        "reset": jax.jit(lambda key: env.reset(key, standing)).lower(key).as_text(),
        "step": jax.jit(lambda key, state, action: env.step(key, state, action, standing))
        .lower(key, state, actions)
        .as_text(),
    }
    for name, text in texts.items():
        assert "optimization_barrier" in text, name


@pytest.mark.parametrize("karts", [0, 2.5, 1001])
def test_a_count_of_karts_that_is_none_is_refused(oval, karts):
    with pytest.raises(kart_jax.InputError, match=f"EnvConfig.karts is {karts}"):
        kart_jax.make(oval, karts=karts, config=EnvConfig(vision=False))


@pytest.mark.parametrize("karts", [None, 2])
def test_a_configuration_that_names_another_count_is_refused(oval, karts):
    with pytest.raises(kart_jax.InputError, match=r"EnvConfig.karts is 3; give make\(\) karts=3"):
        kart_jax.make(oval, karts=karts, config=EnvConfig(vision=False, karts=3))


def test_more_karts_than_the_grid_holds_are_refused(oval):
    slots = oval.grid_s.shape[1]
    with pytest.raises(kart_jax.InputError, match=f"karts is 100; the grid has {slots} slots"):
        kart_jax.make(oval, karts=100, config=EnvConfig(vision=False))


def test_each_kart_of_a_race_may_be_of_another_class(oval):
    classes = ["rental_gx270", "kz2"]
    env = kart_jax.make(oval, karts=2, kart=classes, config=EnvConfig(vision=False))
    np.testing.assert_array_equal(env.default_params.kart.gear_count, [1.0, 6.0])
    grid = env.default_params.replace(start=strong(StartRange(grid=1.0)))
    actions = jnp.broadcast_to(jnp.asarray([0.0, 1.0]), (STEPS, 2, 2))
    _, (obs, *_) = drive(env, grid, actions)
    rental, shifter = obs["telemetry"][24, :, 0]  # after a second, before the race ends
    assert shifter > 1.5 * rental
    with pytest.raises(kart_jax.InputError, match="kart names 2 karts for a race of 3"):
        kart_jax.make(oval, karts=3, kart=classes, config=EnvConfig(vision=False))


def test_karts_of_a_randomised_race_differ_from_each_other(oval):
    config = EnvConfig(vision=False, randomize=True)
    env = kart_jax.make(oval, karts=KARTS, config=config)
    grid = env.default_params.replace(start=strong(StartRange(grid=1.0)))
    _, (_, state, *_) = drive(env, grid, pedals(1.0, 1.0, 1.0))
    drawn = state.randomization[20]
    assert drawn.shape[0] == KARTS and len(np.unique(drawn, axis=0)) == KARTS
    speed = state.race.karts.vx[20]
    assert len(np.unique(speed)) == KARTS, "same pedal, other karts"
