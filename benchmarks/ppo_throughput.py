"""PPO end to end, and where the time of an update goes: stepping, inference, learning, logging.

    python -m benchmarks.ppo_throughput
    python -m benchmarks.ppo_throughput --karts 1024 4096 --set rollout_steps=64 minibatch_size=8192

"whole update" is the compiled chunk of `kart train`, waited for. Every other line is a program of
its own with the same sizes, compiled alone and timed side by side with it; what the compiler does
better or worse in one piece than in parts is in the lines called "other". An update takes all its
epochs here, however far the policy moves. "bare network" is the network alone doing as many forward
and backward passes. Logging happens on the host while the device works on the next update; "with
logging" is the loop of `kart train` without its checkpoints.
"""

import argparse
import io
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import jax

from .choices import update_parts
from .measure import flags, fleet, learner, machine, report, table, timing
from .measure.benchmark import Benchmark, Plot
from .measure.learner import Learner
from .measure.table import Row
from .measure.timing import Spread

NETWORK_TARGET = 1.25  # times the bare network
COLUMNS = (
    table.number("frames", "frame_stack"),
    table.number("karts", "karts"),
    table.text("part of an update", "part", 36),
    table.number("ms", "seconds", "{:,.1f}", 1e3),
    table.extent("lowest .. highest", "seconds", "{:,.1f}", 1e3),
    table.number("share %", "share", "{:.1f}", 100.0),
    table.number("steps/s", "steps_per_second"),
    table.number("peak MB so far", "peak_bytes", "{:,.0f}", 1e-6),
)


def make_flags() -> flags.Flags:
    """Return the command line."""
    parser = flags.shared(__doc__)
    flags.add_timing(parser)
    learner.add_flags(parser)
    return parser


def measure_training(arguments: argparse.Namespace) -> Iterator[Row]:
    """Time every part of every run that is asked for."""
    if arguments.quick and not arguments.set and jax.default_backend() == "cpu":
        arguments.set = ["rollout_steps=32"]

    for request in learner.requests(arguments):
        run = learner.set_up(request)
        about = learner.describe(run.config)
        try:
            for row in measure_update(run, arguments):
                yield about | row
        except jax.errors.JaxRuntimeError as error:
            if not machine.out_of_memory(error):
                raise
            yield about | {"part": "the next part", "note": "out of memory"}


def measure_update(run: Learner, arguments: argparse.Namespace) -> Iterator[Row]:
    """Time the parts of one run in turns; times are per update."""
    blind = update_parts.without_view(run)
    calls = {
        "physics": update_parts.stepping(blind, fleet.drive_physics),
        "blind": update_parts.stepping(blind, fleet.step_env),
        "forward": update_parts.forward(run),
        "backward": update_parts.backward(run),
        "roll-out": update_parts.roll_out(run),
        "update": run.update,
    }
    if run.env.config.vision:
        calls["all"] = update_parts.stepping(run, fleet.step_env)

    took = timing.time_side_by_side(
        calls, jax.block_until_ready, arguments.repeats, arguments.seconds
    )
    took.setdefault("all", took["blind"])  # telemetry only
    whole = timing.scaled(took["update"], 1.0 / run.config.ppo.updates_per_chunk)
    peak = machine.peak_memory()

    for part, seconds in break_down(took, whole).items():
        yield {"part": part, "seconds": seconds, "share": seconds.median / whole.median}
    yield {
        "part": "whole update",
        "seconds": whole,
        "share": 1.0,
        "steps_per_second": timing.rate(whole, run.config.ppo.steps_per_update),
        "peak_bytes": peak,
    }

    bare = timing.total(took["forward"], took["backward"])
    yield {"part": "bare network", "seconds": bare, "share": bare.median / whole.median}
    yield from measure_logging(run, arguments.repeats)


def break_down(took: dict[str, Spread], whole: Spread) -> dict[str, Spread]:
    """Say where the time of an update goes, in s; the lines add up to the whole in each repeat."""
    return {
        "stepping: physics": took["physics"],
        "stepping: telemetry, rules, starts": timing.difference(took["blind"], took["physics"]),
        "stepping: view and its stack": timing.difference(took["all"], took["blind"]),
        "inference": took["forward"],
        "roll-out, other": timing.difference(took["roll-out"], took["all"], took["forward"]),
        "learning: the network's passes": took["backward"],
        "learning, other": timing.difference(whole, took["roll-out"], took["backward"]),
    }


def measure_logging(run: Learner, repeats: int) -> Iterator[Row]:
    """Time what the host does with the metrics of an update, and the pace of both together."""
    try:
        log, both = _train_and_log(run, repeats)
    except ImportError as error:
        yield {"part": "logging (on the host)", "note": f"needs {error.name}"}
        return
    per_update = 1.0 / run.config.ppo.updates_per_chunk
    both = timing.scaled(both, per_update)

    yield {
        "part": "logging (on the host, meanwhile)",
        "seconds": timing.scaled(log, per_update),
    }
    yield {
        "part": "with logging",
        "seconds": both,
        "steps_per_second": timing.rate(both, run.config.ppo.steps_per_update),
    }


def _train_and_log(run: Learner, repeats: int) -> tuple[Spread, Spread]:
    """Measure seconds per chunk of the logging alone, and of the loop that trains and logs."""
    from rich.console import Console

    from train.run import loop
    from train.run.chunks import Chunks
    from train.run.console import Screen
    from train.run.progress import Progress
    from train.run.reporter import Reporter
    from train.run.run_folder import RunFolder
    from train.run.types import Run

    logging, together = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = RunFolder(Path(name))
        folder.create(run.config)
        under_way = Run(
            folder=folder,
            config=run.config,
            mesh=run.mesh,
            env=run.env,
            graph=run.graph,
            hyperparameters=run.hyperparameters,
            state=run.state,
            progress=Progress(),
            begun=time.monotonic(),
        )

        with Screen(run.config.timesteps, 0, Console(file=io.StringIO())) as screen:
            reporters = [Reporter(under_way, screen)]
            chunks = Chunks([under_way])
            chunks.launch()
            for _ in range(repeats + 1):
                began = time.perf_counter()
                finished = chunks.launch()  # waits for the chunk before
                trained = time.perf_counter()
                loop.report(finished, reporters, screen, lambda steps, rows: None)
                ended = time.perf_counter()
                logging.append(ended - trained)
                together.append(ended - began)
            chunks.finish()
            reporters[0].close()

    run.state = chunks.state
    return timing.spread(logging[1:]), timing.spread(together[1:])


def conclude(rows: list[Row]) -> list[str]:
    """Say how near the update is to the bare network."""
    sentences = []
    bare = {
        (row["karts"], row["frame_stack"]): row for row in rows if row["part"] == "bare network"
    }
    for row in rows:
        network = bare.get((row["karts"], row["frame_stack"]))
        if row["part"] == "whole update" and network is not None:
            ratio = row["seconds"].median / network["seconds"].median
            sentences.append(
                f"{row['karts']} karts, {row['frame_stack']} frames: {ratio:.2f} times the bare "
                f"network; the target is {NETWORK_TARGET}"
            )
    return sentences


BENCHMARK = Benchmark(
    "ppo_throughput",
    COLUMNS,
    measure_training,
    Plot("part", "seconds", "s per update", ("karts", "frame_stack")),
    conclude,
)

if __name__ == "__main__":
    report.run(BENCHMARK, make_flags())
