"""A map of one circuit seen from above, as an image that a kart is drawn on."""

import numpy as np
from PIL import Image, ImageDraw

from kart_jax.track.types import SampleColumn, Tracks

ASPHALT, EDGE, LINE = (84, 88, 96, 255), (235, 237, 240, 255), (255, 255, 255, 255)
KART, TRAIL = (255, 196, 0), (255, 196, 0, 150)
OVERSAMPLING = 3  # drawn this many times larger, then reduced: smooth edges


def asphalt_edges(tracks: Tracks, track: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the left and right edge of circuit `track`, (M, 2) m each, from the start line on."""
    rows = np.asarray(tracks.samples[track, : int(tracks.count[track])], np.float64)
    centre = rows[:, [SampleColumn.X, SampleColumn.Y]]
    normal = np.column_stack([-rows[:, SampleColumn.TY], rows[:, SampleColumn.TX]])
    left = centre + normal * rows[:, [SampleColumn.HALF_LEFT]]
    right = centre - normal * rows[:, [SampleColumn.HALF_RIGHT]]
    return left, right


class TopView:
    """The map of one circuit, north up."""

    def __init__(self, tracks: Tracks, track: int, size: tuple[int, int], margin: int = 8) -> None:
        """Draw the asphalt and the start line once.

        Args:
            tracks: the stack of circuits.
            track: which of them.
            size: most pixels, width and height.
            margin: pixels left free at each side.
        """
        left, right = asphalt_edges(tracks, track)
        both = np.vstack([left, right])
        self._low, self._high = both.min(axis=0), both.max(axis=0)

        room = np.array(size, float) - 2 * margin
        self.scale = float((room / (self._high - self._low)).min())  # pixels per metre
        self.margin = margin
        width, height = np.ceil((self._high - self._low) * self.scale + 2 * margin).astype(int)

        fine = Image.new("RGBA", (width * OVERSAMPLING, height * OVERSAMPLING), (0, 0, 0, 0))
        self._paint(ImageDraw.Draw(fine), left, right)
        self.image = fine.resize((int(width), int(height)), Image.Resampling.LANCZOS)

    def to_pixels(self, x: np.ndarray | float, y: np.ndarray | float) -> np.ndarray:
        """Return the pixels (..., 2), column and row, of world coordinates (...) m."""
        column = (np.asarray(x) - self._low[0]) * self.scale + self.margin
        row = (self._high[1] - np.asarray(y)) * self.scale + self.margin
        return np.stack(np.broadcast_arrays(column, row), axis=-1)

    def _paint(self, pen: ImageDraw.ImageDraw, left: np.ndarray, right: np.ndarray) -> None:
        """Fill the asphalt between its edges (M, 2) m, then draw them and the start line."""
        left = self.to_pixels(left[:, 0], left[:, 1]) * OVERSAMPLING
        right = self.to_pixels(right[:, 0], right[:, 1]) * OVERSAMPLING

        # Piece by piece, so that inner and outer edge need no telling apart.
        following = np.roll(left, -1, 0), np.roll(right, -1, 0)
        for corners in zip(left, *following, right, strict=True):
            pen.polygon([tuple(p) for p in corners], fill=ASPHALT, outline=ASPHALT)

        for side in (left, right):
            pen.line([tuple(p) for p in (*side, side[0])], fill=EDGE, width=OVERSAMPLING)
        pen.line([tuple(left[0]), tuple(right[0])], fill=LINE, width=2 * OVERSAMPLING)

    def with_kart(self, x: float, y: float, trail: np.ndarray | None = None) -> Image.Image:
        """Return a copy of the map with the kart as a dot, and the last metres of its path.

        Args:
            x: m, world.
            y: m, world.
            trail: (M, 2) m, the path up to the kart, oldest first.
        """
        image = self.image.copy()
        pen = ImageDraw.Draw(image, "RGBA")
        if trail is not None and len(trail) > 1:
            path = self.to_pixels(trail[:, 0], trail[:, 1])
            pen.line([tuple(p) for p in path], fill=TRAIL, width=3)

        column, row = self.to_pixels(x, y)
        dot = [column - 5, row - 5, column + 5, row + 5]
        pen.ellipse(dot, fill=KART, outline=(20, 20, 20), width=1)
        return image
