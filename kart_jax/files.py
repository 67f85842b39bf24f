"""Write files whole: beside their place first, moved there when complete, so that no reader meets half of one."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from kart_jax.errors import InputError


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; what is written there takes its place when the block ends well.

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
        raise InputError(f"{path}: cannot be written ({error.strerror}); give a path in a folder of yours") from error
    os.close(handle)
    part = Path(name)
    try:
        yield part
        part.chmod(0o666 & ~_umask())
        part.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); free the disk or give another path") from error
    finally:
        part.unlink(missing_ok=True)


def _umask() -> int:
    """The permissions that this process takes away from new files; mkstemp ignores them and allows only the owner."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
