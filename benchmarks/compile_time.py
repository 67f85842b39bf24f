"""How long programs take from a bare process until they are compiled: anew, and from JAX's cache.

    python -m benchmarks.compile_time
    python -m benchmarks.compile_time --programs update --set telemetry_only=true

Each repeat is a process of its own. "anew" begins with an empty cache folder, "cached" finds what
the process before left there: compiled programs, and the update as it was traced
(`train/run/trace_cache.py`). The circuit itself comes from its own cache, as in every run but the
first.
"""

import argparse
import itertools
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from .measure import flags, fresh, report, table, timing
from .measure.benchmark import Benchmark, Plot
from .measure.table import Row

PROGRAMS = ("physics", "telemetry", "vision", "update")
STAGES = ("imports", "set_up", "tracing", "compiling")
TARGETS = {"anew": 30.0, "cached": 5.0}  # s, tracing and compiling of the first update on two cores
COLUMNS = (
    table.text("program", "program", 9),
    table.text("cache", "cache", 6),
    *(table.number(f"{stage.replace('_', ' ')} s", stage, "{:.1f}") for stage in STAGES),
    table.number("tracing and compiling s", "ready", "{:.1f}"),
    table.extent("lowest .. highest", "ready", "{:.1f}"),
    table.number("all s", "whole", "{:.1f}"),
)

Wanted = tuple[str, int | None, int, tuple[str, ...]]  # track, karts, frame stack, fields of a run


def make_flags() -> flags.Flags:
    """Return the command line."""
    parser = flags.shared(__doc__)
    whole = flags.at_least(1)

    parser.add_argument(
        "--programs", nargs="+", choices=PROGRAMS, help="one step of the environment, or one update"
    )
    parser.add_argument(
        "--repeats", type=whole, help="processes of each (default 5; with --quick 1)"
    )
    parser.add_argument(
        "--karts", type=whole, help="default 1024, and that of `kart train` for the update"
    )
    parser.add_argument(
        "--frame-stack", type=whole, default=1, help="pictures per observation (default 1)"
    )
    flags.add_track(parser)
    flags.add_run_fields(parser)
    return parser


def measure_compilation(arguments: argparse.Namespace) -> Iterator[Row]:
    """Compile each program in processes of its own."""
    repeats = arguments.repeats or (1 if arguments.quick else 5)
    programs = arguments.programs or (["update"] if arguments.quick else PROGRAMS)
    wanted = (arguments.track, arguments.karts, arguments.frame_stack, tuple(arguments.set))

    for program in programs:
        found: dict[str, list[dict[str, float]]] = {cache: [] for cache in TARGETS}
        for _ in range(repeats):
            with tempfile.TemporaryDirectory() as folder:
                for times in found.values():
                    times.append(fresh.call(time_stages, program, wanted, folder))
        for cache, times in found.items():
            ready = [one["tracing"] + one["compiling"] for one in times]
            yield {
                "program": program,
                "cache": cache,
                **{stage: timing.spread([one[stage] for one in times]) for stage in STAGES},
                "ready": timing.spread(ready),
                "whole": timing.spread([sum(one.values()) for one in times]),
            }


def time_stages(program: str, wanted: Wanted, cache: str) -> dict[str, float]:
    """Measure the seconds of each of `STAGES` in this process, which holds nothing heavy yet."""
    begun = time.perf_counter()
    import jax

    jax.config.update("jax_compilation_cache_dir", cache)
    stages = _lower_update(wanted) if program == "update" else _lower_step(program, wanted)
    marks = [begun]
    lowered: Any = None
    for result in stages:
        marks.append(time.perf_counter())
        lowered = result

    lowered.compile()
    marks.append(time.perf_counter())
    took = [after - before for before, after in itertools.pairwise(marks)]
    return dict(zip(STAGES, took, strict=True))


def _lower_update(wanted: Wanted) -> Iterator[Any]:
    """Import, set up and trace an update; yields after each stage, in the end what was traced."""
    track, karts, frame_stack, fields = wanted
    import jax

    from train.run import trace_cache

    from .measure import learner

    yield None
    run = learner.set_up(learner.request(track, karts, frame_stack, fields))
    jax.block_until_ready(run.state)

    yield None
    given = (run.hyperparameters, run.state)
    with trace_cache.enabled():  # as `kart train` does
        exported = trace_cache.find(run.graph, run.env, run.config, *given, run.mesh)
    yield run.lower() if exported is None else exported.lower(run.env, *given)


def _lower_step(program: str, wanted: Wanted) -> Iterator[Any]:
    """Import, set up and trace a step, likewise."""
    track, karts, frame_stack, _ = wanted
    import jax

    from kart_jax.devices import kart_mesh

    from .measure import fleet

    yield None
    stack = frame_stack if program == "vision" else 0
    together = fleet.make(track, karts or 1024, stack, kart_mesh(1))
    jax.block_until_ready(together.state)

    yield None
    yield fleet.lower(together, program)


def conclude(rows: list[Row]) -> list[str]:
    """Compare the first update with its targets."""
    return [
        f"first update {row['cache']}: {row['ready'].median:.1f} s; the target on 2 CPU cores is "
        f"at most {TARGETS[row['cache']]:.0f} s"
        for row in rows
        if row["program"] == "update"
    ]


BENCHMARK = Benchmark(
    "compile_time",
    COLUMNS,
    measure_compilation,
    Plot("program", "ready", "s, tracing and compiling", ("cache",)),
    conclude,
)

if __name__ == "__main__":
    report.run(BENCHMARK, make_flags())
