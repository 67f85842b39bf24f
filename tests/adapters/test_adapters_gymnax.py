"""The gymnax faces: both calling conventions say what the native environment does; outside learners
train on them."""

import copy
import sys
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import outside
import pytest
from flax import struct

from kart_jax.adapters.gymnax import RacingGymnax, RacingGymnaxFive
from kart_jax.env.config import EnvConfig
from kart_jax.errors import InputError

IDLE = jnp.zeros(2)
PUREJAXRL_COMMIT = "31756b197773a52db763fdbe6d635e4b46522a73"  # of September 2024


@pytest.fixture(scope="module")
def six(oval):
    return RacingGymnax(oval)


@pytest.fixture(scope="module")
def five(oval):
    return RacingGymnaxFive(oval)


def test_both_conventions_say_what_the_native_environment_does(six, five):
    key, action = jax.random.key(1), jnp.asarray([0.3, 0.8])
    native, params = six.core, six.core.default_params

    @jax.jit  # in one program, which is compiled once: the three share most of it
    def drive():
        obs, state = six.reset(key)
        whole, native_state = native.reset(key, params)
        steps = (env.step(key, state, action) for env in (six, five))
        return obs, whole, *steps, native.step(key, native_state, action, params)

    obs, whole, longer, shorter, expected = drive()
    chex.assert_trees_all_equal(obs, whole["telemetry"])
    after, _, reward, terminated, truncated, info = longer
    chex.assert_trees_all_close(
        (after, reward, terminated, truncated), (expected[0]["telemetry"], *expected[2:5])
    )
    chex.assert_trees_all_equal(info["final_observation"], after)  # nothing ended
    chex.assert_trees_all_equal(shorter[:4], (*longer[:3], terminated | truncated))
    assert all(value.shape == () for value in shorter[4].values()), (
        "outside trainers store every info"
    )
    assert len(longer) == 6 and len(shorter) == 5


@pytest.mark.parametrize("steps", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_the_episode_is_truncated_after_its_steps_and_starts_afresh(six, steps):
    params = six.default_params.replace(max_steps_in_episode=jnp.int32(steps))
    obs, state = six.reset(jax.random.key(2), params)
    for count in range(1, steps + 1):
        assert state.episode.length[0] == count - 1
        obs, state, _, terminated, truncated, info = six.step(
            jax.random.key(count), state, IDLE, params
        )
        assert not terminated and truncated == (count == steps) and info["truncated"] == truncated
    assert state.episode.length[0] == 0
    assert not np.array_equal(obs, info["final_observation"])


def test_done_is_terminated_or_truncated(five):
    params = five.default_params.replace(max_steps_in_episode=jnp.int32(1))
    _, state = five.reset(jax.random.key(2), params)
    *_, done, info = five.step(jax.random.key(3), state, IDLE, params)
    assert done and info["truncated"] and not info["terminated"]
    stuck = five.default_params
    *_, state = five.reset(jax.random.key(2), stuck)
    for _ in range(1000):  # nobody presses the throttle: the kart rolls off or gets stuck
        _, state, _, done, info = five.step(jax.random.key(3), state, IDLE, stuck)
        if done:
            break
    assert done and info["terminated"] and not info["truncated"]


def test_the_time_limit_of_the_environment_is_the_default(six):
    assert six.default_params.max_steps_in_episode == 3000  # 120 s at 25 Hz


def test_a_copy_is_the_environment_itself(five):
    assert copy.deepcopy({"env": five})["env"] is five


def test_an_observation_is_one_array_by_choice(six, oval):
    pictures = RacingGymnax(
        oval, observation="vision", config=EnvConfig(height=12, width=16, frame_stack=2)
    )
    assert six.core.scene is None and pictures.core.scene is not None, (
        "what is not observed is not drawn"
    )
    for env, dtype, shape in ((six, np.float32, (9,)), (pictures, np.uint8, (12, 16, 6))):
        obs, state = jax.eval_shape(env.reset, jax.random.key(0))
        after, *_, info = jax.eval_shape(env.step, jax.random.key(0), state, IDLE)
        for seen in (obs, after, info["final_observation"]):
            assert (seen.dtype, seen.shape) == (dtype, shape)


def test_a_missing_package_and_a_wrong_choice_get_a_sentence(six, oval, monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnax", None)
    with pytest.raises(
        InputError, match=r"RacingGymnax needs the package gymnax.*pip install gymnax"
    ):
        six.action_space(six.default_params)
    with pytest.raises(
        InputError, match="observation is 'pixels'; allowed are 'telemetry', 'vision', 'both'"
    ):
        RacingGymnax(oval, observation="pixels")


# What purejaxrl does with an environment of five values, in our own words: a proxy that logs
# episodes and writes into the info, one that clips, one that vmaps, all with parameters of None, in
# a scan of updates in a jitted function.


class Proxy:
    def __init__(self, env):
        self._env = env

    def __getattr__(self, name):
        return getattr(self._env, name)


class LogState(struct.PyTreeNode):
    env_state: struct.PyTreeNode
    total: chex.Numeric
    length: chex.Numeric
    last_total: chex.Numeric


class Log(Proxy):
    @partial(jax.jit, static_argnums=0)
    def reset(self, key, params=None):
        obs, state = self._env.reset(key, params)
        return obs, LogState(state, 0.0, 0, 0.0)

    @partial(jax.jit, static_argnums=0)
    def step(self, key, state, action, params=None):
        obs, env_state, reward, done, info = self._env.step(key, state.env_state, action, params)
        total, length = state.total + reward, state.length + 1
        last = state.last_total * (1 - done) + total * done
        info["returned"], info["done"], info["length"] = last, done, length
        return (
            obs,
            LogState(env_state, total * (1 - done), length * (1 - done), last),
            reward,
            done,
            info,
        )


class Clip(Proxy):
    def step(self, key, state, action, params=None):
        return self._env.step(key, state, jnp.clip(action, -1.0, 1.0), params)


class Many(Proxy):
    def __init__(self, env):
        super().__init__(env)
        self.reset = jax.vmap(env.reset, in_axes=(0, None))
        self.step = jax.vmap(env.step, in_axes=(0, 0, 0, None))


def learn(env, updates=3, karts=8, steps=60, rate=0.05):
    """Policy gradient with a linear Gaussian policy; returns weights before and after, and the
    infos (U, T, B)."""

    def likelihood(weights, obs, action):
        return -0.5 * jnp.sum(jnp.square(action - obs @ weights), axis=-1)

    def update(carry, key):
        def step(carry, key):
            (weights, state, obs), (act, move) = carry, jax.random.split(key)
            action = obs @ weights + jax.random.normal(act, (karts, 2))
            after, state, reward, done, info = env.step(
                jax.random.split(move, karts), state, action, None
            )
            return (weights, state, after), (obs, action, reward, done, info)

        (weights, state, obs), (seen, action, reward, done, info) = jax.lax.scan(
            step, carry, jax.random.split(key, steps)
        )
        _, value = jax.lax.scan(
            lambda later, now: (now[0] + 0.9 * later * (1 - now[1]),) * 2,
            jnp.zeros(karts),
            (reward, done),
            reverse=True,
        )
        value = (value - value.mean()) / (value.std() + 1e-8)
        gain = jax.grad(lambda weights: jnp.mean(value * likelihood(weights, seen, action)))(
            weights
        )
        return (weights + rate * gain, state, obs), info

    obs, state = env.reset(jax.random.split(jax.random.key(0), karts), None)
    start = jnp.zeros((9, 2))
    (weights, *_), infos = jax.lax.scan(
        update, (start, state, obs), jax.random.split(jax.random.key(1), updates)
    )
    return start, weights, infos


@pytest.mark.slow
def test_a_learner_that_speaks_as_purejaxrl_does_trains(five):
    start, weights, infos = jax.jit(lambda: learn(Many(Clip(Log(five)))))()
    assert bool(jnp.all(jnp.isfinite(weights))) and not np.allclose(weights, start)
    assert infos["done"].shape == (3, 60, 8)
    np.testing.assert_array_equal(infos["done"], infos["terminated"] | infos["truncated"])
    lengths = np.asarray(infos["length"])[np.asarray(infos["done"])]
    assert len(lengths) >= 3 and lengths.min() >= 25, (
        "an aimless kart leaves the road; a second off it is the end"
    )
    flat = np.asarray(infos["length"]).reshape(180, 8)
    follows = np.where(np.asarray(infos["done"]).reshape(180, 8)[:-1], 1, flat[:-1] + 1)
    np.testing.assert_array_equal(flat[1:], follows)


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    return outside.interpreter(tmp_path_factory, "rejax==0.1.3", "distrax==0.1.9", "gymnax==1.0.1")


REJAX = """
import jax, numpy as np
from rejax import PPO
from kart_jax.adapters.gymnax import RacingGymnaxFive

env = RacingGymnaxFive("beginner_track")
params = env.default_params.replace(max_steps_in_episode=100)
ppo = PPO.create(
    env=env, env_params=params, num_envs=16, num_steps=32, num_minibatches=4, num_epochs=2, total_timesteps=1536,
    eval_freq=1536, normalize_observations=True, normalize_rewards=True,
)
first = ppo.init_state(jax.random.key(0))
state, (lengths, returns) = jax.jit(ppo.train)(jax.random.key(0))
moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), first.actor_ts.params, state.actor_ts.params)
assert min(jax.tree.leaves(moved)) > 0.0, moved
assert int(state.global_step) == 1536 and np.isfinite(returns).all() and (lengths <= 100).all()
assert lengths.shape == (2, 128) and lengths.min() >= 25, lengths
print("trained", int(state.global_step), "mean returns", returns.mean(axis=1))
"""

GYMNAX = """
import jax, jax.numpy as jnp, numpy as np
from gymnax.environments import spaces
from gymnax.wrappers.compat import LegacyStepAPIWrapper
from gymnax.wrappers.purerl import FlattenObservationWrapper, LogWrapper
from kart_jax.env.config import EnvConfig
from kart_jax.adapters.gymnax import RacingGymnax

env = RacingGymnax("beginner_track", observation="vision", config=EnvConfig(height=12, width=16, frame_stack=2))
params = env.default_params.replace(max_steps_in_episode=5)
assert type(env.action_space(params)) is type(env.observation_space(params)) is spaces.Box
both = RacingGymnax("beginner_track", observation="both").observation_space(params)
assert type(both) is spaces.Dict and both.spaces["vision"].shape == (84, 84, 12)
logged = LogWrapper(FlattenObservationWrapper(env))
assert logged.observation_space(params).shape == (12 * 16 * 6,)

def step(carry, key):
    obs, state = carry
    action = jax.vmap(env.action_space(params).sample)(jax.random.split(key, 4))
    obs, state, reward, terminated, truncated, info = jax.vmap(logged.step, in_axes=(0, 0, 0, None))(
        jax.random.split(key, 4), state, action, params)
    return (obs, state), (obs, reward, truncated, info)

carry = jax.vmap(logged.reset, in_axes=(0, None))(jax.random.split(jax.random.key(0), 4), params)
drive = jax.jit(lambda carry, keys: jax.lax.scan(step, carry, keys))
_, (obs, reward, truncated, info) = drive(carry, jax.random.split(jax.random.key(1), 10))
assert truncated[4].all() and truncated[9].all() and truncated.sum() == 8, truncated
np.testing.assert_allclose(info["returned_episode_returns"][4], reward[:5].sum(0), rtol=1e-5)
final = info["final_observation"]
assert obs.dtype == jnp.uint8 and (obs[4] != final[4]).any() and (obs[3] == final[3]).all()
assert len(LegacyStepAPIWrapper(env).step(jax.random.key(0), env.reset(jax.random.key(0))[1], jnp.zeros(2))) == 5
print("logged", int(info["returned_episode"].sum()))
"""

# Its script makes an environment of brax's by name; ours takes the place of the maker, the rest is
# as it is. brax and navix are named at the top of its wrappers and not used for this.
PUREJAXRL = """
import sys, types
import jax, numpy as np
for name in ("brax", "brax.envs", "brax.envs.wrappers", "brax.envs.wrappers.training", "navix"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["brax"].envs = sys.modules["brax.envs"]
training = sys.modules["brax.envs.wrappers.training"]
training.EpisodeWrapper = training.AutoResetWrapper = None
sys.path.insert(0, FOLDER)
import ppo_continuous_action as learner
from kart_jax.adapters.gymnax import RacingGymnaxFive

learner.BraxGymnaxWrapper = RacingGymnaxFive
config = dict(
    LR=3e-4, NUM_ENVS=8, NUM_STEPS=16, TOTAL_TIMESTEPS=384, UPDATE_EPOCHS=2, NUM_MINIBATCHES=4, GAMMA=0.99,
    GAE_LAMBDA=0.95, CLIP_EPS=0.2, ENT_COEF=0.0, VF_COEF=0.5, MAX_GRAD_NORM=0.5, ACTIVATION="tanh",
    ENV_NAME="beginner_track", ANNEAL_LR=False, NORMALIZE_ENV=True, DEBUG=False,
)
out = jax.jit(learner.make_train(config))(jax.random.PRNGKey(0))
state, told = out["runner_state"][0], out["metrics"]
assert int(state.step) == 3 * 2 * 4 and told["returned_episode"].shape == (3, 16, 8)
_, key = jax.random.split(jax.random.PRNGKey(0))  # that of its network
before = learner.ActorCritic(2, activation="tanh").init(key, np.zeros(9))
moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), before, state.params)
assert all(0.0 < change < 0.1 for change in jax.tree.leaves(moved)), moved
print("trained", int(told["timestep"].max()) * 8)
"""


@pytest.mark.slow
def test_purejaxrl_ppo_trains(python, tmp_path_factory):
    address = "https://github.com/luchris429/purejaxrl"
    sources = outside.checkout(tmp_path_factory, address, PUREJAXRL_COMMIT, "purejaxrl")
    program = PUREJAXRL.replace("FOLDER", repr(str(sources)))
    assert "trained 384" in outside.run(python, program)


@pytest.mark.slow
def test_rejax_ppo_trains(python):
    assert "trained 1536" in outside.run(python, REJAX)


@pytest.mark.slow
def test_gymnax_wrappers_take_the_six_values(python):
    assert "logged 8" in outside.run(python, GYMNAX)
