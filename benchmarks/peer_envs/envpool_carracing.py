"""Frames per second of EnvPool's CarRacing with random actions, printed as JSON.

Arguments: environments, repeats, s.
"""

import dataclasses
import itertools
import json
import os
import sys

import envpool
import numpy as np
from measure import timing


def main() -> None:
    """Step all environments at once, on every core."""
    count, repeats, least = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    name = "CarRacing-v3" if "CarRacing-v3" in envpool.list_all_envs() else "CarRacing-v2"
    cores = len(os.sched_getaffinity(0))
    envs = envpool.make(name, env_type="gymnasium", num_envs=count, num_threads=cores)
    envs.reset()

    rng = np.random.default_rng(0)
    low, high = envs.action_space.low, envs.action_space.high
    actions = itertools.cycle(rng.uniform(low, high, (64, count, len(low))).astype(np.float32))

    took = timing.time_call(lambda: envs.step(next(actions)), lambda read: read, repeats, least)
    rate = timing.rate(took, count)
    print(json.dumps({"environment": name, **dataclasses.asdict(rate)}))


if __name__ == "__main__":
    main()
