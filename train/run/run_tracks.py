"""The circuits of a run, kept in its folder as copies.

So it can be rebuilt when a picture has changed, moved or gone. `tracks/` of a run is a folder of
tracks like any other: pictures with their checkpoints.json, and centre-line CSVs. Circuits of the
generator need no copy, their names say everything.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from kart_jax.errors import InputError
from kart_jax.files import replacing
from kart_jax.track import catalogue, derive, entry_file
from train.run.run_folder import RunFolder


def places(folder: RunFolder, names: Sequence[str]) -> dict[str, Path]:
    """Return where the copy of each circuit belongs, by its name or path as given.

    Equal file names are numbered.
    """
    found: dict[str, Path] = {}
    for name in dict.fromkeys(names):
        if catalogue.generator_seeds(name) is not None:
            continue
        path = Path(name)
        suffix = path.suffix.lower() if path.suffix.lower() in catalogue.SUFFIXES else ".png"
        stem = path.stem if path.suffix.lower() in catalogue.SUFFIXES else path.name

        number = 1
        place = folder.tracks / f"{stem}{suffix}"
        while place in found.values():
            number += 1
            place = folder.tracks / f"{stem}-{number}{suffix}"
        found[name] = place
    return found


def keep(folder: RunFolder, circuits: Mapping[str, str]) -> None:
    """Copy circuits into the run's folder; a copy that is there stays as it is.

    Args:
        folder: of the run.
        circuits: names as given, and where each is found now.
    """
    index = folder.tracks / entry_file.FILE_NAME
    entries = entry_file.read_raw(index) if index.exists() else {}
    for name, place in places(folder, list(circuits)).items():
        if place.is_file():
            continue
        path = catalogue.find_track(circuits[name])
        if place.suffix == ".png":
            entries[place.stem] = entry_file.read_raw(path.parent / entry_file.FILE_NAME)[path.stem]
            entry_file.write_entries(index, entries)
        with replacing(place) as part:
            part.write_bytes(path.read_bytes())


def own(folder: RunFolder, names: Sequence[str]) -> dict[str, str]:
    """Return where to load each circuit of a run by name: its copy, or its name without one."""
    copies = {name: str(place) for name, place in places(folder, names).items() if place.is_file()}
    return {name: copies.get(name, name) for name in names}


def changed(folder: RunFolder, names: Sequence[str]) -> list[str]:
    """Return the circuits of a run whose files differ from its copies.

    A file that is gone has not changed.
    """
    copies = [(name, place) for name, place in places(folder, names).items() if place.is_file()]
    return [name for name, place in copies if _differs(name, place)]


def _differs(name: str, copy: Path) -> bool:
    """Return whether a name or path means another circuit now than when the copy was taken."""
    try:
        path = catalogue.find_track(name)
    except InputError:
        return False
    return derive.track_content(path) != derive.track_content(copy)
