"""How throughput grows with devices: the environment with the view, and training, on 1, 2, 4 ...
devices.

    python benchmarks/scaling.py
    python benchmarks/scaling.py --devices 1 2 4 8 --karts 8192 --what environment

The karts are the same in number on however many devices (strong scaling). Each row is a process of
its own: on a CPU each core becomes a device. One CPU device uses more than one core where the
compiler can, so its share is not one core.
"""

import argparse
from collections.abc import Iterator

import fresh
import machine
import report
from report import Row
from timing import Spread

from train.run.config import MOST_DEVICES

WHAT = ("environment", "training")
COLUMNS = (
    report.text("what", "what", 11),
    report.number("devices", "devices"),
    report.number("karts", "karts"),
    report.number("steps/s", "steps_per_second"),
    report.extent("lowest .. highest", "steps_per_second"),
    report.number("times the first", "gain", "{:.2f}"),
    report.text("", "note", 13),
)


def flags() -> report.Flags:
    """The command line."""
    parser = report.flags(__doc__)
    report.add_timing(parser)
    whole, devices = report.at_least(1), report.at_least(1, MOST_DEVICES)
    parser.add_argument("--what", nargs="+", choices=WHAT, default=list(WHAT), help="default: both")
    parser.add_argument(
        "--devices",
        type=devices,
        nargs="+",
        help="default 1, 2, 4 ... up to all; of a CPU its cores",
    )
    parser.add_argument(
        "--karts", type=whole, help="all together (default 1024, and that of `kart train`)"
    )
    parser.add_argument(
        "--frame-stack", type=whole, default=1, help="pictures per observation (default 1)"
    )
    parser.add_argument(
        "--track", default="circuit", help="shipped name, PNG, CSV or generated:N (default circuit)"
    )
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="FIELD=VALUE", help="other flags of `kart train`"
    )
    return parser


def measure(arguments: argparse.Namespace) -> Iterator[Row]:
    """Start the processes."""
    if arguments.quick and not arguments.set:
        arguments.set = ["rollout_steps=32"]
    most = fresh.call(there)
    counts = arguments.devices or [
        2**power for power in range(most.bit_length()) if 2**power <= most
    ]
    for what in arguments.what:
        first = None
        for devices in counts:
            row = fresh.call(pace, what, devices, arguments)
            rate: Spread | None = row.get("steps_per_second")
            first = first or rate
            gain = {} if rate is None or first is None else {"gain": rate.median / first.median}
            yield {"what": what, "devices": devices, **row, **gain}


def there() -> int:
    """Devices of this machine; of a CPU its cores."""
    import jax

    return machine.cores() if jax.default_backend() == "cpu" else jax.local_device_count()


def pace(what: str, devices: int, arguments: argparse.Namespace) -> Row:
    """Steps per second on so many devices in this process."""
    import jax
    import timing

    jax.config.update("jax_num_cpu_devices", devices)
    try:
        call, karts, steps = (_training if what == "training" else _environment)(devices, arguments)
        took = timing.seconds(call, jax.block_until_ready, arguments.repeats, arguments.seconds)
    except jax.errors.JaxRuntimeError as error:
        if not machine.out_of_memory(error):
            raise
        return {"note": "out of memory"}
    return {"karts": karts, "steps_per_second": timing.rate(took, steps), "note": ""}


def _environment(devices: int, arguments: argparse.Namespace):
    """A step of all karts: the function, the karts, the steps that it takes."""
    import world

    from kart_jax.devices import kart_mesh

    batch = world.make(
        arguments.track, arguments.karts or 1024, arguments.frame_stack, kart_mesh(devices)
    )
    return world.stepper(batch, world.lower(batch, "vision").compile()), batch.karts, batch.karts


def _training(devices: int, arguments: argparse.Namespace):
    """A chunk of updates, likewise."""
    import learner
    import update_parts

    fields = [*arguments.set, f"devices={devices}"]
    run = learner.start(
        learner.request(arguments.track, arguments.karts, arguments.frame_stack, fields)
    )
    return update_parts.update(run), run.settings.ppo.vector_envs, run.settings.steps_per_chunk


BENCHMARK = report.Benchmark(
    "scaling", COLUMNS, measure, report.Plot("devices", "steps_per_second", "steps/s", ("what",))
)

if __name__ == "__main__":
    report.run(BENCHMARK, flags())
