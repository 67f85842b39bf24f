"""A `Log`: the telemetry of one kart on the host, as it lies in a file."""

import dataclasses

import numpy as np

from kart_jax.errors import InputError
from kart_jax.race.channels import NAMES


@dataclasses.dataclass(frozen=True)
class Log:
    """Rows of telemetry in time order, columns by name."""

    names: tuple[str, ...]
    values: np.ndarray  # (rows, columns) float32; units as in `channels.CHANNELS`
    source: str = "this recording"  # what an error message calls it

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.values)

    def __contains__(self, name: str) -> bool:
        """Tell whether the log has this channel."""
        return name in self.names

    def __getitem__(self, name: str) -> np.ndarray:
        """Return one channel as (rows,) float64.

        Raises:
            InputError: the log lacks the channel.
        """
        if name not in self.names:
            raise InputError(
                f"{self.source}: the channel {name} is missing; it has {', '.join(self.names)}; "
                "record it with `kart drive --telemetry` or add the column"
            )
        return self.values[:, self.names.index(name)].astype(np.float64)

    @property
    def period(self) -> float:
        """Race time in s from row to row; 1 where there is only one."""
        steps = np.diff(self["time"])
        return float(np.median(steps)) if len(steps) else 1.0

    @property
    def rate(self) -> float:
        """Rows per second of race time."""
        return 1.0 / self.period

    def named(self, source: str) -> "Log":
        """Return the same log under a name that titles and errors show."""
        return dataclasses.replace(self, source=source)

    def rows(self, first: int, end: int) -> "Log":
        """Return the rows from `first` up to and without `end`."""
        return dataclasses.replace(self, values=self.values[first:end])

    def every(self, count: int) -> "Log":
        """Return each `count`-th row, from the first on."""
        return dataclasses.replace(self, values=self.values[::count])


def log_of_kart(values: np.ndarray, kart: int = 0) -> Log:
    """Return the log of one kart of a recording (steps, K, C), columns as in `channels.NAMES`."""
    return Log(NAMES, np.asarray(values[:, kart], np.float32))
