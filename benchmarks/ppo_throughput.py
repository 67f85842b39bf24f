"""PPO end to end, and where the time of an update goes: stepping, inference, learning, logging.

    python benchmarks/ppo_throughput.py python benchmarks/ppo_throughput.py --karts 1024 4096
    --frame-stack 1 4 --set rollout_steps=64 minibatch_size=8192

"whole update" is the compiled chunk of `kart train`, waited for. Every other line is a program of
its own with the same sizes, compiled alone and timed side by side with it (`update_parts.py`); what
the compiler does better or worse in one piece than in parts is in the lines called "other". An
update takes all its epochs here, however far the policy moves. "bare network" is the network alone
doing as many forward and backward passes. Logging happens on the host while the device works on the
next update; "with logging" is the loop of `kart train` without its checkpoints.
"""

import argparse
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

import jax
import learner
import machine
import report
import timing
import update_parts
import world
from learner import Learner
from report import Row
from timing import Spread

NETWORK_TARGET = 1.25  # times the bare network
COLUMNS = (
    report.number("frames", "frame_stack"),
    report.number("karts", "karts"),
    report.text("part of an update", "part", 36),
    report.number("ms", "seconds", "{:,.1f}", 1e3),
    report.extent("lowest .. highest", "seconds", "{:,.1f}", 1e3),
    report.number("share %", "share", "{:.1f}", 100.0),
    report.number("steps/s", "steps_per_second"),
    report.number("peak MB so far", "peak_bytes", "{:,.0f}", 1e-6),
)


def flags() -> report.Flags:
    """The command line."""
    parser = report.flags(__doc__)
    report.add_timing(parser)
    learner.add_flags(parser)
    return parser


def measure(arguments: argparse.Namespace) -> Iterator[Row]:
    """Every part of every run that is asked for."""
    if arguments.quick and not arguments.set:
        arguments.set = ["rollout_steps=32"] if jax.default_backend() == "cpu" else []
    for config in learner.requests(arguments):
        run = learner.start(config)
        about = learner.describe(run.settings)
        try:
            for row in parts(run, arguments):
                yield about | row
        except jax.errors.JaxRuntimeError as error:
            if not machine.out_of_memory(error):
                raise
            yield about | {"part": "the next part", "note": "out of memory"}


def parts(run: Learner, arguments: argparse.Namespace) -> Iterator[Row]:
    """The rows of one run; times are per update."""
    blind = update_parts.without_view(run)
    calls = {
        "physics": update_parts.stepping(blind, world.physics),
        "blind": update_parts.stepping(blind, world.whole),
        **({"all": update_parts.stepping(run, world.whole)} if run.env.config.vision else {}),
        "forward": update_parts.forward(run),
        "backward": update_parts.backward(run),
        "roll-out": update_parts.roll_out(run),
        "update": update_parts.update(run),
    }
    took = timing.side_by_side(calls, jax.block_until_ready, arguments.repeats, arguments.seconds)
    took.setdefault("all", took["blind"])  # telemetry only
    whole = timing.scaled(took["update"], 1.0 / run.settings.ppo.updates_per_chunk)
    peak = machine.peak_memory()
    bare = timing.total(took["forward"], took["backward"])
    for part, seconds in breakdown(took, whole).items():
        yield {"part": part, "seconds": seconds, "share": seconds.median / whole.median}
    rate = timing.rate(whole, run.settings.ppo.steps_per_update)
    yield {
        "part": "whole update",
        "seconds": whole,
        "share": 1.0,
        "steps_per_second": rate,
        "peak_bytes": peak,
    }
    yield {"part": "bare network", "seconds": bare, "share": bare.median / whole.median}
    yield from logging(run, arguments.repeats)


def breakdown(took: dict[str, Spread], whole: Spread) -> dict[str, Spread]:
    """Where the time of an update goes, in s; the lines add up to the whole in each repeat."""
    return {
        "stepping: physics": took["physics"],
        "stepping: telemetry, rules, starts": timing.difference(took["blind"], took["physics"]),
        "stepping: view and its stack": timing.difference(took["all"], took["blind"]),
        "inference": took["forward"],
        "roll-out, other": timing.difference(took["roll-out"], took["all"], took["forward"]),
        "learning: the network's passes": took["backward"],
        "learning, other": timing.difference(whole, took["roll-out"], took["backward"]),
    }


def logging(run: Learner, repeats: int) -> Iterator[Row]:
    """What the host does with the figures of an update, and the pace of both together."""
    try:
        log, both = with_logging(run, repeats)
    except ImportError as error:
        yield {"part": "logging (on the host)", "note": f"needs {error.name}"}
        return
    updates = run.settings.ppo.updates_per_chunk
    log, both = timing.scaled(log, 1.0 / updates), timing.scaled(both, 1.0 / updates)
    yield {"part": "logging (on the host, meanwhile)", "seconds": log}
    rate = timing.rate(both, run.settings.ppo.steps_per_update)
    yield {"part": "with logging", "seconds": both, "steps_per_second": rate}


def with_logging(run: Learner, repeats: int) -> tuple[Spread, Spread]:
    """Seconds per chunk of the logging alone, and of the loop that trains and logs."""
    import time

    from rich.console import Console

    from train.run.chunks import Chunks
    from train.run.console import Screen
    from train.run.loop import report as write_down
    from train.run.progress import Progress
    from train.run.reporter import Reporter
    from train.run.run_folder import RunFolder
    from train.run.types import Run

    logs, whole = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = RunFolder(Path(name))
        folder.create(run.settings)
        begun = time.monotonic()
        one = Run(
            folder,
            run.settings,
            run.mesh,
            run.env,
            run.graph,
            run.hyper,
            run.state,
            Progress(),
            begun,
        )
        with Screen(run.settings.timesteps, 0, Console(file=io.StringIO())) as screen:
            reporters, chunks = [Reporter(one, screen)], Chunks([one])
            chunks.launch()
            for _ in range(repeats + 1):
                began = time.perf_counter()
                finished = chunks.launch()  # waits for the chunk before
                told = time.perf_counter()
                write_down(finished, reporters, screen, lambda steps, rows: None)
                ended = time.perf_counter()
                logs.append(ended - told)
                whole.append(ended - began)
            chunks.finish()
            reporters[0].close()
    run.state = chunks.state
    return timing.spread(logs[1:]), timing.spread(whole[1:])


def conclude(rows: list[Row]) -> list[str]:
    """How near the update is to the bare network."""
    said = []
    bare = {
        (row["karts"], row["frame_stack"]): row for row in rows if row["part"] == "bare network"
    }
    for row in rows:
        network = bare.get((row["karts"], row["frame_stack"]))
        if row["part"] == "whole update" and network is not None:
            ratio = row["seconds"].median / network["seconds"].median
            said.append(
                f"{row['karts']} karts, {row['frame_stack']} frames: {ratio:.2f} times the bare "
                "network; the target "
                f"is {NETWORK_TARGET}"
            )
    return said


BENCHMARK = report.Benchmark(
    "ppo_throughput",
    COLUMNS,
    measure,
    report.Plot("part", "seconds", "s per update", ("karts", "frame_stack")),
    conclude,
)

if __name__ == "__main__":
    report.run(BENCHMARK, flags())
