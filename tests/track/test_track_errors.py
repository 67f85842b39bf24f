"""Every bad picture, bad file and unknown name gets one sentence: what is wrong, and a remedy."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ring_track import canvas, good_picture, ring, sentence, write_ring

from kart_jax.track import derive


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("KART_JAX_CACHE", str(tmp_path / "cache"))
    write_ring(tmp_path)
    return tmp_path


def test_the_good_one_loads(folder):
    # Centre line of the ring: a rectangle of 240 x 160 pixels with corners of radius 40 pixels, at
    # 0.5 m per pixel.
    length = 0.5 * (2 * (240 - 80) + 2 * (160 - 80) + 2 * np.pi * 40)
    assert float(derive.load_tracks(folder / "mine.png").length[0]) == pytest.approx(
        length, rel=0.005
    )


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
    """Return a PNG whose header claims a size; its pixels never come."""
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
        file.truncate(derive.MAX_FILE_BYTES + 1)


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


def test_unknown_names(folder):
    assert "did you mean circuit?" in sentence("circiut.png")
    assert "known are" in sentence("zzz")
    assert "does not exist" in sentence(folder / "nothing.png")
    assert "is not a track" in sentence(folder)
    (folder / "track.txt").write_text("hello")
    assert "is not a track" in sentence(folder / "track.txt")
    assert "at least one" in sentence([])
