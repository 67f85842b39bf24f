"""Print the validation table of docs/physics.md (markdown): the acceptance checks of the physics.

    python -m benchmarks.physics_table

Every check drives the real `step` (float64, 5 ms unless said) or the very functions it is made of.
The rows are those of the acceptance table; the checks stand in tests/physics/checks, and
tests/physics/test_physics_table.py asserts them, so this needs a checkout. A line that "departs" is
outside the range of the reference, which it names; what is allowed is then a frozen range of our
own.
"""

import argparse
import dataclasses
from collections.abc import Iterator

import jax

from kart_jax.errors import InputError

from .measure import flags, report, table
from .measure.benchmark import Benchmark
from .measure.table import Row

COLUMNS = (
    table.number("row", "row", "{:.0f}"),
    table.text("check", "what", 60),
    table.number("measured", "value", "{:.5g}"),
    table.TableColumn("allowed", lambda row: f"{row['low']:.5g} … {row['high']:.5g}", 17),
    table.TableColumn("", lambda row: row["verdict"], 22),
)


def check_physics(arguments: argparse.Namespace) -> Iterator[Row]:
    """Make all checks; they come in the order of their rows."""
    try:
        from tests.physics.checks.sections import QUICK_SECTIONS, SECTIONS
    except ModuleNotFoundError as error:
        raise InputError(
            "the checks of the physics are in the folder tests, which is not part of the installed "
            "package; run this in a checkout"
        ) from error

    jax.config.update("jax_enable_x64", True)
    sections = QUICK_SECTIONS if arguments.quick else SECTIONS
    checks = [check for section in sections for check in section()]
    for check in sorted(checks, key=lambda check: check.row):
        yield dataclasses.asdict(check) | {"passed": bool(check.passed), "verdict": check.verdict}


BENCHMARK = Benchmark("physics_table", COLUMNS, check_physics)

if __name__ == "__main__":
    report.run(BENCHMARK, flags.shared(__doc__))
