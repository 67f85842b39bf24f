"""How long something takes: the clock of every benchmark, and the spread that it finds.

Nothing but the standard library is imported, so that the programs in `peer_envs` are timed by the
same clock.
"""

import dataclasses
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

MAX_CALLS = 1000  # in one repeat


@dataclasses.dataclass(frozen=True)
class Spread:
    """One figure, measured several times."""

    median: float
    low: float
    high: float
    repeats: tuple[float, ...]
    """As measured, in order."""


def spread(values: Sequence[float]) -> Spread:
    """Return what repeats of a measurement (at least one) have in common."""
    return Spread(statistics.median(values), min(values), max(values), tuple(values))


def rate(seconds: Spread, amount: float) -> Spread:
    """Turn seconds per call into how much is done per second, if a call does `amount`."""
    return spread([amount / one for one in seconds.repeats])


def scaled(values: Spread, factor: float) -> Spread:
    """Multiply each repeat by a factor."""
    return spread([value * factor for value in values.repeats])


def difference(whole: Spread, *parts: Spread) -> Spread:
    """Subtract the parts from the whole in each repeat; all measured side by side."""
    columns = zip(whole.repeats, *(part.repeats for part in parts), strict=True)
    return spread([value - sum(others) for value, *others in columns])


def total(*parts: Spread) -> Spread:
    """Add up the parts in each repeat; all measured side by side."""
    return spread([sum(values) for values in zip(*(part.repeats for part in parts), strict=True)])


def time_call(
    call: Callable[[], Any], wait: Callable[[Any], Any], repeats: int, least: float
) -> Spread:
    """Measure the seconds that one call takes, see `time_side_by_side`."""
    return time_side_by_side({"": call}, wait, repeats, least)[""]


def time_side_by_side(
    calls: Mapping[str, Callable[[], Any]], wait: Callable[[Any], Any], repeats: int, least: float
) -> dict[str, Spread]:
    """Measure the seconds that one call of each takes, until what it returns is there.

    Each repeat times all of them one after the other, as a machine's pace may drift. Two calls of
    each come first and are not counted: one compiles and warms up, one tells how many calls make a
    repeat.

    Args:
        calls: what is timed, by name.
        wait: blocks until what a call returned has been computed.
        repeats: timed repeats.
        least: s that each lasts in a repeat at least, unless that were more than `MAX_CALLS` calls.
    """
    counts = {}
    for name, call in calls.items():
        wait(call())
        once = max(_clock(call, wait, 1), 1e-9)
        counts[name] = min(max(math.ceil(least / once), 1), MAX_CALLS)

    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            found[name].append(_clock(call, wait, counts[name]))
    return {name: spread(values) for name, values in found.items()}


def _clock(call: Callable[[], Any], wait: Callable[[Any], Any], count: int) -> float:
    """Measure the seconds that each of `count` calls takes."""
    began = time.perf_counter()
    for _ in range(count):
        wait(call())
    return (time.perf_counter() - began) / count
