"""Which track is meant: names, folders, files, and the seeds of generated circuits.

A source is a known name, the path of a picture or a centre-line CSV, a `CentreLine`, or seeds of
the generator: `generated:7` is the kart circuit that `generate` draws from seed 7, and
`generated:0-63` names the 64 of the seeds 0 to 63. `derive` makes the arrays.
"""

import difflib
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

from kart_jax.errors import InputError
from kart_jax.files import check_apart
from kart_jax.track import entry_file
from kart_jax.track.line import CentreLine

SUFFIXES = (".png", ".csv")
GENERATED = re.compile(r"generated:(\d{1,9})(?:-(\d{1,9}))?")
MAX_SEEDS = 100_000  # circuits of one range
MAX_NAME = 255  # bytes; longer ones no file system takes

Source = str | os.PathLike[str] | CentreLine


def track_folders() -> list[Path]:
    """Return the folders with tracks, in the order in which they are searched.

    They are `tracks/` here, in the checkout, and in the installed package.
    """
    package = Path(__file__).resolve().parents[1]
    places = [Path.cwd() / "tracks", package.parent / "tracks", package / "_tracks"]
    found = [place.resolve() for place in places if (place / entry_file.FILE_NAME).is_file()]
    return list(dict.fromkeys(found))


def track_names() -> list[str]:
    """Return the names that are known without a path.

    They are the entries with a picture in `track_folders`, in the order of the files.
    """
    return list(dict.fromkeys(_named_tracks()))


def _named_tracks() -> Iterator[str]:
    """Yield every name that has an entry and a picture; a name may come twice."""
    for place in track_folders():
        for name in entry_file.read_entries(place / entry_file.FILE_NAME):
            if (place / f"{name}.png").is_file():
                yield name


def find_track(source: str | os.PathLike[str]) -> Path:
    """Return the file of a track: a name with or without .png, or the path of a PNG or a CSV.

    What holds a separator, as ./circuit.png does, is a path. A name without one is looked up in
    `track_folders` first, so a stray circuit.png in the working folder hides nothing; a warning
    tells of such a file.

    Raises:
        InputError: there is no such track or file.
    """
    path = Path(source)
    _check_text(os.fspath(source), path)
    name = path.stem if path.suffix.lower() == ".png" else path.name
    known_file = _known_file(name) if is_name(source) else None
    if known_file is not None:
        if path.is_file() and path.suffix and not path.samefile(known_file):
            warnings.warn(
                f"track {path} is the known one, {known_file}; for the other file of this name in "
                f"the working folder write .{os.sep}{path}",
                stacklevel=1,  # of one place, so that Python shows it once
            )
        return known_file

    if path.suffix.lower() in SUFFIXES and path.is_file():
        return path
    if path.exists():
        raise InputError(
            f"{path}: is not a track; give a shipped name, a .png picture or a .csv centre line"
        )
    known = track_names()
    close = difflib.get_close_matches(name, known, 1)
    hint = (
        f"did you mean {close[0]}?" if close else "choose one, or give the path of a .png or .csv"
    )
    raise InputError(
        f'track is "{os.fspath(source)}", which does not exist; known are {", ".join(known)}: '
        f"{hint}"
    )


def _check_text(text: str, path: Path) -> None:
    """Refuse what can be neither a name nor a path."""
    if (
        not text.isprintable()
        or not text
        or any(len(os.fsencode(part)) > MAX_NAME for part in path.parts)
    ):
        raise InputError(
            f"track is {text[:60]!a}; a name or path has printable characters, 1 to {MAX_NAME} "
            "bytes in each part"
        )


def is_name(source: str | os.PathLike[str]) -> bool:
    """Tell whether a source may be a name, with or without .png.

    What holds a separator or ends in .csv is a path.
    """
    text = os.fspath(source)
    separators = [mark for mark in (os.sep, os.altsep) if mark]
    return not any(mark in text for mark in separators) and not text.lower().endswith(".csv")


def _known_file(name: str) -> Path | None:
    """Return the picture of a name in `track_folders`, if there is one."""
    pictures = (place / f"{name}.png" for place in track_folders())
    return next((picture for picture in pictures if picture.is_file()), None)


def generator_seeds(source: Source) -> range | None:
    """Return the seeds that a source like "generated:0-63" names; None for every other source.

    Raises:
        InputError: the range is empty, too long or no range at all.
    """
    if not isinstance(source, str) or not source.startswith("generated:"):
        return None
    match = GENERATED.fullmatch(source)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
    if not first <= last < first + MAX_SEEDS:
        raise InputError(
            f'track is "{source}"; write generated:SEED or generated:FIRST-LAST with at most '
            f"{MAX_SEEDS} seeds"
        )
    return range(first, last + 1)


def first_circuit(source: str) -> str:
    """Return the first circuit that a name stands for, generated:0 of generated:0-63.

    Every other name stands for itself.
    """
    seeds = generator_seeds(source)
    return source if seeds is None else f"generated:{seeds[0]}"


def single_circuit(source: Source) -> Source:
    """Return the source as it is, unless it names several circuits.

    Raises:
        InputError: it names several.
    """
    seeds = generator_seeds(source)
    if seeds is not None and len(seeds) > 1:
        raise InputError(
            f'track is "{source}", which names {len(seeds)} circuits; choose one: '
            f"{first_circuit(str(source))}"
        )
    return source


def check_not_written(source: str, *outputs: str | None) -> None:
    """Refuse to write over the file of a track.

    Raises:
        InputError: an output is that file, or there is no such track.
    """
    if generator_seeds(source) is None:
        for path in filter(None, outputs):
            check_apart(path, find_track(source))
