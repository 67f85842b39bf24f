"""The choices in the hot loop of training, each way of doing it beside the one in use.

    python benchmarks/hot_loop.py python benchmarks/hot_loop.py --choices storage rendering --karts
    1024 --frame-stack 1 4 --set rollout_steps=32

The first way of each choice is the one in use on this kind of device. The ways of a choice are
timed in turns, on one device; "times" is how much faster than the way in use a way is.
docs/performance.md says what follows from it.
"""

import argparse
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import jax
import learner
import machine
import report
import timing
import update_ways
import ways
from report import Row

from train.run.config import TrainConfig

CHOICES: dict[str, Callable[[TrainConfig], Iterator[ways.Way]]] = {
    "storage": ways.storage,
    "minibatches": ways.minibatches,
    "rendering": ways.rendering,
    "convolution": ways.convolution,
    "scale": ways.scale,
    "precision": update_ways.precision,
    "minibatch-size": update_ways.minibatch_size,
    "donation": update_ways.donation,
    "random-numbers": update_ways.random_numbers,
    "flags": update_ways.update_flags,
    "view-flags": update_ways.view_flags,
}
QUICK = ("storage", "minibatches", "rendering")  # compiled soon
COLUMNS = (
    report.number("frames", "frame_stack"),
    report.text("choice", "choice", 14),
    report.text("way", "way", 39),
    report.number("samples/s", "samples_per_second"),
    report.extent("lowest .. highest", "samples_per_second"),
    report.number("times", "times", "{:.2f}"),
    report.number("MB", "bytes", "{:,.1f}", 1e-6),
)


def flags() -> report.Flags:
    """The command line."""
    parser = report.flags(__doc__)
    report.add_timing(parser)
    learner.add_flags(parser)
    names = list(CHOICES)
    parser.add_argument(
        "--choices",
        nargs="+",
        choices=names,
        help=f"default: all of them; with --quick {', '.join(QUICK)}",
    )
    return parser


def measure(arguments: argparse.Namespace) -> Iterator[Row]:
    """Every way of every choice, with the sizes of every run that is asked for."""
    if arguments.quick and not arguments.set:
        arguments.set = (
            ["rollout_steps=16", "minibatch_size=64"] if jax.default_backend() == "cpu" else []
        )
    for config in learner.requests(arguments):
        alone = dataclasses.replace(config, devices=1)
        for choice in arguments.choices or (QUICK if arguments.quick else CHOICES):
            about = {**learner.describe(learner.settle(alone)), "choice": choice}
            yield from (about | row for row in rows(list(CHOICES[choice](alone)), arguments))


def rows(found: list[ways.Way], arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The ways of one choice, if there is one with these settings."""
    if not found:
        return
    try:
        calls = {way.name: way.call for way in found}
        took = timing.side_by_side(
            calls, jax.block_until_ready, arguments.repeats, arguments.seconds
        )
    except jax.errors.JaxRuntimeError as error:
        if not machine.out_of_memory(error):
            raise
        yield {"way": "one of them", "note": "out of memory"}
        return
    used = timing.rate(took[found[0].name], found[0].samples)
    for way in found:
        rate = timing.rate(took[way.name], way.samples)
        yield {
            "way": way.name,
            "samples_per_second": rate,
            "times": rate.median / used.median,
            "bytes": way.bytes,
        }


BENCHMARK = report.Benchmark(
    "hot_loop", COLUMNS, measure, report.Plot("way", "samples_per_second", "samples/s", ("choice",))
)

if __name__ == "__main__":
    report.run(BENCHMARK, flags())
