"""`checkpoints.json`: what a picture of a track cannot say, one entry per picture beside it.

    {
      "circuit": {                          # the picture circuit.png in the same folder
        "metres_per_pixel": 0.25,           # required: side of a pixel in metres
        "direction": "clockwise",           # required: or "counterclockwise", as seen in the picture
        "start": [412, 88],                 # required: pixel on the start/finish line
        "gates": [[500, 88], [610, 240]],   # optional: pixels in driving order, or a count; default every 40 m
        "sectors": [[610, 240], [200, 301]],# optional: pixels where sectors 2 and 3 start; default thirds
        "title": "Club circuit"             # optional: one line for lists and previews
      }
    }

Pixels are [column, row] as a paint program shows them: [0, 0] is the top-left pixel of the picture.
In the world the picture's bottom-left corner is the origin, x points right and y up, so the middle
of pixel [c, r] of a picture of H rows lies at x = (c + 1/2) m, y = (H - r - 1/2) m with m metres
per pixel.
"""

import dataclasses
import difflib
import json
from pathlib import Path

import numpy as np

from kart_jax.errors import InputError
from kart_jax.files import replacing

FILE_NAME = "checkpoints.json"
LARGEST_FILE = 16_000_000  # bytes; 10,000 generated circuits take 6 million
SCALES = (0.02, 10.0)  # m per pixel that a drawing may have
LEAST_GATES, MOST_GATES = (
    3,
    1000,
)  # with the start line; fewer would let a kart turn round and score
DIRECTIONS = ("clockwise", "counterclockwise")
LONGEST_TITLE = 80
FIELDS = ("metres_per_pixel", "direction", "start", "gates", "sectors", "title")

Pixel = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Entry:
    """One track's entry."""

    where: str
    """File and entry, as error messages name it."""
    metres_per_pixel: float
    """Side of a pixel, m."""
    direction: str
    """Driving direction as seen in the picture: "clockwise" or "counterclockwise"."""
    start: Pixel
    """Pixel [column, row] on the start/finish line."""
    gates: int | tuple[Pixel, ...] | None = None
    """Gates after the start line as pixels in driving order, or their number with the start line;
    None = default."""
    sectors: tuple[Pixel, Pixel] | None = None
    """Pixels where sectors 2 and 3 start; None = thirds."""
    title: str = ""
    """One line for lists and previews."""


def to_world(pixels: np.ndarray, metres_per_pixel: float, height: int) -> np.ndarray:
    """World positions (..., 2) m of the middles of pixels (..., 2) [column, row] in a picture of
    `height` rows."""
    column, row = np.asarray(pixels, float)[..., 0], np.asarray(pixels, float)[..., 1]
    return np.stack([column + 0.5, height - 0.5 - row], axis=-1) * metres_per_pixel


def to_pixel(points: np.ndarray, metres_per_pixel: float, height: int) -> np.ndarray:
    """Inverse of `to_world`: pixels (..., 2) [column, row], not rounded, of world positions (...,
    2) m."""
    x, y = np.asarray(points, float)[..., 0], np.asarray(points, float)[..., 1]
    return np.stack([x / metres_per_pixel - 0.5, height - 0.5 - y / metres_per_pixel], axis=-1)


def read(path: Path) -> dict[str, Entry]:
    """All entries of a `checkpoints.json` by track name.

    Raises:
        InputError: the file is missing, too large, not JSON, or an entry has a missing, unknown or
            wrong field.
    """
    return {name: parse(name, fields, path) for name, fields in read_raw(path).items()}


def write(path: Path, entries: dict[str, object]) -> None:
    """Write entries, as `read_raw` gives them, with one field per line, so that people can read and
    edit them.

    Raises:
        InputError: they are too many to be read back, or the file cannot be written.
    """
    blocks = []
    for name, entry in entries.items():
        fields = entry.items() if isinstance(entry, dict) else ()
        lines = ",\n".join(f"    {json.dumps(key)}: {json.dumps(value)}" for key, value in fields)
        blocks.append(f"  {json.dumps(name)}: {{\n{lines}\n  }}")
    text = "{\n" + ",\n".join(blocks) + "\n}\n"
    if len(text) > LARGEST_FILE:
        raise InputError(
            f"{path}: the file would have {len(text)} bytes; at most {LARGEST_FILE} are read, so "
            "choose another folder"
        )
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def read_entry(picture: Path) -> Entry:
    """The entry of one picture, from the `checkpoints.json` in its folder.

    Raises:
        InputError: as `read`, for this entry; or there is no entry of this name.
    """
    path = picture.parent / FILE_NAME
    entries = read_raw(path)
    if picture.stem not in entries:
        known = ", ".join(_show(name) for name in sorted(entries)[:20]) or "none"
        known += f" and {len(entries) - 20} more" if len(entries) > 20 else ""
        raise InputError(
            f'{path}: entry "{picture.stem}" is missing (there are: {known}); add one with '
            "metres_per_pixel, "
            f"direction and start for {picture.name}"
        )
    return parse(picture.stem, entries[picture.stem], path)


def read_raw(path: Path) -> dict[str, object]:
    """The JSON object in `path`, strictly: no duplicate keys, no NaN or Infinity; the entries are
    not checked."""
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path}: is no file; put a {FILE_NAME} in its place")
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise InputError(
                f"{path}: the file has {size} bytes; at most {LARGEST_FILE} are read, so remove "
                "entries"
            )
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: byte {error.start} is not UTF-8 text; save the file as plain UTF-8 JSON"
        ) from None
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); a picture needs a {FILE_NAME} in its "
            "folder with its scale, "
            "direction and start"
        ) from None
    try:
        whole = json.loads(
            text,
            object_pairs_hook=_no_duplicates,
            parse_constant=_no_constant,
            parse_int=_short_int,
        )
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}: line {error.lineno}, column {error.colno} is not JSON ({error.msg}); "
            "correct that place"
        ) from None
    except RecursionError:
        raise InputError(
            f"{path}: brackets are nested too deeply; use one object per track"
        ) from None
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
    if not isinstance(whole, dict):
        raise InputError(
            f'{path}: holds a {_kind(whole)}; it must be an object of entries {{"name": {{...}}}}'
        )
    return whole


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Refuse a key that an object holds twice."""
    whole: dict[str, object] = {}
    for key, value in pairs:
        if key in whole:
            raise ValueError(f"key {_show(key)} appears twice in one object; keep one of them")
        whole[key] = value
    return whole


def _no_constant(name: str) -> float:
    """Refuse NaN and Infinity, which Python reads but JSON does not know."""
    raise ValueError(f"holds the value {name}; only finite numbers are allowed, so write one")


def _short_int(digits: str) -> int:
    """Refuse a number that no field can mean."""
    if len(digits) > 1000:
        raise ValueError(
            f"holds the number {digits[:20]}... of {len(digits)} digits; write a shorter one"
        )
    return int(digits)


def _show(value: object) -> str:
    """A JSON value on one line, cut short where it is long."""
    return json.dumps(value, ensure_ascii=False)[:80]


def _kind(value: object) -> str:
    """JSON's name for the type of a value."""
    names = {
        dict: "object",
        list: "list",
        str: "string",
        bool: "boolean",
        int: "number",
        float: "number",
    }
    return names.get(type(value), "null")


def parse(name: str, fields: object, path: Path) -> Entry:
    """Check one entry of the file at `path`.

    Raises:
        InputError: a field is missing, unknown, of the wrong type or out of range.
    """
    where = f"{path}: entry {_show(name)}"
    if not isinstance(fields, dict):
        raise InputError(
            f"{where} is a {_kind(fields)}; it must be an object with metres_per_pixel, "
            "direction, start"
        )
    for key in fields:
        if key not in FIELDS:
            close = difflib.get_close_matches(str(key), FIELDS, 1)
            hint = f"did you mean {close[0]}?" if close else "remove it"
            raise InputError(
                f"{where} has the unknown field {_show(key)}; allowed are {', '.join(FIELDS)}: "
                f"{hint}"
            )
    for key, hint in (
        ("metres_per_pixel", "the side of a pixel in metres, such as 0.25"),
        ("direction", '"clockwise" or "counterclockwise"'),
        ("start", "a pixel [column, row] on the start line"),
    ):
        if key not in fields:
            raise InputError(f"{where}: {key} is missing; give {hint}")
    title = fields.get("title", "")
    if not isinstance(title, str):
        raise InputError(f"{where}: title is a {_kind(title)}; give a string")
    if len(title) > LONGEST_TITLE or not title.isprintable():
        raise InputError(
            f"{where}: title is {json.dumps(title)[:80]}; it must be one line of at most "
            f"{LONGEST_TITLE} letters"
        )
    sectors = fields.get("sectors")
    if sectors is not None:
        sectors = _pixels(sectors, f"{where}: sectors")
        if len(sectors) != 2:
            raise InputError(
                f"{where}: sectors has {len(sectors)} pixels; give two, [[column, row], [column, "
                "row]], "
                "where sectors 2 and 3 start"
            )
    return Entry(
        where=where,
        metres_per_pixel=_scale(fields["metres_per_pixel"], where),
        direction=_direction(fields["direction"], where),
        start=_pixel(fields["start"], f"{where}: start"),
        gates=_gates(fields.get("gates"), where),
        sectors=sectors,
        title=title,
    )


def _number(value: object) -> bool:
    """Whether a JSON value is a number of reasonable size (true, false and overflows are not)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -1e9 < value < 1e9


def _scale(value: object, where: str) -> float:
    """Check metres_per_pixel."""
    low, high = SCALES
    if not _number(value) or not low <= value <= high:  # type: ignore[operator]
        raise InputError(
            f"{where}: metres_per_pixel is {_show(value)}; give the side of a pixel in metres, a "
            "number from "
            f"{low} to {high:g}"
        )
    return float(value)  # type: ignore[arg-type]


def _direction(value: object, where: str) -> str:
    """Check direction."""
    if value not in DIRECTIONS:
        raise InputError(
            f'{where}: direction is {_show(value)}; write "clockwise" or "counterclockwise"'
        )
    return str(value)


def _pixel(value: object, where: str) -> Pixel:
    """Check one pixel."""
    if not (isinstance(value, list) and len(value) == 2 and all(map(_number, value))):
        raise InputError(f"{where} is {_show(value)}; give a pixel [column, row], two numbers")
    return float(value[0]), float(value[1])


def _pixels(value: object, where: str) -> tuple[Pixel, ...]:
    """Check a list of pixels."""
    if not isinstance(value, list):
        raise InputError(f"{where} is {_show(value)}; give a list of pixels [[column, row], ...]")
    return tuple(_pixel(pixel, f"{where}[{i}]") for i, pixel in enumerate(value))


def _gates(value: object, where: str) -> int | tuple[Pixel, ...] | None:
    """Check gates: a count, a list of pixels, or nothing."""
    if value is None:
        return None
    if isinstance(value, list):
        if len(value) < LEAST_GATES - 1:
            raise InputError(
                f"{where}: gates has {len(value)} pixels; list at least {LEAST_GATES - 1}, or "
                "leave it out"
            )
        return _pixels(value, f"{where}: gates")
    if (
        not isinstance(value, int)
        or isinstance(value, bool)
        or not LEAST_GATES <= value <= MOST_GATES
    ):
        raise InputError(
            f"{where}: gates is {_show(value)}; give a list of pixels or a number, {LEAST_GATES} "
            f"to {MOST_GATES}"
        )
    return value
