"""From a `CentreLine` to a picture and its entry in `checkpoints.json`; the inverse of tracing.

Host side. A pixel's grey is how much of it the track covers, taken from the signed distance e of
its middle to the nearer edge of the asphalt: coverage = 1/2 - e / pixel between 0 and 1. The edge
so lies between two pixels to a few hundredths of a pixel, as when a finer picture is averaged.
"""

import contextlib
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.spatial import KDTree

from kart_jax.errors import InputError
from kart_jax.files import locked, replacing
from kart_jax.track import entry, entry_file
from kart_jax.track.image import MAX_PIXELS
from kart_jax.track.line import CentreLine, resample

if TYPE_CHECKING:
    from PIL import Image

MARGIN = 12.0  # m of white around the track
GATE_STEP = 50.0  # m between gates, about
FINE = 0.25  # m between centre-line samples while painting
GREYS = 15  # grey steps; sixteen values keep the file small
BAND = 256  # rows painted at once
MIN_ACROSS = 4  # pixels over the narrowest place, or what is read back may have gaps


def rasterise(
    line: CentreLine, metres_per_pixel: float, title: str = ""
) -> tuple["Image.Image", dict[str, Any]]:
    """Paint a circuit, black on white with smooth edges, north up.

    Args:
        line: the circuit.
        metres_per_pixel: side of a pixel in m.
        title: one line for lists and previews.

    Returns:
        The greyscale picture and its entry for `checkpoints.json`.

    Raises:
        InputError: the picture would be too large, or the track too thin in it.
    """
    from PIL import Image

    narrowest = float((line.half_left + line.half_right).min())
    if narrowest < MIN_ACROSS * metres_per_pixel:
        raise InputError(
            f"metres_per_pixel is {metres_per_pixel:g}, which makes the narrowest place, "
            f"{narrowest:.1f} m, less than {MIN_ACROSS} pixels wide; give "
            f"{narrowest / MIN_ACROSS:.2g} or less"
        )
    reach = MARGIN + float(max(line.half_left.max(), line.half_right.max()))
    low = np.array([line.x.min(), line.y.min()]) - reach
    size = np.array([line.x.max(), line.y.max()]) + reach - low
    width, height = np.ceil(size / metres_per_pixel).astype(int).tolist()
    if width * height > MAX_PIXELS:
        raise InputError(
            f"metres_per_pixel is {metres_per_pixel:g}, which makes a picture of {width} x "
            f"{height} pixels; at most {MAX_PIXELS // 10**6} million are allowed; give a larger "
            "value"
        )

    white = 1.0 - _paint_coverage(line, low, metres_per_pixel, width, height)
    grey = np.round(white * GREYS) * (255 // GREYS)
    picture = Image.fromarray(grey.astype(np.uint8))
    return picture, _make_entry(line, low, metres_per_pixel, height, title)


def save_track(
    line: CentreLine,
    name: str,
    folder: str | Path,
    metres_per_pixel: float,
    title: str = "",
    replace: bool = False,
) -> Path:
    """Write `<name>.png` and its entry in the folder's `checkpoints.json`, both or neither.

    Args:
        line: the circuit.
        name: letters, digits, `_` and `-`.
        folder: made when it does not exist.
        metres_per_pixel: side of a pixel in m.
        title: one line for lists and previews.
        replace: whether a track of this name may be overwritten.

    Returns:
        The path of the picture.

    Raises:
        InputError: the name is not allowed or taken, the scale is out of range, or the folder's
            JSON is damaged.
    """
    return save_tracks([name], [line], folder, metres_per_pixel, title, replace)[0]


def save_tracks(
    names: Sequence[str],
    lines: Iterable[CentreLine],
    folder: str | Path,
    metres_per_pixel: float,
    title: str = "",
    replace: bool = False,
) -> list[Path]:
    """Write a picture and an entry for each circuit, all or none; arguments as in `save_track`.

    All are painted first, one circuit of `lines` at a time. Then pictures and entries take their
    places together, while other processes are kept out of the folder.
    """
    folder = Path(folder)
    _check_request(names, metres_per_pixel)
    _check_free(names, folder, replace)

    pictures: dict[str, bytes] = {}
    drawn: dict[str, object] = {}
    for name, line in zip(names, lines, strict=True):
        picture, drawn[name] = rasterise(line, metres_per_pixel, title)
        pictures[name] = _encode_png(picture)
    return _place_files(pictures, drawn, folder, replace)


def _encode_png(picture: "Image.Image") -> bytes:
    """Return the content of a PNG file; about 10 kB for a kart circuit."""
    file = io.BytesIO()
    picture.save(file, format="PNG", optimize=True)
    return file.getvalue()


def _place_files(
    pictures: dict[str, bytes], drawn: dict[str, object], folder: Path, replace: bool
) -> list[Path]:
    """Write pictures and their entries by name; return the paths of the pictures."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be written ({error.strerror}); give a folder of yours"
        ) from error
    paths = [folder / f"{name}.png" for name in pictures]
    with locked(folder), contextlib.ExitStack() as stack:
        entries = _check_free(list(pictures), folder, replace)
        for path, content in zip(paths, pictures.values(), strict=True):
            stack.enter_context(replacing(path)).write_bytes(content)
        entry_file.write_entries(folder / entry_file.FILE_NAME, {**entries, **drawn})
    return paths


def _check_request(names: Sequence[str], metres_per_pixel: float) -> None:
    """Refuse names and scales that no track may have."""
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", name):
            raise InputError(
                f"name is {name!r}; allowed are up to 64 letters, digits, _ and -; give for "
                "example my_track"
            )
    low, high = entry.SCALES
    if not low <= metres_per_pixel <= high:
        raise InputError(
            f"metres_per_pixel is {metres_per_pixel:g}; allowed are {low:g} to {high:g}; give "
            "0.25 for kart circuits"
        )


def _check_free(names: Sequence[str], folder: Path, replace: bool) -> dict[str, object]:
    """Return the folder's entries, after refusing a taken name and JSON that is damaged."""
    index = folder / entry_file.FILE_NAME
    entries = {}
    if index.exists():
        entry_file.read_entries(index)
        entries = entry_file.read_raw(index)
    if replace:
        return entries
    taken = [name for name in names if name in entries or (folder / f"{name}.png").exists()]
    if taken:
        raise InputError(
            f"{folder / taken[0]}.png: there is a track of this name; give another name, or "
            "replace it (--replace)"
        )
    return entries


def _paint_coverage(
    line: CentreLine, low: np.ndarray, pixel: float, width: int, height: int
) -> np.ndarray:
    """Return how much of each pixel is track, (height, width) from 0 to 1.

    Args:
        line: the circuit.
        low: (2,) m, south-west corner of the picture.
        pixel: m, side of a pixel.
        width: pixels.
        height: pixels.
    """
    fine = resample(np.column_stack([line.x, line.y]), line.half_left, line.half_right, FINE)
    tree = KDTree(np.column_stack([fine.x, fine.y]))
    reach = float(max(fine.half_left.max(), fine.half_right.max())) + 2 * pixel

    covered = np.zeros((height, width))
    for top in range(0, height, BAND):  # in bands, so that large pictures need little memory
        band = covered[top : top + BAND]
        columns, rows = np.meshgrid(np.arange(width), top + np.arange(len(band)))
        points = entry.to_world(np.stack([columns, rows], axis=-1), pixel, height) + low
        distance, index = tree.query(points, distance_upper_bound=reach)

        near = np.isfinite(distance)
        i = np.asarray(index)[near]
        step = points[near] - np.column_stack([fine.x[i], fine.y[i]])
        offset = np.cos(fine.heading[i]) * step[:, 1] - np.sin(fine.heading[i]) * step[:, 0]
        edge = np.abs(offset) - np.where(offset > 0, fine.half_left[i], fine.half_right[i])
        band[near] = np.clip(0.5 - edge / pixel, 0.0, 1.0)
    return covered


def _make_entry(
    line: CentreLine, low: np.ndarray, metres_per_pixel: float, height: int, title: str
) -> dict[str, Any]:
    """Return the fields of `checkpoints.json` for a picture whose south-west corner is `low`."""
    count = max(4, round(line.length / GATE_STEP))
    at = np.round(np.arange(count) / count * line.count).astype(int)
    points = np.column_stack([line.x[at], line.y[at]]) - low
    pixels = np.round(entry.to_pixel(points, metres_per_pixel, height)).astype(int).tolist()
    area = float((line.x * np.roll(line.y, -1) - np.roll(line.x, -1) * line.y).sum())
    fields = {
        "metres_per_pixel": metres_per_pixel,
        "direction": "clockwise" if area < 0 else "counterclockwise",
        "start": pixels[0],
        "gates": pixels[1:],
        "sectors": [pixels[round(count / 3)], pixels[round(2 * count / 3)]],
    }
    return fields | ({"title": title} if title else {})
