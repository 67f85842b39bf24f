"""One measured number and what it may be."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Check:
    """One measured number and the range it must lie in."""

    row: int
    """Row of the acceptance table."""
    what: str
    """What was measured, with its unit."""
    value: float
    """The measurement."""
    low: float
    """Least allowed."""
    high: float
    """Most allowed."""
    reference: tuple[float, float] | None = None
    """What the reference asks where something else is allowed: the model departs from it, and is
    kept where it is."""

    @property
    def passed(self) -> bool:
        """Whether the value lies in its range (nan does not)."""
        return self.low <= self.value <= self.high

    @property
    def verdict(self) -> str:
        """ok, FAIL, or the range of the reference from which an allowed value departs."""
        if not self.passed:
            return "FAIL"
        if self.reference is None or self.reference[0] <= self.value <= self.reference[1]:
            return "ok"
        return f"departs: {self.reference[0]:.5g} … {self.reference[1]:.5g}"


def near(
    row: int,
    what: str,
    value: float,
    target: float,
    relative: float,
    reference: tuple[float, float] | None = None,
) -> Check:
    """Make a check around a target with a relative tolerance."""
    spread = abs(target) * relative
    return Check(row, what, float(value), target - spread, target + spread, reference)
