"""Run the acceptance checks of the physics and print the validation table of docs/physics.md
(markdown).

    python benchmarks/physics_table.py

Every check drives the real `step` (float64, 5 ms unless said) or the very functions it is made of.
The rows are those of the acceptance table; tests/test_physics_table.py asserts the same checks. A
line that "departs" is outside the range of the reference, which it names; what is allowed is then a
frozen range of our own.
"""

import argparse
import dataclasses
from collections.abc import Callable, Iterator

import jax
import report
from physics_checks import braking, circles, invariants, loads, numerics, straights
from physics_checks.check import Check

SECTIONS: tuple[Callable[[], list[Check]], ...] = (
    loads.statics,
    straights.straights,
    straights.launches,
    braking.brakes,
    braking.presets,
    braking.spins,
    circles.pads,
    circles.axle,
    circles.understeer,
    circles.lift_off,
    loads.lifts,
    invariants.invariants,
    numerics.convergence,
    numerics.standstill,
    numerics.walking_pace,
)
QUICK = (loads.statics, invariants.invariants)
COLUMNS = (
    report.number("row", "row", "{:.0f}"),
    report.text("check", "what", 60),
    report.number("measured", "value", "{:.5g}"),
    report.Column("allowed", lambda row: f"{row['low']:.5g} … {row['high']:.5g}", 17),
    report.Column("", lambda row: row["verdict"], 22),
)


def measure(arguments: argparse.Namespace) -> Iterator[report.Row]:
    """All checks, in the order of their rows."""
    jax.config.update("jax_enable_x64", True)
    sections = QUICK if arguments.quick else SECTIONS
    for check in sorted(
        (check for section in sections for check in section()), key=lambda check: check.row
    ):
        yield dataclasses.asdict(check) | {"passed": bool(check.passed), "verdict": check.verdict}


BENCHMARK = report.Benchmark("physics_table", COLUMNS, measure)

if __name__ == "__main__":
    report.run(BENCHMARK, report.flags(__doc__))
