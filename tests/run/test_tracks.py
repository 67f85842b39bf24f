"""The circuits of a run: its own copies, and what happens when the original changes or goes."""

import dataclasses
import json
import shutil

import pytest
from ring_env import RingEnv
from ring_runs import SMALL, run

from kart_jax.track import derive
from train.run import prepare, run_tracks
from train.run.progress import Progress
from train.run.request import TrainConfig
from train.run.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("on_ring")


@pytest.fixture
def on_my_track(tmp_path, monkeypatch):
    """A finished short run on `mine/ring.png`, given as a relative path; (run folder, runs folder,
    picture)."""
    from kart_jax.track import draw, layouts

    monkeypatch.chdir(tmp_path)
    draw.save_track(layouts.build_line(layouts.STARTER), "ring", "mine", 1.0)
    config = dataclasses.replace(SMALL, track_name=("mine/ring.png", "generated:7"), timesteps=512)
    finished, _, _ = run(
        dataclasses.replace(config, runs_dir=str(tmp_path / "runs"), save_name="own")
    )
    return finished.folder, tmp_path / "runs", tmp_path / "mine" / "ring.png"


def test_a_run_holds_its_own_copy_of_a_track(on_my_track, monkeypatch, tmp_path):
    folder, runs, picture = on_my_track
    copy = folder.tracks / "ring.png"
    assert {path.name for path in folder.tracks.iterdir()} == {"ring.png", "checkpoints.json"}
    assert derive.track_content(copy) == derive.track_content(picture)
    assert run_tracks.own(folder, ("mine/ring.png", "generated:7")) == {
        "mine/ring.png": str(copy),
        "generated:7": "generated:7",
    }
    shutil.rmtree(picture.parent)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")  # from where the relative path means nothing
    asked = []
    monkeypatch.setattr(
        prepare, "make_env", lambda config: asked.append(config.tracks) or RingEnv()
    )
    resumed, result, notes = run(TrainConfig(resume_from="own", timesteps=1024, runs_dir=str(runs)))
    assert notes == [] and resumed.folder.path == folder.path and result.steps == 1024
    assert asked == [(str(copy), "generated:7")]
    assert resumed.config.tracks == ("mine/ring.png", "generated:7")


def test_a_run_does_not_go_on_on_a_track_that_has_changed(on_my_track):
    folder, runs, picture = on_my_track
    index = picture.parent / "checkpoints.json"
    entries = json.loads(index.read_text())
    turned = {"clockwise": "counterclockwise", "counterclockwise": "clockwise"}
    entries["ring"] = {key: entries["ring"][key] for key in ("metres_per_pixel", "start")} | {
        "direction": turned[entries["ring"]["direction"]]
    }
    index.write_text(json.dumps(entries))
    started, notes = prepare.prepare(
        TrainConfig(resume_from="own", timesteps=1024, runs_dir=str(runs))
    )
    assert started.folder.path == runs / "ring-1" and started.progress == Progress()
    assert len(notes) == 1 and notes[0].endswith("mine/ring.png changed")
    assert derive.track_content(started.folder.tracks / "ring.png") == derive.track_content(picture)
    assert derive.track_content(folder.tracks / "ring.png") != derive.track_content(picture)


def test_equal_file_names_get_copies_of_their_own(tmp_path):
    names = ("a/ring.png", "b/ring.png", "ring", "c/ring.csv", "generated:1-9", "a/ring.png")
    found = {
        name: path.name for name, path in run_tracks.places(RunFolder(tmp_path), names).items()
    }
    assert found == {
        "a/ring.png": "ring.png",
        "b/ring.png": "ring-2.png",
        "ring": "ring-3.png",
        "c/ring.csv": "ring.csv",
    }
