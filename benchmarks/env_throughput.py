"""Throughput of the environment, part by part: physics only, + telemetry, + render (the whole vision environment).

    python benchmarks/env_throughput.py --karts 1024
    python benchmarks/env_throughput.py --karts 256 1024 --frame-stack 1 --json

Each part is one compiled program of one control step for a batch of karts, split over `--devices` devices: on a CPU
each core is one, because XLA runs most of this program on one core otherwise. After a warm-up it is run `--repeats`
times, `--steps` steps each, waiting for the devices at the end; the figure is the median over the repeats with the
spread from the lowest to the highest. Compile time and the memory of the program on one device stand beside it.
"""

import argparse
import dataclasses
import json
import os
import statistics
import time
from collections.abc import Callable
from functools import partial

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import kart_jax
from kart_jax.env.batch import KARTS, kart_mesh
from kart_jax.env.core import controls
from kart_jax.env.types import EnvState
from kart_jax.race.step import step as race_step

PARTS = ("physics", "telemetry", "vision")
SHARED, SPLIT = PartitionSpec(), PartitionSpec(KARTS)


@dataclasses.dataclass(frozen=True)
class Figure:
    """What was measured of one part at one number of karts."""

    part: str
    frame_stack: int  # pictures per observation; 0 = none
    karts: int
    steps_per_second: float  # control steps of one kart per second, median; with vision these are frames
    lowest: float
    highest: float
    compile_seconds: float
    arguments_mb: float  # arrays given to the program on one device: tracks, state, pictures of the stack
    temporary_mb: float  # arrays it needs there on the way


def program(part: str, mesh: Mesh) -> Callable:
    """The function of one part: (env, key, state, action, params) -> (state, what is read of it)."""

    def physics(env, key, state, action, params):
        config = env.config

        def one(env, race, act, params):
            dt, substeps = config.physics_dt, config.substeps
            return race_step(race, controls(act[None]), env.tracks, params.kart, dt, substeps)

        many = jax.vmap(one, in_axes=(None, 0, 0, None))
        many = partial(jax.shard_map, mesh=mesh, in_specs=(SHARED, SPLIT, SPLIT, SHARED), out_specs=SPLIT)(many)
        return dataclasses.replace(state, race=many(env, state.race, action, params)), ()

    def whole(env, key, state, action, params):
        step = partial(kart_jax.step_batch, mesh=mesh)
        obs, state, gained, terminated, truncated, info = step(env, key, state, action, params)
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


def measure(track: str, part: str, karts: int, frame_stack: int, mesh: Mesh, steps: int, repeats: int) -> Figure:
    """Compile one part and time it; `frame_stack` 0 = without vision."""
    config = kart_jax.EnvConfig(vision=frame_stack > 0, frame_stack=max(frame_stack, 1))
    env = kart_jax.make(track, config=config)
    env = jax.device_put(env, NamedSharding(mesh, SHARED))
    params = jax.device_put(env.default_params, NamedSharding(mesh, SHARED))
    reset = jax.jit(kart_jax.reset_batch, static_argnames=("count", "mesh"))
    _, state = reset(env, jax.random.key(0), params, count=karts, mesh=mesh)
    action = jax.random.uniform(jax.random.key(1), (karts, 2), minval=-0.3, maxval=0.6)
    action = jax.device_put(action, NamedSharding(mesh, SPLIT))
    keys = [jax.device_put(key, NamedSharding(mesh, SHARED)) for key in jax.random.split(jax.random.key(2), steps)]

    began = time.perf_counter()
    run = jax.jit(program(part, mesh), donate_argnums=2).lower(env, keys[0], state, action, params).compile()
    compile_seconds = time.perf_counter() - began

    rates = clock(lambda key, state: run(env, key, state, action, params), state, keys, karts, repeats)
    memory = run.memory_analysis()
    return Figure(
        part=part,
        frame_stack=frame_stack,
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
    parser.add_argument(
        "--frame-stack", type=int, nargs="+", default=[1, 4], help="pictures per observation (default 1 and 4)"
    )
    parser.add_argument("--devices", type=int, help="devices to split the karts over (default: all; a CPU's cores)")
    parser.add_argument("--steps", type=int, default=10, help="control steps per repeat (default 10)")
    parser.add_argument("--repeats", type=int, default=5, help="timed repeats after the warm-up, 5 or more (default 5)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    arguments = parser.parse_args()
    for name, least in (("repeats", 5), ("steps", 1), ("devices", 1)):
        if (value := getattr(arguments, name)) is not None and value < least:
            parser.error(f"--{name} is {value}; it must be at least {least}")
    for name in ("karts", "frame_stack"):
        if min(getattr(arguments, name)) < 1:
            parser.error(f"--{name.replace('_', '-')} is {min(getattr(arguments, name))}; it must be at least 1")
    return arguments


def main() -> None:
    """Measure every part at every number of karts and print the figures."""
    arguments = parse()
    jax.config.update("jax_num_cpu_devices", arguments.devices or os.cpu_count())
    try:
        mesh = kart_mesh(arguments.devices)
    except kart_jax.InputError as error:
        raise SystemExit(f"--devices: {error}") from error
    device = f"{mesh.size} x {jax.devices()[0].device_kind} ({jax.default_backend()}), jax {jax.__version__}"
    row = "{:<10} {:>6} {:>7} {:>12} {:>25} {:>10} {:>12} {:>10}"
    if not arguments.json:
        print(device)
        heads = ("part", "frames", "karts", "steps/s", "lowest .. highest", "compile s", "arguments MB", "temp. MB")
        print(row.format(*heads))
    figures = []
    for karts in arguments.karts:
        for part in arguments.parts:
            for frame_stack in arguments.frame_stack if part == "vision" else [0]:
                run = (arguments.track, part, karts, frame_stack, mesh, arguments.steps, arguments.repeats)
                figures.append(measure(*run))
                if not arguments.json:
                    print(row.format(*cells(figures[-1])), flush=True)
    if arguments.json:
        print(json.dumps({"device": device, "figures": [dataclasses.asdict(figure) for figure in figures]}, indent=1))


def cells(figure: Figure) -> list[str | int]:
    """One row of the table."""
    spread = f"{figure.lowest:,.0f} .. {figure.highest:,.0f}"
    numbers = (figure.compile_seconds, figure.arguments_mb, figure.temporary_mb)
    middle = f"{figure.steps_per_second:,.0f}"
    return [figure.part, figure.frame_stack or "-", figure.karts, middle, spread, *(f"{n:,.1f}" for n in numbers)]


if __name__ == "__main__":
    main()
