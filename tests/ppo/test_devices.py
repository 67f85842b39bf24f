"""A run that many devices share is that of one device: same karts, minibatches and numbers."""

import dataclasses

import chex
import jax
import numpy as np
import pytest
from ring_env import RingEnv
from ring_runs import SMALL, run

from kart_jax.devices import KARTS, kart_mesh
from kart_jax.env.config import EnvConfig
from kart_jax.errors import InputError
from train.ppo import minibatches, update
from train.ppo.config import PPOConfig
from train.ppo.hyperparameters import Hyperparameters
from train.run import placement, prepare
from train.run.request import TrainConfig
from train.run.resolve import resolve

pytestmark = pytest.mark.usefixtures("on_ring")

# 8 updates in 2 chunks.
SHARED = dataclasses.replace(SMALL, devices=8, vector_envs=16, timesteps=16 * 16 * 8)


def driven(count, config=SHARED, env=RingEnv()):  # noqa: B008
    """State and metrics after the first chunk, of 4 updates, of a run on `count` devices."""
    settings = resolve(config, "cpu")
    mesh = kart_mesh(count)
    graph, begun = placement.initial_state(env, settings, mesh)
    hyper = placement.replicate(Hyperparameters.from_config(settings.ppo, settings.updates), mesh)
    return update.chunk(graph, env, settings.ppo.shape, hyper, begun, mesh)


@pytest.fixture(scope="module")
def alone():
    return driven(1)


@pytest.mark.parametrize("count", [pytest.param(2, marks=pytest.mark.slow), 8])
def test_devices_learn_as_one(alone, count):
    there, told = driven(count)
    assert_learned_alike((there, told), alone)
    assert len(there.discounted_return.sharding.device_set) == count
    assert there.discounted_return.sharding.spec == jax.sharding.PartitionSpec(KARTS)
    assert not np.array_equal(
        *(np.asarray(leaf) for leaf in (there.discounted_return[:2], there.discounted_return[2:4]))
    )


@pytest.mark.slow
def test_devices_learn_as_one_from_pictures():
    env = RingEnv(config=EnvConfig(frame_stack=1, vision=True))
    config = dataclasses.replace(
        SHARED, telemetry_only=False, devices=2, vector_envs=4, minibatch_size=32
    )
    assert_learned_alike(*(driven(count, config, env) for count in (2, 1)))


def assert_learned_alike(run, other):
    """Assert equal states and metrics of two runs `(state, told)`, but for the order of sums."""
    there, told = run
    one, known_told = other
    # Sums in another order differ in the last bit of float32; four updates of Adam make 1e-5 of it.
    chex.assert_trees_all_close(
        jax.device_get(there.params), jax.device_get(one.params), rtol=1e-3, atol=2e-5
    )
    chex.assert_trees_all_close(
        jax.device_get(there.opt_state), jax.device_get(one.opt_state), rtol=1e-2, atol=1e-4
    )
    chex.assert_trees_all_close(
        jax.device_get(told), jax.device_get(known_told), rtol=1e-3, atol=1e-4
    )


def test_every_sample_is_taken_once_an_epoch_whatever_the_groups():
    config = PPOConfig(
        vector_envs=12,
        rollout_steps=5,
        epochs=2,
        minibatch_size=15,
        learning_rate=1.0,
        ent_coef=0.0,
        shards=3,
    )

    rows = np.asarray(minibatches.permutation(jax.random.key(0), config))
    assert rows.shape == (8, 15)
    for epoch in rows.reshape(2, -1):
        assert sorted(epoch) == list(range(60))
    groups = rows % 12 // 4  # karts 0..3, 4..7 and 8..11
    assert all((np.bincount(row, minlength=3) == 5).all() for row in groups)
    assert not np.array_equal(rows[:4], rows[4:])


@pytest.mark.slow
def test_a_run_on_many_devices_goes_on_on_fewer(tmp_path):
    first = dataclasses.replace(
        SHARED, checkpoint_freq=1024, runs_dir=str(tmp_path), save_name="wide"
    )
    whole, result, _ = run(first)
    assert result.steps == 2048 and whole.mesh.size == 8

    place = str(whole.folder.checkpoints / "1024")
    fewer, result, notes = run(TrainConfig(resume_from=place, devices=2, runs_dir=str(tmp_path)))
    assert (
        notes == []
        and fewer.mesh.size == 2
        and fewer.config.ppo.shards == 8
        and result.steps == 2048
    )
    chex.assert_trees_all_close(
        jax.device_get(fewer.state.params), jax.device_get(whole.state.params), rtol=1e-3, atol=2e-5
    )


def test_devices_that_cannot_share_are_refused(tmp_path):
    with pytest.raises(
        InputError, match="--vector-envs is 12; it must be a multiple of the 8 groups of karts"
    ):
        resolve(dataclasses.replace(SHARED, vector_envs=12), "cpu")
    settings = resolve(SHARED, "cpu")
    with pytest.raises(
        InputError, match="--devices is 3; it must divide the 8 groups of karts of the run"
    ):
        placement.choose_mesh(3, settings.ppo.shards)
    with pytest.raises(InputError, match="16 devices are asked for; there are 8"):
        prepare.prepare(dataclasses.replace(SHARED, devices=16, runs_dir=str(tmp_path)))
    assert not list(tmp_path.iterdir())


def test_an_accelerator_s_devices_are_all_used_and_one_of_a_cpu(unbroken):
    assert unbroken[0].mesh.size == 1 < jax.device_count()
    assert resolve(TrainConfig(), "gpu", devices=4).ppo.shards == 4
    assert placement.choose_mesh(None, 4).size == 4
