"""From a PNG to how much of each pixel is track, checked to be one closed loop.

Host side. Black is track and white is not; greys are partly covered pixels and carry the edge's
place between two pixels. `trace.trace_line` turns the result into a centre line.
"""

import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from kart_jax.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_PIXELS = 40_000_000  # Spa is 2.3 x 1.4 km: 13 million at 0.5 m per pixel
MIN_SIDE = 16  # pixels
SPECK = 4.0  # m², spots and holes up to this size are dirt and are cleaned away
MAX_GAP = 30.0  # m, gaps up to this width are found and named
# Neighbours of black; white has only four, so that a diagonal line closes.
EIGHT_NEIGHBOURS = np.ones((3, 3), bool)


def read_coverage(path: Path) -> np.ndarray:
    """Read how much of each pixel is track, (H, W) float32 from 0 to 1, row 0 at the top.

    Greyscale, colour, palette, 1-bit, 16-bit and transparent pictures are read; transparent is
    white.

    Raises:
        InputError: the file is not a PNG, is damaged, too large or too small.
    """
    from PIL import Image

    try:
        with path.open("rb") as file:
            _check_header(file.read(24), path)
        with Image.open(path, formats=["PNG"]) as picture:
            return 1.0 - _brightness(picture)
    except InputError:
        raise
    except (OSError, SyntaxError, ValueError, zlib.error) as error:
        raise InputError(
            f"{path}: the PNG is damaged or cut short ({error}); save it again"
        ) from None


def _check_header(header: bytes, path: Path) -> None:
    """Refuse what is not a PNG or has an impossible size, before any pixel is unpacked."""
    if not header.startswith(SIGNATURE):
        raise InputError(f"{path}: is not a PNG file; save the picture as PNG")
    if len(header) < 24:
        raise InputError(
            f"{path}: the PNG is damaged or cut short (it has {len(header)} bytes); save it again"
        )

    width, height = struct.unpack(">II", header[16:24])
    if width * height > MAX_PIXELS:
        raise InputError(
            f"{path}: the picture is {width} x {height} pixels; at most {MAX_PIXELS // 10**6} "
            "million are allowed, so scale it down and raise metres_per_pixel"
        )
    if min(width, height) < MIN_SIDE:
        raise InputError(
            f"{path}: the picture is {width} x {height} pixels; draw at least {MIN_SIDE} a side"
        )


def _brightness(picture: "Image.Image") -> np.ndarray:
    """Return the brightness (H, W) float32 from 0 to 1 of a picture laid on white."""
    if picture.mode.startswith("I"):  # 16-bit greys
        return np.asarray(picture, np.float32) / 65535.0
    if "A" in picture.getbands() or "transparency" in picture.info:
        layers = np.asarray(picture.convert("RGBA").convert("LA"), np.float32) / 255.0
        return layers[..., 0] * layers[..., 1] + 1.0 - layers[..., 1]
    return np.asarray(picture.convert("L"), np.float32) / 255.0


def clean_coverage(
    coverage: np.ndarray, metres_per_pixel: float, name: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Check that the black is one closed loop, and remove dirt.

    Args:
        coverage: (H, W) from 0 to 1, row 0 at the top.
        metres_per_pixel: side of a pixel, m.
        name: the file, for messages.

    Returns:
        The coverage without dirt, 0 and 1 being the picture's own white and black; the track and
        the infield as masks (H, W).

    Raises:
        InputError: nothing black, black at the border, no loop, a gap, two loops, or a crossing.
    """
    black = coverage > 0.5
    if not black.any():
        raise InputError(
            f"{name}: holds no track, for nothing is darker than half grey; draw it in black on "
            "white"
        )
    _check_border(black, name)

    dirt = max(4.0, SPECK / metres_per_pixel**2)
    labels, shapes = _large_regions(black, dirt, EIGHT_NEIGHBOURS)
    regions, whites = _large_regions(~_members(labels, shapes), dirt, None)
    holes = [region for region in whites if region != regions[0, 0]]
    if not holes:
        gap = _describe_gap(~_members(regions, whites), metres_per_pixel)
        raise InputError(f"{name}: the track is not a closed loop{gap}")
    if len(shapes) > 1:
        kind = f"{len(holes)} loops" if len(holes) > 1 else "a loop and another black shape"
        raise InputError(
            f"{name}: holds {kind}, one at pixel {_deepest_pixel(labels == shapes[0])} and one at "
            f"{_deepest_pixel(labels == shapes[1])}; keep one loop and erase the rest"
        )
    if len(holes) > 1:
        raise InputError(
            f"{name}: the track crosses, touches or splits itself, for it encloses {len(holes)} "
            f"white areas, the smallest at pixel {_deepest_pixel(regions == holes[-1])}; draw one "
            "loop that never meets itself"
        )

    track = ~_members(regions, whites)
    whole = _stretch(coverage, track)
    whole[_widened(track & ~black, 1) & track] = 1.0
    whole[~_widened(track, 2)] = 0.0  # dirt; the grey rim of the track stays
    return whole, track, regions == holes[0]


def _check_border(black: np.ndarray, name: str) -> None:
    """Refuse a track that leaves the picture."""
    rim = np.ones_like(black)
    rim[1:-1, 1:-1] = False
    if (black & rim).sum() > rim.sum() / 2:
        raise InputError(
            f"{name}: the border is black; invert the picture, for black is track and white is off"
        )
    if (black & rim).any():
        row, column = np.argwhere(black & rim)[0]
        raise InputError(
            f"{name}: the track runs out of the picture at pixel [{column}, {row}]; leave a white "
            "margin around it"
        )


def _large_regions(
    mask: np.ndarray, min_pixels: float, neighbours: np.ndarray | None
) -> tuple[np.ndarray, list[int]]:
    """Label the connected regions of a mask.

    Returns:
        The labels (H, W), and those of more than `min_pixels` pixels, largest first.
    """
    labels, count = ndimage.label(mask, neighbours)  # type: ignore[misc]  # stub forgets the pair
    area = np.bincount(labels.ravel(), minlength=count + 1)
    by_area = np.argsort(-area[1:], kind="stable") + 1
    return labels, [int(i) for i in by_area if area[i] > min_pixels]


def _members(labels: np.ndarray, chosen: list[int]) -> np.ndarray:
    """Return the mask (H, W) of the pixels whose label is one of the chosen."""
    table = np.zeros(int(labels.max()) + 1, bool)
    table[chosen] = True
    return table[labels]


def _stretch(coverage: np.ndarray, track: np.ndarray) -> np.ndarray:
    """Scale so that the usual track is 1 and the usual ground 0.

    Dark grey on pale grey then reads like black on white.
    """
    low, high = np.median(coverage[~track]), np.median(coverage[track])
    return np.clip((coverage - low) / (high - low), 0.0, 1.0).astype(np.float32)


def _widened(mask: np.ndarray, pixels: int) -> np.ndarray:
    """Return a mask (H, W) grown by some pixels."""
    return np.asarray(ndimage.binary_dilation(mask, EIGHT_NEIGHBOURS, iterations=pixels))


def _distance_to(mask: np.ndarray) -> np.ndarray:
    """Return the distance (H, W) px to the nearest pixel of a mask."""
    return np.asarray(ndimage.distance_transform_edt(~mask))


def _deepest_pixel(mask: np.ndarray) -> str:
    """Return the pixel [column, row] of a mask that lies deepest inside it."""
    padded = np.pad(mask, 1)
    row, column = np.unravel_index(np.argmax(_distance_to(~padded)), padded.shape)
    return f"[{column - 1}, {row - 1}]"


def _describe_gap(black: np.ndarray, metres_per_pixel: float) -> str:
    """Say where a loop is open: the narrowest widening of the black that closes one tells."""
    low, high = 0.0, MAX_GAP / 2 / metres_per_pixel
    around = int(high) + 2  # white pixels around, so that widened black never reaches the border
    black = np.pad(black, around)
    to_black = _distance_to(black)

    found = None
    while high - low > 0.5:
        middle = (low + high) / 2 if found is not None else high
        regions, large = _large_regions(to_black > middle, float(black.sum()) / 4, None)
        closed = [region for region in large if region != regions[0, 0]]
        if closed:
            found = regions, closed[0]
            high = middle
        elif found is None:
            break
        else:
            low = middle
    if found is None:
        return "; draw it as one ring with a white infield"

    regions, inside = found
    between = np.maximum(_distance_to(regions == inside), _distance_to(regions == regions[0, 0]))
    between[black] = np.inf
    row, column = np.unravel_index(np.argmin(between), between.shape)
    place = f"[{column - around}, {row - around}]"
    return f", with a gap of about {2 * high * metres_per_pixel:.0f} m at pixel {place}; close it"
