"""Every bad entry and bad JSON gets one sentence with file, field, value and remedy."""

import json
import os
import threading
from pathlib import Path

import pytest
from ring_track import GOOD, sentence, write_ring

from kart_jax import files
from kart_jax.errors import InputError
from kart_jax.track import draw, entry_file, generate, layouts


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("KART_JAX_CACHE", str(tmp_path / "cache"))
    write_ring(tmp_path)
    return tmp_path


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
    path.write_text(" " * (entry_file.MAX_FILE_BYTES + 1))
    assert "bytes; at most" in sentence(folder / "mine.png")
    path.unlink()
    assert "cannot be read" in sentence(folder / "mine.png")
    path.mkdir()
    assert "is no file" in sentence(folder / "mine.png")
    path.rmdir()
    os.mkfifo(path)  # which would never end
    assert "is no file" in sentence(folder / "mine.png")


def test_as_many_generated_tracks_as_allowed_can_be_read_back(tmp_path, monkeypatch):
    from kart_jax.cli.track import MAX_DRAWN

    # The longest entry that the generator can make, times the most that one command draws.
    pixels = [[99_999, 99_999]] * round(generate.BOUNDS.length[1] / draw.GATE_STEP)
    entry = {"metres_per_pixel": 0.02, "direction": "counterclockwise", "start": pixels[0]}
    entry |= {"gates": pixels[1:], "sectors": pixels[:2]}
    entries = {f"{i:064d}": entry for i in range(MAX_DRAWN)}
    entry_file.write_entries(tmp_path / entry_file.FILE_NAME, entries)
    assert len(entry_file.read_raw(tmp_path / entry_file.FILE_NAME)) == MAX_DRAWN

    monkeypatch.setattr(entry_file, "MAX_FILE_BYTES", 1000)
    with pytest.raises(InputError, match="bytes; at most 1000 are read, so choose another folder"):
        entry_file.write_entries(tmp_path / "other.json", entries)
    assert not (tmp_path / "other.json").exists()


def test_who_draws_while_another_changes_the_entries_waits_and_keeps_them(tmp_path):
    pytest.importorskip("fcntl", reason="this system has no file locks")
    index = tmp_path / entry_file.FILE_NAME
    line = layouts.build_line(layouts.STARTER)
    drawing = threading.Thread(target=draw.save_track, args=(line, "mine", tmp_path, 2.0))
    with files.locked(tmp_path):
        drawing.start()
        drawing.join(1.0)  # painting takes a tenth of it
        assert drawing.is_alive() and not index.exists()
        entry_file.write_entries(index, {"other": GOOD})
    drawing.join(60.0)
    assert set(entry_file.read_entries(index)) == {"mine", "other"}
