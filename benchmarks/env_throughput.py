"""Throughput of the environment, part by part: physics only, + telemetry, + render (the whole vision environment).

    python benchmarks/env_throughput.py --karts 1024
    python benchmarks/env_throughput.py --karts 256 1024 --json

Each part is one compiled program of one control step for a batch of karts. After a warm-up it is run `--repeats`
times, `--steps` steps each, waiting for the device at the end; the figure is the median over the repeats with the
spread from the lowest to the highest. Compile time and the memory of the program stand beside it.
"""

import argparse
import dataclasses
import json
import statistics
import time
from collections.abc import Callable

import jax

import kart_jax
from kart_jax.env.core import controls
from kart_jax.env.types import EnvState
from kart_jax.race.step import step as race_step

PARTS = ("physics", "telemetry", "vision")


@dataclasses.dataclass(frozen=True)
class Figure:
    """What was measured of one part at one number of karts."""

    part: str
    karts: int
    steps_per_second: float  # control steps of one kart per second, median; with vision these are frames
    lowest: float
    highest: float
    compile_seconds: float
    arguments_mb: float  # arrays given to the program: tracks, state, pictures of the stack
    temporary_mb: float  # arrays it needs on the way


def program(part: str) -> Callable:
    """The function of one part: (env, key, state, action, params) -> (state, what is read of it)."""

    def physics(env, key, state, action, params):
        config = env.config

        def one(race, act):
            return race_step(race, controls(act[None]), env.tracks, params.kart, config.physics_dt, config.substeps)

        return dataclasses.replace(state, race=jax.vmap(one)(state.race, action)), ()

    def whole(env, key, state, action, params):
        obs, state, gained, terminated, truncated, info = kart_jax.step_batch(env, key, state, action, params)
        return state, (obs, gained, terminated, truncated, info.cause)

    return physics if part == "physics" else whole


def clock(run: Callable, state: EnvState, keys: list[jax.Array], karts: int, repeats: int) -> list[float]:
    """Control steps of one kart per second in each repeat; one repeat before them warms up and is not counted."""
    rates = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        for key in keys:
            state, read = run(key, state)
            jax.block_until_ready(read)
        jax.block_until_ready(state)
        rates.append(karts * len(keys) / (time.perf_counter() - began))
    return rates[1:]


def measure(track: str, part: str, karts: int, frame_stack: int, steps: int, repeats: int) -> Figure:
    """Compile one part and time it."""
    config = kart_jax.EnvConfig(vision=part == "vision", frame_stack=frame_stack)
    env = kart_jax.make(track, config=config)
    params = env.default_params
    reset = jax.jit(kart_jax.reset_batch, static_argnames="count")
    _, state = reset(env, jax.random.key(0), params, count=karts)
    action = jax.random.uniform(jax.random.key(1), (karts, 2), minval=-0.3, maxval=0.6)
    keys = list(jax.random.split(jax.random.key(2), steps))

    began = time.perf_counter()
    run = jax.jit(program(part), donate_argnums=2).lower(env, keys[0], state, action, params).compile()
    compile_seconds = time.perf_counter() - began

    rates = clock(lambda key, state: run(env, key, state, action, params), state, keys, karts, repeats)
    memory = run.memory_analysis()
    return Figure(
        part=part,
        karts=karts,
        steps_per_second=statistics.median(rates),
        lowest=min(rates),
        highest=max(rates),
        compile_seconds=compile_seconds,
        arguments_mb=getattr(memory, "argument_size_in_bytes", 0) / 1e6,
        temporary_mb=getattr(memory, "temp_size_in_bytes", 0) / 1e6,
    )


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--karts", type=int, nargs="+", default=[1024], help="karts in the batch (default 1024)")
    parser.add_argument("--track", default="circuit", help="shipped name, PNG or CSV (default circuit)")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="what to measure (default all)")
    parser.add_argument("--frame-stack", type=int, default=4, help="pictures per observation (default 4)")
    parser.add_argument("--steps", type=int, default=10, help="control steps per repeat (default 10)")
    parser.add_argument("--repeats", type=int, default=5, help="timed repeats after the warm-up, 5 or more (default 5)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    arguments = parser.parse_args()
    for name, least in (("repeats", 5), ("steps", 1), ("frame_stack", 1)):
        if getattr(arguments, name) < least:
            parser.error(f"--{name.replace('_', '-')} is {getattr(arguments, name)}; it must be at least {least}")
    if min(arguments.karts) < 1:
        parser.error(f"--karts is {min(arguments.karts)}; it must be at least 1")
    return arguments


def main() -> None:
    """Measure every part at every number of karts and print the figures."""
    arguments = parse()
    device = f"{jax.devices()[0].device_kind} ({jax.default_backend()}), jax {jax.__version__}"
    row = "{:<10} {:>7} {:>12} {:>25} {:>10} {:>12} {:>10}"
    if not arguments.json:
        print(device)
        print(row.format("part", "karts", "steps/s", "lowest .. highest", "compile s", "arguments MB", "temp. MB"))
    figures = []
    for karts in arguments.karts:
        for part in arguments.parts:
            figure = measure(arguments.track, part, karts, arguments.frame_stack, arguments.steps, arguments.repeats)
            figures.append(figure)
            if not arguments.json:
                spread = f"{figure.lowest:,.0f} .. {figure.highest:,.0f}"
                middle, memory = f"{figure.steps_per_second:,.0f}", (figure.arguments_mb, figure.temporary_mb)
                sizes = [f"{size:,.1f}" for size in memory]
                print(row.format(part, karts, middle, spread, f"{figure.compile_seconds:.1f}", *sizes), flush=True)
    if arguments.json:
        print(json.dumps({"device": device, "figures": [dataclasses.asdict(figure) for figure in figures]}, indent=1))


if __name__ == "__main__":
    main()
