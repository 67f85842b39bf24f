"""Every bad picture and bad entry gets one sentence with file, field, value and remedy."""

import json
import os
import struct
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from kart_jax import files
from kart_jax.errors import InputError
from kart_jax.track import derive, draw, entry_file, generate, layouts

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


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("KART_JAX_CACHE", str(tmp_path / "cache"))
    (tmp_path / entry_file.FILE_NAME).write_text(json.dumps({"mine": GOOD}))
    good_picture().save(tmp_path / "mine.png")
    return tmp_path


def sentence(source) -> str:
    """The message of loading `source`: one line, one sentence."""
    with pytest.raises(InputError) as caught:
        derive.load(source)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 500
    return message


def test_the_good_one_loads(folder):
    # Centre line of the ring: a rectangle of 240 x 160 pixels with corners of radius 40 pixels, at
    # 0.5 m per pixel.
    length = 0.5 * (2 * (240 - 80) + 2 * (160 - 80) + 2 * np.pi * 40)
    assert float(derive.load(folder / "mine.png").length[0]) == pytest.approx(length, rel=0.005)


def white(draw):
    del draw


def line_only(draw):
    draw.line((30, 100, 270, 100), fill=0, width=20)


def blob(draw):
    draw.ellipse((60, 40, 240, 180), fill=0)


def gap(draw):
    ring(draw)
    draw.rectangle((140, 10, 155, 60), fill=255)


def two_loops(draw):
    ring(draw, (10, 20, 140, 200))
    ring(draw, (160, 20, 290, 200))


def loop_inside_loop(draw):
    ring(draw)
    ring(draw, (70, 60, 230, 160), 14)


def stray_shape(draw):
    ring(draw)
    draw.rectangle((140, 100, 160, 120), fill=0)


def crossing(draw):
    draw.line(
        [(40, 40), (260, 180), (260, 40), (40, 180), (40, 40)], fill=0, width=16, joint="curve"
    )
    draw.ellipse((32, 32, 48, 48), fill=0)


def shortcut(draw):
    ring(draw)
    draw.rectangle((140, 20, 155, 200), fill=0)


def narrow(draw):
    ring(draw)
    draw.rectangle((130, 10, 170, 36), fill=255)


def off_the_edge(draw):
    ring(draw, (-10, 20, 280, 200))


def inverted(draw):
    draw.rectangle((0, 0, 300, 220), fill=0)
    draw.rounded_rectangle((20, 20, 280, 200), radius=50, outline=255, width=20)


PICTURES = {
    white: ("holds no track", "draw it in black"),
    line_only: ("not a closed loop", "draw it as one ring"),
    blob: ("not a closed loop", "draw it as one ring"),
    gap: ("not a closed loop", "gap of about 8 m", "close it"),
    two_loops: ("holds 2 loops", "keep one"),
    loop_inside_loop: ("loops", "keep one"),
    stray_shape: ("another black shape", "erase the rest"),
    crossing: ("crosses", "never meets itself"),
    shortcut: ("splits itself", "encloses 2 white areas"),
    narrow: ("wide at pixel", "draw it wider"),
    off_the_edge: ("runs out of the picture", "white margin"),
    inverted: ("border is black", "invert the picture"),
}


@pytest.mark.parametrize("drawing", PICTURES, ids=lambda drawing: drawing.__name__)
def test_bad_drawings(folder, drawing):
    picture, draw = canvas()
    drawing(draw)
    picture.save(folder / "mine.png")
    message = sentence(folder / "mine.png")
    assert str(folder / "mine.png") in message
    for part in PICTURES[drawing]:
        assert part in message
    assert not list(folder.glob("cache/*"))  # nothing half-written


def test_the_gap_is_found_where_it_is(folder):
    picture, draw = canvas()
    gap(draw)
    picture.save(folder / "mine.png")
    place = sentence(folder / "mine.png").split("[")[1].split("]")[0]
    column, row = map(int, place.split(","))
    assert 138 <= column <= 157
    assert 18 <= row <= 42


def png_of_size(width: int, height: int) -> bytes:
    """A PNG whose header claims a size; its pixels never come."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + header
        + struct.pack(">I", zlib.crc32(header))
    )


def jpeg(path: Path) -> None:
    good_picture().save(path, format="JPEG")


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:300])


def only_a_signature(path: Path) -> None:
    path.write_bytes(b"\x89PNG\r\n\x1a\n")


def damaged(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[60:90] = bytes(30)
    path.write_bytes(bytes(content))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def huge(path: Path) -> None:
    path.write_bytes(png_of_size(60_000, 50_000))


def bomb(path: Path) -> None:
    path.write_bytes(png_of_size(2**30, 2**30))


def tiny(path: Path) -> None:
    Image.new("L", (9, 9), 255).save(path)


def large_file(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(derive.LARGEST_FILE + 1)


FILES = {
    jpeg: "not a PNG",
    truncated: "damaged or cut short",
    only_a_signature: "damaged or cut short",
    damaged: "damaged or cut short",
    empty: "not a PNG",
    huge: "60000 x 50000 pixels",
    bomb: "1073741824 x 1073741824 pixels",
    tiny: "9 x 9 pixels",
    large_file: "bytes; at most",
}


@pytest.mark.parametrize("spoil", FILES, ids=lambda spoil: spoil.__name__)
def test_bad_files(folder, spoil):
    spoil(folder / "mine.png")
    message = sentence(folder / "mine.png")
    assert "mine.png" in message
    assert FILES[spoil] in message


ENTRIES = [
    ({"metres_per_pixel": None}, "metres_per_pixel is null"),
    ({"metres_per_pixel": -0.25}, "metres_per_pixel is -0.25"),
    ({"metres_per_pixel": 0}, "metres_per_pixel is 0"),
    ({"metres_per_pixel": "0.25"}, 'metres_per_pixel is "0.25"'),
    ({"metres_per_pixel": True}, "metres_per_pixel is true"),
    ({"metres_per_pixel": 1e300}, "metres_per_pixel is 1e+300"),
    ({"metres_per_pixel": 10**400}, "metres_per_pixel is 1000"),
    ({"metres_per_pixel": 0.02}, "the lap is"),
    ({"metres_per_pixel": 8.0}, "wide at pixel"),
    ({"direction": "cw"}, 'direction is "cw"'),
    ({"direction": 1}, "direction is 1"),
    ({"direction": ["clockwise"]}, "direction is ["),
    ({"start": [150, 110]}, "start is [150, 110]"),
    ({"start": [-5, 30]}, "start is [-5, 30]"),
    ({"start": [150]}, "start is [150]"),
    ({"start": "left"}, 'start is "left"'),
    ({"start": {"x": 1}}, "start is {"),
    ({"gates": [[270, 110], [150, 110]]}, "gates[1] is [150, 110]"),
    ({"gates": [[150, 190], [270, 110]]}, "gates[1] lies"),
    ({"gates": [[270, 110], [270, 110]]}, "gates[1] lies"),
    ({"gates": [[270, 110], [150, 30]]}, "gates[1] lies"),
    ({"gates": [[270, 110], 7]}, "gates[1] is 7"),
    ({"gates": []}, "gates has 0 pixels"),
    ({"gates": 0}, "gates is 0"),
    ({"gates": 2.5}, "gates is 2.5"),
    ({"gates": True}, "gates is true"),
    ({"gates": "many"}, 'gates is "many"'),
    ({"sectors": [[270, 110]]}, "sectors has 1"),
    ({"sectors": [[30, 110], [270, 110]]}, "sectors[1] lies"),
    ({"sectors": [[270, 110], [5, 5]]}, "sectors[1] is [5, 5]"),
    ({"sectors": 3}, "sectors is 3"),
    ({"title": 5}, "title is a number"),
    ({"title": "two\nlines"}, 'title is "two\\nlines"; it must be one line of at most 80 letters'),
    ({"title": "x" * 81}, "xxx; it must be one line of at most 80 letters"),
    ({"start": [10**2000, 5]}, "holds the number 10000000000000000000... of 2001 digits"),
    ({"metre_per_pixel": 0.25}, "did you mean metres_per_pixel"),
    ({"colour": 0.25}, "remove it"),
]


@pytest.mark.parametrize(("change", "part"), ENTRIES, ids=[part for _, part in ENTRIES])
def test_bad_entries(folder, change, part):
    (folder / entry_file.FILE_NAME).write_text(json.dumps({"mine": GOOD | change}))
    message = sentence(folder / "mine.png")
    assert part in message
    assert entry_file.FILE_NAME in message or "metres_per_pixel" in message


@pytest.mark.parametrize("field", ["metres_per_pixel", "direction", "start"])
def test_missing_fields(folder, field):
    entry = {key: value for key, value in GOOD.items() if key != field}
    (folder / entry_file.FILE_NAME).write_text(json.dumps({"mine": entry}))
    message = sentence(folder / "mine.png")
    assert f'entry "mine": {field} is missing; give' in message


TEXTS = {
    "syntax": ('{"mine": {', "line 1, column"),
    "empty": ("", "line 1, column 1"),
    "list": ("[1, 2]", "holds a list"),
    "number": ("7", "holds a number"),
    "entry is a list": ('{"mine": []}', 'entry "mine" is a list'),
    "entry is null": ('{"mine": null}', 'entry "mine" is a null'),
    "NaN": ('{"mine": {"metres_per_pixel": NaN}}', "NaN"),
    "Infinity": ('{"mine": {"metres_per_pixel": -Infinity}}', "-Infinity"),
    "overflow": (
        '{"mine": {"metres_per_pixel": 1e999, "direction": "clockwise", "start": [1, 2]}}',
        "is Infinity",
    ),
    "duplicate entry": ('{"mine": {}, "mine": {}}', '"mine" appears twice'),
    "strange name": ('{"mine": 1, "a\\nb": {}}', 'entry "mine" is a number'),
    "duplicate field": ('{"mine": {"start": 1, "start": 2}}', '"start" appears twice'),
    "deep": ("[" * 200_000, "nested too deeply"),
    "other track": ('{"yours": {}}', 'entry "mine" is missing (there are: "yours")'),
}


@pytest.mark.parametrize("name", TEXTS)
def test_bad_json(folder, name):
    text, part = TEXTS[name]
    (folder / entry_file.FILE_NAME).write_text(text)
    message = sentence(folder / "mine.png")
    assert str(folder / entry_file.FILE_NAME) in message
    assert part in message


def test_json_that_is_not_text_too_large_or_absent(folder):
    path = folder / entry_file.FILE_NAME
    path.write_bytes(b'{"mine": "\xff\xfe"}')
    assert "not UTF-8" in sentence(folder / "mine.png")
    path.write_text(" " * (entry_file.LARGEST_FILE + 1))
    assert "bytes; at most" in sentence(folder / "mine.png")
    path.unlink()
    assert "cannot be read" in sentence(folder / "mine.png")
    path.mkdir()
    assert "is no file" in sentence(folder / "mine.png")
    path.rmdir()
    os.mkfifo(path)  # which would never end
    assert "is no file" in sentence(folder / "mine.png")


def test_as_many_generated_tracks_as_allowed_can_be_read_back(tmp_path, monkeypatch):
    """The longest entry that the generator can make, times the most that one command draws."""
    from kart_jax.cli.track import MOST_DRAWN

    pixels = [[99_999, 99_999]] * round(generate.LIMITS.length[1] / draw.GATE_STEP)
    entry = {"metres_per_pixel": 0.02, "direction": "counterclockwise", "start": pixels[0]}
    entry |= {"gates": pixels[1:], "sectors": pixels[:2]}
    entries = {f"{i:064d}": entry for i in range(MOST_DRAWN)}
    entry_file.write(tmp_path / entry_file.FILE_NAME, entries)
    assert len(entry_file.read_raw(tmp_path / entry_file.FILE_NAME)) == MOST_DRAWN
    monkeypatch.setattr(entry_file, "LARGEST_FILE", 1000)
    with pytest.raises(InputError, match="bytes; at most 1000 are read, so choose another folder"):
        entry_file.write(tmp_path / "other.json", entries)
    assert not (tmp_path / "other.json").exists()


def test_who_draws_while_another_changes_the_entries_waits_and_keeps_them(tmp_path):
    pytest.importorskip("fcntl", reason="this system has no file locks")
    index = tmp_path / entry_file.FILE_NAME
    line = layouts.line(layouts.STARTER)
    drawing = threading.Thread(target=draw.save, args=(line, "mine", tmp_path, 2.0))
    with files.locked(tmp_path):
        drawing.start()
        drawing.join(1.0)  # painting takes a tenth of it
        assert drawing.is_alive() and not index.exists()
        entry_file.write(index, {"other": GOOD})
    drawing.join(60.0)
    assert set(entry_file.read(index)) == {"mine", "other"}


def test_unknown_names(folder):
    assert "did you mean circuit?" in sentence("circiut.png")
    assert "known are" in sentence("zzz")
    assert "does not exist" in sentence(folder / "nothing.png")
    assert "is not a track" in sentence(folder)
    (folder / "track.txt").write_text("hello")
    assert "is not a track" in sentence(folder / "track.txt")
    assert "at least one" in sentence([])
