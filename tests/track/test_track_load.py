"""Loading by name, picture, CSV and list; the cache; the preview."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from kart_jax.errors import InputError
from kart_jax.track import cache, catalogue, derive, entry_file, preview
from kart_jax.track import trace as tracing

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Make a folder with `tracks/ring.png`, its entry, and a cache of its own.

    The working folder is elsewhere.
    """
    monkeypatch.setenv("KART_JAX_CACHE", str(tmp_path / "cache"))
    (tmp_path / "tracks").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    picture = Image.new("L", (200, 160), 255)
    ImageDraw.Draw(picture).rounded_rectangle((20, 20, 180, 140), radius=50, outline=0, width=16)
    picture.save(tmp_path / "tracks" / "ring.png")
    entry = {"metres_per_pixel": 0.5, "direction": "clockwise", "start": [100, 28], "gates": 5}
    (tmp_path / "tracks" / entry_file.FILE_NAME).write_text(json.dumps({"ring": entry}))
    return tmp_path


def same(one, other) -> bool:
    return all(
        np.array_equal(np.asarray(getattr(one, name)), np.asarray(getattr(other, name)))
        for name in ("samples", "cells", "gates", "sectors", "origin", "length")
    )


def test_shipped_tracks_are_found_from_anywhere(folder):
    known = catalogue.track_names()
    for name in ("circuit", "beginner_track", "monza", "spa", "silverstone"):
        assert name in known
    shipped = ROOT / "tracks" / "circuit.png"
    assert catalogue.find_track("circuit") == catalogue.find_track("circuit.png") == shipped

    # A stray file hides nothing.
    Image.new("L", (20, 20), 255).save("circuit.png")
    with pytest.warns(
        UserWarning,
        match=r"circuit\.png is the known one.*for the other file.*write \./circuit\.png",
    ):
        assert catalogue.find_track("circuit.png") == shipped
    assert catalogue.find_track("circuit") == shipped


def test_a_path_is_never_taken_for_a_name(folder):
    Image.new("L", (20, 20), 255).save("circuit.png")
    assert catalogue.find_track("./circuit.png").samefile("circuit.png")
    assert catalogue.find_track(Path("circuit.png").absolute()).samefile("circuit.png")
    (folder / "elsewhere" / "circuit.png").unlink()
    with pytest.raises(InputError, match="does not exist"):
        catalogue.find_track("./circuit.png")


def test_a_file_that_is_the_known_one_brings_no_warning(folder, monkeypatch, recwarn):
    monkeypatch.chdir(ROOT / "tracks")
    assert catalogue.find_track("circuit.png") == ROOT / "tracks" / "circuit.png"
    assert not recwarn.list


def test_a_tracks_folder_of_the_user_comes_first(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert catalogue.track_names()[0] == "ring"
    assert "circuit" in catalogue.track_names()
    assert catalogue.find_track("ring") == folder / "tracks" / "ring.png"
    assert catalogue.find_track("ring.png") == catalogue.find_track("ring")


def test_the_package_carries_tracks_too(folder, monkeypatch):
    # In a wheel the pictures lie in kart_jax/_tracks, and there is no tracks/ beside the package.
    package = folder / "site" / "kart_jax"
    (package / "track").mkdir(parents=True)
    shutil.copytree(folder / "tracks", package / "_tracks")
    monkeypatch.setattr(catalogue, "__file__", str(package / "track" / "catalogue.py"))
    assert catalogue.track_names() == ["ring"]
    assert catalogue.find_track("ring") == package / "_tracks" / "ring.png"


def test_names_paths_lines_and_lists_give_the_same_circuit(folder):
    path = folder / "tracks" / "ring.png"
    one = derive.load_tracks(path)
    assert one.size == 1
    assert int(one.gate_count[0]) == 5
    assert same(one, derive.load_tracks(str(path)))
    circuit = derive.load_circuit(path)
    assert circuit.name == "ring"
    np.testing.assert_allclose(
        np.asarray(derive.load_tracks(circuit.line).samples), np.asarray(one.samples)
    )
    both = derive.load_tracks([path, circuit.line])
    assert both.size == 2
    np.testing.assert_allclose(both.length[0], both.length[1])


def test_a_centre_line_csv_loads_and_mixes_with_a_picture(folder):
    angle = np.arange(200) / 200 * 2 * np.pi
    table = np.column_stack(
        [60 * np.cos(angle), 60 * np.sin(angle), np.full(200, 3.0), np.full(200, 5.0)]
    )
    np.savetxt(
        folder / "round.csv", table, delimiter=",", header="x_m,y_m,w_tr_right_m,w_tr_left_m"
    )
    mixed = derive.load_tracks([folder / "tracks" / "ring.png", folder / "round.csv"])
    assert mixed.size == 2
    assert float(mixed.length[1]) == pytest.approx(2 * np.pi * 60, rel=0.002)
    assert derive.load_circuit(folder / "round.csv").line.half_left.mean() == pytest.approx(
        5.0, abs=0.01
    )


def test_the_cache_saves_the_second_tracing_and_only_that(folder, monkeypatch):
    path = folder / "tracks" / "ring.png"
    traced = []
    trace = tracing.trace_line
    monkeypatch.setattr(tracing, "trace_line", lambda *given: traced.append(1) or trace(*given))
    first = derive.load_tracks(path)
    assert same(first, derive.load_tracks(path))
    assert len(traced) == 1
    entries = path.parent / entry_file.FILE_NAME
    entries.write_text(entries.read_text().replace('"clockwise"', '"counterclockwise"'))
    assert not same(first, derive.load_tracks(path))  # another entry is another circuit
    assert len(traced) == 2
    monkeypatch.setattr(cache, "code_version", lambda: b"other code")
    derive.load_tracks(path)
    assert len(traced) == 3


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 nonsense", None])
def test_a_damaged_cache_file_is_rebuilt(folder, content):
    path = folder / "tracks" / "ring.png"
    first = derive.load_tracks(path)
    (kept,) = (folder / "cache").iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(whole[: len(whole) // 2] if content is None else content)
    assert same(first, derive.load_tracks(path))
    assert len(kept.read_bytes()) == len(whole)


def test_a_cache_file_with_flipped_bytes_or_foreign_arrays_is_rebuilt(folder):
    path = folder / "tracks" / "ring.png"
    first = derive.load_tracks(path)
    (kept,) = (folder / "cache").iterdir()
    content = bytearray(kept.read_bytes())
    for at in range(200, len(content) - 200, 97):
        content[at] ^= 0xFF
    kept.write_bytes(bytes(content))
    assert same(first, derive.load_tracks(path))


def test_a_cache_that_cannot_be_written_is_no_trouble(folder, monkeypatch):
    (folder / "file").write_text("in the way")
    monkeypatch.setenv("KART_JAX_CACHE", str(folder / "file" / "below"))
    assert derive.load_tracks(folder / "tracks" / "ring.png").size == 1
    monkeypatch.delenv("KART_JAX_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "xdg"))
    assert cache.cache_folder() == folder / "xdg" / "kart_jax"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(folder))
    assert cache.cache_folder() == folder / ".cache" / "kart_jax"


def test_a_failed_build_leaves_no_cache_file(folder):
    def fail():
        raise InputError("bad")

    with pytest.raises(InputError):
        cache.fetch(b"x", fail)
    assert not (folder / "cache").exists() or not os.listdir(folder / "cache")


def test_the_title_of_an_entry_is_shown(folder):
    index = folder / "tracks" / entry_file.FILE_NAME
    untitled = derive.load_circuit(folder / "tracks" / "ring.png")
    index.write_text(index.read_text().replace('"gates"', '"title": "Round the houses", "gates"'))
    titled = derive.load_circuit(folder / "tracks" / "ring.png")
    headings = [preview.draw_preview(circuit).axes[0].get_title() for circuit in (untitled, titled)]
    assert untitled.title == "" and headings[0].startswith("ring: 2")
    assert titled.title == "Round the houses" and headings[1].startswith("ring: Round the houses\n")
    assert len(list((folder / "cache").iterdir())) == 1  # a title is no other circuit


def test_preview_shows_the_asphalt_where_it_is(folder):
    circuit = derive.load_circuit(folder / "tracks" / "ring.png")
    written = preview.write_preview(circuit, folder / "preview.png")
    with Image.open(written) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    asphalt = np.abs(pixels - [0x5A, 0x5D, 0x63]).sum(axis=-1) < 12
    grass = np.abs(pixels - [0xCF, 0xE3, 0xC4]).sum(axis=-1) < 12

    # The band between the barriers is 8 + 12 m wide, the asphalt 8 m.
    assert asphalt.sum() > 10_000
    assert 0.5 < grass.sum() / asphalt.sum() < 3.0

    with pytest.raises(InputError, match=r"ends in \.png"):
        preview.write_preview(circuit, folder / "preview.jpg")
    (folder / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot be written"):
        preview.write_preview(circuit, folder / "file" / "preview.png")


@pytest.mark.parametrize("source", [None, 0, [None], b"circuit", "", "a" * 5000, "a\nb", {"a": 1}])
def test_what_no_track_can_be_is_refused(source):
    with pytest.raises(InputError, match="track is "):
        derive.load_tracks(source)
