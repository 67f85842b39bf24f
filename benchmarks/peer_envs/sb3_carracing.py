"""Environment steps per second of Stable-Baselines3's PPO on CarRacing, printed as JSON.

Arguments: environments, samples of an update, epochs, minibatch size, repeats. The picture is cut
to 84x84 and the heads have 256 units, as in kart_jax's network; the environments run in processes
of their own.
"""

import dataclasses
import itertools
import json
import sys
import time

import gymnasium
import torch
from measure import timing
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import SubprocVecEnv


class Clock(BaseCallback):
    """Note when each roll-out began."""

    def __init__(self):
        """Begin with nothing."""
        super().__init__()
        self.times: list[float] = []

    def _on_rollout_start(self) -> None:
        self.times.append(time.perf_counter())

    def _on_training_end(self) -> None:
        self.times.append(time.perf_counter())

    def _on_step(self) -> bool:
        return True


def make_cut_env() -> gymnasium.Env:
    """Make CarRacing without its bottom bar, 84x84."""
    space = gymnasium.spaces.Box(0, 255, (84, 84, 3), "uint8")
    return gymnasium.wrappers.TransformObservation(
        gymnasium.make("CarRacing-v3"), lambda picture: picture[:84, 6:90], space
    )


def main() -> None:
    """Train one update to warm up, then as many as are timed."""
    count, samples, epochs, size, repeats = map(int, sys.argv[1:])
    envs = SubprocVecEnv([make_cut_env] * count)
    heads = {"net_arch": {"pi": [256], "vf": [256]}, "activation_fn": torch.nn.ReLU}
    sizes = {"n_steps": samples // count, "n_epochs": epochs, "batch_size": size}
    model = PPO("CnnPolicy", envs, policy_kwargs=heads, seed=0, **sizes)

    clock = Clock()
    model.learn(samples * (repeats + 1), callback=clock)
    envs.close()

    took = [after - before for before, after in itertools.pairwise(clock.times)]
    rate = timing.rate(timing.spread(took[1:]), samples)
    print(json.dumps({"environment": "CarRacing-v3", **dataclasses.asdict(rate)}))


if __name__ == "__main__":
    main()
