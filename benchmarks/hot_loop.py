"""The choices in the hot loop of training, each way of doing it beside the one in use.

    python -m benchmarks.hot_loop
    python -m benchmarks.hot_loop --choices storage rendering --frame-stack 1 4

The first way of each choice is the one in use on this kind of device. The ways of a choice are
timed in turns, on one device; "times" is how much faster than the way in use a way is.
docs/performance.md says what follows from it.
"""

import argparse
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import jax

from train.run.request import TrainConfig

from .choices import convolution_forms, rendering, storage, update_ways
from .choices.way import Way
from .measure import flags, learner, machine, report, table, timing
from .measure.benchmark import Benchmark, Plot
from .measure.table import Row

CHOICES: dict[str, Callable[[TrainConfig], Iterator[Way]]] = {
    "storage": storage.storage,
    "minibatches": storage.minibatches,
    "rendering": rendering.rendering,
    "convolution": convolution_forms.convolution,
    "scale": convolution_forms.scale,
    "precision": update_ways.precision,
    "minibatch-size": update_ways.minibatch_size,
    "donation": update_ways.donation,
    "random-numbers": update_ways.random_numbers,
    "flags": update_ways.update_flags,
    "view-flags": update_ways.view_flags,
}
QUICK = ("storage", "minibatches", "rendering")  # compiled soon
COLUMNS = (
    table.number("frames", "frame_stack"),
    table.text("choice", "choice", 14),
    table.text("way", "way", 39),
    table.number("samples/s", "samples_per_second"),
    table.extent("lowest .. highest", "samples_per_second"),
    table.number("times", "times", "{:.2f}"),
    table.number("MB", "bytes", "{:,.1f}", 1e-6),
)


def make_flags() -> flags.Flags:
    """Return the command line."""
    parser = flags.shared(__doc__)
    flags.add_timing(parser)
    learner.add_flags(parser)
    parser.add_argument(
        "--choices",
        nargs="+",
        choices=list(CHOICES),
        help=f"default: all of them; with --quick {', '.join(QUICK)}",
    )
    return parser


def measure_choices(arguments: argparse.Namespace) -> Iterator[Row]:
    """Time every way of every choice, with the sizes of every run that is asked for."""
    if arguments.quick and not arguments.set and jax.default_backend() == "cpu":
        arguments.set = ["rollout_steps=16", "minibatch_size=64"]

    for request in learner.requests(arguments):
        alone = dataclasses.replace(request, devices=1)
        for choice in arguments.choices or (QUICK if arguments.quick else CHOICES):
            about = {**learner.describe(learner.fix(alone)), "choice": choice}
            ways = list(CHOICES[choice](alone))
            yield from (about | row for row in measure_ways(ways, arguments))


def measure_ways(ways: list[Way], arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Time the ways of one choice in turns, if there are any with these settings."""
    if not ways:
        return
    try:
        took = timing.time_side_by_side(
            {way.name: way.call for way in ways},
            jax.block_until_ready,
            arguments.repeats,
            arguments.seconds,
        )
    except jax.errors.JaxRuntimeError as error:
        if not machine.out_of_memory(error):
            raise
        yield {"way": "one of them", "note": "out of memory"}
        return

    rates = [timing.rate(took[way.name], way.samples) for way in ways]
    for way, rate in zip(ways, rates, strict=True):
        yield {
            "way": way.name,
            "samples_per_second": rate,
            "times": rate.median / rates[0].median,
            "bytes": way.bytes,
        }


BENCHMARK = Benchmark(
    "hot_loop",
    COLUMNS,
    measure_choices,
    Plot("way", "samples_per_second", "samples/s", ("choice",)),
)

if __name__ == "__main__":
    report.run(BENCHMARK, make_flags())
