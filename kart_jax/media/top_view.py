"""A map of one circuit seen from above, as an image that a kart is drawn on."""

import numpy as np
from PIL import Image, ImageDraw

from kart_jax.track.types import Column, Tracks

ASPHALT, EDGE, LINE = (84, 88, 96, 255), (235, 237, 240, 255), (255, 255, 255, 255)
KART, TRAIL = (255, 196, 0), (255, 196, 0, 150)
FINE = 3  # drawn this many times larger, then reduced: smooth edges


def edges(tracks: Tracks, track: int) -> tuple[np.ndarray, np.ndarray]:
    """Left and right edge of the asphalt of circuit `track`, (M, 2) m each, in driving order from
    the start line."""
    rows = np.asarray(tracks.samples[track, : int(tracks.count[track])], np.float64)
    centre = rows[:, [Column.X, Column.Y]]
    normal = np.column_stack([-rows[:, Column.TY], rows[:, Column.TX]])
    return centre + normal * rows[:, [Column.HALF_LEFT]], centre - normal * rows[
        :, [Column.HALF_RIGHT]
    ]


class TopView:
    """The map of circuit `track`, at most `size` pixels wide and high; north is up.

    Raises nothing: any circuit that is in `tracks` can be drawn.
    """

    def __init__(self, tracks: Tracks, track: int, size: tuple[int, int], margin: int = 8) -> None:
        """Draw the asphalt and the start line once."""
        left, right = edges(tracks, track)
        both = np.vstack([left, right])
        self._low, self._high = both.min(axis=0), both.max(axis=0)
        room = np.array(size, float) - 2 * margin
        self.scale = float((room / (self._high - self._low)).min())  # pixels per metre
        self.margin = margin
        width, height = np.ceil((self._high - self._low) * self.scale + 2 * margin).astype(int)
        fine = Image.new("RGBA", (width * FINE, height * FINE), (0, 0, 0, 0))
        self._paint(ImageDraw.Draw(fine), left, right)
        self.image = fine.resize((int(width), int(height)), Image.Resampling.LANCZOS)

    def pixel(self, x: np.ndarray | float, y: np.ndarray | float) -> np.ndarray:
        """World m -> pixels (..., 2), column and row."""
        column = (np.asarray(x) - self._low[0]) * self.scale + self.margin
        row = (self._high[1] - np.asarray(y)) * self.scale + self.margin
        return np.stack(np.broadcast_arrays(column, row), axis=-1)

    def _paint(self, draw: ImageDraw.ImageDraw, left: np.ndarray, right: np.ndarray) -> None:
        """Fill the asphalt piece by piece, so that inner and outer edge need no telling apart, then
        its edges."""
        inner, outer = (self.pixel(side[:, 0], side[:, 1]) * FINE for side in (left, right))
        for a, b, c, d in zip(
            inner, np.roll(inner, -1, 0), np.roll(outer, -1, 0), outer, strict=True
        ):
            draw.polygon([tuple(p) for p in (a, b, c, d)], fill=ASPHALT, outline=ASPHALT)
        for side in (inner, outer):
            draw.line([tuple(p) for p in (*side, side[0])], fill=EDGE, width=FINE)
        draw.line([tuple(inner[0]), tuple(outer[0])], fill=LINE, width=2 * FINE)

    def with_kart(self, x: float, y: float, trail: np.ndarray | None = None) -> Image.Image:
        """A copy of the map with the kart as a dot, and the last metres of its path.

        Args:
            x: m, world.
            y: m, world.
            trail: (M, 2) m, the path up to the kart, oldest first.
        """
        image = self.image.copy()
        draw = ImageDraw.Draw(image, "RGBA")
        if trail is not None and len(trail) > 1:
            draw.line([tuple(p) for p in self.pixel(trail[:, 0], trail[:, 1])], fill=TRAIL, width=3)
        column, row = self.pixel(x, y)
        draw.ellipse(
            [column - 5, row - 5, column + 5, row + 5], fill=KART, outline=(20, 20, 20), width=1
        )
        return image
