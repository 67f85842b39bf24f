"""A training run from start to end: compiled chunks on the device, logs and saves on the host.

While the device works on a chunk, the host writes down the one before it. At a checkpoint it waits:
the state is saved first, because the next chunk reuses its memory.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from rich.console import Console

from kart_jax.files import locked
from train.ppo.metrics import UpdateMetrics
from train.run import hosts, stop_requests
from train.run.chunks import Chunks
from train.run.console import Screen
from train.run.prepare import prepare
from train.run.progress import together
from train.run.reporter import Reporter, divergence, farewell
from train.run.request import TrainConfig
from train.run.types import Run, RunResult

# Given the environment steps of an update and the scalars of each run.
Spread = Callable[[int, list[dict[str, float]]], None]


def train(config: TrainConfig, quiet: bool = False) -> RunResult:
    """Do what `kart train` is asked for, without a word if `quiet`.

    InputError when it cannot be done.
    """
    run, notes = prepare(config)
    console = Console(stderr=config.json, quiet=quiet or not hosts.first())
    return run_training(run, notes, console)


def run_training(
    run: Run,
    notes: Sequence[str] = (),
    console: Console | None = None,
    after_save: Callable[[], None] = lambda: None,
) -> RunResult:
    """Train until the steps are done, a stop is asked for or training diverges.

    Saves at the end unless it diverged: the checkpoints before are then left as they are.

    Args:
        run: from `prepare`, with its `notes`, which are shown first.
        notes: from `prepare`.
        console: where to show them and the progress; None = standard output.
        after_save: called whenever a checkpoint is complete, for instance to bring it to a safe
            place.
    """
    shown = (*notes, f"run folder {run.folder.path}")
    return run_side_by_side([run], shown, console, after_save)[0]


def run_side_by_side(
    runs: Sequence[Run],
    notes: Sequence[str],
    console: Console | None = None,
    after_save: Callable[[], None] = lambda: None,
    spread: Spread = lambda steps, rows: None,
) -> list[RunResult]:
    """Train runs that share one compiled program, see `cohort`; otherwise as `run_training`.

    Args:
        runs: at the same step; the environment, the network and the devices of the first serve all.
        notes: shown first.
        console: as in `run_training`.
        after_save: as in `run_training`.
        spread: called after every update with its environment steps and the scalars of each run.

    Returns:
        What became of each run. One that diverges is left behind, the others go on.
    """
    lead = runs[0]
    total = lead.config.chunks * lead.config.steps_per_chunk
    with (
        hold(runs),
        stop_requests.collect() as stops,
        Screen(total, lead.steps, console) as screen,
    ):
        for note in notes:
            screen.say(note)
        if total != lead.config.timesteps:
            screen.say(
                f"{total:,} steps: the {lead.config.timesteps:,} asked for, rounded up to whole "
                f"chunks of {lead.config.steps_per_chunk:,}"
            )

        many = len(runs) > 1
        reporters = [
            Reporter(run, screen, f"{run.folder.path.name}: " if many else "") for run in runs
        ]
        last_saved = run_chunks(reporters, screen, stops, after_save, spread)

        stopped = hosts.any_of(bool(stops))
        for reporter in reporters:
            if lead.steps > last_saved:
                reporter.save(after_save)
            if not reporter.diverged:
                screen.say(reporter.name + farewell(reporter.run, stopped))
            reporter.close()

    return [
        RunResult(
            folder=one.run.folder,
            steps=one.run.steps,
            progress=one.run.progress,
            interrupted=stopped,
            failure=divergence(one.run) if one.diverged else None,
        )
        for one in reporters
    ]


def run_chunks(
    reporters: Sequence[Reporter],
    screen: Screen,
    stops: Sequence[int],
    after_save: Callable[[], None],
    spread: Spread,
) -> int:
    """Run chunk after chunk of the runs, until none is left or wanted; give each run its state.

    Returns:
        The environment steps at the last checkpoint, or at the start.
    """
    runs = [reporter.run for reporter in reporters]
    config = runs[0].config
    total = config.chunks * config.steps_per_chunk
    chunks = Chunks(runs)
    launched = runs[0].steps
    last_saved = launched

    while (
        launched < total
        and not hosts.any_of(bool(stops))
        and not all(reporter.diverged for reporter in reporters)
    ):
        finished = chunks.launch()  # the chunk before, while this one runs
        launched += config.steps_per_chunk
        report(finished, reporters, screen, spread)

        if launched // config.checkpoint_freq > last_saved // config.checkpoint_freq:
            report(chunks.finish(), reporters, screen, spread)
            chunks.hand_out()
            for reporter in reporters:
                reporter.save(after_save)
            last_saved = launched

    report(chunks.finish(), reporters, screen, spread)
    chunks.hand_out()
    return last_saved


@contextmanager
def hold(runs: Sequence[Run]) -> Iterator[None]:
    """Keep other processes from training these runs, too; InputError when one does."""
    with ExitStack() as folders:
        for run in runs if hosts.first() else ():
            folders.enter_context(locked(run.folder.path, wait=False))
        yield


def report(
    finished: list[UpdateMetrics],
    reporters: Sequence[Reporter],
    screen: Screen,
    spread: Spread,
) -> None:
    """Write down a finished chunk of each run, if there is one."""
    if not finished:
        return
    lead = reporters[0].run
    steps = lead.steps
    taken = [reporter.take(stacked) for reporter, stacked in zip(reporters, finished, strict=True)]
    for number, rows in enumerate(zip(*taken, strict=True), 1):
        spread(steps + number * lead.config.ppo.steps_per_update, list(rows))

    pace = sum(rows[-1]["train/fps"] for rows in taken)
    screen.show(lead.steps, pace, together([reporter.run.progress for reporter in reporters]))
