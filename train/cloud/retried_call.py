"""One attempt at a run on a machine that may be taken away: the next attempt of the same call goes
on.

A call is one request for training, and has an identifier that stays the same however often it is
begun. In the runs folder, `.calls/<identifier>` holds the name of the run that the call began; so a
second attempt finds its run, and another call that asks for a name that is taken is refused as
anywhere else.
"""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from kart_jax.errors import InputError
from kart_jax.files import replacing
from train.run import checkpoint, loop, prepare
from train.run.config import TrainConfig
from train.run.types import RunResult

CALLS = ".calls"


def attempt(
    config: TrainConfig, call: str, console: Console, after_save: Callable[[], None]
) -> RunResult:
    """Train, from the newest checkpoint of this call if an earlier attempt left one.

    Args:
        config: the request, the same for every attempt.
        call: identifier of the call, allowed as a file name.
        console: where progress is shown.
        after_save: called when there is something to be kept: the run's name, a checkpoint.
    """
    record = Path(config.runs_dir) / CALLS / call
    if record.is_file():
        config = onward(config, record.read_text().strip())
    elif config.save_name is not None and not (Path(config.runs_dir) / config.save_name).exists():
        note(
            record, config.save_name
        )  # before the folder is there, so that no attempt meets a folder without it
    run, notes = prepare.prepare(config)
    note(record, run.folder.path.name)
    after_save()
    return loop.drive(run, notes, console, after_save)


def note(record: Path, name: str) -> None:
    """Write down which run a call began."""
    with replacing(record) as part:
        part.write_text(f"{name}\n")


def onward(config: TrainConfig, name: str) -> TrainConfig:
    """The request for a further attempt: go on from the run's newest checkpoint, or begin anew
    where there is none."""
    folder = Path(config.runs_dir) / name
    try:
        checkpoint.find(folder)
    except InputError:
        shutil.rmtree(
            folder, ignore_errors=True
        )  # this call made it and was stopped before its first checkpoint
        return config
    return dataclasses.replace(config, resume_from=name, save_name=None)
