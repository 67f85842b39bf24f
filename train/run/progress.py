"""What the host knows of a run: counters, laps, recent episodes; saved with every checkpoint."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from kart_jax.env.reward import TERMS
from kart_jax.env.types import Cause
from train.ppo.metrics import UpdateMetrics

# Means are over the last updates that together hold at least this many episodes (or laps).
WINDOW = 100


@dataclasses.dataclass
class Progress:
    """Counters of a run; JSON holds it without loss."""

    updates: int = 0
    """Updates done."""
    elapsed: float = 0.0
    """Seconds of training so far, over all sessions of the run."""
    laps: int = 0
    """Valid laps completed."""
    best_lap: float | None = None
    """Seconds of the best valid lap."""
    first_lap_steps: int | None = None
    """Environment steps after which the first valid lap had been completed."""
    first_lap_seconds: float | None = None
    """Seconds of training until then."""
    recent_episodes: list[list[float]] = dataclasses.field(default_factory=list)
    """Per update [episodes, sum of returns, sum of lengths], the latest last."""
    recent_laps: list[list[float]] = dataclasses.field(default_factory=list)
    """Per update [laps, sum of lap times in s], the latest last."""

    @property
    def mean_return(self) -> float:
        """Mean return of the recent episodes; nan before the first ended."""
        return _mean(self.recent_episodes, 1)

    @property
    def lap_rate(self) -> float:
        """Clean laps per update, over the updates of the recent laps; 0 before the first."""
        return sum(laps for laps, _ in self.recent_laps) / max(len(self.recent_laps), 1)

    @property
    def score(self) -> tuple[float, float]:
        """How good the driver is: clean laps per update, then the mean return; larger is better."""
        return self.lap_rate, -math.inf if math.isnan(self.mean_return) else self.mean_return

    def take(self, update: UpdateMetrics, steps: int) -> dict[str, float]:
        """Count one update, after which `steps` environment steps are done.

        Returns its scalars by metric name.
        """
        self.updates += 1
        self.laps += int(update.laps)
        if int(update.laps):
            self.best_lap = min(float(update.lap_time_min), self.best_lap or math.inf)
            if self.first_lap_steps is None:
                self.first_lap_steps = steps
                self.first_lap_seconds = self.elapsed

        _push(
            self.recent_episodes,
            [float(update.episodes), float(update.return_sum), float(update.length_sum)],
        )
        _push(self.recent_laps, [float(update.laps), float(update.lap_time_sum)])
        return self._scalars(update)

    def _scalars(self, update: UpdateMetrics) -> dict[str, float]:
        """Return value by metric name; nan where there is none yet."""
        losses = update.losses
        scalars = {
            "rollout/ep_rew_mean": self.mean_return,
            "rollout/ep_len_mean": _mean(self.recent_episodes, 2),
            "rollout/laps": float(self.laps),
            "rollout/lap_time_best": math.nan if self.best_lap is None else self.best_lap,
            "rollout/lap_time_mean": _mean(self.recent_laps, 1),
            "rollout/off_track": float(update.off_track),
            "train/policy_gradient_loss": float(losses.policy_gradient_loss),
            "train/value_loss": float(losses.value_loss),
            "train/entropy": float(losses.entropy),
            "train/approx_kl": float(losses.approx_kl),
            "train/clip_fraction": float(losses.clip_fraction),
            "train/explained_variance": float(update.explained_variance),
            "train/learning_rate": float(update.learning_rate),
            "train/reward_scale": float(update.reward_scale),
            "train/std": float(update.std),
        }
        scalars |= {
            f"reward/{name}": float(v) for name, v in zip(TERMS, update.reward_terms, strict=True)
        }
        ends = zip(Cause, update.causes, strict=True)
        return scalars | {
            f"end/{cause.name.lower()}": float(v) for cause, v in ends if cause != Cause.NONE
        }


def _push(window: list[list[float]], entry: list[float]) -> None:
    """Append, and drop what is older than the latest `WINDOW` events.

    The first number of each entry counts its events.
    """
    window.append(entry)
    while sum(item[0] for item in window[1:]) >= WINDOW:
        window.pop(0)
    while len(window) > 1 and window[0][0] == 0:
        window.pop(0)


def _mean(window: list[list[float]], column: int) -> float:
    """Return the sum of a column over the number of events; nan when there is none."""
    count = sum(item[0] for item in window)
    return sum(item[column] for item in window) / count if count else math.nan


def together(parts: Sequence[Progress]) -> Progress:
    """Take runs side by side as one, for the screen.

    Counters are summed, the best lap is the best of all, recent episodes and laps are those of all.
    """
    if len(parts) == 1:
        return parts[0]
    return Progress(
        updates=parts[0].updates,
        elapsed=max(part.elapsed for part in parts),
        laps=sum(part.laps for part in parts),
        best_lap=min((part.best_lap for part in parts if part.best_lap is not None), default=None),
        recent_episodes=[entry for part in parts for entry in part.recent_episodes],
        recent_laps=[entry for part in parts for entry in part.recent_laps],
    )


def from_json(values: dict[str, Any]) -> Progress:
    """Return the inverse of `dataclasses.asdict`."""
    return Progress(**values)
