"""From the source of a track to its `Circuit` and its device arrays, by way of the cache.

`catalogue` says which track is meant. What is derived from a file or a seed, all of it from the
centre line to the cell index, is kept in the cache under the content it was derived from.
"""

import dataclasses
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from kart_jax.errors import InputError
from kart_jax.track import (
    cache,
    entry_file,
    field,
    gate_places,
    generate,
    image,
    importers,
    trace,
)
from kart_jax.track.catalogue import Source, find_track, generator_seeds, single_circuit
from kart_jax.track.line import CentreLine
from kart_jax.track.stack import stack
from kart_jax.track.types import Tracks

MAX_FILE_BYTES = 64_000_000  # of a picture or a CSV


@dataclasses.dataclass(frozen=True)
class Circuit:
    """One circuit on the host, before it becomes device arrays."""

    name: str
    line: CentreLine
    gates: np.ndarray  # (G,) m, ascending arc lengths, first 0
    sectors: np.ndarray  # (3,) m, ascending, first 0
    title: str = ""  # one line for lists and previews


def load_circuit(source: Source) -> Circuit:
    """Load one circuit on the host: its centre line, gates and sectors.

    Args:
        source: a name, a file, a generator's seed ("generated:7") or a `CentreLine`.

    Raises:
        InputError: the track is unknown, its file or entry is bad, or the source names several.
    """
    if (seeds := generator_seeds(single_circuit(source))) is not None:
        return _to_circuit(str(source), _generated_arrays(seeds[0]))
    if isinstance(source, CentreLine):
        return Circuit("line", source, field.default_gates(source), field.default_sectors(source))
    path = find_track(source)
    title = "" if _is_csv(path) else entry_file.read_entry(path).title
    return _to_circuit(path.stem, _file_arrays(path), title)


def load_tracks(source: Source | Sequence[Source]) -> Tracks:
    """Load the device arrays of one circuit or of several, stacked in the order given.

    Args:
        source: a shipped name ("circuit" or "circuit.png"), the path of a PNG with its entry in the
            checkpoints.json beside it, the path of a centre-line CSV, generator's seeds
            ("generated:0-63"), a `CentreLine`, or a sequence of those.

    Raises:
        InputError: a track is unknown, or its file or entry is bad.
    """
    if isinstance(source, str | os.PathLike | CentreLine) or not isinstance(source, Sequence):
        source = [source]
    circuits = [one for each in source for one in _each_track(each)]
    return circuits[0] if len(circuits) == 1 else stack(circuits)


def _each_track(source: Source) -> Iterator[Tracks]:
    """Yield the device arrays (T = 1) of each circuit that a source names."""
    if isinstance(source, CentreLine):
        yield field.build(source)
    elif not isinstance(source, str | os.PathLike):
        raise InputError(
            f"track is {ascii(source)[:60]}; give a name, a path, a Line, or a list of those"
        )
    elif (seeds := generator_seeds(source)) is not None:
        yield from (_to_tracks(_generated_arrays(seed)) for seed in seeds)
    else:
        yield _to_tracks(_file_arrays(find_track(source)))


def track_content(path: Path) -> bytes:
    """Return everything that makes the circuit in the file at `path`.

    That is its bytes and, for a picture, its entry.

    Raises:
        InputError: the file cannot be read or is too large, or a picture has no good entry.
    """
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise InputError(
                f"{path}: the file has {size} bytes; at most {MAX_FILE_BYTES} are allowed, so "
                "scale it down"
            )
        whole = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); check its name and rights"
        ) from None

    if _is_csv(path):
        return b"csv" + whole
    entry = dataclasses.replace(entry_file.read_entry(path), where="", title="")
    return b"png" + repr(entry).encode() + whole


def _generated_arrays(seed: int) -> cache.Arrays:
    """Return the arrays of the generator's circuit of one seed, by way of the cache."""
    return cache.fetch(
        f"generated:{seed}".encode(), lambda: _derive_arrays(generate.generate_circuit(seed))
    )


def _file_arrays(path: Path) -> cache.Arrays:
    """Return everything derived from the file at `path`, by way of the cache."""
    build = _derive_csv if _is_csv(path) else _derive_picture
    return cache.fetch(track_content(path), lambda: build(path))


def _is_csv(path: Path) -> bool:
    """Tell whether a file is a centre line; every other one is a picture."""
    return path.suffix.lower() == ".csv"


def _derive_csv(path: Path) -> cache.Arrays:
    """Read a centre line and derive its arrays."""
    return _derive_arrays(importers.read_csv(path))


def _derive_picture(path: Path) -> cache.Arrays:
    """Trace a picture and derive its arrays."""
    entry = entry_file.read_entry(path)
    coverage = image.read_coverage(path)
    height = coverage.shape[0]
    traced = trace.trace_line(coverage, entry.metres_per_pixel, str(path))
    line = gate_places.orient(traced, entry, height)
    gates = gate_places.gate_places(entry, line, height)
    sectors = gate_places.sector_places(entry, line, height)
    return _derive_arrays(line, gates, sectors)


def _derive_arrays(
    line: CentreLine, gates: np.ndarray | None = None, sectors: np.ndarray | None = None
) -> cache.Arrays:
    """Return the arrays of one circuit as the cache keeps them."""
    gates = field.default_gates(line) if gates is None else gates
    sectors = field.default_sectors(line) if sectors is None else sectors
    tracks = field.build(line, gates, sectors)
    arrays = {f"tracks.{name}": np.asarray(getattr(tracks, name)) for name in _field_names(Tracks)}
    arrays |= {f"line.{name}": np.asarray(getattr(line, name)) for name in _field_names(CentreLine)}
    return arrays | {"gates": gates, "sectors": sectors}


def _to_tracks(arrays: cache.Arrays) -> Tracks:
    """Return the device side of the cached arrays."""
    names = [name for name in _field_names(Tracks) if name != "cell_size"]
    parts = {name: jnp.asarray(arrays[f"tracks.{name}"]) for name in names}
    return Tracks(cell_size=field.CELL_SIZE, **parts)


def _to_circuit(name: str, arrays: cache.Arrays, title: str = "") -> Circuit:
    """Return the host side of the cached arrays."""
    parts = {one: arrays[f"line.{one}"] for one in _field_names(CentreLine)}
    line = CentreLine(**{**parts, "length": float(parts["length"])})
    return Circuit(name, line, arrays["gates"], arrays["sectors"], title)


def _field_names(kind: type) -> list[str]:
    """Return the names of the fields of a dataclass."""
    return [one.name for one in dataclasses.fields(kind)]
