"""The entry of one picture: its fields checked one by one, and its pixels as places in the world.

Pixels are [column, row] as a paint program shows them: [0, 0] is the top-left pixel of the picture.
In the world the picture's bottom-left corner is the origin, x points right and y up, so the middle
of pixel [c, r] of a picture of H rows lies at x = (c + 1/2) m, y = (H - r - 1/2) m with m metres
per pixel. `entry_file` says which fields there are.
"""

import dataclasses
import difflib
import json
from pathlib import Path

import numpy as np

from kart_jax.errors import InputError

SCALES = (0.02, 10.0)  # m per pixel that a drawing may have
MIN_GATES = 3  # with the start line; fewer would let a kart turn round and score
MAX_GATES = 1000  # with the start line
MAX_TITLE = 80  # letters
DIRECTIONS = ("clockwise", "counterclockwise")
FIELDS = ("metres_per_pixel", "direction", "start", "gates", "sectors", "title")
REQUIRED = (  # field, and what to give for it
    ("metres_per_pixel", "the side of a pixel in metres, such as 0.25"),
    ("direction", '"clockwise" or "counterclockwise"'),
    ("start", "a pixel [column, row] on the start line"),
)

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
    """Return the world positions (..., 2) m of the middles of pixels (..., 2) [column, row].

    Args:
        pixels: (..., 2) [column, row].
        metres_per_pixel: side of a pixel, m.
        height: rows of the picture.
    """
    column, row = np.asarray(pixels, float)[..., 0], np.asarray(pixels, float)[..., 1]
    return np.stack([column + 0.5, height - 0.5 - row], axis=-1) * metres_per_pixel


def to_pixel(points: np.ndarray, metres_per_pixel: float, height: int) -> np.ndarray:
    """Return the pixels (..., 2) [column, row], not rounded, of world positions (..., 2) m.

    It is the inverse of `to_world`.
    """
    x, y = np.asarray(points, float)[..., 0], np.asarray(points, float)[..., 1]
    return np.stack([x / metres_per_pixel - 0.5, height - 0.5 - y / metres_per_pixel], axis=-1)


def parse_entry(name: str, fields: object, path: Path) -> Entry:
    """Check one entry of the file at `path`.

    Args:
        name: the track.
        fields: what the file holds under that name.
        path: the file, for messages.

    Raises:
        InputError: a field is missing, unknown, of the wrong type or out of range.
    """
    where = f"{path}: entry {show_json(name)}"
    if not isinstance(fields, dict):
        raise InputError(
            f"{where} is a {json_kind(fields)}; it must be an object with metres_per_pixel, "
            "direction, start"
        )
    _check_names(fields, where)
    title = _parse_title(fields.get("title", ""), where)
    sectors = _parse_sectors(fields.get("sectors"), where)

    return Entry(
        where=where,
        metres_per_pixel=_parse_scale(fields["metres_per_pixel"], where),
        direction=_parse_direction(fields["direction"], where),
        start=_parse_pixel(fields["start"], f"{where}: start"),
        gates=_parse_gates(fields.get("gates"), where),
        sectors=sectors,
        title=title,
    )


def show_json(value: object) -> str:
    """Write a JSON value on one line, cut short where it is long."""
    return json.dumps(value, ensure_ascii=False)[:80]


def json_kind(value: object) -> str:
    """Return JSON's name for the type of a value."""
    names = {
        dict: "object",
        list: "list",
        str: "string",
        bool: "boolean",
        int: "number",
        float: "number",
    }
    return names.get(type(value), "null")


def _check_names(fields: dict[str, object], where: str) -> None:
    """Refuse unknown fields, and an entry that lacks a required one."""
    for key in fields:
        if key not in FIELDS:
            close = difflib.get_close_matches(str(key), FIELDS, 1)
            hint = f"did you mean {close[0]}?" if close else "remove it"
            raise InputError(
                f"{where} has the unknown field {show_json(key)}; allowed are "
                f"{', '.join(FIELDS)}: {hint}"
            )
    for key, hint in REQUIRED:
        if key not in fields:
            raise InputError(f"{where}: {key} is missing; give {hint}")


def _is_number(value: object) -> bool:
    """Tell whether a JSON value is a number of reasonable size.

    true, false and overflows are none.
    """
    return isinstance(value, int | float) and not isinstance(value, bool) and -1e9 < value < 1e9


def _parse_scale(value: object, where: str) -> float:
    """Check metres_per_pixel."""
    low, high = SCALES
    if not _is_number(value) or not low <= value <= high:  # type: ignore[operator]
        raise InputError(
            f"{where}: metres_per_pixel is {show_json(value)}; give the side of a pixel in metres, "
            f"a number from {low} to {high:g}"
        )
    return float(value)  # type: ignore[arg-type]


def _parse_direction(value: object, where: str) -> str:
    """Check direction."""
    if value not in DIRECTIONS:
        raise InputError(
            f'{where}: direction is {show_json(value)}; write "clockwise" or "counterclockwise"'
        )
    return str(value)


def _parse_pixel(value: object, where: str) -> Pixel:
    """Check one pixel."""
    if not (isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))):
        raise InputError(f"{where} is {show_json(value)}; give a pixel [column, row], two numbers")
    return float(value[0]), float(value[1])


def _parse_pixels(value: object, where: str) -> tuple[Pixel, ...]:
    """Check a list of pixels."""
    if not isinstance(value, list):
        raise InputError(
            f"{where} is {show_json(value)}; give a list of pixels [[column, row], ...]"
        )
    return tuple(_parse_pixel(pixel, f"{where}[{i}]") for i, pixel in enumerate(value))


def _parse_gates(value: object, where: str) -> int | tuple[Pixel, ...] | None:
    """Check gates: a count, a list of pixels, or nothing."""
    if value is None:
        return None
    if isinstance(value, list):
        if len(value) < MIN_GATES - 1:
            raise InputError(
                f"{where}: gates has {len(value)} pixels; list at least {MIN_GATES - 1}, or leave "
                "it out"
            )
        return _parse_pixels(value, f"{where}: gates")
    if not isinstance(value, int) or isinstance(value, bool) or not MIN_GATES <= value <= MAX_GATES:
        raise InputError(
            f"{where}: gates is {show_json(value)}; give a list of pixels or a number, {MIN_GATES} "
            f"to {MAX_GATES}"
        )
    return value


def _parse_sectors(value: object, where: str) -> tuple[Pixel, Pixel] | None:
    """Check sectors: two pixels, or nothing."""
    if value is None:
        return None
    pixels = _parse_pixels(value, f"{where}: sectors")
    if len(pixels) != 2:
        raise InputError(
            f"{where}: sectors has {len(pixels)} pixels; give two, "
            "[[column, row], [column, row]], where sectors 2 and 3 start"
        )
    return pixels


def _parse_title(value: object, where: str) -> str:
    """Check title."""
    if not isinstance(value, str):
        raise InputError(f"{where}: title is a {json_kind(value)}; give a string")
    if len(value) > MAX_TITLE or not value.isprintable():
        raise InputError(
            f"{where}: title is {json.dumps(value)[:80]}; it must be one line of at most "
            f"{MAX_TITLE} letters"
        )
    return value
