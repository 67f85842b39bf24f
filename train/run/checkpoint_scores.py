"""How the checkpoints of a run scored in its checkpoint selection: `exam.json` in its folder.

`train.evaluation.selection` writes it; whoever wants the best checkpoint reads it.
"""

import json
from pathlib import Path

from kart_jax.files import replacing

FILE = "exam.json"

# Share of the drives with a clean lap, minus the mean lap in s: larger is better.
Score = tuple[float, float]
NO_SCORE: Score = (0.0, 0.0)  # of a checkpoint that was not there, or had no clean lap


def write(run: Path, results: dict[int, tuple[float, float | None]]) -> None:
    """Note how the checkpoints of a run scored.

    Args:
        run: its folder.
        results: environment steps of a checkpoint -> share of its drives with a clean lap, mean lap
            in s or None.
    """
    rows = {
        str(steps): {"completion_rate": rate, "mean_lap": lap}
        for steps, (rate, lap) in results.items()
    }
    with replacing(run / FILE) as part:
        part.write_text(json.dumps(rows, indent=2) + "\n")


def read(run: Path) -> dict[int, Score]:
    """Return the score of each checkpoint that lapped, by its steps.

    Empty when there was no selection or its file is damaged.
    """
    try:
        rows = json.loads((run / FILE).read_text())
        lapped = {int(steps): row for steps, row in rows.items() if row["completion_rate"] > 0.0}
        return {
            steps: (float(row["completion_rate"]), -float(row["mean_lap"]))
            for steps, row in lapped.items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def forget(run: Path) -> None:
    """Take back the scores of a run that goes on."""
    (run / FILE).unlink(missing_ok=True)
