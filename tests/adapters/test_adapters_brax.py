"""The brax face: brax's names, shapes and habits; brax's PPO trains its vision network on it."""

import jax
import jax.numpy as jnp
import numpy as np
import outside
import pytest

from kart_jax.adapters.brax import RacingBrax
from kart_jax.env.config import EnvConfig
from kart_jax.env.reward import TERMS


@pytest.fixture(scope="module")
def pictures(oval):
    return RacingBrax(oval, config=EnvConfig(height=12, width=16, frame_stack=2))


@pytest.fixture(scope="module")
def driven(oval):
    """States of 250 steps of a kart that stands still, with a time limit of one step and a
    wrapper's own entries."""
    env = RacingBrax(oval, observation="telemetry")
    limits = env.sys.limits.replace(episode_time=jnp.float32(0.04))
    env = RacingBrax(oval, observation="telemetry", params=env.sys.replace(limits=limits))

    @jax.jit
    def drive(key):
        state = env.reset(key)
        state.info["steps"] = jnp.zeros(())
        state.metrics["reward"] = state.reward
        return state, jax.lax.scan(
            lambda state, _: (env.step(state, jnp.zeros(2)),) * 2, state, None, 250
        )[1]

    return jax.device_get(drive(jax.random.key(0)))


def test_the_observation_has_the_names_and_shapes_of_brax(pictures, oval):
    state = jax.eval_shape(pictures.reset, jax.random.key(0))
    after = jax.eval_shape(pictures.step, state, jax.ShapeDtypeStruct((2,), jnp.float32))
    assert pictures.observation_size == {"pixels/view_0": (12, 16, 6), "state": (9,)}
    for seen in (state, after):
        assert jax.tree.map(lambda leaf: leaf.shape, seen.obs) == pictures.observation_size
        assert all(
            leaf.dtype == jnp.float32 for leaf in (*seen.obs.values(), seen.done, seen.reward)
        )
    assert (pictures.action_size, pictures.dt, pictures.unwrapped) == (2, 0.04, pictures)
    assert RacingBrax(oval, observation="telemetry").observation_size == 9


def test_pixels_are_between_0_and_1(pictures):
    observed = pictures._observed(
        {"vision": jnp.asarray([0, 51, 255], jnp.uint8), "telemetry": jnp.ones(9)}
    )
    np.testing.assert_allclose(observed["pixels/view_0"], [0.0, 0.2, 1.0])
    np.testing.assert_array_equal(observed["state"], np.ones(9))


def test_done_is_a_fault_and_never_the_clock(driven):
    _, states = driven
    first = int(np.argmax(states.done))
    assert states.done[first] == 1.0 and first > 24, (
        "long after the environment's own limit of one step"
    )
    assert not states.done[:first].any()
    state = states.pipeline_state
    assert state.race.tick[-1] == 250 * 8, "brax restarts episodes, not the environment"
    assert state.episode.length[-1, 0] == first + 1, "a kart that is out stands still"
    assert states.done[first:].all() and not states.reward[first + 1 :].any()


def test_what_wrappers_keep_in_the_state_stays_and_metrics_add_up_to_the_reward(driven):
    start, states = driven
    assert set(start.metrics) == set(states.metrics) == {*TERMS, "laps", "reward"}
    assert set(states.info) == {"steps"}
    total = sum(states.metrics[name] for name in TERMS)
    np.testing.assert_allclose(states.reward, total, rtol=1e-4, atol=1e-4)
    assert (states.reward != 0.0).any()


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    # brax 0.14.2 calls jax.device_put_replicated, which left JAX with 0.10.
    return outside.interpreter(tmp_path_factory, "brax==0.14.2", "jax<0.10")


PROGRAM = """
import functools
import jax, numpy as np
from brax.training.agents.ppo import train as ppo
from brax.training.agents.ppo.networks_vision import make_ppo_networks_vision
from kart_jax.env.config import EnvConfig
from kart_jax.env.randomise import draw, vary
from kart_jax.adapters.brax import RacingBrax

env = RacingBrax("beginner_track", config=EnvConfig(height=24, width=24, frame_stack=1))
weights, told = {}, {}
ppo.train(
    env, num_timesteps=384, vision=True, num_envs=4, episode_length=40, unroll_length=16, batch_size=4,
    num_minibatches=2, num_updates_per_batch=2, num_evals=1, run_evals=False, num_eval_envs=4, max_devices_per_host=1,
    normalize_observations=True, log_training_metrics=True,
    randomization_fn=lambda params, rng: (jax.vmap(lambda key: vary(params, draw(key)))(rng), 0),
    network_factory=functools.partial(
        make_ppo_networks_vision, policy_obs_key="state", value_obs_key="state",
        policy_hidden_layer_sizes=(32,), value_hidden_layer_sizes=(32,)),
    policy_params_fn=lambda step, make, params: weights.update({step: jax.device_get(params[1])}),
    progress_fn=lambda step, metrics: told.update(metrics),
)
assert list(weights) == [0, 384]
moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), weights[0], weights[384])
kernels = [path for path, _ in jax.tree_util.tree_leaves_with_path(moved) if "CNN" in jax.tree_util.keystr(path)]
assert kernels and all(move > 0.0 for move in jax.tree.leaves(moved)), moved
assert told["episode/length"] == 40.0 and np.isfinite(told["episode/sum_reward"]), told
assert abs(told["episode/sum_reward"] - sum(told["episode/" + name] for name in
    ("progress", "lap", "off_track", "wall", "slip", "steering_rate", "terminated"))) < 0.1
print("trained", max(weights), "return", told["episode/sum_reward"])
"""


@pytest.mark.slow
def test_brax_ppo_trains_its_vision_network(python):
    assert "trained 384" in outside.run(python, PROGRAM)
