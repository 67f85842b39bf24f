"""`kart eval`: how well a trained driver drives, beside the scripted one."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from kart_jax.cli.flags import parse
from kart_jax.cli.output import emit_json, table
from kart_jax.cli.search import describe_minimum, print_progress, resolve_search_laps
from kart_jax.errors import InputError
from train.evaluation import defaults

if TYPE_CHECKING:
    from train.evaluation.evaluate import Result

EXAMPLES = """
kart eval runs/circuit-1
kart eval circuit-1 --track-name monza.png spa.png --drives 16 --json
kart eval circuit-1 --drives 100 --telemetry drives/
kart eval circuit-1 --fastest --search-laps 5000
"""


@dataclasses.dataclass(frozen=True)
class EvalConfig:
    """Time a trained driver over fixed drives, beside the scripted driver.

    Lap times, completion rate and off-track time are told. The first drive starts from rest on the
    grid, the others roll from places drawn with fixed seeds.
    """

    run: tyro.conf.Positional[str]
    """The run: its folder, its name under --runs-dir, or one of its checkpoints."""
    track_name: tuple[str, ...] | None = None
    """Tracks to drive on, also ones it never saw; default those of the run."""
    drives: int = defaults.DRIVES
    """Drives per track and driver, 1 to 10000."""
    laps: int = defaults.LAPS
    """How many laps a drive has time for, 1 to 100."""
    explore: bool = False
    """Let the learned driver draw its actions as in training, instead of taking the most likely
    ones."""
    telemetry: str | None = None
    """Write the telemetry of every drive into this folder: an .npz for each track and driver."""
    fastest: bool = False
    """Search the minimum lap time of each track through the simulator, and tell the gaps to it;
    minutes the first time, then it is remembered."""
    search_laps: int | None = None
    """Laps to simulate in that search, in whole generations of 33; default 1320. Implies
    --fastest."""
    runs_dir: str = "runs"
    """Folder of the runs."""
    json: bool = False
    """Print the figures as JSON."""

    def __post_init__(self) -> None:
        """Refuse senseless numbers."""
        for name, most in (("drives", 10_000), ("laps", 100)):
            if not 1 <= getattr(self, name) <= most:
                raise InputError(f"--{name} is {getattr(self, name)}; allowed are 1 to {most}")


def run(words: Sequence[str]) -> None:
    """Run `kart eval`."""
    config = parse(EvalConfig, "eval", words, EXAMPLES)
    search = config.fastest or config.search_laps is not None
    search_laps = resolve_search_laps(config.search_laps) if search else None
    from train.evaluation import evaluate

    results = evaluate.evaluate(
        config.run,
        track_name=config.track_name,
        drives=config.drives,
        laps=config.laps,
        explore=config.explore,
        telemetry=None if config.telemetry is None else Path(config.telemetry),
        runs_dir=config.runs_dir,
        search_laps=search_laps,
        report=print_progress,
    )
    if config.json:
        figures = [dataclasses.asdict(result) for result in results]
        emit_json({"run": config.run, "results": figures})
        return

    print(result_table(results, search))
    for result in results:
        if result.minimum is not None:
            print(f"{result.track}: {describe_minimum(result.minimum)}")
    for result in results:
        if result.telemetry is not None:
            print(f"wrote {result.telemetry}")


def result_table(results: "list[Result]", search: bool) -> str:
    """Return the results as a table, a line each.

    With a search it also tells how far the best lap is from the minimum.
    """
    from kart_jax.telemetry.laps import format_time

    head = [
        "track",
        "driver",
        "best lap",
        "mean lap",
        "clean laps",
        "drives with a lap",
        "off track",
        "drive",
    ]
    rows = [
        [
            result.track,
            result.driver,
            format_time(float("nan") if result.best_lap is None else result.best_lap),
            format_time(float("nan") if result.mean_lap is None else result.mean_lap),
            str(result.laps),
            f"{result.completion_rate:.0%} of {result.drives}",
            f"{result.off_track_time:.1f} s",
            f"{result.drive_time:.1f} s",
        ]
        for result in results
    ]
    if search:
        head[3:3] = ["gap", "gap"]
        for row, result in zip(rows, results, strict=True):
            gaps = ["-", "-"]
            if result.gap is not None:
                gaps = [f"{result.gap:+.3f} s", f"{result.gap_percent:+.1f} %"]
            row[3:3] = gaps
    return table(head, rows)
