"""JAXenstein's maze at 84x84 with random actions; prints frames per second as JSON. Arguments:
mazes, repeats, s."""

import dataclasses
import json
import os
import sys

import jax
import timing
from jax.sharding import AxisType, NamedSharding, PartitionSpec


def main() -> None:
    """Step a batch, split over all devices, of a CPU its cores, in one compiled program; wait for
    each step."""
    count, repeats, least = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    jax.config.update("jax_num_cpu_devices", len(os.sched_getaffinity(0)))
    from jaxenstein import (
        make_jaxenstein_env,
    )  # computes as it is imported, when the devices must be there

    mesh = jax.make_mesh((jax.device_count(),), ("mazes",), axis_types=(AxisType.Auto,))
    split = NamedSharding(mesh, PartitionSpec("mazes"))
    env = make_jaxenstein_env("my-way-home", img_h=84, img_w=84)
    _, state = jax.jit(jax.vmap(env.reset))(jax.random.split(jax.random.key(0), count))
    actions = jax.random.randint(jax.random.key(1), (count,), 0, env.num_actions)
    state, actions = jax.device_put((state, actions), split)
    split_step = jax.shard_map(
        jax.vmap(env.step), mesh=mesh, in_specs=split.spec, out_specs=split.spec, check_vma=False
    )
    step = jax.jit(split_step)

    def move() -> object:
        nonlocal state
        seen, state, *told = step(state, actions)
        return seen, state, told

    took = timing.seconds(move, jax.block_until_ready, repeats, least)
    print(
        json.dumps({"environment": "my-way-home", **dataclasses.asdict(timing.rate(took, count))})
    )


if __name__ == "__main__":
    main()
