"""Stable-Baselines3, unmodified, checks the environment and trains on it, in an environment of its
own.

Slow because it installs PyTorch; `make test-all` runs it.
"""

import outside
import pytest

PROGRAM = """
from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env
from kart_jax.adapters.gymnasium import RacingEnvVision

env = RacingEnvVision(track_name="circuit.png", telemetry_history=4)
check_env(env)
model = PPO("MultiInputPolicy", env, n_steps=64, batch_size=32, n_epochs=1, device="cpu", seed=0)
before = [value.detach().clone() for value in model.policy.parameters()]
model.learn(128)
moved = sum(float((a - b).abs().sum()) for a, b in zip(before, model.policy.parameters()))
assert model.num_timesteps == 128 and moved > 0.0, (model.num_timesteps, moved)
print("trained", model.num_timesteps)
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    return outside.interpreter(
        tmp_path_factory, "torch==2.13.0", "stable-baselines3==2.9.2", "gymnasium>=1.2"
    )


@pytest.mark.slow
def test_stable_baselines3_checks_and_trains(python):
    assert "trained 128" in outside.run(python, PROGRAM)
