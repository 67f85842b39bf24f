"""JAXenstein's maze at 84x84 with random actions; prints frames per second as JSON. Arguments: mazes, repeats, s."""

import dataclasses
import json
import sys

import jax
import timing
from jaxenstein import make_jaxenstein_env


def main() -> None:
    """Step a batch in one compiled program and wait for each step."""
    count, repeats, least = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    env = make_jaxenstein_env("my-way-home", img_h=84, img_w=84)
    _, state = jax.jit(jax.vmap(env.reset))(jax.random.split(jax.random.key(0), count))
    actions = jax.random.randint(jax.random.key(1), (count,), 0, env.num_actions)
    step = jax.jit(jax.vmap(env.step))

    def move() -> object:
        nonlocal state
        seen, state, *told = step(state, actions)
        return seen, state, told

    took = timing.seconds(move, jax.block_until_ready, repeats, least)
    print(json.dumps(dataclasses.asdict(timing.rate(took, count))))


if __name__ == "__main__":
    main()
