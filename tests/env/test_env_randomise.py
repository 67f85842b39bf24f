"""Domain randomisation: each episode gets a kart, light and senses of its own, and nothing without
being asked."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kart_jax
from kart_jax.env import randomise
from kart_jax.race.params import per_kart

COUNT = 8
CHANGED = {
    "mass": {"kart.mass", "kart.yaw_inertia"},
    "grip": {"kart.front_tyre.friction", "kart.rear_tyre.friction"},
    "power": {"kart.torque"},
    "brakes": {"kart.front_brake", "kart.rear_brake"},
    "driver_lag": {"kart.steer_lag", "kart.throttle_lag", "kart.brake_lag"},
    "light": {"appearance.light"},
    "camera_height": {"appearance.camera_height"},
    "camera_pitch": {"appearance.camera_pitch"},
    "pixel_noise": {"appearance.noise"},
    "latency": {"latency"},
    "sensor_noise": {"sensor_noise"},
}


@pytest.fixture(scope="module")
def plain(oval):
    return kart_jax.make(oval, kart="kz2", config=kart_jax.EnvConfig(vision=False))


@pytest.fixture(scope="module")
def varied(oval):
    return kart_jax.make(oval, kart="kz2", config=kart_jax.EnvConfig(vision=False, randomize=True))


reset = jax.jit(kart_jax.reset_batch, static_argnames="count")
step = jax.jit(kart_jax.step_batch)


def leaves(params):
    found = jax.tree_util.tree_leaves_with_path(params)
    return {
        jax.tree_util.keystr(path, simple=True, separator="."): np.asarray(leaf)
        for path, leaf in found
    }


@pytest.mark.parametrize("index", range(len(randomise.VARIATIONS)))
def test_a_variation_changes_what_it_names_and_nothing_else(plain, index):
    variation = randomise.VARIATIONS[index]
    nominal = plain.default_params
    before = leaves(nominal)
    for sign in (-1.0, 1.0):
        after = leaves(
            randomise.vary(nominal, jnp.zeros(len(randomise.VARIATIONS)).at[index].set(sign))
        )
        moved = {name for name in before if not np.array_equal(before[name], after[name])}
        # A part that the kart has not (front brakes) stays at zero.
        assert moved == {
            name for name in CHANGED[variation.name] if before[name].any() or variation.unit != "1"
        }
        for name in moved:
            change = after[name] - before[name]
            if variation.unit == "1":
                change = change[before[name] != 0] / before[name][before[name] != 0]
            assert np.allclose(np.abs(change), variation.spread, rtol=1e-3), name


def test_every_variation_is_looked_at():
    assert {variation.name for variation in randomise.VARIATIONS} == set(CHANGED)


def test_draws_are_even_between_minus_one_and_one():
    drawn = np.asarray(randomise.draw(jax.random.key(0), 4000))
    assert np.abs(drawn).max() <= 1.0
    np.testing.assert_allclose(drawn.mean(0), 0.0, atol=0.04)  # 4 standard errors
    np.testing.assert_allclose(drawn.std(0), 3**-0.5, atol=0.03)


def test_episodes_differ_and_a_new_one_draws_anew(varied):
    params = varied.default_params
    stand = dataclasses.replace(
        params, start=dataclasses.replace(params.start, grid=jnp.float32(1.0), track=jnp.int32(0))
    )
    short = dataclasses.replace(
        stand, limits=dataclasses.replace(stand.limits, episode_time=jnp.asarray(0.8, jnp.float32))
    )
    _, state = reset(varied, jax.random.key(0), short, count=COUNT)
    first = np.asarray(state.randomization)
    assert first.shape == (COUNT, 1, len(randomise.VARIATIONS))
    assert len(np.unique(first, axis=0)) == COUNT
    full = jnp.tile(jnp.asarray([0.0, 1.0]), (COUNT, 1))
    for number in range(20):
        if number == 19:
            assert np.array_equal(state.randomization, first)  # all through the episode
            assert (
                len(np.unique(np.asarray(state.race.karts.vx))) == COUNT
            )  # same start, same pedal, other karts
        _, state, _, _, truncated, _ = step(varied, jax.random.key(number), state, full, short)
    assert truncated.all()
    assert (np.asarray(state.randomization) != first).all()


def test_without_being_asked_nothing_varies(plain):
    _, state = reset(plain, jax.random.key(0), plain.default_params, count=COUNT)
    assert state.randomization is None
    assert float(plain.default_params.latency) == 0.0 == float(plain.default_params.sensor_noise)


def test_an_action_that_is_a_whole_step_late_acts_in_the_next(varied):
    prompt = varied.default_params
    late = dataclasses.replace(prompt, latency=jnp.asarray(0.04, jnp.float32))
    _, state = reset(varied, jax.random.key(0), prompt, count=COUNT)
    state = dataclasses.replace(
        state, randomization=jnp.zeros_like(state.randomization)
    )  # the nominal kart
    left, none = jnp.tile(jnp.asarray([[1.0, 0.0]]), (COUNT, 1)), jnp.zeros((COUNT, 2))

    def drive(state, action, params):
        return step(varied, jax.random.key(1), state, action, params)[1]

    def angle(state):
        return np.asarray(state.race.karts.steer)

    turned, waited, still = (
        drive(state, left, prompt),
        drive(state, left, late),
        drive(state, none, prompt),
    )
    np.testing.assert_allclose(angle(waited), angle(still), atol=1e-7)
    assert (angle(turned) > angle(waited) + 1e-3).all()
    # Now the first action acts.
    np.testing.assert_allclose(
        angle(drive(waited, none, late)), angle(drive(still, left, prompt)), atol=1e-6
    )


@jax.jit
def see(env, state, params, fresh):
    """What one kart in each of many races observes: (B, ...)."""
    params = params.replace(kart=per_kart(params.kart, 1))
    observe = jax.vmap(type(env.core).observe, in_axes=(None, 0, None, None))
    observation, _ = observe(env.core, state, params, fresh)
    return jax.tree.map(lambda leaf: leaf[:, 0], observation), state


def drawing(state, **shares):
    """The states of episodes that drew `shares` of the named variations, and nothing of the
    others."""
    names = [variation.name for variation in randomise.VARIATIONS]
    drawn = np.zeros(state.randomization.shape, np.float32)
    for name, share in shares.items():
        drawn[..., names.index(name)] = share
    return dataclasses.replace(state, randomization=jnp.asarray(drawn))


def test_drawn_sensor_noise_reaches_the_telemetry(varied):
    params, fresh = varied.default_params, jnp.ones((), bool)
    _, state = reset(varied, jax.random.key(3), params, count=COUNT)

    def telemetry(**shares):
        return np.asarray(see(varied, drawing(state, **shares), params, fresh)[0]["telemetry"])

    error = telemetry(sensor_noise=1.0) - telemetry()
    assert error.std() == pytest.approx(0.02, rel=0.2)  # 72 values: a standard error of 5 %
    np.testing.assert_allclose(telemetry(sensor_noise=-0.5) - telemetry(), error / 2, atol=1e-6)
    np.testing.assert_array_equal(telemetry(mass=1.0, light=1.0, pixel_noise=1.0), telemetry())


@pytest.mark.slow
def test_drawn_light_and_pixel_noise_reach_the_picture(oval):
    env = kart_jax.make(
        oval, config=kart_jax.EnvConfig(height=20, width=16, frame_stack=1, randomize=True)
    )
    params, fresh = env.default_params, jnp.ones((), bool)
    _, state = reset(env, jax.random.key(3), params, count=COUNT)

    def picture(state, **shares):
        return np.asarray(see(env, drawing(state, **shares), params, fresh)[0]["vision"], float)

    plain, dark = picture(state), picture(state, light=-1.0)
    np.testing.assert_allclose(
        dark, 0.75 * plain, atol=8.0
    )  # the ground's grain of 4 grey levels does not darken
    assert (
        picture(state, light=1.0).mean() > 1.1 * plain.mean()
    )  # less than a quarter, for white stays white
    noisy = picture(state, pixel_noise=1.0) - plain
    inside = (plain > 30.0) & (plain < 225.0)  # where nothing is cut off
    assert noisy[inside].std() == pytest.approx(6.0, rel=0.1)
    older = state.episode.replace(length=state.episode.length + 1)
    later = dataclasses.replace(state, episode=older)
    np.testing.assert_array_equal(picture(later), plain)
    again = picture(later, pixel_noise=1.0) - plain  # live noise: another pattern in each frame
    assert abs(np.corrcoef(noisy[inside], again[inside])[0, 1]) < 0.1
    assert np.abs(picture(state, camera_pitch=1.0) - plain).mean() > 1.0


def test_sensor_noise_has_the_size_that_is_asked_for(plain):
    quiet = plain.default_params
    noisy = dataclasses.replace(quiet, sensor_noise=jnp.asarray(0.05, jnp.float32))
    seen = partial(reset, plain, jax.random.key(3), count=512)
    error = np.asarray(seen(noisy)[0]["telemetry"] - seen(quiet)[0]["telemetry"])
    np.testing.assert_allclose(error.std(0), 0.05, rtol=0.15)
    np.testing.assert_allclose(error.mean(0), 0.0, atol=0.01)
    assert np.abs(np.corrcoef(error.T) - np.eye(9)).max() < 0.25  # the channels err independently
