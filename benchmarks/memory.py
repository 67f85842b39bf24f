"""Memory of one step of the environment and of one training update, over karts and stacked frames.

    python benchmarks/memory.py --karts 1024 4096 --frame-stack 1 4
    python benchmarks/memory.py --programs update --set rollout_steps=32

Each row is a process of its own. What the compiled program needs on one device is the compiler's
own account. "peak" is what the fullest device has held at most, everything counted; on a CPU it is
the process, with JAX and the compiler, and "bare" is what that process held before the karts were
made.
"""

import argparse
from collections.abc import Iterator
from typing import Any

import fresh
import report
from report import Row

PROGRAMS = ("step", "update")
COLUMNS = (
    report.text("program", "program", 7),
    report.number("frames", "frame_stack"),
    report.number("karts", "karts"),
    report.number("arguments MB", "arguments", "{:,.1f}", 1e-6),
    report.number("results MB", "results", "{:,.1f}", 1e-6),
    report.number("temporary MB", "temporary", "{:,.1f}", 1e-6),
    report.number("bare MB", "bare", "{:,.0f}", 1e-6),
    report.number("peak MB", "peak", "{:,.0f}", 1e-6),
    report.text("", "note", 13),
)


def flags() -> report.Flags:
    """The command line."""
    parser = report.flags(__doc__)
    whole = report.at_least(1)
    parser.add_argument(
        "--programs", nargs="+", choices=PROGRAMS, default=list(PROGRAMS), help="default: both"
    )
    parser.add_argument(
        "--karts", type=whole, nargs="+", help="default 1024 and that of `kart train`"
    )
    parser.add_argument(
        "--frame-stack", type=whole, nargs="+", help="pictures per observation (default 1 4)"
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
    for program in arguments.programs:
        for frame_stack in arguments.frame_stack or ([1] if arguments.quick else [1, 4]):
            for karts in arguments.karts or [1024 if program == "step" else None]:
                wanted = (program, arguments.track, karts, frame_stack, tuple(arguments.set))
                yield {"program": program, "frame_stack": frame_stack, "karts": karts} | fresh.call(
                    needed, *wanted
                )


def needed(
    program: str, track: str, karts: int | None, frame_stack: int, fields: tuple[str, ...]
) -> dict[str, Any]:
    """Bytes that a program takes in this process, and how many karts it drives."""
    import jax
    import machine

    jax.block_until_ready(jax.numpy.zeros(()))
    bare = machine.peak_memory()
    try:
        count, compiled = (_update if program == "update" else _step)(
            track, karts, frame_stack, fields
        )
    except jax.errors.JaxRuntimeError as error:
        if not machine.out_of_memory(error):
            raise
        return {"note": "out of memory", "bare": bare}
    told = compiled.memory_analysis()
    names = {"arguments": "argument", "results": "output", "temporary": "temp"}
    sizes = {name: getattr(told, f"{size}_size_in_bytes", None) for name, size in names.items()}
    return {"karts": count, **sizes, "bare": bare, "peak": machine.peak_memory(), "note": ""}


def _step(
    track: str, karts: int | None, frame_stack: int, fields: tuple[str, ...]
) -> tuple[int, Any]:
    """Step a batch of karts twice."""
    import jax
    import world

    from kart_jax.devices import kart_mesh

    batch = world.make(track, karts or 1024, frame_stack, kart_mesh(1))
    compiled = world.lower(batch, "vision").compile()
    step = world.stepper(batch, compiled)
    for _ in range(2):
        jax.block_until_ready(step())
    return batch.karts, compiled


def _update(
    track: str, karts: int | None, frame_stack: int, fields: tuple[str, ...]
) -> tuple[int, Any]:
    """Train one chunk."""
    import jax
    import learner

    from train.ppo.update import chunk

    run = learner.start(learner.request(track, karts, frame_stack, fields))
    compiled = chunk.lower(
        run.graph, run.env, run.settings.ppo.shape, run.hyper, run.state, run.mesh
    ).compile()
    jax.block_until_ready(compiled(run.env, run.hyper, run.state))
    return run.settings.ppo.vector_envs, compiled


BENCHMARK = report.Benchmark(
    "memory",
    COLUMNS,
    measure,
    report.Plot("karts", "peak", "bytes at most", ("program", "frame_stack")),
)

if __name__ == "__main__":
    report.run(BENCHMARK, flags())
