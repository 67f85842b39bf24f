"""Load circuits by name or file: shipped tracks, pictures, centre-line CSVs, generated ones, lists
of them.

`generated:7` is the kart circuit that `generate` draws from seed 7, `generated:0-63` the 64 of the
seeds 0 to 63.
"""

import dataclasses
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from kart_jax.errors import InputError
from kart_jax.track import cache, entry_file, field, gate_places, generate, image, importers, trace
from kart_jax.track.catalogue import Source, find, seeds, single
from kart_jax.track.line import Line
from kart_jax.track.stack import stack
from kart_jax.track.types import Tracks

LARGEST_FILE = 64_000_000  # bytes


@dataclasses.dataclass(frozen=True)
class Circuit:
    """One circuit on the host, before it becomes device arrays."""

    name: str
    line: Line
    gates: np.ndarray  # (G,) m, ascending arc lengths, first 0
    sectors: np.ndarray  # (3,) m, ascending, first 0
    title: str = ""  # one line for lists and previews


def circuit(source: Source) -> Circuit:
    """One circuit on the host: centre line, gates and sectors of a name, file, generator's seed or
    `Line`.

    Raises:
        InputError: the track is unknown, its file or entry is bad, or the source names several.
    """
    if (chosen := seeds(single(source))) is not None:
        return _circuit(str(source), _generated(chosen[0]))
    if isinstance(source, Line):
        return Circuit("line", source, field.default_gates(source), field.default_sectors(source))
    path = find(source)
    title = "" if path.suffix.lower() == ".csv" else entry_file.read_entry(path).title
    return _circuit(path.stem, _arrays(path), title)


def load(source: Source | Sequence[Source]) -> Tracks:
    """Device arrays of one circuit or of several, stacked in the order given.

    Args:
        source: a shipped name ("circuit" or "circuit.png"), the path of a PNG with its entry in the
            checkpoints.json beside it, the path of a centre-line CSV, generator's seeds
            ("generated:0-63"), a `Line`, or a sequence of those.

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
        raise InputError(
            f"track is {ascii(source)[:60]}; give a name, a path, a Line, or a list of those"
        )
    elif (chosen := seeds(source)) is not None:
        yield from (_on_device(_generated(seed)) for seed in chosen)
    else:
        yield _on_device(_arrays(find(source)))


def _generated(seed: int) -> cache.Arrays:
    """The arrays of the generator's circuit of one seed, by way of the cache."""
    return cache.fetch(
        f"generated:{seed}".encode(), lambda: _derive(generate.generate(seed), None, None)
    )


def _on_device(arrays: cache.Arrays) -> Tracks:
    """The device side of the cached arrays."""
    parts = {
        name: jnp.asarray(arrays[f"tracks.{name}"])
        for name in _fields(Tracks)
        if name != "cell_size"
    }
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
    """Everything that makes the circuit in the file at `path`: its bytes and, for a picture, its
    entry.

    Raises:
        InputError: the file cannot be read or is too large, or a picture has no good entry.
    """
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise InputError(
                f"{path}: the file has {size} bytes; at most {LARGEST_FILE} are allowed, so scale "
                "it down"
            )
        whole = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); check its name and rights"
        ) from None
    if path.suffix.lower() == ".csv":
        return b"csv" + whole
    entry = dataclasses.replace(entry_file.read_entry(path), where="", title="")
    return b"png" + repr(entry).encode() + whole


def _arrays(path: Path) -> cache.Arrays:
    """Everything derived from the file at `path`, by way of the cache."""
    if path.suffix.lower() == ".csv":
        return cache.fetch(content(path), lambda: _derive(importers.read_csv(path), None, None))
    return cache.fetch(content(path), lambda: _derive_picture(path, entry_file.read_entry(path)))


def _derive_picture(path: Path, entry: entry_file.Entry) -> cache.Arrays:
    """Trace a picture and derive its arrays."""
    coverage = image.read(path)
    height = coverage.shape[0]
    line = gate_places.orient(
        trace.trace(coverage, entry.metres_per_pixel, str(path)), entry, height
    )
    return _derive(
        line, gate_places.gates(entry, line, height), gate_places.sectors(entry, line, height)
    )


def _derive(line: Line, gates: np.ndarray | None, sectors: np.ndarray | None) -> cache.Arrays:
    """The arrays of one circuit as the cache keeps them."""
    gates = field.default_gates(line) if gates is None else gates
    sectors = field.default_sectors(line) if sectors is None else sectors
    tracks = field.build(line, gates, sectors)
    arrays = {f"tracks.{name}": np.asarray(getattr(tracks, name)) for name in _fields(Tracks)}
    arrays |= {f"line.{name}": np.asarray(getattr(line, name)) for name in _fields(Line)}
    return arrays | {"gates": gates, "sectors": sectors}
