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

    @property
    def passed(self) -> bool:
        """The value lies in its range (nan does not)."""
        return self.low <= self.value <= self.high


def near(row: int, what: str, value: float, target: float, relative: float) -> Check:
    """A check around a target with a relative tolerance."""
    spread = abs(target) * relative
    return Check(row, what, float(value), target - spread, target + spread)
