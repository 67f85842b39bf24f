"""Split a log into laps and sectors, timed by interpolation at the lines.

A log needs the channels time, distance, lap_distance and sector_distance. Between two rows the kart
passed a line when `distance - lap_distance`, the place of the last line behind it, steps up to a
new highest value; so rolling back over the line and forward again counts once. With d metres
between the rows and r metres past the line at the second one, the passage lies at the fraction (d -
r) / d of the interval h. Taking the speed v as constant there errs by at most a h² / (8 v): 0.1 ms
for 10 m/s² at 20 m/s and 25 rows per second.
"""

import dataclasses
import itertools

import numpy as np

from kart_jax.telemetry.log import Log

STEP = 1.0  # m, smallest rise of a line's place that is a new line; rounding of float32 stays far below


@dataclasses.dataclass(frozen=True)
class Lap:
    """One complete lap."""

    number: int  # 1 = the first complete lap of the log
    start: float  # s, race time at the line
    end: float  # s
    sectors: tuple[float, ...]  # s, in driving order; they add up to `time`
    first: int  # first row of the lap
    last: int  # row after its last
    valid: bool  # the whole lap counted, where the log says so

    @property
    def time(self) -> float:
        """Lap time in s."""
        return self.end - self.start


def crossings(
    time: np.ndarray, distance: np.ndarray, since_line: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Forward passages of a line.

    Args:
        time: (rows,) s.
        distance: (rows,) m, unwrapped.
        since_line: (rows,) m, metres since the last line of the kind that is sought.

    Returns:
        Row after each passage (M,) and its interpolated time (M,) s.
    """
    place = distance - since_line
    highest = np.maximum.accumulate(place)
    row = np.flatnonzero(place[1:] > highest[:-1] + STEP) + 1
    covered = np.maximum(distance[row] - distance[row - 1], 1e-9)
    share = np.clip((covered - since_line[row]) / covered, 0.0, 1.0)
    return row, time[row - 1] + share * (time[row] - time[row - 1])


def stints(log: Log) -> list[tuple[int, int]]:
    """Row ranges without a restart: a new one begins where the race time does not rise."""
    cuts = np.flatnonzero(np.diff(log["time"]) <= 0) + 1
    edges = [0, *cuts.tolist(), len(log)]
    return list(itertools.pairwise(edges))


def split(log: Log) -> list[Lap]:
    """Every complete lap of the log, in order.

    Raises:
        InputError: a needed channel is missing.
    """
    laps: list[Lap] = []
    for first, last in stints(log):
        laps += _split_stint(log.rows(first, last), first, len(laps))
    return laps


def _split_stint(log: Log, offset: int, before: int) -> list[Lap]:
    """Laps of rows without a restart; `offset` is their first row in the whole log, `before` the
    laps so far."""
    time, distance = log["time"], log["distance"]
    row, passage = crossings(time, distance, log["lap_distance"])
    _, lines = crossings(time, distance, log["sector_distance"])
    valid = log["lap_valid"] > 0 if "lap_valid" in log else np.ones(len(log), bool)
    laps = []
    for k in range(len(row) - 1):
        inside = lines[(lines > passage[k] + 1e-6) & (lines < passage[k + 1] - 1e-6)]
        sectors = np.diff([passage[k], *inside, passage[k + 1]])
        laps.append(
            Lap(
                number=before + k + 1,
                start=float(passage[k]),
                end=float(passage[k + 1]),
                sectors=tuple(float(s) for s in sectors),
                first=offset + int(row[k]),
                last=offset + int(row[k + 1]),
                valid=bool(valid[row[k] : row[k + 1]].all()),
            )
        )
    return laps


def best(laps: list[Lap]) -> Lap | None:
    """The fastest valid lap, or the fastest of all where none is valid, or None."""
    pool = [lap for lap in laps if lap.valid] or laps
    return min(pool, key=lambda lap: lap.time, default=None)


def clock(seconds: float) -> str:
    """A time as the timing screen shows it: 52.345 or 1:02.345; a dash where there is none."""
    if not np.isfinite(seconds):
        return "-"
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes}:{rest / 1000:06.3f}" if minutes else f"{rest / 1000:.3f}"
