"""The exam at the end of a run: each checkpoint drives as its users will have it drive.

The results are noted in the folder of the run.

In training a driver explores, and its noise takes it through bends in which its most likely actions
fail. Whether they do changes from one checkpoint to the next, and nothing that training counts
tells it.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import jax

from kart_jax.errors import InputError
from train.evaluation import load_policy
from train.evaluation.defaults import DRIVES, LAPS
from train.evaluation.drives import drive_all
from train.evaluation.evaluate import prepare_course, race_env
from train.evaluation.learned_driver import LearnedDriver
from train.evaluation.result import Result, summarise
from train.run import checkpoint_folder, checkpoint_scores, run_folder, run_tracks
from train.run.run_folder import RunFolder

if TYPE_CHECKING:
    from train.run.types import RunResult


def examine(result: "RunResult", say: Callable[[str], None] = print) -> list[Result]:
    """Examine a finished run whose driver laps, if it kept several checkpoints to choose from.

    Args:
        result: of the run.
        say: told in a line what is going on, and how each checkpoint drives.

    Returns:
        As `hold`; empty without an exam, also when it cannot be held: the run is none the worse for
        that.
    """
    if not result.progress.laps or result.interrupted or result.failure is not None:
        return []

    def report(one: Result) -> None:
        mean = "" if one.mean_lap is None else f", mean lap {one.mean_lap:.3f} s"
        lapped = f"{round(one.completion_rate * one.drives)} of {one.drives} drives"
        say(f"after {int(one.driver):,} steps: {lapped} with a clean lap{mean}")

    try:
        count = len(checkpoint_folder.find(result.folder.path))
        if count < 2:
            return []
        say(f"examining the {count} checkpoints that were kept ...")
        return hold(result.folder, report)
    except (
        InputError,
        OSError,
        jax.errors.JaxRuntimeError,
    ) as error:  # a file that is gone, too little memory
        say(f"no exam: {error}")
        return []


def standings(ranked: list[Result]) -> list[dict[str, int | float | None]]:
    """Return what `examine` found as plain data.

    `steps`, `drives`, `completion_rate` 0..1 and `mean_lap` in s, or None.
    """
    fields = ("drives", "completion_rate", "mean_lap")
    return [
        {"steps": int(one.driver), **{field: getattr(one, field) for field in fields}}
        for one in ranked
    ]


def hold(folder: RunFolder, report: Callable[[Result], None]) -> list[Result]:
    """Let every good checkpoint of a run drive, and note in its `exam.json` what they did.

    Args:
        folder: of the run, on whose circuits they drive.
        report: told of each result as it comes.

    Returns:
        What each did in `DRIVES` drives, the best first; `driver` is its environment steps.
        InputError when a circuit or no checkpoint can be read, or the file cannot be written.
    """
    config = run_folder.read_config(folder)
    own = run_tracks.own(folder, config.tracks)
    env = race_env([own[track] for track in config.tracks], config)
    course, _ = prepare_course(env, DRIVES, LAPS)

    results: list[Result] = []
    for path in checkpoint_folder.find(folder.path):
        try:
            policy = load_policy.read([path], config)
        except InputError:  # damaged: nobody will load it either
            continue
        tally, _ = drive_all(LearnedDriver(policy, env, env.default_params), course)
        dt = course.world.rates.control_dt
        results.append(summarise(path.name, ", ".join(config.tracks), tally, dt, None))
        report(results[-1])

    checkpoint_scores.write(
        folder.path, {int(one.driver): (one.completion_rate, one.mean_lap) for one in results}
    )
    noted = checkpoint_scores.read(folder.path)

    def rank(one: Result) -> checkpoint_scores.Score:
        return noted.get(int(one.driver), checkpoint_scores.NO_SCORE)

    return sorted(results, key=rank, reverse=True)
