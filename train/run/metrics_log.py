"""Where the numbers of a run are written: TensorBoard events and `metrics.csv`.

Each update is one row.
"""

import csv
import math
from pathlib import Path

from kart_jax.files import replacing
from train.run.run_folder import RunFolder


def drop_rows_after(path: Path, steps: int) -> None:
    """Cut `metrics.csv` back to the checkpoint from which a run goes on.

    The rows that it will write again go.
    """
    if not path.exists():
        return
    with path.open(newline="") as file:
        rows = list(csv.reader(file))

    # A kill may have cut the last row short: it has no full set of columns, or lies behind the
    # checkpoint anyway.
    kept = [row for row in rows[1:] if len(row) == len(rows[0]) and int(row[0]) <= steps]
    with replacing(path) as part, part.open("w", newline="") as file:
        csv.writer(file).writerows(rows[:1] + kept)


class MetricsLog:
    """Open files of a run."""

    def __init__(self, folder: RunFolder, steps: int):
        """Open for a run that stands at `steps` environment steps.

        Later entries of an earlier session are dropped.
        """
        from tensorboardX import SummaryWriter

        drop_rows_after(folder.metrics, steps)
        self._events = SummaryWriter(
            str(folder.tensorboard), purge_step=steps + 1 if steps else None
        )
        self._table = folder.metrics.open("a", newline="")
        self._writer = csv.writer(self._table)
        self._empty = self._table.tell() == 0

    def write(self, steps: int, scalars: dict[str, float]) -> None:
        """Write one row; TensorBoard leaves out what is not a number."""
        if self._empty:
            self._writer.writerow(["step", *scalars])
            self._empty = False
        self._writer.writerow([steps, *(repr(value) for value in scalars.values())])
        for name, value in scalars.items():
            if math.isfinite(value):
                self._events.add_scalar(name, value, steps)

    def flush(self) -> None:
        """Bring everything written so far to the disk."""
        self._table.flush()
        self._events.flush()

    def close(self) -> None:
        """Finish."""
        self._table.close()
        self._events.close()
