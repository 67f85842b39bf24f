"""The acceptance rows of the physics: the checks that benchmarks/physics_table.py prints, asserted one by one."""

import sys
from pathlib import Path

import jax
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))  # a script's own folder, as when it is run
import physics_table as table


@pytest.mark.parametrize("section", table.SECTIONS, ids=lambda section: section.__name__)
def test_acceptance(section):
    with jax.enable_x64(True):
        checks = section()
    missed = "\n".join(
        f"row {c.row}, {c.what}: {c.value:.6g} not in [{c.low:.6g}, {c.high:.6g}]" for c in checks if not c.passed
    )
    assert checks and not missed, missed
