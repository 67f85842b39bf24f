"""Stable-Baselines3, unmodified, checks the environment and trains on it, in an environment of its own.

Slow because it installs PyTorch; `make test-all` runs it.
"""

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("torch==2.13.0", "stable-baselines3==2.9.2", "gymnasium>=1.2")
PROGRAM = """
from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env
from kart_jax.wrappers.gymnasium import RacingEnvVision

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
    """An interpreter that has Stable-Baselines3, and sees this project's packages behind its own."""
    folder = tmp_path_factory.mktemp("sb3")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    interpreter = folder / "bin" / "python"
    install = subprocess.run(
        [interpreter, "-m", "pip", "install", "-q", *PACKAGES], capture_output=True, text=True, check=False
    )
    if install.returncode:
        pytest.skip(f"Stable-Baselines3 cannot be installed here: {install.stderr.strip().splitlines()[-1]}")
    site = next((folder / "lib").glob("python*/site-packages"))
    (site / "project.pth").write_text(f"{ROOT}\n{sysconfig.get_path('purelib')}\n")
    return interpreter


@pytest.mark.slow
def test_stable_baselines3_checks_and_trains(python):
    run = subprocess.run([python, "-c", PROGRAM], capture_output=True, text=True, timeout=600, cwd=ROOT, check=False)
    assert run.returncode == 0, run.stderr[-3000:]
    assert "trained 128" in run.stdout
