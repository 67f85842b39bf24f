"""What a run shows on the screen: a bar on a terminal, plain lines elsewhere."""

import math
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from train.run.progress import Progress as RunProgress

LINE_EVERY = 15.0  # s between plain lines


def clock(seconds: float) -> str:
    """Write seconds as "1 h 02 min", "3 min 05 s" or "42 s"."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 60} min {whole % 60:02d} s" if whole >= 60 else f"{whole} s"


class Screen:
    """Shows a run's progress; use as a context manager."""

    def __init__(self, total: int, start: int, console: Console | None = None):
        """Open for a run of `total` environment steps that stands at `start`."""
        self._console = console or Console()
        self._total = total
        self._start = start
        self._begun = time.monotonic()
        self._last_line = -math.inf
        self._bar = Progress(
            TextColumn("training"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[text]}"),
            TextColumn("left"),
            TimeRemainingColumn(compact=True),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("", total=total, completed=start, text="compiling")

    def __enter__(self) -> "Screen":
        """Start the bar."""
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the bar as it is."""
        self._bar.stop()

    def say(self, line: str) -> None:
        """Print one line above the bar."""
        self._console.print(line, highlight=False, soft_wrap=True, markup=False)

    def show(self, steps: int, fps: float, progress: RunProgress) -> None:
        """Show where the run stands."""
        best = "none" if progress.best_lap is None else f"{progress.best_lap:.3f} s"
        reward = "none yet" if math.isnan(progress.mean_return) else f"{progress.mean_return:.0f}"
        text = f"{fps:,.0f} steps/s · reward {reward} · laps {progress.laps} · best lap {best}"
        self._bar.update(self._task, completed=steps, text=text)

        now = time.monotonic()
        if self._console.is_terminal or (
            now - self._last_line < LINE_EVERY and steps < self._total
        ):
            return

        self._last_line = now
        pace = (steps - self._start) / max(now - self._begun, 1e-9)
        left = clock(max(self._total - steps, 0) / max(pace, 1e-9))
        self.say(f"{steps:,} of {self._total:,} steps · {text} · {left} left")
