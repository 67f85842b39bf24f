"""The Volume on Modal that training reads and writes: `runs/` and `tracks/`, as at home."""

import io
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from kart_jax.errors import InputError

if TYPE_CHECKING:
    import modal

NAME = "kart-jax"
RUNS = "runs"
TRACKS = "tracks"
MAX_READS = 3  # of a run that is being written meanwhile


def require_token() -> None:
    """Raise `InputError` unless this machine has credentials for Modal; they are not tried out."""
    from modal.config import config

    if (config.get("token_id") and config.get("token_secret")) or config.get("oauth_refresh_token"):
        return
    raise InputError(
        "Modal has no token on this machine; run `modal token new` once, "
        "or set MODAL_TOKEN_ID and MODAL_TOKEN_SECRET to those of your workspace"
    )


@contextmanager
def told_plainly() -> Iterator[None]:
    """Turn what Modal's client raises when it is refused or cannot be reached into one sentence."""
    from modal import exception

    try:
        yield
    except (exception.AuthError, exception.PermissionDeniedError) as error:
        raise InputError(
            f"Modal refuses the token ({_line(error)}); renew it with `modal token new`"
        ) from error
    except (exception.ConnectionError, exception.ServiceError) as error:
        raise InputError(
            f"Modal cannot be reached ({_line(error)}); check the network and try again"
        ) from error


def _line(error: Exception) -> str:
    """Return the first line of an error's message."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def open_volume() -> "modal.Volume":
    """Return the Volume; it is made when it is first used."""
    import modal

    return modal.Volume.from_name(NAME, create_if_missing=True)


def run_names(volume: "modal.Volume") -> list[str]:
    """Return the names of the runs that the Volume holds."""
    from modal.exception import NotFoundError

    try:
        names = [PurePosixPath(entry.path).name for entry in volume.listdir(RUNS)]
    except (NotFoundError, FileNotFoundError):  # nothing was trained yet
        return []
    return sorted(name for name in names if not name.startswith("."))


def pull(volume: "modal.Volume", name: str, runs_dir: Path, replace: bool = False) -> Path:
    """Copy a run from the Volume to the folder of that name under `runs_dir`.

    It appears there when it is complete.

    Raises:
        InputError: there is no such run, the folder is taken, or the run changes faster than it can
            be read.
    """
    target = runs_dir / name
    if target.exists() and not replace:
        raise InputError(
            f"{target} exists; add --replace to put the run from Modal in its place, or give "
            "--runs-dir"
        )
    known = run_names(volume)
    if name not in known:
        raise InputError(
            f"run is {name}, which Modal does not hold; it holds {', '.join(known) or 'none'}; "
            "choose one"
        )

    runs_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=runs_dir) as place:
        for _ in range(MAX_READS):
            fresh = Path(place) / "fresh"
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir()
            if _download(volume, f"{RUNS}/{name}", fresh):
                break
        else:
            raise InputError(
                f"{name}: changes while it is read; try again after its next checkpoint"
            )

        if target.exists():
            target.rename(Path(place) / "old")
        fresh.rename(target)
    return target


def _download(volume: "modal.Volume", folder: str, target: Path) -> bool:
    """Copy the files of a folder; False when one went away meanwhile."""
    from modal.exception import NotFoundError
    from modal.types import FileEntryType

    for entry in volume.iterdir(folder, recursive=True):
        if entry.type != FileEntryType.FILE:
            continue
        path = target / PurePosixPath(entry.path.lstrip("/")).relative_to(folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with path.open("wb") as file:
                file.writelines(volume.read_file(entry.path))
        except (FileNotFoundError, NotFoundError):
            return False
    return True


def send_tracks(volume: "modal.Volume", names: Sequence[str]) -> dict[str, str]:
    """Upload tracks as they are on this machine; those of the same name there are replaced.

    Args:
        volume: the Volume.
        names: as `kart_jax.track.catalogue` takes them; generated ones need no upload.

    Returns:
        Name as given -> name by which training on Modal finds it. InputError when a track is bad,
        or two different files would have the same name there.
    """
    from kart_jax.track import catalogue, derive, entry_file

    entries = _entries(volume)
    there: dict[str, str] = {}
    files: dict[str, Path] = {}
    for name in dict.fromkeys(names):
        if catalogue.generator_seeds(name) is not None:
            there[name] = name
            continue
        derive.load_circuit(name)  # says what is wrong with it before a machine is paid for
        path = catalogue.find_track(name)
        if files.setdefault(path.name, path) != path:
            raise InputError(
                f"tracks {files[path.name]} and {path} have the same file name; rename one"
            )

        picture = path.suffix.lower() == ".png"
        if picture:
            entries[path.stem] = entry_file.read_raw(path.parent / entry_file.FILE_NAME)[path.stem]
        # A CSV is only found by its path, which begins where the Volume is.
        there[name] = path.name if picture else f"{TRACKS}/{path.name}"

    if files:
        with tempfile.TemporaryDirectory() as place, volume.batch_upload(force=True) as batch:
            index = Path(place) / entry_file.FILE_NAME
            entry_file.write_entries(index, entries)
            batch.put_file(io.BytesIO(index.read_bytes()), f"/{TRACKS}/{entry_file.FILE_NAME}")
            for file_name, path in files.items():
                batch.put_file(path, f"/{TRACKS}/{file_name}")
    return there


def _entries(volume: "modal.Volume") -> dict[str, object]:
    """Read the entries of the tracks on the Volume; none when there are no tracks."""
    from modal.exception import NotFoundError

    from kart_jax.track import entry_file

    try:
        text = b"".join(volume.read_file(f"{TRACKS}/{entry_file.FILE_NAME}"))
    except (FileNotFoundError, NotFoundError):
        return {}
    with tempfile.TemporaryDirectory() as place:
        index = Path(place) / entry_file.FILE_NAME
        index.write_bytes(text)
        return entry_file.read_raw(index)
