"""Gates, sector lines and start of an entry, from pixels to arc lengths on the centre line."""

import numpy as np

from kart_jax.errors import InputError
from kart_jax.track.entry_file import Entry, Pixel, to_world
from kart_jax.track.line import Line, foot, reverse, start_at

LEAST_SPACING = 2.0  # m between neighbouring gates or sector lines


def orient(line: Line, entry: Entry, height: int) -> Line:
    """Turn a counterclockwise `line` into the driving direction and put sample 0 on the start line.

    Raises:
        InputError: the start pixel is not on the track.
    """
    if entry.direction == "clockwise":
        line = reverse(line)
    return start_at(line, _arc_length(line, entry.start, entry, height, "start"))


def gates(entry: Entry, line: Line, height: int) -> np.ndarray | None:
    """Arc lengths (G,) m of the gates, ascending, first 0; None where the entry leaves them to the
    default.

    Raises:
        InputError: a gate is off the track, out of order, or closer than 2 m to its neighbour.
    """
    if entry.gates is None:
        return None
    if isinstance(entry.gates, int):
        return np.arange(entry.gates) * (line.length / entry.gates)
    places = [
        _arc_length(line, pixel, entry, height, f"gates[{i}]")
        for i, pixel in enumerate(entry.gates)
    ]
    if places and min(places[0], line.length - places[0]) < LEAST_SPACING:
        places = places[1:]  # the first gate listed is the start line itself
        first = 1
    else:
        first = 0
    return _ascending(places, first, "gates", entry, line)


def sectors(entry: Entry, line: Line, height: int) -> np.ndarray | None:
    """Arc lengths (3,) m where the sectors start, first 0; None where the entry leaves them to the
    default.

    Raises:
        InputError: a sector line is off the track or out of order.
    """
    if entry.sectors is None:
        return None
    places = [
        _arc_length(line, pixel, entry, height, f"sectors[{i}]")
        for i, pixel in enumerate(entry.sectors)
    ]
    return _ascending(places, 0, "sectors", entry, line)


def _ascending(places: list[float], first: int, field: str, entry: Entry, line: Line) -> np.ndarray:
    """Put 0 before `places` and check that they ascend; `first` is the number of the first in the
    file."""
    whole = np.array([0.0, *places])
    steps = np.diff(whole)
    if (steps < LEAST_SPACING).any():
        i = int(np.argmax(steps < LEAST_SPACING))
        behind = f"{field}[{first + i - 1}]" if i else "the start line"
        raise InputError(
            f"{entry.where}: {field}[{first + i}] lies {whole[i + 1]:.0f} m after the start line "
            f"and {behind} "
            f"{whole[i]:.0f} m, driving {entry.direction}; list them in driving order, at least "
            f"{LEAST_SPACING:g} m "
            "apart, or correct direction"
        )
    if line.length - whole[-1] < LEAST_SPACING:
        raise InputError(
            f"{entry.where}: {field}[{first + len(places) - 1}] lies on the start line; leave it "
            "out, the start line "
            "is always the first"
        )
    return whole


def _arc_length(line: Line, pixel: Pixel, entry: Entry, height: int, field: str) -> float:
    """Arc length of one pixel, which must lie on the asphalt."""
    point = to_world(np.array(pixel), entry.metres_per_pixel, height)
    s, n = (float(v[0]) for v in foot(line, point[None]))
    at = round(s / line.spacing) % line.count
    past = abs(n) - float(line.half_left[at] if n > 0 else line.half_right[at])
    if past > entry.metres_per_pixel:
        raise InputError(
            f"{entry.where}: {field} is [{pixel[0]:g}, {pixel[1]:g}], {past:.1f} m off the track; "
            "give a pixel [column, row] on the black of the picture, or remove gates and sectors "
            "to have them placed"
        )
    return s
