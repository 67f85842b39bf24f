"""The PettingZoo face: PettingZoo's own tests pass, and Stable-Baselines3 trains on it through
SuperSuit.

All in an environment that has PettingZoo; slow because it installs PyTorch. `make test-all` runs
it.
"""

import subprocess
import sys

import outside
import pytest

PROGRAM = """
import warnings
import numpy as np
from pettingzoo import ParallelEnv
from pettingzoo.test import parallel_api_test, parallel_seed_test
from kart_jax.env.config import EnvConfig
from kart_jax.errors import InputError
from kart_jax.adapters.pettingzoo import RacingParallelEnv

small = EnvConfig(height=12, width=16, frame_stack=2)
make = lambda: RacingParallelEnv("beginner_track", karts=2, config=small)
warnings.simplefilter("error", UserWarning)  # what the tests complain of without failing
assert isinstance(make(), ParallelEnv)
parallel_api_test(make(), num_cycles=1000)
parallel_seed_test(make)

def race(env, seed):
    "Every observation until the race is over; throttle for one kart, none for the other."
    observations, infos = env.reset(seed=seed)
    assert env.agents == env.possible_agents == list(observations) == list(infos) == ["kart_0", "kart_1"]
    driven, ends = [observations], {}
    while env.agents:
        before = list(env.agents)
        actions = {agent: np.array([0.0, 0.0 if agent == "kart_1" else 0.4], np.float32) for agent in before}
        observations, rewards, terminations, truncations, infos = env.step(actions)
        assert before == list(observations) == list(rewards) == list(terminations) == list(truncations) == list(infos)
        assert all(env.observation_space(agent).contains(observations[agent]) for agent in before)
        assert all(type(value) is float for value in rewards.values())
        assert env.agents == [agent for agent in before if not terminations[agent] and not truncations[agent]]
        ends |= {agent: infos[agent] for agent in before if agent not in env.agents}
        driven.append(observations)
    return driven, ends

env = make()
(driven, ends), (again, _), (other, _) = race(env, 3), race(env, 3), race(env, 4)
assert set(ends) == {"kart_0", "kart_1"} and ends["kart_0"]["episode"]["l"] != ends["kart_1"]["episode"]["l"], ends
assert all(end["cause"] in ("off_track", "stuck") for end in ends.values())
assert len(driven) == 1 + max(end["episode"]["l"] for end in ends.values())
for one, two in zip(driven, again, strict=True):
    assert all(np.array_equal(one[agent][part], two[agent][part]) for agent in one for part in one[agent])
assert not np.array_equal(driven[0]["kart_0"]["telemetry"], other[0]["kart_0"]["telemetry"])
assert not np.array_equal(driven[0]["kart_0"]["vision"], driven[0]["kart_1"]["vision"])
for begun, sentence in ((False, "call reset"), (True, "the action of kart_0, kart_1 is missing")):
    if begun:
        env.reset()
    try:
        env.step({})
    except InputError as error:
        assert sentence in str(error), error
    else:
        raise AssertionError(sentence)
print("raced", len(driven) - 1)
"""

LEARN = """
import supersuit
from stable_baselines3 import PPO
from kart_jax.adapters.pettingzoo import RacingParallelEnv

race = RacingParallelEnv("beginner_track", karts=2, observation="telemetry")
vector = supersuit.pettingzoo_env_to_vec_env_v1(supersuit.black_death_v3(race))
vector = supersuit.concat_vec_envs_v1(vector, 2, num_cpus=0, base_class="stable_baselines3")
model = PPO("MlpPolicy", vector, n_steps=64, batch_size=64, n_epochs=2, device="cpu")
before = [value.detach().clone() for value in model.policy.parameters()]
model.learn(512)
moved = sum(float((a - b).abs().sum().detach()) for a, b in zip(before, model.policy.parameters()))
assert vector.num_envs == 4 and model.num_timesteps == 512 and moved > 0.0
print("trained", model.num_timesteps)
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    packages = (
        "pettingzoo==1.27.0",
        "supersuit==3.11.0",
        "stable-baselines3==2.9.2",
        "torch==2.13.0",
    )
    return outside.interpreter(tmp_path_factory, *packages)


@pytest.mark.slow
def test_pettingzoo_accepts_the_race(python):
    said = outside.run(python, PROGRAM)
    assert "Passed Parallel API test" in said and "raced" in said


@pytest.mark.slow
def test_stable_baselines3_trains_both_karts_through_supersuit(python):
    assert "trained 512" in outside.run(python, LEARN)


def test_a_missing_package_gets_a_sentence():
    code = "import sys; sys.modules['pettingzoo'] = None; import kart_jax.adapters.pettingzoo"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=outside.ROOT
    )
    assert "InputError: RacingParallelEnv needs the package pettingzoo" in done.stderr
    assert "pip install pettingzoo" in done.stderr
