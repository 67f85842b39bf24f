"""What drives of one driver on one circuit come to."""

import dataclasses
import math
from pathlib import Path

import jax
import jax.numpy as jnp
from flax import struct

from kart_jax.laptime.search import Minimum
from kart_jax.race.types import RaceState


@dataclasses.dataclass(frozen=True)
class Result:
    """One driver on one circuit."""

    driver: str
    """Name of the run, "scripted", or "fastest": the fastest plan that a search found."""
    track: str
    """Circuit."""
    drives: int
    """Drives started."""
    completion_rate: float
    """Share of the drives with at least one clean lap, 0..1."""
    laps: int
    """Clean laps over all drives."""
    best_lap: float | None
    """Seconds; None = no clean lap."""
    mean_lap: float | None
    """Seconds, over all clean laps; each begins and ends at the line."""
    off_track_time: float
    """Mean seconds per drive with all wheels off the track."""
    drive_time: float
    """Mean seconds until the drive ended."""
    telemetry: str | None
    """File with the telemetry of the drives; None = none was asked for."""
    gap: float | None = None
    """Seconds of the best lap over the minimum lap time; None = no lap, or no search."""
    gap_percent: float | None = None
    """The same, in percent of the minimum lap time."""
    minimum: Minimum | None = None
    """What the search found, with the driver "fastest"."""


class Tally(struct.PyTreeNode):
    """Counters of one drive of one kart."""

    alive: jax.Array  # () bool, no fault and time left
    laps: jax.Array  # () int32, clean ones
    best_lap: jax.Array  # () s, inf = none
    lap_time_sum: jax.Array  # () s
    off_track: jax.Array  # () int32, control steps
    steps: jax.Array  # () int32, control steps

    def count(self, before: RaceState, after: RaceState, ended: jax.Array) -> "Tally":
        """Count one control step of the first kart; `ended` () bool says that it was the last."""
        completed = after.timing.valid_laps[0] > before.timing.valid_laps[0]
        lap = self.alive & completed
        time = after.timing.last_lap[0]
        best = jnp.where(lap, jnp.minimum(self.best_lap, time), self.best_lap)
        return Tally(
            alive=self.alive & ~ended,
            laps=self.laps + lap,
            best_lap=best,
            lap_time_sum=self.lap_time_sum + jnp.where(lap, time, 0.0),
            off_track=self.off_track + (self.alive & ~after.on_track[0]),
            steps=self.steps + self.alive,
        )


def new_tally() -> Tally:
    """Return counters at zero."""
    none = jnp.zeros((), jnp.int32)
    return Tally(
        alive=jnp.ones((), bool),
        laps=none,
        best_lap=jnp.full((), jnp.inf),
        lap_time_sum=jnp.zeros(()),
        off_track=none,
        steps=none,
    )


def summarise(driver: str, track: str, tally: Tally, dt: float, telemetry: Path | None) -> Result:
    """Sum up the drives (B,) of one driver; `dt` s per step, `telemetry` their file."""
    tally = jax.device_get(tally)
    laps = int(tally.laps.sum())
    return Result(
        driver=driver,
        track=track,
        drives=len(tally.laps),
        completion_rate=float((tally.laps > 0).mean()),
        laps=laps,
        best_lap=float(tally.best_lap.min()) if laps else None,
        mean_lap=float(tally.lap_time_sum.sum()) / laps if laps else None,
        off_track_time=float(tally.off_track.mean()) * dt,
        drive_time=float(tally.steps.mean()) * dt,
        telemetry=None if telemetry is None else str(telemetry),
    )


def with_gaps(rows: list[Result], minimum: Minimum) -> list[Result]:
    """Return the results on one circuit with their gaps to the minimum lap time.

    The last one is the fastest plan's. The minimum is that of the search's own drive, or the
    fastest plan's best lap of these drives where that is less.
    """
    least = min(minimum.lap_time, rows[-1].best_lap or math.inf)
    gaps = [None if row.best_lap is None else row.best_lap - least for row in rows]
    rows = [
        dataclasses.replace(row, gap=gap, gap_percent=None if gap is None else 100.0 * gap / least)
        for row, gap in zip(rows, gaps, strict=True)
    ]
    return [*rows[:-1], dataclasses.replace(rows[-1], minimum=minimum)]
