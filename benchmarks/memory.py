"""Memory of one step of the environment and of one training update, over karts and stacked frames.

    python -m benchmarks.memory --karts 1024 4096 --frame-stack 1 4
    python -m benchmarks.memory --programs update --set rollout_steps=32

Each row is a process of its own. What the compiled program needs on one device is the compiler's
own account. "peak" is what the fullest device has held at most, everything counted; on a CPU it is
the process, with JAX and the compiler, and "bare" is what that process held before the karts were
made.
"""

import argparse
from collections.abc import Iterator
from typing import Any

from .measure import flags, fresh, machine, report, table
from .measure.benchmark import Benchmark, Plot
from .measure.table import Row

PROGRAMS = ("step", "update")
COLUMNS = (
    table.text("program", "program", 7),
    table.number("frames", "frame_stack"),
    table.number("karts", "karts"),
    table.number("arguments MB", "arguments", "{:,.1f}", 1e-6),
    table.number("results MB", "results", "{:,.1f}", 1e-6),
    table.number("temporary MB", "temporary", "{:,.1f}", 1e-6),
    table.number("bare MB", "bare", "{:,.0f}", 1e-6),
    table.number("peak MB", "peak", "{:,.0f}", 1e-6),
    table.text("", "note", 13),
)
ACCOUNT = {"arguments": "argument", "results": "output", "temporary": "temp"}  # in XLA's words


def make_flags() -> flags.Flags:
    """Return the command line."""
    parser = flags.shared(__doc__)
    whole = flags.at_least(1)

    parser.add_argument(
        "--programs", nargs="+", choices=PROGRAMS, default=list(PROGRAMS), help="default: both"
    )
    parser.add_argument(
        "--karts", type=whole, nargs="+", help="default 1024 and that of `kart train`"
    )
    parser.add_argument(
        "--frame-stack", type=whole, nargs="+", help="pictures per observation (default 1 4)"
    )
    flags.add_track(parser)
    flags.add_run_fields(parser)
    return parser


def measure_memory(arguments: argparse.Namespace) -> Iterator[Row]:
    """Measure each program in a process of its own."""
    for program in arguments.programs:
        for frame_stack in arguments.frame_stack or ([1] if arguments.quick else [1, 4]):
            for karts in arguments.karts or [1024 if program == "step" else None]:
                about = {"program": program, "frame_stack": frame_stack, "karts": karts}
                yield about | fresh.call(
                    measure_program,
                    program,
                    arguments.track,
                    karts,
                    frame_stack,
                    tuple(arguments.set),
                )


def measure_program(
    program: str, track: str, karts: int | None, frame_stack: int, fields: tuple[str, ...]
) -> dict[str, Any]:
    """Return the bytes that a program takes in this process, and how many karts it drives."""
    import jax

    jax.block_until_ready(jax.numpy.zeros(()))
    bare = machine.peak_memory()
    try:
        if program == "update":
            count, compiled = _run_update(track, karts, frame_stack, fields)
        else:
            count, compiled = _run_step(track, karts or 1024, frame_stack)
    except jax.errors.JaxRuntimeError as error:
        if not machine.out_of_memory(error):
            raise
        return {"note": "out of memory", "bare": bare}

    account = compiled.memory_analysis()
    sizes = {
        name: getattr(account, f"{part}_size_in_bytes", None) for name, part in ACCOUNT.items()
    }
    return {"karts": count, **sizes, "bare": bare, "peak": machine.peak_memory(), "note": ""}


def _run_step(track: str, karts: int, frame_stack: int) -> tuple[int, Any]:
    """Step a batch of karts twice."""
    import jax

    from kart_jax.devices import kart_mesh

    from .measure import fleet

    together = fleet.make(track, karts, frame_stack, kart_mesh(1))
    compiled = fleet.lower(together, "vision").compile()
    step = fleet.stepper(together, compiled)
    for _ in range(2):
        jax.block_until_ready(step())
    return karts, compiled


def _run_update(
    track: str, karts: int | None, frame_stack: int, fields: tuple[str, ...]
) -> tuple[int, Any]:
    """Train one chunk."""
    import jax

    from .measure import learner

    run = learner.set_up(learner.request(track, karts, frame_stack, fields))
    compiled = run.lower().compile()
    jax.block_until_ready(run.update_by(compiled))
    return run.config.ppo.vector_envs, compiled


BENCHMARK = Benchmark(
    "memory",
    COLUMNS,
    measure_memory,
    Plot("karts", "peak", "bytes at most", ("program", "frame_stack")),
)

if __name__ == "__main__":
    report.run(BENCHMARK, make_flags())
