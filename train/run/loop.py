"""A training run from start to end: compiled chunks of updates on the device, logging and saving on
the host.

While the device works on a chunk, the host writes down the one before it. At a checkpoint it waits:
the state is saved first, because the next chunk reuses its memory.
"""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from rich.console import Console

from kart_jax.files import locked
from train.ppo.metrics import UpdateMetrics
from train.run import hosts
from train.run.chunks import Chunks
from train.run.config import TrainConfig
from train.run.console import Screen
from train.run.prepare import prepare
from train.run.progress import together
from train.run.reporter import Reporter, divergence, farewell
from train.run.types import Run, RunResult


def train(config: TrainConfig, quiet: bool = False, keep: bool = False) -> RunResult:
    """Do what `kart train` is asked for, without a word if `quiet`; InputError when it cannot be
    done.

    `keep`: the sources are as they lie on the disk, so what was traced of them may be kept, see
    `train.run.trace_cache`.
    """
    run, notes = prepare(config)
    return drive(
        run, notes, Console(stderr=config.json, quiet=quiet or not hosts.first()), keep=keep
    )


@contextmanager
def stop_requests() -> Iterator[list[int]]:
    """Collect Ctrl-C and SIGTERM instead of dying of them; a second one of the same kind acts as
    usual."""
    received: list[int] = []
    if (
        threading.current_thread() is not threading.main_thread()
    ):  # only the main thread may handle signals
        yield received
        return
    before: dict[int, Any] = {
        int(number): signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)
    }

    def note(number: int, _: object) -> None:
        received.append(number)
        signal.signal(number, before[number])

    for number in before:
        signal.signal(number, note)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def drive(
    run: Run,
    notes: Sequence[str] = (),
    console: Console | None = None,
    after_save: Callable[[], None] = lambda: None,
    keep: bool = False,
) -> RunResult:
    """Train until the steps are done, a stop is asked for or training diverges.

    Saves at the end unless it diverged: the checkpoints before are then left as they are.

    Args:
        run: from `prepare`, with its `notes`, which are shown first.
        console: where to show them and the progress; None = standard output.
        after_save: called whenever a checkpoint is complete, for instance to bring it to a safe
            place.
        keep: see `train`.
    """
    return drive_together(
        [run], (*notes, f"run folder {run.folder.path}"), console, after_save, keep=keep
    )[0]


def drive_together(
    runs: Sequence[Run],
    notes: Sequence[str],
    console: Console | None = None,
    after_save: Callable[[], None] = lambda: None,
    spread: Callable[[int, list[dict[str, float]]], None] = lambda steps, rows: None,
    keep: bool = False,
) -> list[RunResult]:
    """Train runs that share one compiled program side by side, see `cohort`; otherwise as `drive`.

    Args:
        runs: at the same step; the environment, the network and the devices of the first serve all.
        notes: shown first.
        console, after_save: as in `drive`.
        spread: called after every update with its environment steps and the scalars of each run.
        keep: see `train`.

    Returns:
        What became of each run. One that diverges is left behind, the others go on.
    """
    lead, many = runs[0], len(runs) > 1
    settings = lead.settings
    total = settings.chunks * settings.steps_per_chunk
    with hold(runs), stop_requests() as stops, Screen(total, lead.steps, console) as screen:
        for note in notes:
            screen.say(note)
        if total != settings.timesteps:
            whole = f"chunks of {settings.steps_per_chunk:,}"
            screen.say(
                f"{total:,} steps: the {settings.timesteps:,} asked for, rounded up to whole "
                f"{whole}"
            )
        reporters = [
            Reporter(run, screen, f"{run.folder.path.name}: " if many else "") for run in runs
        ]
        chunks = Chunks(runs, keep)
        launched = last_saved = lead.steps

        def stop() -> bool:
            return hosts.any_of(bool(stops))

        while (
            launched < total and not stop() and not all(reporter.diverged for reporter in reporters)
        ):
            finished = chunks.launch()  # the chunk before, while this one runs
            launched += settings.steps_per_chunk
            report(finished, reporters, screen, spread)
            if launched // settings.checkpoint_freq > last_saved // settings.checkpoint_freq:
                report(chunks.finish(), reporters, screen, spread)
                chunks.hand_out()
                for reporter in reporters:
                    reporter.save(after_save)
                last_saved = launched
        report(chunks.finish(), reporters, screen, spread)
        chunks.hand_out()
        stopped = stop()
        for reporter in reporters:
            if launched > last_saved:
                reporter.save(after_save)
            if not reporter.diverged:
                screen.say(reporter.name + farewell(reporter.run, stopped))
            reporter.close()
    return [
        RunResult(
            one.run.folder,
            one.run.steps,
            one.run.progress,
            stopped,
            divergence(one.run) if one.diverged else None,
        )
        for one in reporters
    ]


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
    spread: Callable[[int, list[dict[str, float]]], None],
) -> None:
    """Write down a finished chunk of each run, if there is one."""
    if not finished:
        return
    lead = reporters[0].run
    steps = lead.steps
    told = [reporter.take(stacked) for reporter, stacked in zip(reporters, finished, strict=True)]
    for number, rows in enumerate(zip(*told, strict=True), 1):
        spread(steps + number * lead.settings.ppo.steps_per_update, list(rows))
    pace = sum(rows[-1]["train/fps"] for rows in told)
    screen.show(lead.steps, pace, together([reporter.run.progress for reporter in reporters]))
