"""How throughput grows with devices: the environment with the view, and training.

    python -m benchmarks.scaling
    python -m benchmarks.scaling --devices 1 2 4 8 --karts 8192 --what environment

The karts are the same in number on however many devices (strong scaling). Each row is a process of
its own: on a CPU each core becomes a device. One CPU device uses more than one core where the
compiler can, so its share is not one core.
"""

import argparse
from collections.abc import Callable, Iterator
from typing import Any

from train.run.request import MAX_DEVICES

from .measure import flags, fresh, machine, report, table, timing
from .measure.benchmark import Benchmark, Plot
from .measure.table import Row

WHAT = ("environment", "training")
COLUMNS = (
    table.text("what", "what", 11),
    table.number("devices", "devices"),
    table.number("karts", "karts"),
    table.number("steps/s", "steps_per_second"),
    table.extent("lowest .. highest", "steps_per_second"),
    table.number("times the first", "gain", "{:.2f}"),
    table.text("", "note", 13),
)

Workload = tuple[Callable[[], Any], int, int]  # what is called, karts, steps that a call takes


def make_flags() -> flags.Flags:
    """Return the command line."""
    parser = flags.shared(__doc__)
    flags.add_timing(parser)
    whole = flags.at_least(1)

    parser.add_argument("--what", nargs="+", choices=WHAT, default=list(WHAT), help="default: both")
    parser.add_argument(
        "--devices",
        type=flags.at_least(1, MAX_DEVICES),
        nargs="+",
        help="default 1, 2, 4 ... up to all; of a CPU its cores",
    )
    parser.add_argument(
        "--karts", type=whole, help="all together (default 1024, and that of `kart train`)"
    )
    parser.add_argument(
        "--frame-stack", type=whole, default=1, help="pictures per observation (default 1)"
    )
    flags.add_track(parser)
    flags.add_run_fields(parser)
    return parser


def measure_scaling(arguments: argparse.Namespace) -> Iterator[Row]:
    """Measure each number of devices in a process of its own."""
    if arguments.quick and not arguments.set:
        arguments.set = ["rollout_steps=32"]
    most = fresh.call(count_devices)
    powers = [2**power for power in range(most.bit_length())]
    counts = arguments.devices or [count for count in powers if count <= most]

    for what in arguments.what:
        first: timing.Spread | None = None
        for devices in counts:
            row = fresh.call(measure_pace, what, devices, arguments)
            rate: timing.Spread | None = row.get("steps_per_second")
            first = first or rate
            gain = {} if rate is None or first is None else {"gain": rate.median / first.median}
            yield {"what": what, "devices": devices, **row, **gain}


def count_devices() -> int:
    """Count the devices of this machine; of a CPU its cores."""
    import jax

    return machine.cores() if jax.default_backend() == "cpu" else jax.local_device_count()


def measure_pace(what: str, devices: int, arguments: argparse.Namespace) -> Row:
    """Measure steps per second on so many devices in this process."""
    import jax

    jax.config.update("jax_num_cpu_devices", devices)
    make = _make_training if what == "training" else _make_environment
    try:
        call, karts, steps = make(devices, arguments)
        took = timing.time_call(call, jax.block_until_ready, arguments.repeats, arguments.seconds)
    except jax.errors.JaxRuntimeError as error:
        if not machine.out_of_memory(error):
            raise
        return {"note": "out of memory"}
    return {"karts": karts, "steps_per_second": timing.rate(took, steps), "note": ""}


def _make_environment(devices: int, arguments: argparse.Namespace) -> Workload:
    """Compile a step of all karts."""
    from kart_jax.devices import kart_mesh

    from .measure import fleet

    karts = arguments.karts or 1024
    together = fleet.make(arguments.track, karts, arguments.frame_stack, kart_mesh(devices))
    step = fleet.stepper(together, fleet.lower(together, "vision").compile())
    return step, karts, karts


def _make_training(devices: int, arguments: argparse.Namespace) -> Workload:
    """Set up a chunk of updates."""
    from .measure import learner

    fields = [*arguments.set, f"devices={devices}"]
    request = learner.request(arguments.track, arguments.karts, arguments.frame_stack, fields)
    run = learner.set_up(request)
    return run.update, run.config.ppo.vector_envs, run.steps


BENCHMARK = Benchmark(
    "scaling",
    COLUMNS,
    measure_scaling,
    Plot("devices", "steps_per_second", "steps/s", ("what",)),
)

if __name__ == "__main__":
    report.run(BENCHMARK, make_flags())
