"""The JaxMARL face: dictionaries by agent say what the race does; JaxMARL's own IPPO trains on
it."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import outside
import pytest

from kart_jax.adapters.jaxmarl import RacingMARL
from kart_jax.errors import InputError

AGENTS = ["kart_0", "kart_1"]
IPPO_COMMIT = "c793d095618c6d3edfb5632802348f57b70a4b94"  # of July 2026


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
    assert all(value.shape == (2,) for value in infos.values()), (
        "learners reshape every info to the agents"
    )


def test_all_are_done_when_the_last_is(oval):
    env = RacingMARL(oval, karts=2)
    idle = dict.fromkeys(AGENTS, jnp.zeros(2))

    @jax.jit
    def race(state):
        def step(state, key):
            _, state, _, dones, _ = env.step(key, state, idle)
            return state, (dones, state.episode.length)

        return jax.lax.scan(step, state, jax.random.split(jax.random.key(1), 400))[1]

    dones, steps = jax.device_get(race(env.reset(jax.random.key(3))[1]))
    both = dones["kart_0"] & dones["kart_1"]
    assert both.any(), "nobody presses the throttle: every kart rolls off or gets stuck"
    np.testing.assert_array_equal(dones["__all__"], both)
    assert (dones["kart_0"] != dones["kart_1"]).any(), "one is out before the other"
    assert (steps[both] == 0).all() and (steps[~both].max(axis=1) > 0).all(), (
        "then a new race begins, and only then"
    )


def test_each_agent_gets_its_own_part_of_both(env):
    observed = env._by_agent({"vision": np.arange(8).reshape(2, 4), "telemetry": np.arange(2.0)})
    np.testing.assert_array_equal(observed["kart_1"]["vision"], [4, 5, 6, 7])
    assert observed["kart_0"]["telemetry"] == 0.0 and observed["kart_1"]["telemetry"] == 1.0


def test_a_missing_package_and_too_many_karts_get_a_sentence(env, oval, monkeypatch):
    monkeypatch.setitem(sys.modules, "jaxmarl", None)
    with pytest.raises(
        InputError, match=r"RacingMARL needs the package jaxmarl.*pip install jaxmarl"
    ):
        env.action_space("kart_0")
    with pytest.raises(InputError, match="karts is 21"):
        RacingMARL(oval, karts=21)


# JaxMARL's learners are scripts in its repository, not in its package. This one asks `jaxmarl.make`
# for an environment of JaxMARL's by name; ours takes the place of the maker, the rest is as it is.
IPPO = """
import sys
import jax, jaxmarl, numpy as np, wandb
from jaxmarl.environments import spaces
from jaxmarl.wrappers.baselines import get_space_dim
from kart_jax.adapters.jaxmarl import RacingMARL
sys.path.insert(0, FOLDER)
import ippo_ff_mabrax as learner

env = RacingMARL("beginner_track", karts=2)
for agent in env.agents:
    assert type(env.action_space(agent)) is type(env.observation_space(agent)) is spaces.Box
    assert (get_space_dim(env.observation_space(agent)), get_space_dim(env.action_space(agent))) == (9, 2)
assert type(RacingMARL("beginner_track", observation="both").observation_space("kart_0")) is spaces.Dict

races, steps, updates = 8, 80, 3
config = dict(
    LR=1e-3, NUM_ENVS=races, NUM_STEPS=steps, TOTAL_TIMESTEPS=races * steps * updates, UPDATE_EPOCHS=2,
    NUM_MINIBATCHES=4, GAMMA=0.99, GAE_LAMBDA=0.95, CLIP_EPS=0.2, ENT_COEF=2e-6, VF_COEF=4.5, MAX_GRAD_NORM=0.5,
    ACTIVATION="tanh", ENV_NAME="beginner_track", ENV_KWARGS={"karts": 2}, ANNEAL_LR=True,
)
jaxmarl.make = RacingMARL
wandb.init(mode="disabled")
first = learner.make_train(dict(config), jax.random.key(1))
out = jax.jit(first)(jax.random.key(0))
state, told = out["runner_state"][0], jax.device_get(out["metrics"])
assert int(state.step) == updates * 2 * 4, "gradient steps"
before = learner.ActorCritic(2, activation="tanh").init(jax.random.key(1), np.zeros(9))
moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), before, state.params)
assert all(0.0 < change < 0.1 for change in jax.tree.leaves(moved)), moved
assert told["env_step"][-1] == races * steps * updates
assert (told["returned_episode"] > 0).any() and np.isfinite(told["total_loss"]).all(), told
assert np.ptp(told["returned_episode_returns"]) > 0.0, told
print("trained", int(state.step), "gradient steps, mean returns", told["returned_episode_returns"])
"""


@pytest.mark.slow
def test_jaxmarl_ippo_trains(tmp_path_factory):
    address = "https://github.com/FLAIROx/JaxMARL"
    sources = outside.checkout(tmp_path_factory, address, IPPO_COMMIT, "baselines/IPPO")
    # jaxmarl brings gymnax, and gymnax 1.0.1 imports six without saying that it needs it.
    learner = ("distrax", "hydra-core", "omegaconf", "wandb")
    python = outside.interpreter(tmp_path_factory, "jaxmarl==0.2.0", "six", *learner)
    program = IPPO.replace("FOLDER", repr(str(sources)))
    assert "trained 24 gradient steps" in outside.run(python, program)
