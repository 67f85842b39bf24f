"""Throughput of the environment, part by part: physics, + telemetry and rules, + the view.

    python -m benchmarks.env_throughput --karts 1024
    python -m benchmarks.env_throughput --karts 1024 65536 --frame-stack 1 4
    python -m benchmarks.env_throughput --parts users races

"physics", "telemetry" and "vision" are each one compiled program of one control step for a batch of
karts, split over `--devices` devices, or as many as divide the karts: on a CPU each core is one,
because XLA runs most of this program on one core otherwise. Every step is waited for. A rate counts
control steps of one kart (40 ms of driving); with the view they are frames. "compiling" is tracing,
too; "MB" is what the program holds on all devices by the compiler's own account. On a CPU a number
of karts that would take more than half of the machine's memory, judged by the number before it, is
left out.

"users" are loops as users write them, on one device: the environment as an argument of the jitted
function, closed over by it, by a scan of 16 steps, and the adapters, each driven as its users do.
They are timed in turns, with telemetry only and with the view; "share" is that of the best of them.
"races" are 512 races of 20 karts beside 10,240 races of one, with telemetry only. The last lines
compare the physics, each way of the users and the races with their targets.
"""

import argparse
import time
from collections.abc import Iterator

import jax

import kart_jax
from kart_jax.devices import kart_mesh
from kart_jax.errors import InputError
from kart_jax.xla.memory import keep_memory
from train.run.request import MAX_DEVICES

from .choices import as_users
from .measure import flags, fleet, machine, report, table, timing
from .measure.benchmark import Benchmark, Plot
from .measure.table import Row

PHYSICS_TARGET = 250_000  # control steps/s on two cores
USERS_TARGET = 0.9  # of the rate of the best way, for each of the others
RACES_TARGET = 0.9  # of the rate of as many karts that each drive alone
PARTS = (*fleet.PARTS, "users", "races")
SPLIT_OVER_DEVICES = "split over devices"
KARTS_OF_USERS = 1024
RACES = 512
KARTS_PER_RACE = 20
COLUMNS = (
    table.text("part", "part", 9),
    table.text("way", "way", 27),
    table.number("frames", "frame_stack"),  # 0 = without the view
    table.number("karts", "karts"),
    table.number("steps/s", "steps_per_second"),
    table.extent("lowest .. highest", "steps_per_second"),
    table.number("share %", "share", "{:.1f}", 100.0),
    table.number("compiling s", "compiling", "{:.1f}"),
    table.number("MB", "bytes", "{:,.0f}", 1e-6),
)


def make_flags() -> flags.Flags:
    """Return the command line."""
    parser = flags.shared(__doc__)
    flags.add_timing(parser)
    flags.add_track(parser)
    whole = flags.at_least(1)

    parser.add_argument(
        "--karts",
        type=whole,
        nargs="+",
        help=f"karts in the batch (default 1 to 65536; of users {KARTS_OF_USERS})",
    )
    parser.add_argument(
        "--parts", nargs="+", choices=PARTS, help="default: all; with --quick all but races"
    )
    parser.add_argument(
        "--frame-stack", type=whole, nargs="+", help="pictures per observation (default 1 4)"
    )
    parser.add_argument(
        "--devices",
        type=flags.at_least(1, MAX_DEVICES),
        help="to split the karts over (default all; of a CPU its cores)",
    )
    parser.add_argument("--keep-memory", action="store_true", help="after `kart_jax.keep_memory()`")
    return parser


def measure_env(arguments: argparse.Namespace) -> Iterator[Row]:
    """Time every part at every number of karts."""
    if arguments.keep_memory and not keep_memory():
        raise InputError("--keep-memory needs Linux with glibc; leave it out")
    jax.config.update("jax_num_cpu_devices", arguments.devices or machine.cores())
    try:
        max_devices = kart_mesh(arguments.devices).size
    except InputError as error:
        raise InputError(f"--devices: {error}") from error

    parts = arguments.parts or PARTS[: -1 if arguments.quick else None]
    yield from measure_parts(
        arguments, [part for part in fleet.PARTS if part in parts], max_devices
    )
    if "users" in parts:
        yield from measure_users(arguments)
    if "races" in parts:
        yield from measure_races(arguments, max_devices)


def measure_parts(
    arguments: argparse.Namespace, parts: list[str], max_devices: int
) -> Iterator[Row]:
    """Time every part at every number of karts, on as many devices as divide it."""
    karts = arguments.karts or (
        [1024] if arguments.quick else [1, 16, 256, 1024, 4096, 16_384, 65_536]
    )
    bytes_per_kart: dict[tuple[str, int], float] = {}  # by part and pictures

    for count in karts:
        mesh = mesh_for(count, max_devices)
        for part in parts:
            for frame_stack in choose_stacks(arguments) if part == "vision" else [0]:
                expected = count * bytes_per_kart.get((part, frame_stack), 0.0)
                figures = note_if_too_large(expected) or measure_part(
                    arguments, part, count, frame_stack, mesh
                )
                if figures.get("bytes") is not None:
                    bytes_per_kart[part, frame_stack] = figures["bytes"] / count
                yield {
                    "part": part,
                    "way": SPLIT_OVER_DEVICES,
                    "frame_stack": frame_stack,
                    "karts": count,
                    "devices": mesh.size,
                    **figures,
                }


def mesh_for(count: int, max_devices: int) -> jax.sharding.Mesh:
    """Return a mesh of as many devices as divide `count`."""
    return kart_mesh(max(n for n in range(1, max_devices + 1) if count % n == 0))


def choose_stacks(arguments: argparse.Namespace) -> list[int]:
    """Return the numbers of pictures per observation that are asked for."""
    return arguments.frame_stack or ([1] if arguments.quick else [1, 4])


def note_if_too_large(expected: float) -> Row:
    """Return a note instead of figures for a program of so many bytes; empty where it fits.

    A device says so itself. A CPU does not refuse memory that is not there: the system ends the
    process.
    """
    memory = machine.memory_gb()
    if jax.default_backend() != "cpu" or memory is None or expected <= 0.5e9 * memory:
        return {}
    return {"note": f"left out: some {1e-9 * expected:.0f} GB of {memory:.0f} GB"}


def measure_part(
    arguments: argparse.Namespace, part: str, karts: int, frame_stack: int, mesh: jax.sharding.Mesh
) -> Row:
    """Compile one part and time it; `frame_stack` 0 = without vision."""
    try:
        together = fleet.make(arguments.track, karts, frame_stack, mesh)
        return measure_fleet(arguments, together, part)
    except jax.errors.JaxRuntimeError as error:
        if not machine.out_of_memory(error):
            raise
        return {"note": "out of memory"}


def measure_fleet(arguments: argparse.Namespace, karts: fleet.Fleet, part: str) -> Row:
    """Compile one part for some karts and time it."""
    begun = time.perf_counter()
    compiled = fleet.lower(karts, part).compile()
    compiling = time.perf_counter() - begun

    step = fleet.stepper(karts, compiled)
    took = timing.time_call(step, jax.block_until_ready, arguments.repeats, arguments.seconds)
    held = machine.memory_of(compiled)  # on one device
    return {
        "steps_per_second": timing.rate(took, karts.size),
        "compiling": compiling,
        "bytes": None if held is None else karts.mesh.size * held,
    }


def measure_users(arguments: argparse.Namespace) -> Iterator[Row]:
    """Time the loops that users write, with telemetry only and with the view."""
    stacks = [0] if arguments.quick else [0, choose_stacks(arguments)[0]]
    for karts in arguments.karts or [KARTS_OF_USERS]:
        for frame_stack in stacks:
            task = as_users.Task(arguments.track, karts, frame_stack)
            about = {
                "part": "vision" if frame_stack else "telemetry",
                "frame_stack": frame_stack,
                "karts": karts,
                "devices": 1,
            }
            yield from (about | row for row in measure_task(arguments, task))


def measure_task(arguments: argparse.Namespace, task: as_users.Task) -> Iterator[Row]:
    """Time the loops of one task in turns."""
    loops, missing = [], []
    for name in ("native",) if arguments.quick else as_users.WAYS:
        try:
            loops += as_users.WAYS[name](task)
        except ModuleNotFoundError as error:
            missing.append({"way": name, "note": f"needs {error.name}"})

    try:
        took = timing.time_side_by_side(
            {loop.name: loop.call for loop in loops},
            jax.block_until_ready,
            arguments.repeats,
            arguments.seconds,
        )
    except jax.errors.JaxRuntimeError as error:
        if not machine.out_of_memory(error):
            raise
        yield {"way": "one of them", "note": "out of memory"}
        return

    rates = {loop.name: timing.rate(took[loop.name], loop.steps) for loop in loops}
    best = max(rate.median for rate in rates.values())
    for name, rate in rates.items():
        yield {"way": name, "steps_per_second": rate, "share": rate.median / best}
    yield from missing


def measure_races(arguments: argparse.Namespace, max_devices: int) -> Iterator[Row]:
    """Time races of many karts beside as many karts that each drive alone; telemetry only."""
    karts = RACES * KARTS_PER_RACE
    mesh = mesh_for(RACES, max_devices)
    config = kart_jax.EnvConfig(vision=False)
    alone = kart_jax.make(arguments.track, config=config)
    together = kart_jax.make(arguments.track, karts=KARTS_PER_RACE, config=config)

    for way, env, count in (
        (f"{RACES} races of {KARTS_PER_RACE}", together, RACES),
        (f"{karts:,} races of one", alone, karts),
    ):
        yield {
            "part": "telemetry",
            "way": way,
            "frame_stack": 0,
            "karts": karts,
            "races": count,
            "devices": mesh.size,
            **measure_fleet(arguments, fleet.populate(env, count, mesh), "telemetry"),
        }


def conclude(rows: list[Row]) -> list[str]:
    """Compare the physics, the ways of the users and the races with their targets."""
    return [*conclude_physics(rows), *conclude_users(rows), *conclude_races(rows)]


def conclude_physics(rows: list[Row]) -> list[str]:
    """Compare the best rate of the physics with its target."""
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


def conclude_users(rows: list[Row]) -> list[str]:
    """Compare each way with the best one of the same task."""
    return [
        f"{row['way']}, {row['part']}, {row['karts']:,} karts: {row['share']:.2f} of the best way; "
        f"the target is {USERS_TARGET:g}: {verdict(row['share'], USERS_TARGET)}"
        for row in rows
        if "share" in row
    ]


def conclude_races(rows: list[Row]) -> list[str]:
    """Compare races of many karts with as many karts that each drive alone."""
    timed = [row for row in rows if "races" in row]
    alone = {row["karts"]: row for row in timed if row["races"] == row["karts"]}
    sentences = []
    for row in timed:
        beside = alone.get(row["karts"])
        if beside is None or row is beside:
            continue
        ratio = row["steps_per_second"].median / beside["steps_per_second"].median
        sentences.append(
            f"{row['way']}: {ratio:.2f} of the rate of {beside['way']}; the target is "
            f"{RACES_TARGET:g}: {verdict(ratio, RACES_TARGET)}"
        )
    return sentences


def verdict(ratio: float, target: float) -> str:
    """Say whether a ratio reaches its target."""
    return "met" if ratio >= target else "missed"


BENCHMARK = Benchmark(
    "env_throughput",
    COLUMNS,
    measure_env,
    Plot(
        "karts",
        "steps_per_second",
        "control steps/s",
        ("part", "frame_stack"),
        only=("way", SPLIT_OVER_DEVICES),
    ),
    conclude,
)

if __name__ == "__main__":
    report.run(BENCHMARK, make_flags())
