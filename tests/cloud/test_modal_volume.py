"""The Volume: runs that come home whole or not at all, tracks that are found there, words when
Modal says no."""

import contextlib
import json
import shutil
import socket
import time
import urllib.request
from pathlib import Path

import pytest
from conftest import oval_csv
from fake_volume import FakeVolume
from tensorboardX import SummaryWriter

from kart_jax import cli
from kart_jax.errors import InputError
from kart_jax.track import catalogue, derive, entry_file
from train.cloud import tensorboard_server, volume


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """The Volume with one run on it; the working folder is an empty one beside it."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    monkeypatch.setenv("KART_JAX_CACHE", str(tmp_path / "cache"))
    run = tmp_path / "volume" / "runs" / "fast"
    (run / "checkpoints" / "512").mkdir(parents=True)
    (run / "config.json").write_text("{}")
    (run / "checkpoints" / "512" / "data").write_bytes(bytes(range(256)) * 9)
    (run.parent / ".calls").mkdir()
    fake = FakeVolume(tmp_path / "volume")
    monkeypatch.setattr(volume, "open_volume", lambda: fake)
    monkeypatch.setenv("MODAL_TOKEN_ID", "ak-1")
    monkeypatch.setenv("MODAL_TOKEN_SECRET", "as-1")
    return fake


def own_track(folder: str) -> None:
    """A track of one's own, mine.png: the picture and entry of beginner_track under another
    name."""
    shipped = catalogue.find_track("beginner_track")
    Path(folder).mkdir()
    shutil.copy(shipped, f"{folder}/mine.png")
    entry = entry_file.read_raw(shipped.parent / entry_file.FILE_NAME)["beginner_track"]
    entry_file.write_entries(Path(folder) / entry_file.FILE_NAME, {"mine": entry})


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


def test_a_run_comes_home_whole(shelf, capsys):
    assert cli.main(["modal", "pull", "fast", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "folder": "runs/fast",
        "files": 2,
        "bytes": 2 + 9 * 256,
    }
    assert contents(Path("runs/fast")) == contents(shelf.root / "runs" / "fast")
    assert [path.name for path in Path("runs").iterdir()] == ["fast"]


def test_a_folder_of_that_name_is_replaced_only_when_wanted(shelf, capsys):
    mine = Path("runs/fast/mine.txt")
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    assert cli.main(["modal", "pull", "fast"]) == 2
    assert (
        "runs/fast exists; add --replace" in capsys.readouterr().err and mine.read_text() == "mine"
    )
    assert cli.main(["modal", "pull", "fast", "--replace"]) == 0
    assert contents(Path("runs/fast")) == contents(shelf.root / "runs" / "fast")


@pytest.mark.parametrize("name", ["fats", ".calls", "../runs/fast", ""])
def test_what_is_no_run_there_is_refused_with_what_there_is(shelf, name):
    with pytest.raises(InputError, match=r"which Modal does not hold; it holds fast; choose one"):
        volume.pull(shelf, name, Path("elsewhere"))
    assert not Path("elsewhere").exists()


def test_an_empty_volume_holds_nothing(shelf):
    shutil.rmtree(shelf.root / "runs")
    with pytest.raises(InputError, match="it holds none"):
        volume.pull(shelf, "fast", Path("runs"))


def test_a_checkpoint_that_goes_away_meanwhile_is_no_part_of_what_comes_home(shelf):
    old, new = (shelf.root / "runs" / "fast" / "checkpoints" / steps for steps in ("512", "1024"))
    reads = []

    def prune(path):
        reads.append(path)
        if path.endswith("512/data"):
            old.rename(new)

    shelf.before_read = prune
    volume.pull(shelf, "fast", Path("runs"))
    assert contents(Path("runs/fast")) == contents(shelf.root / "runs" / "fast")
    assert not Path("runs/fast/checkpoints/512").exists()
    assert reads.count("runs/fast/checkpoints/512/data") == 1


def test_a_run_that_never_stands_still_is_left_alone(shelf):
    shelf.before_read = lambda path: (shelf.root / path).rename(shelf.root / f"{path}x")
    with pytest.raises(InputError, match="fast: changes while it is read; try again"):
        volume.pull(shelf, "fast", Path("runs"))
    assert list(Path("runs").iterdir()) == []


def test_tracks_are_found_there_under_the_name_that_is_told(shelf, monkeypatch, capsys):
    own_track("own")
    oval_csv(Path("oval.csv"), straight=60.0, radius=15.0)
    given = ["own/mine.png", "beginner_track", "oval.csv", "generated:0-3"]
    lengths = [derive.load_circuit(name).line.length for name in given[:3]]
    assert cli.main(["track", "sync", *given, "--json"]) == 0
    there = {one["track"]: one["name"] for one in json.loads(capsys.readouterr().out)["tracks"]}
    assert list(there) == given and there["generated:0-3"] == "generated:0-3"
    assert cli.main(["track", "sync", "circuit"]) == 0  # a second upload keeps the first
    monkeypatch.chdir(shelf.root)  # where a container works
    assert [derive.load_circuit(there[name]).line.length for name in given[:3]] == lengths
    assert (
        catalogue.find_track("mine") == shelf.root / "tracks" / "mine.png"
        and catalogue.find_track("circuit").parent.parent == shelf.root
    )


def test_a_bad_track_is_refused_before_anything_is_uploaded(shelf):
    own_track("own")
    own_track("other")
    with pytest.raises(
        InputError, match=r"own/mine\.png and other/mine\.png have the same file name; rename one"
    ):
        volume.send_tracks(shelf, ["own/mine.png", "other/mine.png"])
    with pytest.raises(InputError, match='track is "nowhere"'):
        volume.send_tracks(shelf, ["circuit", "nowhere"])
    with pytest.raises(InputError, match="generated:5-2"):
        volume.send_tracks(shelf, ["generated:5-2"])
    assert not (shelf.root / "tracks").exists()


@pytest.mark.parametrize(
    ("raised", "sentence"),
    [
        ("AuthError", "Modal refuses the token (no); renew it with `modal token new`"),
        ("ConnectionError", "Modal cannot be reached (no); check the network and try again"),
    ],
)
def test_what_modal_says_becomes_one_sentence(shelf, monkeypatch, capsys, raised, sentence):
    from modal import exception

    def refuse(*_, **__):
        raise getattr(exception, raised)("no\nlonger")

    monkeypatch.setattr(shelf, "listdir", refuse)
    assert cli.main(["modal", "pull", "fast"]) == 2
    assert capsys.readouterr().err == f"kart: {sentence}\n"


def test_tensorboards_copies_follow_their_originals(tmp_path):
    runs, copies = tmp_path / "runs", tmp_path / "copies"
    (runs / "fast" / "tensorboard").mkdir(parents=True)
    original = runs / "fast" / "tensorboard" / "events.out.1"
    copy = copies / "fast" / "events.out.1"
    original.write_bytes(b"one")
    tensorboard_server.follow(runs, copies)
    inode = copy.stat().st_ino
    with original.open("ab") as file:
        file.write(b"two")
    tensorboard_server.follow(runs, copies)
    assert (
        copy.read_bytes() == b"onetwo" and copy.stat().st_ino == inode
    )  # appended: a reader goes on reading
    original.write_bytes(b"new")
    tensorboard_server.follow(runs, copies)
    assert copy.read_bytes() == b"new"
    shutil.rmtree(runs / "fast")
    tensorboard_server.follow(runs, copies)
    assert list(copies.iterdir()) == []


@pytest.mark.slow
def test_tensorboard_shows_the_runs_of_the_volume_as_they_grow(tmp_path, monkeypatch):
    pytest.importorskip("tensorboard", reason="the extra `board` is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setattr(tensorboard_server, "PORT", free.getsockname()[1])
    monkeypatch.setattr(tensorboard_server, "REFRESH_INTERVAL", 0.1)
    refreshed = []

    def refresh():
        refreshed.append(1)
        if len(refreshed) == 2:  # the network fails now and then
            raise OSError("no answer")

    process = tensorboard_server.serve(tmp_path / "runs", tmp_path / "copies", refresh)
    try:
        with SummaryWriter(str(tmp_path / "runs" / "one" / "tensorboard")) as events:
            events.add_scalar("rollout/laps", 3.0, 100)
        address = f"http://127.0.0.1:{tensorboard_server.PORT}/data/plugin/scalars/tags"
        deadline, told = time.monotonic() + 120.0, {}
        while "one" not in told and time.monotonic() < deadline:
            time.sleep(0.2)
            with contextlib.suppress(OSError), urllib.request.urlopen(address) as answer:
                told = json.load(answer)
        assert "rollout/laps" in told["one"] and len(refreshed) > 2
    finally:
        process.kill()
        process.wait()
