"""The environment as a whole: contract, resets, ends, laps and independence of the batch."""

import dataclasses
import itertools
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kart_jax
from kart_jax.env import observe, randomise, reward
from kart_jax.env.types import Cause
from kart_jax.errors import InputError
from kart_jax.geometry import wrap_angle
from kart_jax.track import field, query
from kart_jax.track.line import resample
from kart_jax.track.stack import stack

COUNT = 8


def ellipse(a, b, half=4.0):
    angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    points = np.column_stack([a * np.cos(angle), b * np.sin(angle)])
    return resample(points, np.full(200, half), np.full(200, half))


@pytest.fixture(scope="module")
def env():
    """Two ellipses, 304 m and 450 m, without vision."""
    tracks = stack([field.build(ellipse(60.0, 35.0)), field.build(ellipse(90.0, 50.0))])
    return kart_jax.make(tracks, config=kart_jax.EnvConfig(vision=False))


def repeated(params, count=COUNT):
    return jax.tree.map(lambda leaf: jnp.repeat(leaf[None], count, axis=0), params)


@pytest.fixture(scope="module")
def params(env):
    """Default parameters for a batch, one set per environment."""
    return repeated(env.default_params)


@pytest.fixture(scope="module")
def reset():
    return jax.jit(partial(kart_jax.reset_batch, varied=True), static_argnames="count")


@pytest.fixture(scope="module")
def step():
    """`step_batch` for `COUNT` environments; the whole module may trace it once."""

    def step_once(env, key, state, action, params):
        return kart_jax.step_batch(env, key, state, action, params, varied=True, final=True)

    return jax.jit(chex.assert_max_traces(step_once, n=1))


def changed(tree, **values):
    """The struct with fields set to values, in the shape and type they had, so that nothing is
    traced anew."""
    old = {name: getattr(tree, name) for name in values}
    new = {
        name: jnp.broadcast_to(jnp.asarray(v, old[name].dtype), old[name].shape)
        for name, v in values.items()
    }
    return dataclasses.replace(tree, **new)


def with_limits(params, **limits):
    return dataclasses.replace(params, limits=changed(params.limits, **limits))


def with_start(params, **start):
    return dataclasses.replace(params, start=changed(params.start, **start))


def with_kart(state, **values):
    """The state with fields of its karts (COUNT, 1) set."""
    race = dataclasses.replace(state.race, karts=changed(state.race.karts, **values))
    return dataclasses.replace(state, race=race)


@jax.jit
def pursue(env, state, speed):
    """Actions of a simple driver: turn to the centre line 6 m ahead, hold `speed` m/s."""

    def one(race, speed):
        kart = jax.tree.map(lambda leaf: leaf[0], race.karts)
        x, y, _ = query.pose_at(env.tracks, race.track, race.track_point.s[0] + 6.0)
        bearing = wrap_angle(jnp.arctan2(y - kart.y, x - kart.x) - kart.yaw)
        return jnp.clip(jnp.stack([2.0 * bearing, 0.5 * (speed - kart.vx)]), -1.0, 1.0)

    return jax.vmap(one)(state.race, speed)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("substeps", True),
        ("substeps", 0),
        ("frame_stack", -1),
        ("frame_stack", 65),
        ("height", 84.5),
        ("width", 10**6),
        ("substeps", "8"),
    ],
)
def test_an_impossible_configuration_is_refused(field, value):
    with pytest.raises(
        InputError, match=f"EnvConfig.{field} is {value!r}; it must be a whole number from 1 to "
    ):
        kart_jax.EnvConfig(**{field: value})
    with pytest.raises(InputError, match=r"EnvConfig\.vision is .no.; it must be True or False"):
        kart_jax.EnvConfig(vision="no")


def test_a_class_that_is_none_and_a_flat_batch_of_actions_are_refused(env, params, reset):
    with pytest.raises(InputError, match="kart: class is 5"):
        kart_jax.make("circuit", kart=5)
    _, state = reset(env, jax.random.key(0), params, count=COUNT)
    with pytest.raises(InputError, match=r"action has the shape \(\) for one race; give \(2,\)"):
        kart_jax.step_batch(env, jax.random.key(1), state, jnp.zeros(COUNT), params)


def test_shapes_types_and_bounds(env, params, reset, step):
    obs, state = reset(env, jax.random.key(0), params, count=COUNT)
    obs, state, rewards, terminated, truncated, info = step(
        env, jax.random.key(1), state, jnp.zeros((COUNT, 2)), params
    )
    assert set(obs) == {"telemetry"}
    assert obs["telemetry"].shape == (COUNT, 9) and obs["telemetry"].dtype == jnp.float32
    assert rewards.shape == (COUNT,) and rewards.dtype == jnp.float32
    assert terminated.dtype == truncated.dtype == bool
    assert info.reward_terms.shape == (COUNT, len(reward.TERMS))
    np.testing.assert_allclose(info.reward_terms.sum(axis=1), rewards, atol=1e-6)
    assert np.all(np.abs(obs["telemetry"]) <= observe.LIMIT)


def test_starts_are_spread_over_tracks_and_laps_and_stand_on_the_asphalt(env):
    params = env.core.default_params
    keys = jax.random.split(jax.random.key(3), 512)
    race = jax.jit(jax.vmap(lambda key: randomise.draw_start(key, env.tracks, params, 1)))(keys)
    share = np.mean(np.asarray(race.track) == 0)
    assert 0.4 < share < 0.6  # binomial with p = 1/2: ± 4.5 standard deviations
    part = (
        np.asarray(race.track_point.s[:, 0]) / np.asarray(env.tracks.length)[np.asarray(race.track)]
    )
    assert np.all(np.histogram(part, 8, (0.0, 1.0))[0] > 30)
    assert np.all(np.asarray(race.track_point.edge) <= -0.5 * 4.0 + 0.05)
    assert np.all(np.isnan(race.timing.lap_time))
    speed = np.asarray(race.karts.vx)
    bend = np.abs(np.asarray(race.track_point.curvature))
    assert speed.min() < 1.0 and speed.max() > 12.0
    assert np.all(speed**2 * bend <= float(params.start.lateral) * 1.05)


def test_start_options_choose_track_and_grid(env, params, reset):
    chosen = with_start(params, track=jnp.arange(COUNT, dtype=jnp.int32) % 2, grid=1.0)
    _, state = reset(env, jax.random.key(0), chosen, count=COUNT)
    np.testing.assert_array_equal(state.race.track, np.arange(COUNT) % 2)
    np.testing.assert_allclose(
        state.race.track_point.s[:, 0], env.tracks.grid_s[state.race.track, 0], atol=0.02
    )
    np.testing.assert_allclose(
        state.race.track_point.n[:, 0], env.tracks.grid_n[state.race.track, 0], atol=0.02
    )
    assert np.all(state.race.karts.vx == 0.0)


def test_positive_steering_turns_left_and_negative_pedal_brakes(env, params, reset, step):
    _, state = reset(env, jax.random.key(0), with_start(params, heading_error=0.0), count=COUNT)
    state = with_kart(state, vx=8.0)
    action = jnp.asarray([[0.3, 0.0], [-0.3, 0.0], [0.0, -1.0], [0.0, 0.0]] * 2)
    before = state.race.karts
    for _ in range(8):
        _, state, *_ = step(env, jax.random.key(1), state, action, params)
    turned = np.asarray(state.race.karts.yaw - before.yaw)[:, 0]
    assert turned[0] > 0.1 and turned[1] < -0.1
    assert state.race.karts.vx[2, 0] < state.race.karts.vx[3, 0] - 0.5


def test_an_end_is_followed_by_a_fresh_start_in_the_same_step(env, params, reset, step):
    _, state = reset(env, jax.random.key(0), params, count=COUNT)
    short = with_limits(params, episode_time=0.04)
    fresh_obs, fresh = reset(env, jax.random.key(7), short, count=COUNT)
    obs, after, _, terminated, truncated, info = step(
        env, jax.random.key(7), state, jnp.zeros((COUNT, 2)), short
    )
    assert np.all(truncated) and not np.any(terminated)
    assert np.all(info.cause == Cause.TIME_LIMIT) and np.all(info.episode_length == 1)
    chex.assert_trees_all_close(after, fresh, atol=1e-5)
    np.testing.assert_allclose(obs["telemetry"], fresh_obs["telemetry"], atol=1e-5)
    going_obs, *_ = step(env, jax.random.key(7), state, jnp.zeros((COUNT, 2)), params)
    np.testing.assert_allclose(
        info.final_observation["telemetry"], going_obs["telemetry"], atol=1e-5
    )


@pytest.mark.parametrize("broken", ["state", "action"])
def test_nan_ends_that_environment_alone_and_reaches_no_output(env, params, reset, step, broken):
    _, state = reset(env, jax.random.key(0), params, count=COUNT)
    action = jnp.zeros((COUNT, 2))
    if broken == "state":
        state = with_kart(state, vx=state.race.karts.vx.at[2].set(jnp.nan))
    else:
        action = action.at[2, 1].set(jnp.nan)
    obs, after, rewards, terminated, truncated, info = step(
        env, jax.random.key(1), state, action, params
    )
    np.testing.assert_array_equal(terminated, np.arange(COUNT) == 2)
    assert info.cause[2] == Cause.NON_FINITE and not np.any(truncated)
    chex.assert_tree_all_finite(
        (obs, rewards, after.race.karts, info.reward_terms, info.episode_return)
    )
    chex.assert_tree_all_finite(info.final_observation)


def test_standing_still_and_driving_backward_end_the_episode(env, params, reset, step):
    options = with_start(with_limits(params, stuck_time=0.4, wrong_way_time=0.2), speed=0.0)
    _, state = reset(env, jax.random.key(0), options, count=COUNT)
    flip = jnp.arange(COUNT)[:, None] % 2 == 0
    karts = state.race.karts
    state = with_kart(
        state, yaw=jnp.where(flip, karts.yaw + jnp.pi, karts.yaw), vx=jnp.where(flip, 6.0, 0.0)
    )
    causes = np.zeros(COUNT, int)
    for _ in range(12):
        _, state, _, terminated, _, info = step(
            env, jax.random.key(1), state, jnp.zeros((COUNT, 2)), options
        )
        causes = np.where((causes == 0) & np.asarray(terminated), np.asarray(info.cause), causes)
    assert set(causes[::2]) == {Cause.WRONG_WAY} and set(causes[1::2]) == {Cause.STUCK}


def test_leaving_the_track_is_reported_and_ends_the_episode(env, params, reset, step):
    options = with_start(with_limits(params, off_track_time=0.2), offset=0.0, speed=0.0)
    _, state = reset(env, jax.random.key(0), options, count=COUNT)
    x, y, _ = query.pose_at(env.tracks, state.race.track, state.race.track_point.s[:, 0], 4.0 + 2.0)
    place = query.locate(env.tracks, state.race.track[:, None], x[:, None], y[:, None])
    state = with_kart(state, x=x[:, None], y=y[:, None])
    state = dataclasses.replace(state, race=dataclasses.replace(state.race, track_point=place))
    for k in range(5):
        _, state, rewards, terminated, _, info = step(
            env, jax.random.key(1), state, jnp.zeros((COUNT, 2)), options
        )
        assert np.all(info.off_track) and np.all(rewards < 0.0)
        assert np.all(terminated) == (k == 4)
    assert np.all(info.cause == Cause.OFF_TRACK)


@pytest.fixture(scope="module")
def laps(env, params, reset, step):
    """A drive of 100 s from the grid with the simple driver, on both tracks: arrays over (time,
    environment)."""
    options = with_start(params, track=jnp.arange(COUNT, dtype=jnp.int32) % 2, grid=1.0)
    options = with_limits(options, episode_time=1000.0)
    _, state = reset(env, jax.random.key(0), options, count=COUNT)
    speed = jnp.linspace(8.0, 12.0, COUNT)
    rows = []
    for _ in range(2500):
        _, state, rewards, terminated, truncated, info = step(
            env, jax.random.key(1), state, pursue(env, state, speed), options
        )
        race = state.race
        rows.append(
            (
                race.time,
                race.track_point.s[:, 0],
                rewards,
                info.lap_time,
                terminated | truncated,
                info.off_track,
            )
        )
    return jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *rows)


def test_lap_time_from_telemetry_agrees_with_the_timing(env, laps):
    time, s, _, lap_time, ended, _ = laps
    assert not ended.any()
    checked = 0
    for i in range(COUNT):
        length = float(env.tracks.length[i % 2])
        way = np.unwrap(s[:, i].astype(float), period=length)
        lines = np.arange(np.ceil(way[0] / length), np.floor(way[-1] / length) + 1) * length
        crossings = np.interp(lines, way, time[:, i])
        reported = lap_time[~np.isnan(lap_time[:, i]), i]
        assert len(reported) == len(crossings) - 1 >= 1
        np.testing.assert_allclose(np.diff(crossings), reported, atol=1e-3)
        checked += len(reported)
    assert checked >= 12


def test_a_clean_lap_is_worth_a_little_over_5000_on_every_track(laps):
    _, _, rewards, lap_time, _, off_track = laps
    assert not off_track.any()
    for i in range(COUNT):
        ends = np.flatnonzero(~np.isnan(lap_time[:, i]))
        for a, b in itertools.pairwise(ends):
            assert 5000.0 < rewards[a + 1 : b + 1, i].sum() < 5120.0


def test_same_seed_same_result_and_neighbours_do_not_matter(env, params, reset, step):
    _, state = reset(env, jax.random.key(5), params, count=COUNT)
    order = np.asarray([3, 1, 0, 2, 7, 6, 5, 4])
    action = jax.random.uniform(jax.random.key(6), (25, COUNT, 2), minval=-1.0)
    straight, again, mixed = state, state, jax.tree.map(lambda leaf: leaf[order], state)
    for a in action:
        key = jax.random.key(1)
        obs, straight, *_ = step(env, key, straight, a, params)
        obs_again, again, *_ = step(env, key, again, a, params)
        obs_mixed, mixed, *_ = step(env, key, mixed, a[order], params)
    chex.assert_trees_all_equal((obs, straight), (obs_again, again))
    np.testing.assert_array_equal(np.asarray(obs["telemetry"])[order], obs_mixed["telemetry"])


def test_the_size_of_the_batch_does_not_matter(env, params, reset, step):
    few = jax.tree.map(lambda leaf: leaf[:3], params)
    many_obs, many = reset(env, jax.random.key(5), params, count=COUNT)
    few_obs, little = reset(env, jax.random.key(5), few, count=3)
    np.testing.assert_allclose(few_obs["telemetry"], many_obs["telemetry"][:3], atol=1e-6)
    action = jax.random.uniform(jax.random.key(6), (COUNT, 2), minval=-1.0)
    many_obs, *_ = step(env, jax.random.key(1), many, action, params)
    step_few = jax.jit(partial(kart_jax.step_batch, varied=True))
    few_obs, *_ = step_few(env, jax.random.key(1), little, action[:3], few)
    np.testing.assert_allclose(few_obs["telemetry"], many_obs["telemetry"][:3], atol=1e-6)


def test_bad_input_is_refused():
    line = ellipse(60.0, 35.0)
    with pytest.raises(InputError, match="class is"):
        kart_jax.make(line, kart="tractor", config=kart_jax.EnvConfig(vision=False))
