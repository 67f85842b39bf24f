"""A picture of a ring with its entry, to be spoilt, and the sentence that loading it brings."""

import json
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from kart_jax.errors import InputError
from kart_jax.track import derive, entry_file

GOOD = {"metres_per_pixel": 0.5, "direction": "clockwise", "start": [150, 30]}


def canvas() -> tuple[Image.Image, ImageDraw.ImageDraw]:
    picture = Image.new("L", (300, 220), 255)
    return picture, ImageDraw.Draw(picture)


def ring(draw: ImageDraw.ImageDraw, box=(20, 20, 280, 200), width: int = 20) -> None:
    draw.rounded_rectangle(box, radius=50, outline=0, width=width)


def good_picture() -> Image.Image:
    picture, draw = canvas()
    ring(draw)
    return picture


def write_ring(folder: Path) -> None:
    """Write mine.png, the ring, with its entry."""
    (folder / entry_file.FILE_NAME).write_text(json.dumps({"mine": GOOD}))
    good_picture().save(folder / "mine.png")


def sentence(source) -> str:
    """Return the message of loading `source`: one line, one sentence."""
    with pytest.raises(InputError) as caught:
        derive.load_tracks(source)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 500
    return message
