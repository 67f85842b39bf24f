"""How long something takes: the loop that every benchmark times with, and the spread that it finds.

Nothing but the standard library is imported, so that the programs in `outsiders/` time with the
same loop.
"""

import dataclasses
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

MOST_CALLS = 1000  # in one repeat


@dataclasses.dataclass(frozen=True)
class Spread:
    """One figure, measured several times."""

    median: float
    low: float
    high: float
    repeats: tuple[float, ...]
    """As measured, in order."""


def spread(values: Sequence[float]) -> Spread:
    """What repeats of a measurement (at least one) have in common."""
    return Spread(statistics.median(values), min(values), max(values), tuple(values))


def rate(seconds: Spread, amount: float) -> Spread:
    """From seconds per call to how much is done per second, if a call does `amount`."""
    return spread([amount / one for one in seconds.repeats])


def scaled(values: Spread, factor: float) -> Spread:
    """Each repeat times a factor."""
    return spread([value * factor for value in values.repeats])


def difference(whole: Spread, *parts: Spread) -> Spread:
    """What is left of each repeat of the whole without its parts; all measured side by side."""
    columns = zip(whole.repeats, *(part.repeats for part in parts), strict=True)
    return spread([value - sum(others) for value, *others in columns])


def total(*parts: Spread) -> Spread:
    """The sum of the parts in each repeat; all measured side by side."""
    return spread([sum(values) for values in zip(*(part.repeats for part in parts), strict=True)])


def seconds(
    call: Callable[[], Any], wait: Callable[[Any], Any], repeats: int, least: float
) -> Spread:
    """Seconds that one call takes, see `side_by_side`."""
    return side_by_side({"": call}, wait, repeats, least)[""]


def side_by_side(
    calls: Mapping[str, Callable[[], Any]], wait: Callable[[Any], Any], repeats: int, least: float
) -> dict[str, Spread]:
    """Seconds that one call of each takes, until what it returns is there.

    Each repeat times all of them one after the other, as a machine's pace may drift. Two calls of
    each come first and are not counted: one compiles and warms up, one tells how many calls make a
    repeat.

    Args:
        calls: what is timed, by name.
        wait: blocks until what a call returned has been computed.
        repeats: timed repeats.
        least: s that each lasts in a repeat at least, unless that were more than `MOST_CALLS`
            calls.
    """
    counts = {}
    for name, call in calls.items():
        wait(call())
        counts[name] = min(max(math.ceil(least / max(_clock(call, wait, 1), 1e-9)), 1), MOST_CALLS)
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            found[name].append(_clock(call, wait, counts[name]))
    return {name: spread(values) for name, values in found.items()}


def _clock(call: Callable[[], Any], wait: Callable[[Any], Any], count: int) -> float:
    """Seconds that each of `count` calls takes."""
    began = time.perf_counter()
    for _ in range(count):
        wait(call())
    return (time.perf_counter() - began) / count
