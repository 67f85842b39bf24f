"""Load circuits by name or file: shipped tracks, pictures, centre-line CSVs, generated ones, lists
of them.

`generated:7` is the kart circuit that `generate` draws from seed 7, `generated:0-63` the 64 of the
seeds 0 to 63.
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
from kart_jax.track.line import Line

SUFFIXES = (".png", ".csv")
GENERATED = re.compile(r"generated:(\d{1,9})(?:-(\d{1,9}))?")
MOST_GENERATED = 100_000  # circuits of one range

Source = str | os.PathLike[str] | Line


LONGEST_NAME = 255  # bytes; longer ones no file system takes


def folders() -> list[Path]:
    """Folders with tracks, first found first: `tracks/` here, in the checkout, in the installed
    package."""
    package = Path(__file__).resolve().parents[1]
    places = [Path.cwd() / "tracks", package.parent / "tracks", package / "_tracks"]
    found = [place.resolve() for place in places if (place / entry_file.FILE_NAME).is_file()]
    return list(dict.fromkeys(found))


def names() -> list[str]:
    """Names that `load` knows without a path: every entry with its picture in `folders`, in the
    order of the files."""
    return list(dict.fromkeys(name for name, _ in _named()))


def _named() -> Iterator[tuple[str, Path]]:
    """Every track with a name and its picture."""
    for place in folders():
        for name in entry_file.read(place / entry_file.FILE_NAME):
            if (place / f"{name}.png").is_file():
                yield name, place / f"{name}.png"


def find(source: str | os.PathLike[str]) -> Path:
    """The file of a track: a name with or without .png, or the path of a PNG or a CSV.

    What holds a separator, as ./circuit.png does, is a path. A name without one is looked up in
    `folders` first, so a stray circuit.png in the working folder hides nothing; a warning tells of
    such a file.

    Raises:
        InputError: there is no such track or file.
    """
    path = Path(source)
    text = os.fspath(source)
    if (
        not text.isprintable()
        or not text
        or any(len(os.fsencode(part)) > LONGEST_NAME for part in path.parts)
    ):
        raise InputError(
            f"track is {text[:60]!a}; a name or path has printable characters, 1 to "
            f"{LONGEST_NAME} bytes in each part"
        )
    name = path.stem if path.suffix.lower() == ".png" else path.name
    known_file = _known_file(name) if is_name(source) else None
    if known_file is not None:
        if path.is_file() and path.suffix and not path.samefile(known_file):
            warnings.warn(
                f"track {path} is the known one, {known_file}; for the other file of this name in "
                "the working folder "
                f"write .{os.sep}{path}",
                stacklevel=1,  # of one place, so that Python shows it once
            )
        return known_file
    if path.suffix.lower() in SUFFIXES and path.is_file():
        return path
    if path.exists():
        raise InputError(
            f"{path}: is not a track; give a shipped name, a .png picture or a .csv centre line"
        )
    known = names()
    close = difflib.get_close_matches(name, known, 1)
    hint = (
        f"did you mean {close[0]}?" if close else "choose one, or give the path of a .png or .csv"
    )
    raise InputError(
        f'track is "{os.fspath(source)}", which does not exist; known are {", ".join(known)}: '
        f"{hint}"
    )


def is_name(source: str | os.PathLike[str]) -> bool:
    """Whether a source may be a name, with or without .png; what holds a separator or ends in .csv
    is a path."""
    text = os.fspath(source)
    return not any(
        mark in text for mark in (os.sep, os.altsep) if mark
    ) and not text.lower().endswith(".csv")


def _known_file(name: str) -> Path | None:
    """The picture of a name in `folders`, if there is one."""
    pictures = (place / f"{name}.png" for place in folders())
    return next((picture for picture in pictures if picture.is_file()), None)


def seeds(source: Source) -> range | None:
    """The seeds that a source like "generated:0-63" names; None for every other kind of source.

    Raises:
        InputError: the range is empty, too long or no range at all.
    """
    if not isinstance(source, str) or not source.startswith("generated:"):
        return None
    match = GENERATED.fullmatch(source)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
    if not first <= last < first + MOST_GENERATED:
        raise InputError(
            f'track is "{source}"; write generated:SEED or generated:FIRST-LAST with at most '
            f"{MOST_GENERATED} seeds"
        )
    return range(first, last + 1)


def first(source: str) -> str:
    """The first circuit that a name stands for: generated:0 of generated:0-63; every other name
    stands for itself."""
    chosen = seeds(source)
    return source if chosen is None else f"generated:{chosen[0]}"


def single(source: Source) -> Source:
    """The source as it is; InputError when it names several circuits."""
    chosen = seeds(source)
    if chosen is not None and len(chosen) > 1:
        raise InputError(
            f'track is "{source}", which names {len(chosen)} circuits; choose one: '
            f"{first(str(source))}"
        )
    return source


def check_not_written(source: str, *outputs: str | None) -> None:
    """Refuse to write over the file of a track; InputError says so, or that there is no such
    track."""
    if seeds(source) is None:
        for path in filter(None, outputs):
            check_apart(path, find(source))
