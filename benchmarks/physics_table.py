"""Run the acceptance checks of the physics and print the validation table of docs/physics.md (markdown).

    python benchmarks/physics_table.py

Every check drives the real `step` (float64, 5 ms unless said) or the very functions it is made of. The rows are
those of the acceptance table; tests/test_physics_table.py asserts the same checks.
"""

from collections.abc import Callable

import jax
from physics_checks import circles, invariants, loads, numerics, straights
from physics_checks.check import Check

SECTIONS: tuple[Callable[[], list[Check]], ...] = (
    loads.statics,
    straights.straights,
    straights.launches,
    straights.brakes,
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


def main() -> None:
    """Print the table."""
    rows = sorted((check for section in SECTIONS for check in section()), key=lambda check: check.row)
    print("| row | check | measured | allowed | |\n|---|---|---|---|---|")
    for c in rows:
        print(f"| {c.row} | {c.what} | {c.value:.5g} | {c.low:.5g} … {c.high:.5g} | {'ok' if c.passed else 'FAIL'} |")


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    main()
