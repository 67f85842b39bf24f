"""Load circuits by name or file: shipped tracks, pictures, centre-line CSVs, generated ones, lists of them.

`generated:7` is the kart circuit that `generate` draws from seed 7, `generated:0-63` the 64 of the seeds 0 to 63.
"""

import dataclasses
import difflib
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from kart_jax.errors import InputError
from kart_jax.files import check_apart
from kart_jax.track import cache, checkpoints, field, generate, image, importers, marks, trace
from kart_jax.track.line import Line
from kart_jax.track.stack import stack
from kart_jax.track.types import Tracks

SUFFIXES = (".png", ".csv")
LARGEST_FILE = 64_000_000  # bytes
GENERATED = re.compile(r"generated:(\d{1,9})(?:-(\d{1,9}))?")
MOST_GENERATED = 100_000  # circuits of one range

Source = str | os.PathLike[str] | Line


@dataclasses.dataclass(frozen=True)
class Circuit:
    """One circuit on the host, before it becomes device arrays."""

    name: str
    line: Line
    gates: np.ndarray  # (G,) m, ascending arc lengths, first 0
    sectors: np.ndarray  # (3,) m, ascending, first 0
    title: str = ""  # one line for lists and previews


LONGEST_NAME = 255  # bytes; longer ones no file system takes


def folders() -> list[Path]:
    """Folders with tracks, first found first: `tracks/` here, in the checkout, in the installed package."""
    package = Path(__file__).resolve().parents[1]
    places = [Path.cwd() / "tracks", package.parent / "tracks", package / "_tracks"]
    found = [place.resolve() for place in places if (place / checkpoints.FILE_NAME).is_file()]
    return list(dict.fromkeys(found))


def names() -> list[str]:
    """Names that `load` knows without a path: every entry with its picture in `folders`, in the order of the files."""
    return list(dict.fromkeys(name for name, _ in _named()))


def _named() -> Iterator[tuple[str, Path]]:
    """Every track with a name and its picture."""
    for place in folders():
        for name in checkpoints.read(place / checkpoints.FILE_NAME):
            if (place / f"{name}.png").is_file():
                yield name, place / f"{name}.png"


def find(source: str | os.PathLike[str]) -> Path:
    """The file of a track: a name with or without .png, or the path of a PNG or a CSV.

    What holds a separator, as ./circuit.png does, is a path. A name without one is looked up in `folders` first, so a
    stray circuit.png in the working folder hides nothing; a warning tells of such a file.

    Raises:
        InputError: there is no such track or file.
    """
    path = Path(source)
    text = os.fspath(source)
    if not text.isprintable() or not text or any(len(os.fsencode(part)) > LONGEST_NAME for part in path.parts):
        raise InputError(
            f"track is {text[:60]!a}; a name or path has printable characters, 1 to {LONGEST_NAME} bytes in each part"
        )
    name = path.stem if path.suffix.lower() == ".png" else path.name
    known_file = _known_file(name) if is_name(source) else None
    if known_file is not None:
        if path.is_file() and path.suffix and not path.samefile(known_file):
            warnings.warn(
                f"track {path} is the known one, {known_file}; for the other file of this name in the working folder "
                f"write .{os.sep}{path}",
                stacklevel=1,  # of one place, so that Python shows it once
            )
        return known_file
    if path.suffix.lower() in SUFFIXES and path.is_file():
        return path
    if path.exists():
        raise InputError(f"{path}: is not a track; give a shipped name, a .png picture or a .csv centre line")
    known = names()
    close = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {close[0]}?" if close else "choose one, or give the path of a .png or .csv"
    raise InputError(f'track is "{os.fspath(source)}", which does not exist; known are {", ".join(known)}: {hint}')


def is_name(source: str | os.PathLike[str]) -> bool:
    """Whether a source may be a name, with or without .png; what holds a separator or ends in .csv is a path."""
    text = os.fspath(source)
    return not any(mark in text for mark in (os.sep, os.altsep) if mark) and not text.lower().endswith(".csv")


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
            f'track is "{source}"; write generated:SEED or generated:FIRST-LAST with at most {MOST_GENERATED} seeds'
        )
    return range(first, last + 1)


def first(source: str) -> str:
    """The first circuit that a name stands for: generated:0 of generated:0-63; every other name stands for itself."""
    chosen = seeds(source)
    return source if chosen is None else f"generated:{chosen[0]}"


def single(source: Source) -> Source:
    """The source as it is; InputError when it names several circuits."""
    chosen = seeds(source)
    if chosen is not None and len(chosen) > 1:
        raise InputError(f'track is "{source}", which names {len(chosen)} circuits; choose one: {first(str(source))}')
    return source


def check_not_written(source: str, *outputs: str | None) -> None:
    """Refuse to write over the file of a track; InputError says so, or that there is no such track."""
    if seeds(source) is None:
        for path in filter(None, outputs):
            check_apart(path, find(source))


def circuit(source: Source) -> Circuit:
    """One circuit on the host: centre line, gates and sectors of a name, file, generator's seed or `Line`.

    Raises:
        InputError: the track is unknown, its file or entry is bad, or the source names several.
    """
    if (chosen := seeds(single(source))) is not None:
        return _circuit(str(source), _generated(chosen[0]))
    if isinstance(source, Line):
        return Circuit("line", source, field.default_gates(source), field.default_sectors(source))
    path = find(source)
    title = "" if path.suffix.lower() == ".csv" else checkpoints.read_entry(path).title
    return _circuit(path.stem, _arrays(path), title)


def load(source: Source | Sequence[Source]) -> Tracks:
    """Device arrays of one circuit or of several, stacked in the order given.

    Args:
        source: a shipped name ("circuit" or "circuit.png"), the path of a PNG with its entry in the
            checkpoints.json beside it, the path of a centre-line CSV, generator's seeds ("generated:0-63"), a `Line`,
            or a sequence of those.

    Raises:
        InputError: a track is unknown, or its file or entry is bad.
    """
    if isinstance(source, str | os.PathLike | Line) or not isinstance(source, Sequence):
        source = [source]
    circuits = [one for each in source for one in _tracks(each)]
    return circuits[0] if len(circuits) == 1 else stack(circuits)


def _tracks(source: Source) -> Iterator[Tracks]:
    """Device arrays (T = 1) of each circuit that a source names."""
    if isinstance(source, Line):
        yield field.build(source)
    elif not isinstance(source, str | os.PathLike):
        raise InputError(f"track is {ascii(source)[:60]}; give a name, a path, a Line, or a list of those")
    elif (chosen := seeds(source)) is not None:
        yield from (_on_device(_generated(seed)) for seed in chosen)
    else:
        yield _on_device(_arrays(find(source)))


def _generated(seed: int) -> cache.Arrays:
    """The arrays of the generator's circuit of one seed, by way of the cache."""
    return cache.fetch(f"generated:{seed}".encode(), lambda: _derive(generate.generate(seed), None, None))


def _on_device(arrays: cache.Arrays) -> Tracks:
    """The device side of the cached arrays."""
    parts = {name: jnp.asarray(arrays[f"tracks.{name}"]) for name in _fields(Tracks) if name != "cell_size"}
    return Tracks(cell_size=field.CELL, **parts)


def _fields(kind: type) -> list[str]:
    """Names of the fields of a dataclass."""
    return [one.name for one in dataclasses.fields(kind)]


def _circuit(name: str, arrays: cache.Arrays, title: str = "") -> Circuit:
    """The host side of the cached arrays."""
    parts = {one: arrays[f"line.{one}"] for one in _fields(Line)}
    line = Line(**{**parts, "length": float(parts["length"])})
    return Circuit(name, line, arrays["gates"], arrays["sectors"], title)


def content(path: Path) -> bytes:
    """Everything that makes the circuit in the file at `path`: its bytes and, for a picture, its entry.

    Raises:
        InputError: the file cannot be read or is too large, or a picture has no good entry.
    """
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise InputError(f"{path}: the file has {size} bytes; at most {LARGEST_FILE} are allowed, so scale it down")
        whole = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check its name and rights") from None
    if path.suffix.lower() == ".csv":
        return b"csv" + whole
    entry = dataclasses.replace(checkpoints.read_entry(path), where="", title="")
    return b"png" + repr(entry).encode() + whole


def _arrays(path: Path) -> cache.Arrays:
    """Everything derived from the file at `path`, by way of the cache."""
    if path.suffix.lower() == ".csv":
        return cache.fetch(content(path), lambda: _derive(importers.read_csv(path), None, None))
    return cache.fetch(content(path), lambda: _derive_picture(path, checkpoints.read_entry(path)))


def _derive_picture(path: Path, entry: checkpoints.Entry) -> cache.Arrays:
    """Trace a picture and derive its arrays."""
    coverage = image.read(path)
    height = coverage.shape[0]
    line = marks.orient(trace.trace(coverage, entry.metres_per_pixel, str(path)), entry, height)
    return _derive(line, marks.gates(entry, line, height), marks.sectors(entry, line, height))


def _derive(line: Line, gates: np.ndarray | None, sectors: np.ndarray | None) -> cache.Arrays:
    """The arrays of one circuit as the cache keeps them."""
    gates = field.default_gates(line) if gates is None else gates
    sectors = field.default_sectors(line) if sectors is None else sectors
    tracks = field.build(line, gates, sectors)
    arrays = {f"tracks.{name}": np.asarray(getattr(tracks, name)) for name in _fields(Tracks)}
    arrays |= {f"line.{name}": np.asarray(getattr(line, name)) for name in _fields(Line)}
    return arrays | {"gates": gates, "sectors": sectors}
