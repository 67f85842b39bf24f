"""`checkpoints.json`: what a picture of a track cannot say, one entry per picture beside it.

    {
      "circuit": {                           # the picture circuit.png in the same folder
        "metres_per_pixel": 0.25,            # required: side of a pixel in metres
        "direction": "clockwise",            # required: in the picture, or "counterclockwise"
        "start": [412, 88],                  # required: pixel on the start/finish line
        "gates": [[500, 88], [610, 240]],    # optional: in driving order, or a count
        "sectors": [[610, 240], [200, 301]], # optional: where sectors 2 and 3 start
        "title": "Club circuit"              # optional: one line for lists and previews
      }
    }

Without gates there is one every 40 m, without sectors there are thirds. `entry` says what the
pixels mean, and checks the fields.
"""

import json
from pathlib import Path

from kart_jax.errors import InputError
from kart_jax.files import replacing
from kart_jax.track.entry import Entry, json_kind, parse_entry, show_json

FILE_NAME = "checkpoints.json"
MAX_FILE_BYTES = 16_000_000  # 10,000 generated circuits take 6 million
MAX_DIGITS = 1000  # of one whole number
MAX_SHOWN = 20  # entries that a message names


def read_entries(path: Path) -> dict[str, Entry]:
    """Read all entries of a `checkpoints.json` by track name.

    Raises:
        InputError: the file is missing, too large, not JSON, or an entry has a missing, unknown or
            wrong field.
    """
    return {name: parse_entry(name, fields, path) for name, fields in read_raw(path).items()}


def read_entry(picture: Path) -> Entry:
    """Read the entry of one picture, from the `checkpoints.json` in its folder.

    Raises:
        InputError: as `read_entries`, for this entry; or there is no entry of this name.
    """
    path = picture.parent / FILE_NAME
    entries = read_raw(path)
    if picture.stem not in entries:
        known = ", ".join(show_json(name) for name in sorted(entries)[:MAX_SHOWN]) or "none"
        known += f" and {len(entries) - MAX_SHOWN} more" if len(entries) > MAX_SHOWN else ""
        raise InputError(
            f'{path}: entry "{picture.stem}" is missing (there are: {known}); add one with '
            f"metres_per_pixel, direction and start for {picture.name}"
        )
    return parse_entry(picture.stem, entries[picture.stem], path)


def write_entries(path: Path, entries: dict[str, object]) -> None:
    """Write entries, as `read_raw` gives them, with one field per line, for people to edit.

    Raises:
        InputError: they are too many to be read back, or the file cannot be written.
    """
    blocks = []
    for name, entry in entries.items():
        fields = entry.items() if isinstance(entry, dict) else ()
        lines = ",\n".join(f"    {json.dumps(key)}: {json.dumps(value)}" for key, value in fields)
        blocks.append(f"  {json.dumps(name)}: {{\n{lines}\n  }}")
    text = "{\n" + ",\n".join(blocks) + "\n}\n"

    if len(text) > MAX_FILE_BYTES:
        raise InputError(
            f"{path}: the file would have {len(text)} bytes; at most {MAX_FILE_BYTES} are read, so "
            "choose another folder"
        )
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def read_raw(path: Path) -> dict[str, object]:
    """Read the JSON object in `path`, strictly, without a check of its entries.

    Strictly means: no duplicate keys, no NaN or Infinity.

    Raises:
        InputError: the file is missing, too large, or not such an object.
    """
    text = _read_text(path)
    try:
        whole = json.loads(
            text,
            object_pairs_hook=_no_duplicates,
            parse_constant=_no_constant,
            parse_int=_short_int,
        )
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}: line {error.lineno}, column {error.colno} is not JSON ({error.msg}); correct "
            "that place"
        ) from None
    except RecursionError:
        raise InputError(
            f"{path}: brackets are nested too deeply; use one object per track"
        ) from None
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None

    if not isinstance(whole, dict):
        raise InputError(
            f"{path}: holds a {json_kind(whole)}; it must be an object of entries "
            '{"name": {...}}'
        )
    return whole


def _read_text(path: Path) -> str:
    """Return the text of the file at `path`, or refuse what cannot be a `checkpoints.json`."""
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path}: is no file; put a {FILE_NAME} in its place")
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise InputError(
                f"{path}: the file has {size} bytes; at most {MAX_FILE_BYTES} are read, so remove "
                "entries"
            )
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: byte {error.start} is not UTF-8 text; save the file as plain UTF-8 JSON"
        ) from None
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); a picture needs a {FILE_NAME} in its "
            "folder with its scale, direction and start"
        ) from None


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Refuse a key that an object holds twice."""
    whole: dict[str, object] = {}
    for key, value in pairs:
        if key in whole:
            raise ValueError(f"key {show_json(key)} appears twice in one object; keep one of them")
        whole[key] = value
    return whole


def _no_constant(name: str) -> float:
    """Refuse NaN and Infinity, which Python reads but JSON does not know."""
    raise ValueError(f"holds the value {name}; only finite numbers are allowed, so write one")


def _short_int(digits: str) -> int:
    """Refuse a number that no field can mean."""
    if len(digits) > MAX_DIGITS:
        raise ValueError(
            f"holds the number {digits[:20]}... of {len(digits)} digits; write a shorter one"
        )
    return int(digits)
