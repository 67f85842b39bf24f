"""The exam at the end of a run: each checkpoint drives as its users will have it drive, and the results are noted.

In training a driver explores, and its noise takes it through bends in which its most likely actions fail. Whether they
do changes from one checkpoint to the next, and nothing that training counts tells it.
"""

from collections.abc import Callable

from kart_jax.errors import InputError
from train import checkpoint, evaluate, marks, policy, run_folder, run_tracks
from train.evaluate import Result
from train.run_folder import RunFolder

DRIVES = 8  # of each checkpoint, over the circuits of the run
LAPS = 2  # that a drive has time for, after the way to the line, as in `kart eval`


def hold(folder: RunFolder, report: Callable[[Result], None] = lambda result: None) -> list[Result]:
    """Let every good checkpoint of a run drive on the circuits of the run, and note what they did in its `exam.json`.

    Args:
        folder: of the run.
        report: told of each result as it comes.

    Returns:
        What each did in `DRIVES` drives, the best first; `driver` is its environment steps. InputError when a circuit
        or no checkpoint can be read, or the file cannot be written.
    """
    settings = run_folder.settings_of(folder)
    own = run_tracks.own(folder, settings.tracks)
    env, _, params, steps = evaluate.course([own[track] for track in settings.tracks], settings, DRIVES, LAPS)
    results: list[Result] = []
    for path in checkpoint.find(folder.path):
        try:
            driver = policy.read([path], settings)
        except InputError:  # damaged: nobody will load it either
            continue
        tally, _ = evaluate.drive(evaluate.learned, driver, env, params, steps)
        results.append(evaluate.result(path.name, ", ".join(settings.tracks), tally, env.config.control_dt, None))
        report(results[-1])
    marks.write(folder.path, {int(one.driver): (one.completion_rate, one.mean_lap) for one in results})
    noted = marks.read(folder.path)
    return sorted(results, key=lambda one: noted.get(int(one.driver), marks.NONE), reverse=True)
