"""The acceptance rows of the physics: the checks of benchmarks/physics_table.py, asserted one by one."""

import importlib.util
import sys
from pathlib import Path

import jax
import pytest

_PATH = Path(__file__).parents[1] / "benchmarks" / "physics_table.py"
_SPEC = importlib.util.spec_from_file_location("physics_table", _PATH)
table = importlib.util.module_from_spec(_SPEC)
sys.modules["physics_table"] = table
_SPEC.loader.exec_module(table)


@pytest.mark.parametrize("section", table.SECTIONS, ids=lambda section: section.__name__)
def test_acceptance(section):
    with jax.enable_x64(True):
        checks = section()
    missed = "\n".join(
        f"row {c.row}, {c.what}: {c.value:.6g} not in [{c.low:.6g}, {c.high:.6g}]" for c in checks if not c.passed
    )
    assert checks and not missed, missed
