"""How long programs take from a bare Python process until they are compiled: anew, and from JAX's
cache on disk.

    python benchmarks/compile_time.py
    python benchmarks/compile_time.py --programs update --set telemetry_only=true

Each repeat is a process of its own. "anew" begins with an empty cache folder, "cached" finds what
the process before left there: compiled programs, and the update as it was traced (`train/kept.py`).
The circuit itself comes from its own cache, as in every run but the first.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import fresh
import report
import timing
from report import Row

PROGRAMS = ("physics", "telemetry", "vision", "update")
STAGES = ("imports", "set_up", "tracing", "compiling")
TARGETS = {"anew": 30.0, "cached": 5.0}  # s, tracing and compiling of the first update on two cores
COLUMNS = (
    report.text("program", "program", 9),
    report.text("cache", "cache", 6),
    *(report.number(f"{stage.replace('_', ' ')} s", stage, "{:.1f}") for stage in STAGES),
    report.number("tracing and compiling s", "ready", "{:.1f}"),
    report.extent("lowest .. highest", "ready", "{:.1f}"),
    report.number("all s", "whole", "{:.1f}"),
)


def flags() -> report.Flags:
    """The command line."""
    parser = report.flags(__doc__)
    whole = report.at_least(1)
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
    parser.add_argument(
        "--track", default="circuit", help="shipped name, PNG, CSV or generated:N (default circuit)"
    )
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="FIELD=VALUE", help="other flags of `kart train`"
    )
    return parser


def measure(arguments: argparse.Namespace) -> Iterator[Row]:
    """Start the processes."""
    repeats = arguments.repeats or (1 if arguments.quick else 5)
    programs = arguments.programs or (["update"] if arguments.quick else PROGRAMS)
    wanted = (arguments.track, arguments.karts, arguments.frame_stack, tuple(arguments.set))
    for program in programs:
        found: dict[str, list[dict[str, float]]] = {cache: [] for cache in TARGETS}
        for _ in range(repeats):
            with tempfile.TemporaryDirectory() as folder:
                for one in found.values():
                    one.append(fresh.call(compiled, program, wanted, folder))
        for cache, times in found.items():
            ready = timing.spread([one["tracing"] + one["compiling"] for one in times])
            whole = timing.spread([sum(one.values()) for one in times])
            stages = {stage: timing.spread([one[stage] for one in times]) for stage in STAGES}
            yield {"program": program, "cache": cache, **stages, "ready": ready, "whole": whole}


def compiled(
    program: str, wanted: tuple[str, int | None, int, tuple[str, ...]], cache: str
) -> dict[str, float]:
    """Seconds of each of `STAGES` in this process, which has imported nothing heavy yet."""
    track, karts, frame_stack, fields = wanted
    marks = [time.perf_counter()]
    import jax

    jax.config.update("jax_compilation_cache_dir", cache)
    if program == "update":
        import learner

        from train.ppo.update import chunk
        from train.run import trace_cache

        marks.append(time.perf_counter())
        run = learner.start(learner.request(track, karts, frame_stack, fields))
        jax.block_until_ready(run.state)
        marks.append(time.perf_counter())
        given = (run.hyper, run.state, run.mesh)
        exported = trace_cache.find(
            run.graph, run.env, run.settings, *given
        )  # as `kart train` does
        lowered: Any = (
            chunk.lower(run.graph, run.env, run.settings.ppo.shape, *given)
            if exported is None
            else exported.lower(run.env, run.hyper, run.state)
        )
    else:
        import world

        from kart_jax.devices import kart_mesh

        marks.append(time.perf_counter())
        batch = world.make(
            track, karts or 1024, frame_stack if program == "vision" else 0, kart_mesh(1)
        )
        jax.block_until_ready(batch.state)
        marks.append(time.perf_counter())
        lowered = world.lower(batch, program)
    marks.append(time.perf_counter())
    lowered.compile()
    marks.append(time.perf_counter())
    return {
        stage: after - before
        for stage, before, after in zip(STAGES, marks, marks[1:], strict=False)
    }


def conclude(rows: list[Row]) -> list[str]:
    """The targets of the first update."""
    return [
        f"first update {row['cache']}: {row['ready'].median:.1f} s; the target on 2 CPU cores is "
        "at most "
        f"{TARGETS[row['cache']]:.0f} s"
        for row in rows
        if row["program"] == "update"
    ]


BENCHMARK = report.Benchmark(
    "compile_time",
    COLUMNS,
    measure,
    report.Plot("program", "ready", "s, tracing and compiling", ("cache",)),
    conclude,
)

if __name__ == "__main__":
    report.run(BENCHMARK, flags())
