"""Frames per second of Gymnasium's CarRacing with random actions, printed as JSON.

Arguments: environments, repeats, s.
"""

import dataclasses
import json
import sys

import gymnasium
from measure import timing


def main() -> None:
    """Step one environment here, or several in processes of their own."""
    count, repeats, least = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    mode = "sync" if count == 1 else "async"
    envs = gymnasium.make_vec("CarRacing-v3", num_envs=count, vectorization_mode=mode)
    envs.reset(seed=0)
    envs.action_space.seed(0)

    took = timing.time_call(
        lambda: envs.step(envs.action_space.sample()), lambda read: read, repeats, least
    )
    envs.close()
    rate = timing.rate(took, count)
    print(json.dumps({"environment": "CarRacing-v3", **dataclasses.asdict(rate)}))


if __name__ == "__main__":
    main()
