"""What is laid over the view in a video: map of the circuit, lap timer, speed, pedals, steering,
traces."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kart_jax.media.top_view import TopView
from kart_jax.telemetry.laps import clock
from kart_jax.telemetry.log import Log
from kart_jax.track.types import Tracks

PANEL = (14, 17, 22, 175)
INK, FAINT = (240, 243, 247, 255), (150, 158, 170, 255)
BLUE, GREEN, RED, AMBER = (
    (96, 165, 250, 255),
    (52, 211, 153, 255),
    (248, 113, 113, 255),
    (255, 196, 0, 255),
)
TRACE_SECONDS = 8.0  # shown in the strip of traces
TRAIL_SECONDS = 6.0  # shown on the map


def _fitting(line: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> str:
    """The line, cut short where it is wider than `width` pixels."""
    if font.getlength(line) <= width:
        return line
    while line and font.getlength(line + "…") > width:
        line = line[:-1]
    return line.rstrip() + "…"


class Dashboard:
    """Lays the telemetry of one log over frames of one size."""

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
        self.unit = height / 720.0  # everything is laid out for 720 rows and scaled
        self.size = (width, height)
        names = ("time", "x", "y", "speed", "steering", "throttle", "brake", "lateral_g", "lap", "gear", "rpm",
                 "lap_time", "last_lap", "best_lap", "on_track", "longitudinal_g")  # fmt: skip
        self.data = {name: log[name] for name in names}
        steps = np.diff(self.data["time"])
        self.period = float(np.median(steps)) if len(steps) else 1.0
        self.map = TopView(tracks, track, (self._px(250), self._px(250)))
        self.big, self.medium, self.small = (
            ImageFont.load_default(self._px(s)) for s in (54, 28, 18)
        )
        self.steer_reach = max(10.0, float(np.nanmax(np.abs(self.data["steering"]))))
        self.speed_reach = max(40.0, float(np.nanmax(self.data["speed"])))

    def _px(self, length: float) -> int:
        """Pixels of a length that was chosen for 720 rows."""
        return max(1, round(length * self.unit))

    def draw(self, view: np.ndarray, row: int) -> np.ndarray:
        """One frame: the view (H, W, 3) uint8 with everything over it."""
        image = Image.fromarray(view).convert("RGBA")
        cover = Image.new("RGBA", image.size, (0, 0, 0, 0))
        pen = ImageDraw.Draw(cover)
        self._draw_timer(pen, row)
        self._draw_map(cover, pen, row)
        self._draw_strip(pen, row)
        image.alpha_composite(cover)
        return np.asarray(image.convert("RGB"))

    def _draw_timer(self, pen: ImageDraw.ImageDraw, row: int) -> None:
        """Top left: lap number, running time, last and best lap."""
        px, value = self._px, {name: data[row] for name, data in self.data.items()}
        pen.rounded_rectangle([px(20), px(20), px(330), px(180)], px(10), fill=PANEL)
        started = np.isfinite(value["lap_time"])
        head = f"LAP {int(value['lap']) + 1}" if started else "OUT LAP"
        line = _fitting(f"{head}   {self.title}", self.small, px(318) - px(36))
        pen.text((px(36), px(28)), line, font=self.small, fill=FAINT)
        pen.text(
            (px(36), px(52)),
            clock(value["lap_time"])[: -2 if started else None],
            font=self.big,
            fill=INK,
        )
        for k, (label, name) in enumerate((("LAST", "last_lap"), ("BEST", "best_lap"))):
            x = px(36 + 140 * k)
            pen.text((x, px(118)), label, font=self.small, fill=FAINT)
            pen.text((x, px(138)), clock(value[name]), font=self.medium, fill=INK)
        if not value["on_track"]:
            pen.text((px(318), px(84)), "OFF TRACK", font=self.small, fill=RED, anchor="ra")

    def _draw_map(self, cover: Image.Image, pen: ImageDraw.ImageDraw, row: int) -> None:
        """Top right: the circuit with the kart and its last metres."""
        first = max(0, row - round(TRAIL_SECONDS / self.period))
        x, y = self.data["x"], self.data["y"]
        trail = np.column_stack([x[first : row + 1], y[first : row + 1]])
        picture = self.map.with_kart(float(x[row]), float(y[row]), trail)
        left = self.size[0] - picture.width - self._px(32)
        top = self._px(28)
        gap = self._px(8)
        box = [left - gap, top - gap, left + picture.width + gap, top + picture.height + gap]
        pen.rounded_rectangle(box, self._px(10), fill=PANEL)
        cover.alpha_composite(picture, (left, top))

    def _draw_strip(self, pen: ImageDraw.ImageDraw, row: int) -> None:
        """Along the bottom: speed and gear, pedals, steering, g, and traces of the last seconds."""
        px, width, height = self._px, *self.size
        top = height - px(130)
        pen.rounded_rectangle([px(20), top, width - px(20), height - px(16)], px(10), fill=PANEL)
        speed, gear, rpm = (self.data[name][row] for name in ("speed", "gear", "rpm"))
        pen.text((px(150), top + px(8)), f"{speed:.0f}", font=self.big, fill=INK, anchor="ra")
        pen.text((px(158), top + px(34)), "km/h", font=self.small, fill=FAINT)
        pen.text(
            (px(40), top + px(78)), f"gear {gear:.0f}   {rpm:,.0f} rpm", font=self.small, fill=FAINT
        )
        for k, (name, colour) in enumerate((("throttle", GREEN), ("brake", RED))):
            self._bar(pen, px(240 + 34 * k), top + px(14), self.data[name][row] / 100.0, colour)
        self._draw_steering(pen, px(395), top + px(46), row)
        self._draw_gg(pen, px(550), top + px(57), row)
        right = width - px(40)
        if right - px(630) > px(120):
            self._traces(pen, (px(630), top + px(14), right, height - px(30)), row)

    def _bar(
        self, pen: ImageDraw.ImageDraw, x: int, y: int, share: float, colour: tuple[int, ...]
    ) -> None:
        """A pedal as an upright bar; `share` 0..1."""
        wide, high = self._px(22), self._px(86)
        filled = round(min(max(float(share), 0.0), 1.0) * (high - 1))
        pen.rectangle([x, y, x + wide, y + high], outline=FAINT, width=1)
        if filled:
            pen.rectangle([x + 1, y + high - filled, x + wide - 1, y + high - 1], fill=colour)

    def _draw_steering(self, pen: ImageDraw.ImageDraw, x: int, y: int, row: int) -> None:
        """Steering as a bar from the middle; left is left."""
        half, high = self._px(70), self._px(18)
        angle = self.data["steering"][row]
        end = x - round(angle / self.steer_reach * half)
        pen.rectangle([x - half, y - high // 2, x + half, y + high // 2], outline=FAINT, width=1)
        pen.rectangle([min(x, end), y - high // 2 + 1, max(x, end), y + high // 2 - 1], fill=AMBER)
        pen.line([x, y - high, x, y + high], fill=INK, width=1)
        side = "left" if angle > 0.5 else "right" if angle < -0.5 else ""
        pen.text(
            (x, y + self._px(34)),
            f"{abs(angle):.0f}° {side}",
            font=self.small,
            fill=FAINT,
            anchor="mm",
        )

    def _draw_gg(self, pen: ImageDraw.ImageDraw, x: int, y: int, row: int) -> None:
        """g ball: where the kart accelerates to; circles at 1 and 2 g, right is right, up is
        forward."""
        radius = self._px(46)
        for g in (1, 2):
            r = radius * g / 2
            pen.ellipse([x - r, y - r, x + r, y + r], outline=FAINT, width=1)
        right = -float(np.clip(self.data["lateral_g"][row], -2.2, 2.2)) * radius / 2
        forward = float(np.clip(self.data["longitudinal_g"][row], -2.2, 2.2)) * radius / 2
        r = self._px(6)
        pen.ellipse([x + right - r, y - forward - r, x + right + r, y - forward + r], fill=AMBER)

    def _traces(self, pen: ImageDraw.ImageDraw, box: tuple[int, int, int, int], row: int) -> None:
        """Speed, throttle and brake of the last seconds; now is at the right-hand edge."""
        left, top, right, bottom = box
        count = max(2, round(TRACE_SECONDS / self.period))
        first = max(0, row - count)
        x = right - (row - np.arange(first, row + 1)) * (right - left) / count
        pen.line([left, bottom, right, bottom], fill=FAINT, width=1)
        for name, reach, colour in (
            ("brake", 100.0, RED),
            ("throttle", 100.0, GREEN),
            ("speed", self.speed_reach * 1.05, BLUE),
        ):
            y = bottom - np.nan_to_num(self.data[name][first : row + 1]) / reach * (
                bottom - top - self._px(16)
            )
            if len(x) > 1:
                pen.line(
                    list(zip(x.tolist(), y.tolist(), strict=True)), fill=colour, width=self._px(2)
                )
        for k, (label, colour) in enumerate((("speed", BLUE), ("throttle", GREEN), ("brake", RED))):
            pen.text(
                (left + self._px(80 * k), top - self._px(8)), label, font=self.small, fill=colour
            )
