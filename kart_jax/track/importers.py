"""Read a centre line from a CSV in the public `# x_m,y_m,w_tr_right_m,w_tr_left_m` form.

Host side NumPy. GPS traces are noisy and unevenly spaced, and their second derivative is useless as
it stands. `fit_curve` finds the closed curve p(s) that minimises

    sum_i w_i |p(s_i) - d_i|² + (c / 2 pi)^6 ∫ |p'''|² ds

over the points d_i, w_i being the metres of track that a point stands for: a third-derivative
(Whittaker) smoother, which halves waves of length c and leaves straights and circles alone.
Curvature then varies smoothly.
"""

from pathlib import Path

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import spsolve

from kart_jax.errors import InputError
from kart_jax.track import clearance, draw
from kart_jax.track.line import LAP_LENGTHS, MIN_POINTS, CentreLine, chord_lengths, resample

FIELDS = ("x_m", "y_m", "w_tr_right_m", "w_tr_left_m")
CUT = 20.0  # m, wavelength of the bends that smoothing halves
SPACING = 1.0  # m, between the samples of the result
# m, most that one point may stand for, so that the ends of a long gap do not outweigh a bend
MAX_WEIGHT = 8.0
MAX_BYTES = 8_000_000  # a 25 km circuit at 0.1 m steps
MAX_POINTS = 100_000
MAX_HALF_WIDTH = 50.0  # m
MAX_STEP = 500.0  # m, between neighbouring points: a longer one is a gap or a wrong unit
KART_LENGTH = 2500.0  # m, laps up to this are painted at 0.25 m per pixel, longer ones at 1 m


def read_csv(path: str | Path) -> CentreLine:
    """Read a closed centre line with widths.

    Args:
        path: text file with four comma-separated columns in metres, in driving order; lines that
            start with `#` and one line of column names are skipped; the first point, on the start
            line, may be repeated at the end.

    Returns:
        The smoothed circuit at `SPACING`.

    Raises:
        InputError: one sentence with file, line, value and remedy.
    """
    path = Path(path)
    table = _drop_repeats(_parse_table(path, _read_text(path)))
    steps = np.hypot(*np.diff(np.vstack([table, table[:1]])[:, :2], axis=0).T)
    _check_size(path, len(table), steps)
    centre = fit_curve(table[:, :2])
    half = _widths_along(table, steps, len(centre))
    line = resample(centre, half[:, 1], half[:, 0], SPACING)
    _check_shape(path, line)
    return line


def import_csv(
    path: str | Path,
    name: str,
    folder: str | Path = "tracks",
    metres_per_pixel: float | None = None,
    title: str = "",
    replace: bool = False,
) -> Path:
    """Read a centre line and write it as `<folder>/<name>.png` with its entry beside it.

    Args:
        path: the CSV, as in `read_csv`.
        name: name of the track.
        folder: where the picture goes; made when it does not exist.
        metres_per_pixel: scale of the picture; default 0.25, or 1 for laps beyond `KART_LENGTH`.
        title: one line for lists and previews; default the CSV's file name.
        replace: whether a track of this name may be overwritten.

    Returns:
        The path of the picture.

    Raises:
        InputError: as `read_csv` and `draw.save_track`.
    """
    line = read_csv(path)
    if metres_per_pixel is None:
        metres_per_pixel = 0.25 if line.length <= KART_LENGTH else 1.0
    title = title or f"Imported from {Path(path).name}"
    return draw.save_track(line, name, folder, metres_per_pixel, title, replace)


def fit_curve(
    points: np.ndarray, cut: float = CUT, spacing: float = SPACING, rounds: int = 3
) -> np.ndarray:
    """Fit a smooth closed curve to points (M, 2) m in driving order; see the module docstring.

    Args:
        points: (M, 2) m, unevenly spaced, not repeated at the end.
        cut: m, wavelength c at which a wave is halved.
        spacing: m, wanted distance between the points of the result.
        rounds: how often the places s_i of the points are measured again on the curve.

    Returns:
        (K, 2) m, nearly evenly spaced; point 0 belongs to the first point given.
    """
    s = chord_lengths(points)
    stands_for = np.minimum((np.roll(np.diff(s), 1) + np.diff(s)) / 2, MAX_WEIGHT)
    curve = points
    for _ in range(rounds):
        count = max(MIN_POINTS, round(s[-1] / spacing))
        step = s[-1] / count
        place = s[:-1] / step
        curve = _solve_curve(points, stands_for, place, count, step, cut)
        s = np.interp(np.append(place, count), np.arange(count + 1), chord_lengths(curve))
    return curve


def _solve_curve(
    points: np.ndarray, weights: np.ndarray, place: np.ndarray, count: int, step: float, cut: float
) -> np.ndarray:
    """Find the smoothest curve (count, 2) m through points at known places.

    Args:
        points: (M, 2) m.
        weights: (M,) m of track that each stands for.
        place: (M,) their places, in samples along the curve.
        count: samples of the curve.
        step: m between them.
        cut: m, wavelength c at which a wave is halved.
    """
    low = np.floor(place).astype(int)
    part = place - low
    rows, samples = np.arange(len(points)), np.arange(count)
    pick = sparse.csr_array(
        (np.r_[1 - part, part], (np.r_[rows, rows], np.r_[low % count, (low + 1) % count])),
        shape=(len(points), count),
    )

    ahead = sparse.csr_array((np.ones(count), (samples, (samples + 1) % count)))
    first = (ahead - sparse.eye_array(count, format="csr")) / step
    third = first @ first @ first
    system = pick.T @ sparse.diags_array(weights) @ pick + (cut / (2 * np.pi)) ** 6 * step * (
        third.T @ third
    )
    return np.asarray(spsolve(sparse.csc_array(system), pick.T @ (weights[:, None] * points)))


def _widths_along(table: np.ndarray, steps: np.ndarray, count: int) -> np.ndarray:
    """Return right and left half-width (count, 2) m at evenly spaced places along the points."""
    s = np.concatenate([[0.0], np.cumsum(steps)])
    at = np.arange(count) / count * s[-1]
    closed = np.vstack([table, table[:1]])
    return np.column_stack([np.interp(at, s, closed[:, 2]), np.interp(at, s, closed[:, 3])])


def _read_text(path: Path) -> str:
    """Return the file's text, or say why it cannot be a centre line."""
    if not path.is_file():
        raise InputError(
            f"{path}: no such file; give the path of a CSV with the columns {','.join(FIELDS)}"
        )
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise InputError(
            f"{path}: size is {size} bytes; at most {MAX_BYTES} are read; keep a point every 1 "
            "to 5 m"
        )

    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise InputError(f"{path}: is not text; give a CSV with the columns {','.join(FIELDS)}")
    return text


def _parse_table(path: Path, text: str) -> np.ndarray:
    """Return the numbers (M, 4) of the file, checked one by one."""
    rows: list[list[float]] = []
    for number, raw in enumerate(text.splitlines(), start=1):
        words = [word.strip() for word in raw.split("#", 1)[0].split(",")]
        if words == [""]:
            continue
        if not rows and words[0].lower() in ("x_m", "x"):
            continue
        if len(words) != len(FIELDS):
            raise InputError(
                f"{path}: line {number} has {len(words)} columns; exactly {len(FIELDS)} are "
                f"needed: {','.join(FIELDS)}"
            )
        rows.append([_parse_value(path, number, *pair) for pair in zip(FIELDS, words, strict=True)])
        if len(rows) > MAX_POINTS:
            raise InputError(
                f"{path}: has more than {MAX_POINTS} points; keep a point every 1 to 5 m"
            )
    return np.array(rows, float).reshape(-1, len(FIELDS))


def _parse_value(path: Path, number: int, field: str, word: str) -> float:
    """Return one checked value of line `number`."""
    try:
        value = float(word)
    except ValueError:
        value = np.nan
    if not np.isfinite(value) or abs(value) > 1e7:
        raise InputError(
            f"{path}: line {number}: {field} is {word[:30]!r}; a number in metres is needed; "
            "correct it"
        )
    if field.startswith("w_") and not 0.0 < value <= MAX_HALF_WIDTH:
        raise InputError(
            f"{path}: line {number}: {field} is {value:g}; allowed are half-widths above 0 and up "
            f"to {MAX_HALF_WIDTH:g} m; give the distance from the centre line to the edge"
        )
    return value


def _drop_repeats(table: np.ndarray) -> np.ndarray:
    """Drop points that repeat the one before, and last points that repeat the first."""
    moved = np.hypot(*np.diff(table[:, :2], axis=0).T) > 1e-3
    table = table[np.concatenate([[True], moved])] if len(table) else table
    closes = len(table) > 1 and bool(np.hypot(*(table[-1, :2] - table[0, :2])) <= 1e-3)
    return table[:-1] if closes else table


def _check_size(path: Path, count: int, steps: np.ndarray) -> None:
    """Refuse files that cannot be a circuit: too few points, too short or long, with a jump."""
    if count < MIN_POINTS:
        raise InputError(
            f"{path}: has {count} different points; at least {MIN_POINTS} are needed; add points"
        )

    length = float(steps.sum())
    if not LAP_LENGTHS[0] <= length <= LAP_LENGTHS[1]:
        raise InputError(
            f"{path}: the lap is {length:.0f} m long; allowed are {LAP_LENGTHS[0]:.0f} to "
            f"{LAP_LENGTHS[1]:.0f} m; check that x_m and y_m are in metres"
        )
    worst = int(np.argmax(steps))
    if steps[worst] > min(MAX_STEP, length / 4):
        raise InputError(
            f"{path}: point {worst + 1} lies {steps[worst]:.0f} m before the next one; allowed are "
            f"{min(MAX_STEP, length / 4):.0f} m; close the gap, the last point must lead back to "
            "the first"
        )


def _check_shape(path: Path, line: CentreLine) -> None:
    """Refuse a circuit that crosses or touches itself, or is wider than its bends."""
    room, at = clearance.smallest_gap(line, 1.0)
    if room < 0.0:
        raise InputError(
            f"{path}: the track crosses or touches itself near x_m {line.x[at]:.0f}, y_m "
            f"{line.y[at]:.0f} (overlap {-room:.1f} m); separate the two parts or give smaller "
            "widths"
        )
    folds = clearance.inner_half(line) * np.abs(line.curvature)
    worst = int(np.argmax(folds))
    if folds[worst] >= clearance.MAX_INNER_EDGE:
        raise InputError(
            f"{path}: the bend near x_m {line.x[worst]:.0f}, y_m {line.y[worst]:.0f} has a radius "
            f"of {1 / abs(line.curvature[worst]):.1f} m, less than the half-width; widen the bend "
            "or narrow the track"
        )
