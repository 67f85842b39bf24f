"""The JaxMARL face: dictionaries by agent say what the race does; JaxMARL's own wrapper and a learner run on it."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import outside
import pytest

from kart_jax.errors import InputError
from kart_jax.wrappers.jaxmarl import RacingMARL

AGENTS = ["kart_0", "kart_1"]


@pytest.fixture(scope="module")
def env(oval):
    return RacingMARL(oval, karts=2)


def test_dictionaries_by_agent_say_what_the_race_does(env):
    action = jnp.asarray([[0.2, 1.0], [-0.2, 0.5]])

    @jax.jit  # in one program, which is compiled once: both share most of it
    def drive():
        obs, state = env.reset(jax.random.key(0))
        whole, race = env.core.reset(jax.random.key(0), env.params)
        actions = dict(zip(AGENTS, action, strict=True))
        step = env.step(jax.random.key(1), state, actions)
        return obs, whole, step, env.core.step(jax.random.key(1), race, action, env.params)

    first, whole, (obs, _, rewards, dones, infos), native = jax.device_get(drive())
    expected, _, reward, terminated, truncated, _ = native
    assert env.agents == AGENTS == list(obs) == list(rewards) and env.num_agents == 2
    for i, agent in enumerate(AGENTS):
        np.testing.assert_array_equal(first[agent], whole["telemetry"][i])
        np.testing.assert_allclose(obs[agent], expected["telemetry"][i], rtol=1e-5)
        np.testing.assert_allclose(rewards[agent], reward[i], rtol=1e-5)
        assert dones[agent] == (terminated[i] | truncated[i])
    assert not np.array_equal(obs["kart_0"], obs["kart_1"])
    assert set(dones) == {*AGENTS, "__all__"} and not dones["__all__"]
    assert all(value.shape == (2,) for value in infos.values()), "learners reshape every info to the agents"


def test_all_are_done_when_the_last_is(oval):
    env = RacingMARL(oval, karts=2)
    idle = dict.fromkeys(AGENTS, jnp.zeros(2))

    @jax.jit
    def race(state):
        def step(state, key):
            _, state, _, dones, _ = env.step(key, state, idle)
            return state, (dones, state.lanes.step)

        return jax.lax.scan(step, state, jax.random.split(jax.random.key(1), 400))[1]

    dones, steps = jax.device_get(race(env.reset(jax.random.key(3))[1]))
    both = dones["kart_0"] & dones["kart_1"]
    assert both.any(), "nobody presses the throttle: every kart rolls off or gets stuck"
    np.testing.assert_array_equal(dones["__all__"], both)
    assert (dones["kart_0"] != dones["kart_1"]).any(), "one is out before the other"
    assert (steps[both] == 0).all() and (steps[~both].max(axis=1) > 0).all(), "then a new race begins, and only then"


def test_each_agent_gets_its_own_part_of_both(env):
    observed = env._by_agent({"vision": np.arange(8).reshape(2, 4), "telemetry": np.arange(2.0)})
    np.testing.assert_array_equal(observed["kart_1"]["vision"], [4, 5, 6, 7])
    assert observed["kart_0"]["telemetry"] == 0.0 and observed["kart_1"]["telemetry"] == 1.0


def test_a_missing_package_and_too_many_karts_get_a_sentence(env, oval, monkeypatch):
    monkeypatch.setitem(sys.modules, "jaxmarl", None)
    with pytest.raises(InputError, match=r"RacingMARL needs the package jaxmarl.*pip install jaxmarl"):
        env.action_space("kart_0")
    with pytest.raises(InputError, match="karts is 9"):
        RacingMARL(oval, karts=9)


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    # jaxmarl brings gymnax, and gymnax 1.0.1 imports six without saying that it needs it.
    return outside.interpreter(tmp_path_factory, "jaxmarl==0.2.0", "six")


# JaxMARL's learners are scripts in its repository, not in its package: this one does what its IPPO does with an
# environment (its own LogWrapper, agents stacked into one batch, one policy for all), in our own words.
PROGRAM = """
import jax, jax.numpy as jnp, numpy as np
from jaxmarl.environments import spaces
from jaxmarl.wrappers.baselines import LogWrapper, get_space_dim
from kart_jax.wrappers.jaxmarl import RacingMARL

env = RacingMARL("beginner_track", karts=2)
races, steps, updates, actors = 8, 80, 4, 16
for agent in env.agents:
    assert type(env.action_space(agent)) is type(env.observation_space(agent)) is spaces.Box
    assert (get_space_dim(env.observation_space(agent)), get_space_dim(env.action_space(agent))) == (9, 2)
assert type(RacingMARL("beginner_track", observation="both").observation_space("kart_0")) is spaces.Dict
env = LogWrapper(env)

def stack(by_agent):
    return jnp.stack([by_agent[agent] for agent in env.agents]).reshape(actors, -1)

def step(carry, key):
    (weights, state, obs), (act, move) = carry, jax.random.split(key)
    batch = stack(obs)
    action = batch @ weights + jax.random.normal(act, (actors, 2))
    actions = dict(zip(env.agents, action.reshape(2, races, 2)))
    after, state, reward, done, info = jax.vmap(env.step)(jax.random.split(move, races), state, actions)
    info = jax.tree.map(lambda leaf: leaf.reshape(actors), info)
    return (weights, state, after), (batch, action, stack(reward)[:, 0], stack(done)[:, 0], done["__all__"], info)

def update(carry, key):
    (weights, state, obs), (seen, action, reward, done, over, info) = jax.lax.scan(
        step, carry, jax.random.split(key, steps))
    _, value = jax.lax.scan(
        lambda later, now: (now[0] + 0.9 * later * (1 - now[1]),) * 2, jnp.zeros(actors), (reward, done), reverse=True)
    value = (value - value.mean()) / (value.std() + 1e-8)
    likelihood = lambda weights: -0.5 * jnp.square(action - seen @ weights).sum(-1)
    weights += 0.05 * jax.grad(lambda weights: jnp.mean(value * likelihood(weights)))(weights)
    return (weights, state, obs), (over, info)

@jax.jit
def train(key):
    obs, state = jax.vmap(env.reset)(jax.random.split(key, races))
    return jax.lax.scan(update, (jnp.zeros((9, 2)), state, obs), jax.random.split(key, updates))

(weights, *_), (over, info) = jax.device_get(train(jax.random.key(0)))
assert np.isfinite(weights).all() and np.abs(weights).max() > 0.0
assert over.sum() > 0 and over.sum() * 2 == info["returned_episode"].sum()
returns = info["returned_episode_returns"][info["returned_episode"]]
assert np.isfinite(returns).all() and returns.std() > 0.0
print("trained", updates, "updates, races over:", int(over.sum()), "mean return", returns.mean())
"""


@pytest.mark.slow
def test_jaxmarl_wrapper_and_a_learner_like_its_ippo(python):
    assert "trained 4" in outside.run(python, PROGRAM)
