"""Throughput of the environment, part by part: physics, + telemetry and rules, + the view.

    python benchmarks/env_throughput.py --karts 1024 python benchmarks/env_throughput.py --karts
    1024 65536 --frame-stack 1 4 --out benchmarks/results/env.jsonl

Each part is one compiled program of one control step for a batch of karts, split over `--devices`
devices, or as many as divide the karts: on a CPU each core is one, because XLA runs most of this
program on one core otherwise. Every step is waited for. A rate counts control steps of one kart (40
ms of driving); with the view they are frames. "compiling" is tracing, too; "MB" is what the program
holds on all devices by the compiler's own account (`machine.memory_of`). On a CPU a number of karts
that would take more than half of the machine's memory, judged by the number before it, is left out.
"""

import argparse
import time
from collections.abc import Iterator

import jax
import machine
import report
import timing
import world
from report import Row

from kart_jax.devices import kart_mesh
from kart_jax.errors import InputError
from kart_jax.xla.memory import keep_memory
from train.run.config import MOST_DEVICES

PHYSICS_TARGET = 250_000  # control steps/s on two cores
COLUMNS = (
    report.text("part", "part", 9),
    report.number("frames", "frame_stack"),  # 0 = without the view
    report.number("karts", "karts"),
    report.number("steps/s", "steps_per_second"),
    report.extent("lowest .. highest", "steps_per_second"),
    report.number("compiling s", "compiling", "{:.1f}"),
    report.number("MB", "bytes", "{:,.0f}", 1e-6),
)


def flags() -> report.Flags:
    """The command line."""
    parser = report.flags(__doc__)
    report.add_timing(parser)
    whole, devices = report.at_least(1), report.at_least(1, MOST_DEVICES)
    parser.add_argument(
        "--karts", type=whole, nargs="+", help="karts in the batch (default 1 to 65536)"
    )
    parser.add_argument(
        "--track", default="circuit", help="shipped name, PNG, CSV or generated:N (default circuit)"
    )
    parser.add_argument(
        "--parts", nargs="+", choices=world.PARTS, default=list(world.PARTS), help="default: all"
    )
    parser.add_argument(
        "--frame-stack", type=whole, nargs="+", help="pictures per observation (default 1 4)"
    )
    parser.add_argument(
        "--devices", type=devices, help="to split the karts over (default all; of a CPU its cores)"
    )
    parser.add_argument("--keep-memory", action="store_true", help="after `kart_jax.keep_memory()`")
    return parser


def measure(arguments: argparse.Namespace) -> Iterator[Row]:
    """Time every part at every number of karts."""
    if arguments.keep_memory and not keep_memory():
        raise InputError("--keep-memory needs Linux with glibc; leave it out")
    jax.config.update("jax_num_cpu_devices", arguments.devices or machine.cores())
    try:
        most_devices = kart_mesh(arguments.devices).size
    except InputError as error:
        raise InputError(f"--devices: {error}") from error
    yield from sweep(arguments, most_devices)


def sweep(arguments: argparse.Namespace, most_devices: int) -> Iterator[Row]:
    """Every part at every number of karts, on as many devices as divide it."""
    karts = arguments.karts or (
        [1024] if arguments.quick else [1, 16, 256, 1024, 4096, 16_384, 65_536]
    )
    stacks = arguments.frame_stack or ([1] if arguments.quick else [1, 4])
    per_kart: dict[tuple[str, int], float] = {}  # bytes, by part and pictures
    for count in karts:
        mesh = kart_mesh(max(n for n in range(1, most_devices + 1) if count % n == 0))
        for part in arguments.parts:
            for frame_stack in stacks if part == "vision" else [0]:
                row = {
                    "part": part,
                    "frame_stack": frame_stack,
                    "karts": count,
                    "devices": mesh.size,
                }
                row |= too_large(count * per_kart.get((part, frame_stack), 0.0)) or figures(
                    arguments, part, count, frame_stack, mesh
                )
                if row.get("bytes") is not None:
                    per_kart[part, frame_stack] = row["bytes"] / count
                yield row


def too_large(expected: float) -> Row:
    """A note instead of figures for a program of so many bytes; empty where it fits, or where a
    device says so itself.

    A CPU does not refuse memory that is not there: the system ends the process.
    """
    there = machine.memory_gb()
    if jax.default_backend() != "cpu" or there is None or expected <= 0.5e9 * there:
        return {}
    return {"note": f"left out: some {1e-9 * expected:.0f} GB of {there:.0f} GB"}


def figures(
    arguments: argparse.Namespace, part: str, karts: int, frame_stack: int, mesh: jax.sharding.Mesh
) -> Row:
    """Compile one part and time it; `frame_stack` 0 = without vision."""
    try:
        batch = world.make(arguments.track, karts, frame_stack, mesh)
        begun = time.perf_counter()
        compiled = world.lower(batch, part).compile()
        compiling = time.perf_counter() - begun
        step = world.stepper(batch, compiled)
        took = timing.seconds(step, jax.block_until_ready, arguments.repeats, arguments.seconds)
    except jax.errors.JaxRuntimeError as error:
        if not machine.out_of_memory(error):
            raise
        return {"note": "out of memory"}
    taken = machine.memory_of(compiled)
    return {
        "steps_per_second": timing.rate(took, karts),
        "compiling": compiling,
        "bytes": None if taken is None else mesh.size * taken,  # the account is that of one device
    }


def conclude(rows: list[Row]) -> list[str]:
    """The target of the physics."""
    rates = [
        row["steps_per_second"]
        for row in rows
        if row["part"] == "physics" and "steps_per_second" in row
    ]
    if not rates:
        return []
    best = max(rate.median for rate in rates)
    return [
        f"physics alone: {best:,.0f} control steps/s; the target on 2 CPU cores is "
        f"{PHYSICS_TARGET:,}"
    ]


BENCHMARK = report.Benchmark(
    "env_throughput",
    COLUMNS,
    measure,
    report.Plot("karts", "steps_per_second", "control steps/s", ("part", "frame_stack")),
    conclude,
)

if __name__ == "__main__":
    report.run(BENCHMARK, flags())
