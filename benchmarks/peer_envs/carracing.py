"""Gymnasium CarRacing with random actions; prints frames per second as JSON. Arguments:
environments, repeats, s."""

import dataclasses
import json
import sys

import gymnasium
import timing


def main() -> None:
    """Step one environment here, or several in processes of their own."""
    count, repeats, least = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    if count == 1:
        envs = gymnasium.make_vec("CarRacing-v3", num_envs=1, vectorization_mode="sync")
    else:
        envs = gymnasium.make_vec("CarRacing-v3", num_envs=count, vectorization_mode="async")
    envs.reset(seed=0)
    envs.action_space.seed(0)
    took = timing.seconds(
        lambda: envs.step(envs.action_space.sample()), lambda told: told, repeats, least
    )
    envs.close()
    print(
        json.dumps({"environment": "CarRacing-v3", **dataclasses.asdict(timing.rate(took, count))})
    )


if __name__ == "__main__":
    main()
