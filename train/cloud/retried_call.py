"""A call for training on a machine that may be taken away: its next attempt goes on.

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
from train.run import checkpoint_folder, loop, prepare
from train.run.request import TrainConfig
from train.run.types import RunResult

CALLS = ".calls"


def train_or_go_on(
    request: TrainConfig, call: str, console: Console, after_save: Callable[[], None]
) -> RunResult:
    """Train, from the newest checkpoint of this call if an earlier attempt left one.

    Args:
        request: what is asked for, the same for every attempt.
        call: identifier of the call, allowed as a file name.
        console: where progress is shown.
        after_save: called when there is something to be kept: the run's name, a checkpoint.
    """
    runs = Path(request.runs_dir)
    name_file = runs / CALLS / call
    if name_file.is_file():
        request = further_request(request, name_file.read_text().strip())
    elif request.save_name is not None and not (runs / request.save_name).exists():
        # Before the folder is there, so that no attempt meets a folder without it.
        write_name(name_file, request.save_name)

    run, notes = prepare.prepare(request)
    write_name(name_file, run.folder.path.name)
    after_save()
    return loop.run_training(run, notes, console, after_save)


def write_name(name_file: Path, name: str) -> None:
    """Write down which run a call began."""
    with replacing(name_file) as part:
        part.write_text(f"{name}\n")


def further_request(request: TrainConfig, name: str) -> TrainConfig:
    """Return the request for a further attempt.

    It goes on from the run's newest checkpoint, or begins anew where there is none.
    """
    folder = Path(request.runs_dir) / name
    try:
        checkpoint_folder.find(folder)
    except InputError:
        # This call made it and was stopped before its first checkpoint.
        shutil.rmtree(folder, ignore_errors=True)
        return request
    return dataclasses.replace(request, resume_from=name, save_name=None)
