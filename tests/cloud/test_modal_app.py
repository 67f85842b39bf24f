"""The app on Modal as far as it needs no server of theirs: flags, images and files, `.local()`
runs, no token."""

import contextlib
import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import modal
import pytest
from click.testing import CliRunner
from fake_volume import FakeVolume, checked
from modal._utils.async_utils import synchronizer
from modal.cli.entry_point import entrypoint_cli
from ring_runs import SMALL, rows

from kart_jax.errors import InputError
from train import modal_app
from train.cloud import image, volume
from train.run import chunks, run_folder
from train.run.request import TrainConfig
from train.sweep import plain_data

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.filterwarnings("ignore:The train_run function is executing locally")
RING = plain_data.to_plain(SMALL)


@pytest.fixture
def work(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KART_JAX_CACHE", str(tmp_path / "cache"))
    return tmp_path


def asked(text):
    """What the flags in a text ask for."""
    return modal_app.read(text.split())


def modal_run(words, monkeypatch):
    """`modal run -m train.modal_app WORDS` by Modal's own command, without its servers."""
    monkeypatch.setattr("modal.cli.run.run_app", lambda *given, **more: contextlib.nullcontext())
    return CliRunner().invoke(entrypoint_cli, ["run", "-m", "train.modal_app", *words.split()])


@pytest.mark.parametrize(
    "words", ["--profile bold --gpu H100", "--gpu H100 -- --profile bold", "-- --profile bold"]
)
def test_modal_run_says_in_one_sentence_what_is_wrong(work, monkeypatch, words):
    monkeypatch.setattr(modal_app, "launch", lambda *given: pytest.fail("started"))
    done = modal_run(words, monkeypatch)
    assert done.exit_code == 2 and done.stdout == ""
    said = "kart: --profile is bold; allowed are aggressive, conservative; see modal run -m train"
    assert done.stderr.startswith(said) and done.stderr.count("\n") == 1


def test_modal_run_hands_every_flag_over(work, monkeypatch):
    started = []
    monkeypatch.setattr(modal_app, "launch", lambda *given: started.append(given) or 0)
    words = "--seeds 3 4 --profile aggressive --gpu L4:2 --save-name a --telemetry-only"
    assert modal_run(words, monkeypatch).exit_code == 0
    ((config, runs),) = started
    assert config.gpu == "L4:2" and [run.seed for run in runs] == [3, 4]
    assert {run.profile for run in runs} == {"aggressive"} and runs[0].telemetry_only


def test_the_help_behind_two_hyphens_has_every_flag_with_its_explanation(work, monkeypatch):
    done = modal_run("-- --help", monkeypatch)
    assert done.exit_code == 0
    assert done.stdout.startswith("usage: modal run -m train.modal_app -- ")
    for field in dataclasses.fields(modal_app.ModalConfig):
        assert f"--{field.name.replace('_', '-')}" in done.stdout, field.name
    assert "Environment steps of the whole run" in done.stdout
    assert "GPU, by Modal's name" in done.stdout


def test_importing_the_app_reads_no_flags(work):
    code = "import sys; sys.argv = ['modal', 'run', '-m', 'train.modal_app', '--lapz']\n"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}import train.modal_app"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0 and done.stderr == ""


def test_flags_become_runs(work):
    config, runs = modal_app.read(
        [
            "--track-name",
            "spa.png",
            "--timesteps",
            "5000",
            "--save-name",
            "a",
            "--gpu",
            "L4:2",
        ]
    )
    assert config.gpu == "L4:2"
    assert runs == [TrainConfig(track_name=("spa.png",), timesteps=5000, save_name="a")]
    (work / "s.toml").write_text("learning_rate = [1e-3, 1e-4]")
    _, runs = asked("--sweep s.toml --seeds 3 4 --save-name g")
    assert [(run.learning_rate, run.seed) for run in runs] == [
        (1e-3, 3),
        (1e-3, 4),
        (1e-4, 3),
        (1e-4, 4),
    ]
    assert runs[0].save_name == "g-learning_rate-0.001-seed-3"
    _, runs = asked("--track-name generated:0-3")
    assert re.fullmatch(r"generated-0-3-\d{8}-\d{6}", runs[0].save_name)
    _, runs = asked("--resume-from a")
    assert runs[0].save_name is None  # it goes on in its own folder


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--gpu", "--gpu has no value; write one behind it"),
        ("--gpu 8x", "--gpu is 8x; allowed are Modal's names such as"),
        ("--seeds 1 1", "--seeds is 1 1; give each seed once"),
        ("--lapz 3", "unrecognized options: --lapz, 3; see modal run -m train.modal_app -- --help"),
        ("--seeds 1 --seed 2", "--seeds: seed is given there and by --seed; give it in one place"),
        (
            "--seeds 1 --sweep s.toml",
            "s.toml: seed is given there and by --seeds; give it in one place",
        ),
        ("--sweep none.toml", "none.toml: cannot be read"),
        ("--save-name a/b", "--save-name is 'a/b'"),
        (
            "--save-name here",
            "--save-name is here, but runs holds such a run; choose another name, or go on with",
        ),
    ],
)
def test_wrong_flags_are_refused_before_anything_is_started(work, words, sentence):
    (work / "s.toml").write_text("seed = 1")
    (work / "runs" / "here").mkdir(parents=True)
    with pytest.raises(InputError) as caught:
        asked(words)
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.usefixtures("on_ring")
def test_local_trains_and_answers_as_kart_train_does(work, capsys, unbroken):
    figures = modal_app.train_run.local({**RING, "save_name": "ring"}, "fc-1")
    assert figures["name"] == "ring" and figures["steps"] == 3072 and figures["failure"] is None
    assert rows(run_folder.RunFolder(work / "runs" / "ring")) == rows(unbroken[0].folder)
    shown = capsys.readouterr().out.splitlines()
    assert all(
        line.startswith("ring: ") for line in shown
    ) and "ring: done: 3,072 steps" in "\n".join(shown)
    assert shown[-1] == "ring: after 3,072 steps: 8 of 8 drives with a clean lap, mean lap 30.000 s"
    assert figures["exam"][-1] == {
        "steps": 3072,
        "drives": 8,
        "completion_rate": 1.0,
        "mean_lap": 30.0,
    }
    again = modal_app.train_run.local({**RING, "save_name": "ring"}, "fc-2")
    assert again["name"] == "ring" and again["error"].startswith(
        "--save-name is ring, but runs/ring exists"
    )
    assert (
        "the request: the field lapz is unknown" in modal_app.train_run.local({"lapz": 3})["error"]
    )


@pytest.mark.usefixtures("on_ring")
def test_a_preempted_container_saves_and_its_successor_ends_the_run(work, monkeypatch, unbroken):
    chunk, done = chunks.chunk, []

    def preempted(*given, **more):
        done.append(1)
        if len(done) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return chunk(*given, **more)

    monkeypatch.setattr(chunks, "chunk", preempted)
    flags = {**RING, "save_name": "ring", "checkpoint_freq": 10**6}
    with pytest.raises(
        KeyboardInterrupt,
        match="ring: stopped after 1536 steps and saved; the next attempt goes on",
    ):
        modal_app.train_run.local(flags, "fc-1")
    figures = modal_app.train_run.local(flags, "fc-1")
    assert figures["steps"] == 3072 and len(done) == 6
    assert rows(run_folder.RunFolder(work / "runs" / "ring")) == rows(unbroken[0].folder)


# A container that vanishes: nothing of the process is left to save or tidy anything.
VANISHING = """
import json, os, signal, sys
from ring_env import RingEnv
from train import modal_app
from train.run import chunks, prepare
prepare.make_env = lambda config: RingEnv()
chunk, done = chunks.chunk, []
def vanish(*given, **more):
    done.append(1)
    if len(done) == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return chunk(*given, **more)
chunks.chunk = vanish
modal_app.train_run.local(json.loads(sys.argv[1]), "fc-1")
"""


@pytest.mark.slow
@pytest.mark.usefixtures("on_ring")
def test_a_killed_container_s_successor_goes_on_from_the_newest_checkpoint(
    work, monkeypatch, unbroken
):
    flags = {**RING, "save_name": "ring", "checkpoint_freq": 1024}
    paths = os.pathsep.join([str(ROOT / "tests"), str(ROOT), os.environ.get("PYTHONPATH", "")])
    surroundings = {
        "PYTHONPATH": paths,
        "JAX_COMPILATION_CACHE_DIR": str(jax.config.values["jax_compilation_cache_dir"]),
    }
    gone = subprocess.run(
        [sys.executable, "-c", VANISHING, json.dumps(flags)],
        cwd=work,
        env={**os.environ, **surroundings},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert gone.returncode == -signal.SIGKILL, gone.stderr[-2000:]
    chunk, done = chunks.chunk, []
    monkeypatch.setattr(
        chunks, "chunk", lambda *given, **more: done.append(1) or chunk(*given, **more)
    )
    figures = modal_app.train_run.local(flags, "fc-1")
    assert figures["name"] == "ring" and figures["steps"] == 3072
    assert len(done) == 4, "six chunks of 512 steps: two were saved with the checkpoint at 1,024"
    assert rows(run_folder.RunFolder(work / "runs" / "ring")) == rows(unbroken[0].folder)


class Call:
    """A call on Modal that is answered with what is given."""

    def __init__(self, answer):
        self.answer = answer

    def get(self):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_many_runs_start_together_and_what_became_of_each_is_told(work, monkeypatch, capsys):
    shelf = FakeVolume(work / "volume")
    monkeypatch.setattr(modal_app, "VOLUME", shelf)
    started = []

    def spawn(flags, call):
        started.append((flags, call))
        if flags["seed"] == 1:
            return Call(RuntimeError("out of memory"))
        folder = shelf.root / "runs" / flags["save_name"]
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        return Call({"name": folder.name, "failure": None if flags["seed"] == 0 else "diverged"})

    monkeypatch.setattr(modal_app, "train_run", type("Remote", (), {"spawn": staticmethod(spawn)}))
    config, runs = modal_app.read(
        ["--track-name", "beginner_track", "--seeds", "0", "1", "2", "--save-name", "b", "--json"]
    )
    assert modal_app.launch(config, runs) == 2
    out, err = capsys.readouterr()
    assert [flags["seed"] for flags, _ in started] == [0, 1, 2] and len(
        {call for _, call in started}
    ) == 3
    assert [one["asked"] for one in json.loads(out)["runs"]] == ["b-seed-0", "b-seed-1", "b-seed-2"]
    assert (
        "b-seed-1: RuntimeError: out of memory; fetch what it saved with kart modal pull b-seed-1\n"
        in err
        and "b-seed-2: diverged\n" in err
    )
    assert sorted(path.name for path in (work / "runs").iterdir()) == ["b-seed-0", "b-seed-2"]
    assert (shelf.root / "tracks" / "beginner_track.png").is_file()
    (work / "runs" / "b-seed-0").rename(work / "gone")
    with pytest.raises(
        InputError, match="--save-name is b-seed-0, but the Volume on Modal holds such a run"
    ):
        modal_app.launch(config, runs)
    assert len(started) == 3


def test_a_run_that_cannot_come_home_is_not_lost(work, monkeypatch):
    monkeypatch.setattr(modal_app, "VOLUME", FakeVolume(work))
    (work / "runs" / "mine").mkdir(parents=True)
    said = modal_app.bring_home("mine", Path("runs"))
    assert said.startswith("mine stays on Modal: runs/mine exists") and said.endswith(
        "kart modal pull mine"
    )


def test_a_gpu_that_is_asked_for_takes_the_place_of_the_function_s_own(work, monkeypatch):
    monkeypatch.setattr(modal_app, "VOLUME", FakeVolume(work / "volume"))
    asked = []

    class Remote:
        def __init__(self, gpu=None):
            self.gpu = gpu

        def with_options(self, **options):
            checked(modal.Function, "with_options", **options)
            return Remote(**options)

        def spawn(self, flags, call):
            asked.append(self.gpu)
            return Call({"name": flags["save_name"], "error": "not now"})

    monkeypatch.setattr(modal_app, "train_run", Remote())
    for words in ("--gpu H100:2 --save-name a", "--save-name b"):
        assert modal_app.launch(*modal_app.read(words.split())) == 2
    assert asked == ["H100:2", None]


def test_the_function_asks_for_an_a100_and_writes_to_the_volume():
    function: Any = synchronizer._translate_in(modal_app.train_run)
    spec = function._spec
    assert spec.gpus == ["A100-80GB", "A100-40GB"] and list(spec.volumes) == [image.MOUNT]
    assert modal_app.app.name == volume.NAME
