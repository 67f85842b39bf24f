"""EnvPool's CarRacing with random actions; prints frames per second as JSON. Arguments:
environments, repeats, s."""

import dataclasses
import json
import os
import sys

import envpool
import numpy as np
import timing


def main() -> None:
    """Step all environments at once, on every core."""
    count, repeats, least = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    name = "CarRacing-v3" if "CarRacing-v3" in envpool.list_all_envs() else "CarRacing-v2"
    envs = envpool.make(
        name, env_type="gymnasium", num_envs=count, num_threads=len(os.sched_getaffinity(0))
    )
    envs.reset()
    rng = np.random.default_rng(0)
    low, high = envs.action_space.low, envs.action_space.high
    actions = rng.uniform(low, high, (64, count, len(low))).astype(np.float32)
    steps = iter(range(10**9))
    took = timing.seconds(
        lambda: envs.step(actions[next(steps) % 64]), lambda told: told, repeats, least
    )
    print(json.dumps({"environment": name, **dataclasses.asdict(timing.rate(took, count))}))


if __name__ == "__main__":
    main()
