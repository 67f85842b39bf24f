"""Frames per second of JAXenstein's maze at 84x84 with random actions, printed as JSON.

Arguments: mazes, repeats, s.
"""

import dataclasses
import json
import os
import sys

import jax
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from measure import timing


def main() -> None:
    """Step a batch, split over all devices, of a CPU its cores; wait for each step."""
    count, repeats, least = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    jax.config.update("jax_num_cpu_devices", len(os.sched_getaffinity(0)))
    # It computes as it is imported, and then the devices must be there.
    from jaxenstein import make_jaxenstein_env

    mesh = jax.make_mesh((jax.device_count(),), ("mazes",), axis_types=(AxisType.Auto,))
    split = NamedSharding(mesh, PartitionSpec("mazes"))
    env = make_jaxenstein_env("my-way-home", img_h=84, img_w=84)
    _, state = jax.jit(jax.vmap(env.reset))(jax.random.split(jax.random.key(0), count))
    actions = jax.random.randint(jax.random.key(1), (count,), 0, env.num_actions)
    state, actions = jax.device_put((state, actions), split)
    step = jax.jit(
        jax.shard_map(
            jax.vmap(env.step),
            mesh=mesh,
            in_specs=split.spec,
            out_specs=split.spec,
            check_vma=False,
        )
    )

    def move() -> object:
        nonlocal state
        seen, state, *read = step(state, actions)
        return seen, state, read

    took = timing.time_call(move, jax.block_until_ready, repeats, least)
    rate = timing.rate(took, count)
    print(json.dumps({"environment": "my-way-home", **dataclasses.asdict(rate)}))


if __name__ == "__main__":
    main()
