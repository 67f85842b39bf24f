"""A batch split over devices is the same batch."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding

import kart_jax
from kart_jax.devices import KARTS, kart_mesh

COUNT, STEPS = 4, 3


@pytest.fixture(scope="module")
def env(oval):
    return kart_jax.make(oval, config=kart_jax.EnvConfig(vision=False))


@pytest.fixture(scope="module")
def mesh():
    return kart_mesh(2)


def drive(env, mesh):
    """Observation, state and rewards after some steps of `COUNT` karts."""
    params = env.default_params
    observation, state = jax.jit(partial(kart_jax.reset_batch, count=COUNT, mesh=mesh))(
        env, jax.random.key(0), params
    )
    step = jax.jit(partial(kart_jax.step_batch, mesh=mesh))
    rewards = []
    for i in range(STEPS):
        action = jnp.linspace(-0.5, 0.5, COUNT)[:, None] * jnp.asarray([0.4, 1.0])
        observation, state, reward, *_ = step(env, jax.random.key(i), state, action, params)
        rewards.append(reward)
    return observation, state, jnp.stack(rewards)


def seen(driven):
    """Observation, places and rewards."""
    observation, state, rewards = driven
    return observation, state.race.track_point, rewards


@pytest.mark.slow  # four programs to compile; the split of training is tested on the ring
def test_a_split_batch_drives_as_a_whole_one(env, mesh):
    whole, split = drive(env, None), drive(env, mesh)
    # The last bits depend on which vector lane a kart is in. Forces of hundreds of newtons are left
    # out for that; a reward is the difference of two float32 arc lengths, each rounded to 3e-5 m,
    # times 5000 per 397 m: 4e-4.
    chex.assert_trees_all_close(
        jax.device_get(seen(split)), jax.device_get(seen(whole)), rtol=1e-5, atol=1e-3
    )
    assert isinstance(split[2].sharding, NamedSharding)
    assert split[2].sharding.spec[-1] == KARTS  # each device holds the rewards of its own karts
    assert len(split[2].sharding.device_set) == 2


@pytest.mark.slow
def test_a_split_batch_sees_what_a_whole_one_sees(oval, mesh):
    env = kart_jax.make(oval, config=kart_jax.EnvConfig(height=28, width=28, frame_stack=2))
    whole, split = (jax.device_get(drive(env, where)[0]["vision"]) for where in (None, mesh))
    assert (
        whole.shape == split.shape == (COUNT, 28, 28, 6)
        and len({frame.tobytes() for frame in whole}) == COUNT
    )
    # Places differ in their last bits, so a pixel on the edge of something may fall on its other
    # side.
    assert (np.abs(whole.astype(int) - split) <= 1).mean() > 0.999


def test_more_devices_than_there_are_are_refused():
    with pytest.raises(kart_jax.InputError, match="9 devices are asked for; there are 8"):
        kart_mesh(9)


def test_a_batch_that_cannot_be_split_is_refused(env, mesh):
    with pytest.raises(kart_jax.InputError, match="3 environments cannot be split over 2 devices"):
        kart_jax.reset_batch(env, jax.random.key(0), env.default_params, 3, mesh=mesh)
