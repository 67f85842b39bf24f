"""TensorBoard over the runs of a folder that another machine writes.

TensorBoard keeps its event files open, and a Volume with open files cannot be brought up to date.
So it reads copies, to which a thread appends what the originals have grown by.
"""

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

PORT = 6006
REFRESH_INTERVAL = 20.0  # s between two looks at the originals


def follow(runs: Path, copies: Path) -> None:
    """Bring the copies of all event files of `runs` up to date; runs that are gone lose theirs."""
    found = {
        path.parent.parent.name: path.parent for path in sorted(runs.glob("*/tensorboard/events.*"))
    }
    for name, folder in found.items():
        for path in folder.glob("events.*"):
            _append(path, copies / name / path.name)
    for folder in copies.iterdir() if copies.is_dir() else ():
        if folder.name not in found:
            shutil.rmtree(folder)


def _append(path: Path, copy: Path) -> None:
    """Add to a copy what its original has more; an original that is shorter was written anew."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    have = copy.stat().st_size if copy.exists() else 0
    if have > path.stat().st_size:
        copy.unlink()
        have = 0
    with path.open("rb") as original, copy.open("ab") as grown:
        original.seek(have)
        shutil.copyfileobj(original, grown)


def command(copies: Path) -> list[str]:
    """Return the command line of TensorBoard."""
    return [
        sys.executable,
        "-m",
        "tensorboard.main",
        "--logdir",
        str(copies),
        "--host",
        "0.0.0.0",
        "--port",
        str(PORT),
    ]


def serve(runs: Path, copies: Path, refresh: Callable[[], None]) -> "subprocess.Popen[bytes]":
    """Start TensorBoard and the thread that feeds it; returns its process at once.

    Args:
        runs: the runs folder.
        copies: an empty folder for the copies.
        refresh: makes visible in `runs` what other machines wrote; it may fail now and then.
    """
    copies.mkdir(parents=True, exist_ok=True)

    def feed() -> None:
        while True:
            try:
                refresh()
                follow(runs, copies)
            except (OSError, RuntimeError) as error:
                # A file in the middle of a change, the network.
                print(f"not refreshed: {error}", file=sys.stderr)
            time.sleep(REFRESH_INTERVAL)

    threading.Thread(target=feed, daemon=True).start()
    return subprocess.Popen(command(copies))
