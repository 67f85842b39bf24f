"""The acceptance rows of the physics, asserted one by one."""

from pathlib import Path

import jax
import pytest
from checks.sections import SECTIONS, Section

PAGE = (Path(__file__).parents[2] / "docs" / "physics.md").read_text()


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_acceptance(section: Section):
    with jax.enable_x64(True):
        checks = section()
    missed = "\n".join(
        f"row {c.row}, {c.what}: {c.value:.6g} not in [{c.low:.6g}, {c.high:.6g}]"
        for c in checks
        if not c.passed
    )
    assert checks and not missed, missed

    for c in checks:
        (line,) = (line for line in PAGE.splitlines() if line.startswith(f"| {c.row} | {c.what} |"))
        assert line.endswith(f"| {c.verdict} |"), (
            f"docs/physics.md says {line!r}; print its table anew"
        )
