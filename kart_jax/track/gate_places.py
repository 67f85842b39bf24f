"""Gates, sector lines and start of an entry, from pixels to arc lengths on the centre line."""

import numpy as np

from kart_jax.errors import InputError
from kart_jax.track.entry import Entry, Pixel, to_world
from kart_jax.track.line import CentreLine, foot, move_start, reverse

MIN_SPACING = 2.0  # m between neighbouring gates or sector lines


def orient(line: CentreLine, entry: Entry, height: int) -> CentreLine:
    """Turn a counterclockwise `line` into the driving direction and put sample 0 on the start line.

    Args:
        line: the circuit as traced.
        entry: of its picture.
        height: rows of the picture.

    Raises:
        InputError: the start pixel is not on the track.
    """
    if entry.direction == "clockwise":
        line = reverse(line)
    return move_start(line, _arc_length(line, entry.start, entry, height, "start"))


def gate_places(entry: Entry, line: CentreLine, height: int) -> np.ndarray | None:
    """Return the arc lengths (G,) m of the gates, ascending, first 0.

    None where the entry leaves them to the default.

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
    first = 0
    if places and min(places[0], line.length - places[0]) < MIN_SPACING:
        places = places[1:]  # the first gate listed is the start line itself
        first = 1
    return _ascending(places, first, "gates", entry, line)


def sector_places(entry: Entry, line: CentreLine, height: int) -> np.ndarray | None:
    """Return the arc lengths (3,) m where the sectors start, first 0.

    None where the entry leaves them to the default.

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


def _ascending(
    places: list[float], first: int, field: str, entry: Entry, line: CentreLine
) -> np.ndarray:
    """Put 0 before `places` and check that they ascend.

    Args:
        places: m, arc lengths.
        first: number of the first of them in the file, for messages.
        field: its field there.
        entry: of the picture.
        line: the circuit.
    """
    whole = np.array([0.0, *places])
    steps = np.diff(whole)
    if (steps < MIN_SPACING).any():
        i = int(np.argmax(steps < MIN_SPACING))
        behind = f"{field}[{first + i - 1}]" if i else "the start line"
        raise InputError(
            f"{entry.where}: {field}[{first + i}] lies {whole[i + 1]:.0f} m after the start line "
            f"and {behind} {whole[i]:.0f} m, driving {entry.direction}; list them in driving "
            f"order, at least {MIN_SPACING:g} m apart, or correct direction"
        )

    if line.length - whole[-1] < MIN_SPACING:
        raise InputError(
            f"{entry.where}: {field}[{first + len(places) - 1}] lies on the start line; leave it "
            "out, the start line is always the first"
        )
    return whole


def _arc_length(line: CentreLine, pixel: Pixel, entry: Entry, height: int, field: str) -> float:
    """Return the arc length of one pixel, which must lie on the asphalt."""
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
