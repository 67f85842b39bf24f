"""What is laid over the view in a video: map, lap timer, speed, pedals, steering, traces."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kart_jax.media.top_view import TopView
from kart_jax.telemetry.laps import format_time
from kart_jax.telemetry.log import Log
from kart_jax.track.types import Tracks

# Red, green, blue, opacity.
PANEL = (14, 17, 22, 175)
INK = (240, 243, 247, 255)
FAINT = (150, 158, 170, 255)
BLUE = (96, 165, 250, 255)
GREEN = (52, 211, 153, 255)
RED = (248, 113, 113, 255)
AMBER = (255, 196, 0, 255)

ROWS = 720.0  # lengths in this file are pixels of a frame with so many rows; `_px` scales them
TRACE_SECONDS = 8.0  # shown in the strip of traces
TRAIL_SECONDS = 6.0  # shown on the map
MAX_G = 2.2  # where the g ball stops

NEEDED = (
    "time",
    "x",
    "y",
    "speed",
    "steering",
    "throttle",
    "brake",
    "lateral_g",
    "longitudinal_g",
    "gear",
    "rpm",
    "on_track",
    "lap",
    "lap_time",
    "last_lap",
    "best_lap",
)


def _cut_to_width(
    line: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float
) -> str:
    """Return the line, cut short where it is wider than `width` pixels."""
    if font.getlength(line) <= width:
        return line
    while line and font.getlength(line + "…") > width:
        line = line[:-1]
    return line.rstrip() + "…"


class Dashboard:
    """Draw the telemetry of one log over frames of one size."""

    def __init__(
        self, log: Log, tracks: Tracks, track: int, height: int, width: int, title: str = ""
    ) -> None:
        """Prepare the map, the fonts and the channels.

        Args:
            log: telemetry of one kart, one row per frame.
            tracks: the stack of circuits.
            track: which of them.
            height: of the frames, pixels.
            width: of the frames, pixels.
            title: shown above the lap timer.
        """
        self.title = title
        self.size = (width, height)
        self.scale = height / ROWS

        self.data = {name: log[name] for name in NEEDED}
        self.period = log.period
        self.max_steering = max(10.0, float(np.nanmax(np.abs(self.data["steering"]))))
        self.max_speed = max(40.0, float(np.nanmax(self.data["speed"])))

        self.map = TopView(tracks, track, (self._px(250), self._px(250)))
        self.big = ImageFont.load_default(self._px(54))
        self.medium = ImageFont.load_default(self._px(28))
        self.small = ImageFont.load_default(self._px(18))

    def _px(self, length: float) -> int:
        """Return the pixels of a length that was chosen for `ROWS` rows."""
        return max(1, round(length * self.scale))

    def draw_frame(self, view: np.ndarray, row: int) -> np.ndarray:
        """Return the view (H, W, 3) uint8 with everything of row `row` over it."""
        image = Image.fromarray(view).convert("RGBA")
        cover = Image.new("RGBA", image.size, (0, 0, 0, 0))
        pen = ImageDraw.Draw(cover)
        self._draw_timer(pen, row)
        self._draw_map(cover, pen, row)
        self._draw_strip(pen, row)
        image.alpha_composite(cover)
        return np.asarray(image.convert("RGB"))

    def _draw_timer(self, pen: ImageDraw.ImageDraw, row: int) -> None:
        """Draw, top left, lap number, running time, last and best lap."""
        px = self._px
        value = {name: data[row] for name, data in self.data.items()}
        pen.rounded_rectangle([px(20), px(20), px(330), px(180)], px(10), fill=PANEL)

        started = np.isfinite(value["lap_time"])
        head = f"LAP {int(value['lap']) + 1}" if started else "OUT LAP"
        line = _cut_to_width(f"{head}   {self.title}", self.small, px(318) - px(36))
        pen.text((px(36), px(28)), line, font=self.small, fill=FAINT)

        # Tenths while it runs: nobody reads hundredths that change with every frame.
        running = format_time(value["lap_time"])[: -2 if started else None]
        pen.text((px(36), px(52)), running, font=self.big, fill=INK)

        for k, (label, name) in enumerate((("LAST", "last_lap"), ("BEST", "best_lap"))):
            x = px(36 + 140 * k)
            pen.text((x, px(118)), label, font=self.small, fill=FAINT)
            pen.text((x, px(138)), format_time(value[name]), font=self.medium, fill=INK)

        if not value["on_track"]:
            pen.text((px(318), px(84)), "OFF TRACK", font=self.small, fill=RED, anchor="ra")

    def _draw_map(self, cover: Image.Image, pen: ImageDraw.ImageDraw, row: int) -> None:
        """Draw, top right, the circuit with the kart and its last metres."""
        first = max(0, row - round(TRAIL_SECONDS / self.period))
        x = self.data["x"]
        y = self.data["y"]
        trail = np.column_stack([x[first : row + 1], y[first : row + 1]])
        picture = self.map.with_kart(float(x[row]), float(y[row]), trail)

        left = self.size[0] - picture.width - self._px(32)
        top = self._px(28)
        gap = self._px(8)
        box = [left - gap, top - gap, left + picture.width + gap, top + picture.height + gap]
        pen.rounded_rectangle(box, self._px(10), fill=PANEL)
        cover.alpha_composite(picture, (left, top))

    def _draw_strip(self, pen: ImageDraw.ImageDraw, row: int) -> None:
        """Draw, along the bottom, speed and gear, pedals, steering, g, and the last seconds."""
        px = self._px
        width, height = self.size
        top = height - px(130)
        pen.rounded_rectangle([px(20), top, width - px(20), height - px(16)], px(10), fill=PANEL)

        self._draw_speed(pen, top, row)
        for k, (name, colour) in enumerate((("throttle", GREEN), ("brake", RED))):
            self._draw_bar(pen, px(240 + 34 * k), top + px(14), self.data[name][row] / 100, colour)
        self._draw_steering(pen, px(395), top + px(46), row)
        self._draw_g_ball(pen, px(550), top + px(57), row)

        right = width - px(40)
        if right - px(630) > px(120):
            self._draw_traces(pen, (px(630), top + px(14), right, height - px(30)), row)

    def _draw_speed(self, pen: ImageDraw.ImageDraw, top: int, row: int) -> None:
        """Write speed, gear and engine speed into the strip that begins at `top`."""
        px = self._px
        speed, gear, rpm = (self.data[name][row] for name in ("speed", "gear", "rpm"))
        engine = f"gear {gear:.0f}   {rpm:,.0f} rpm"
        pen.text((px(150), top + px(8)), f"{speed:.0f}", font=self.big, fill=INK, anchor="ra")
        pen.text((px(158), top + px(34)), "km/h", font=self.small, fill=FAINT)
        pen.text((px(40), top + px(78)), engine, font=self.small, fill=FAINT)

    def _draw_bar(
        self, pen: ImageDraw.ImageDraw, x: int, y: int, fraction: float, colour: tuple[int, ...]
    ) -> None:
        """Draw a pedal as an upright bar, filled to `fraction` 0..1."""
        width = self._px(22)
        height = self._px(86)
        filled = round(min(max(float(fraction), 0.0), 1.0) * (height - 1))
        bottom = y + height
        pen.rectangle([x, y, x + width, bottom], outline=FAINT, width=1)
        if filled:
            pen.rectangle([x + 1, bottom - filled, x + width - 1, bottom - 1], fill=colour)

    def _draw_steering(self, pen: ImageDraw.ImageDraw, x: int, y: int, row: int) -> None:
        """Draw the steering as a bar from the middle (x, y); left is left."""
        half = self._px(70)
        height = self._px(18)
        angle = self.data["steering"][row]
        end = x - round(angle / self.max_steering * half)
        top = y - height // 2
        bottom = y + height // 2

        pen.rectangle([x - half, top, x + half, bottom], outline=FAINT, width=1)
        pen.rectangle([min(x, end), top + 1, max(x, end), bottom - 1], fill=AMBER)
        pen.line([x, y - height, x, y + height], fill=INK, width=1)

        side = "left" if angle > 0.5 else "right" if angle < -0.5 else ""
        words = f"{abs(angle):.0f}° {side}"
        pen.text((x, y + self._px(34)), words, font=self.small, fill=FAINT, anchor="mm")

    def _draw_g_ball(self, pen: ImageDraw.ImageDraw, x: int, y: int, row: int) -> None:
        """Draw the acceleration as a ball in circles of 1 and 2 g; right is right, up forward."""
        reach = self._px(46)
        for g in (1, 2):
            r = reach * g / 2
            pen.ellipse([x - r, y - r, x + r, y + r], outline=FAINT, width=1)

        right = -float(np.clip(self.data["lateral_g"][row], -MAX_G, MAX_G)) * reach / 2
        forward = float(np.clip(self.data["longitudinal_g"][row], -MAX_G, MAX_G)) * reach / 2
        r = self._px(6)
        pen.ellipse([x + right - r, y - forward - r, x + right + r, y - forward + r], fill=AMBER)

    def _draw_traces(
        self, pen: ImageDraw.ImageDraw, box: tuple[int, int, int, int], row: int
    ) -> None:
        """Draw speed, throttle and brake of the last seconds; now is at the right-hand edge."""
        left, top, right, bottom = box
        count = max(2, round(TRACE_SECONDS / self.period))
        first = max(0, row - count)
        x = right - (row - np.arange(first, row + 1)) * (right - left) / count
        room = bottom - top - self._px(16)
        pen.line([left, bottom, right, bottom], fill=FAINT, width=1)

        traces = (
            ("brake", 100.0, RED),
            ("throttle", 100.0, GREEN),
            ("speed", self.max_speed * 1.05, BLUE),
        )
        for name, reach, colour in traces:
            y = bottom - np.nan_to_num(self.data[name][first : row + 1]) / reach * room
            if len(x) > 1:
                points = list(zip(x.tolist(), y.tolist(), strict=True))
                pen.line(points, fill=colour, width=self._px(2))

        for k, (label, colour) in enumerate((("speed", BLUE), ("throttle", GREEN), ("brake", RED))):
            corner = (left + self._px(80 * k), top - self._px(8))
            pen.text(corner, label, font=self.small, fill=colour)
