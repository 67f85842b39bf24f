"""Write files whole, and keep other processes out of a folder while several of its files change.

A file is written beside its place first and moved there when it is complete, so that no reader
meets half of one.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from kart_jax.errors import InputError


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; what is written there takes its place at the end.

    Missing folders are made. When the block raises, `path` stays as it was.

    Raises:
        InputError: the folder cannot be made or written to, or the disk is full.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(None, "it is a folder")
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror}); give a path in a folder of yours"
        ) from error
    os.close(handle)

    part = Path(name)
    try:
        yield part
        part.chmod(0o666 & ~_umask())
        part.replace(path)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror}); free the disk or give another path"
        ) from error
    finally:
        part.unlink(missing_ok=True)


def check_place(path: str | Path) -> None:
    """Refuse early, before the work is done, a path that nothing could be written to.

    Nothing is made or changed on the disk.

    Raises:
        InputError: it is a folder, lies in what is none, or in one that may not be written to.
    """
    path = Path(path)
    try:
        there = next(folder for folder in path.absolute().parents if folder.exists())
        taken = path.is_dir()
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror}); give another path"
        ) from error

    if taken:
        wrong = "it is a folder"
    elif not there.is_dir():
        wrong = f"{there} is no folder"
    elif not os.access(there, os.W_OK):
        wrong = f"{there} may not be written to"
    else:
        return
    raise InputError(f"{path}: cannot be written ({wrong}); give a path in a folder of yours")


def check_apart(path: str | Path, source: str | Path) -> None:
    """Refuse to write to the very file that is read.

    Raises:
        InputError: both paths are the same file.
    """
    if os.path.exists(path) and os.path.samefile(path, source):
        raise InputError(
            f"{path}: is read here and would be overwritten; give another path to write to"
        )


@contextlib.contextmanager
def locked(folder: str | Path, wait: bool = True) -> Iterator[None]:
    """Hold a folder until the block ends, once no other process does.

    The folder itself is locked, so nothing is left behind, also after a kill. Where the system has
    no such locks (Windows, some network disks) the block runs without one.

    Args:
        folder: the folder to hold.
        wait: whether to wait for another process that holds it; otherwise that is an error.

    Raises:
        InputError: the folder cannot be opened, or another process holds it.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return

    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be opened ({error.strerror}); give a folder of yours"
        ) from error

    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise InputError(
                f"{folder}: another process is at work in it; wait until it ends, or stop it"
            ) from error
        except OSError:
            pass  # this disk has no locks
        yield
    finally:
        os.close(handle)


def _umask() -> int:
    """Return the permissions that this process takes away from new files.

    `mkstemp` ignores them and allows only the owner.
    """
    mask = os.umask(0)
    os.umask(mask)
    return mask
