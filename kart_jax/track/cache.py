"""Derived arrays kept on disk, so that a picture is traced once.

A file is named by a hash of what the arrays were derived from and of the code of this room, so a
changed picture, entry or algorithm never meets an old file. The cache is only ever a shortcut: a
damaged file is rebuilt and a folder that cannot be written is ignored.
"""

import contextlib
import functools
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from kart_jax.errors import InputError
from kart_jax.files import replacing

Arrays = dict[str, np.ndarray]


def cache_folder() -> Path | None:
    """Return the folder of the cache, or None where there is no home.

    It is `KART_JAX_CACHE`, else kart_jax in `XDG_CACHE_HOME`, else ~/.cache/kart_jax.
    """
    if chosen := os.environ.get("KART_JAX_CACHE"):
        return Path(chosen)
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared) / "kart_jax"
    try:
        return Path.home() / ".cache" / "kart_jax"
    except RuntimeError:  # no home folder, as in some containers
        return None


@functools.cache
def code_version() -> bytes:
    """Return the hash of the source of this room: arrays made by other code are not ours."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.digest()


def fetch(content: bytes, build: Callable[[], Arrays]) -> Arrays:
    """Return the arrays derived from `content`: read from the cache, or built and written there.

    Args:
        content: everything that the arrays depend on.
        build: makes the arrays; its exceptions pass through and leave no file.
    """
    place = cache_folder()
    if place is None:
        return build()
    path = place / f"{hashlib.sha256(code_version() + content).hexdigest()[:32]}.npz"
    arrays = _read_arrays(path)
    if arrays is None:
        arrays = build()
        _write_arrays(path, arrays)
    return arrays


def _read_arrays(path: Path) -> Arrays | None:
    """Return the arrays in `path`, or None when it is absent or damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except Exception:
        # zip, zlib and npy each raise their own for a damaged file; all mean: build it again
        return None


def _write_arrays(path: Path, arrays: Arrays) -> None:
    """Write the file whole, or not at all: a read-only home or a full disk only means no cache."""
    with contextlib.suppress(InputError), replacing(path) as part, part.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
