"""The app on Modal as far as it needs no server of theirs: flags, images and files, `.local()` runs, no token."""

import dataclasses
import inspect
import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import modal
import pytest
from fake_volume import FakeVolume
from modal._utils.async_utils import synchronizer
from packaging.requirements import Requirement
from ring_runs import SMALL, rows

from kart_jax.errors import InputError
from train import board, loop, modal_app, modal_image, request, volume
from train.config import TrainConfig

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.filterwarnings("ignore:The train_run function is executing locally")
RING = request.to_plain(SMALL)


@pytest.fixture
def work(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KART_JAX_CACHE", str(tmp_path / "cache"))
    return tmp_path


def asked(text):
    """What the flags in a text ask for."""
    return modal_app.read(text.split())


def modal_run(words, folder, **environment):
    """`modal run -m train.modal_app WORDS` without a token and without a way to the network."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("MODAL_")}
    known |= {
        "MODAL_CONFIG_PATH": str(folder / "none.toml"),
        "MODAL_SERVER_URL": "http://127.0.0.1:9",
        "COLUMNS": "100",
    }
    command = [sys.executable, "-m", "modal", "run", "-m", "train.modal_app", *words.split()]
    return subprocess.run(
        command, cwd=folder, env={**known, **environment}, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--track-name circuit.png --timesteps 5000000 --vector-envs 2048", "Modal has no token on this machine; run"),
        ("--profile aggressive --lapz 3", "unrecognized options: --lapz, 3; see modal run -m train.modal_app --help"),
        ("--profile bold", "--profile is bold; allowed are aggressive, conservative; see modal run"),
    ],
)
def test_modal_run_says_at_once_in_one_sentence_what_is_wrong(work, words, sentence):
    done = modal_run(words, work)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("kart: ") and sentence in done.stderr and done.stderr.count("\n") == 1


def test_its_help_has_the_flags_of_kart_train_with_their_explanations(work):
    done = modal_run("--help", work)
    assert done.returncode == 0 and done.stdout.startswith("usage: modal run -m train.modal_app")
    for field in dataclasses.fields(modal_app.ModalConfig):
        assert f"--{field.name.replace('_', '-')} " in done.stdout or f"--{field.name}" in done.stdout, field.name
    assert "Environment steps of the whole run" in done.stdout and "GPUs in order of preference" in done.stdout


def test_only_the_words_behind_the_module_in_modal_run_are_flags():
    typed = modal_app.typed
    assert typed(["modal", "run", "--detach", "-m", "train.modal_app", "--seeds", "0"]) == ["--seeds", "0"]
    assert typed(["modal", "run", "-m", "train.modal_app::main", "--", "--profile", "x"]) == ["--profile", "x"]
    assert typed(["modal", "run", "-m", "train.modal_app"]) == []
    assert typed(["modal", "run", "-m", "train.modal_app::train_run", "--flags", "x"]) is None
    assert typed(["modal", "deploy", "-m", "train.modal_app"]) is None
    assert typed(["pytest", "run"]) is None


def test_flags_become_runs(work):
    config, runs = modal_app.read(
        ["--track-name", "spa.png", "--timesteps", "5000", "--save-name", "a", "--gpu", "H100", "L4:2"]
    )
    assert config.gpu == ("H100", "L4:2")
    assert runs == [TrainConfig(track_name=("spa.png",), timesteps=5000, save_name="a")]
    (work / "s.toml").write_text("learning_rate = [1e-3, 1e-4]")
    _, runs = asked("--sweep s.toml --seeds 3 4 --save-name g")
    assert [(run.learning_rate, run.seed) for run in runs] == [(1e-3, 3), (1e-3, 4), (1e-4, 3), (1e-4, 4)]
    assert runs[0].save_name == "g-learning_rate-0.001-seed-3"
    _, runs = asked("--track-name generated:0-3")
    assert re.fullmatch(r"generated-0-3-\d{8}-\d{6}", runs[0].save_name)
    _, runs = asked("--resume-from a")
    assert runs[0].save_name is None  # it goes on in its own folder


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--gpu", "--gpu is empty; give at least one"),
        ("--gpu H100 8x", "--gpu is 8x; allowed are Modal's names such as"),
        ("--seeds 1 1", "--seeds is 1 1; give each seed once"),
        ("--seeds one", "--seeds"),
        ("--seeds 1 --seed 2", "--seeds: seed is given there and by --seed; give it in one place"),
        ("--seeds 1 --sweep s.toml", "s.toml: seed is given there and by --seeds; give it in one place"),
        ("--sweep none.toml", "none.toml: cannot be read"),
        ("--save-name a/b", "--save-name is 'a/b'"),
        ("--save-name here", "--save-name is here, but runs holds such a run; choose another name, or go on with"),
    ],
)
def test_wrong_flags_are_refused_before_anything_is_started(work, words, sentence):
    (work / "s.toml").write_text("seed = 1")
    (work / "runs" / "here").mkdir(parents=True)
    with pytest.raises(InputError) as caught:
        asked(words)
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


class Recorder:
    """Stands for an image: notes each step, after the real method has taken its arguments."""

    def __init__(self):
        self.steps = []

    def __getattr__(self, name):
        method = getattr(modal.Image, name)

        def step(*given, **named):
            bound = inspect.signature(method).bind(None, *given, **named)
            self.steps.append((name, bound.arguments))
            return self

        return step


def steps(image, name):
    return [arguments for step, arguments in image.steps if step == name]


@pytest.mark.parametrize("build", [modal_image.training_image, modal_image.board_image])
def test_an_image_installs_under_the_committed_lock_alone(build):
    image = Recorder()
    build(image)
    names = [name for name, _ in image.steps]
    assert names.index("add_local_file") < names.index("uv_pip_install")
    (copied,) = steps(image, "add_local_file")
    assert copied["local_path"] == ROOT / "requirements.lock" and copied["copy"] is True
    (install,) = steps(image, "uv_pip_install")
    assert install["extra_options"] == f"--constraint {copied['remote_path']}"
    assert f"uv=={install['uv_version']}\n" in (ROOT / "requirements.lock").read_text()
    assert names[-1] == "add_local_python_source"  # after it, Modal takes no more steps


def test_the_training_image_holds_every_dependency_of_the_project_and_cuda():
    image = Recorder()
    modal_image.training_image(image)
    (wanted,) = steps(image, "uv_pip_install")[0]["packages"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(project["dependencies"]) <= set(wanted)
    assert any(Requirement(one).name == "jax" and Requirement(one).extras == {"cuda12"} for one in wanted)


def test_the_board_image_pins_what_the_lock_does_not_hold():
    assert re.fullmatch(r"tensorboard==[\d.]+", modal_image.TENSORBOARD)
    words = board.command(Path("/tmp/board"))
    assert words[words.index("--port") + 1] == str(board.PORT) and words[words.index("--host") + 1] == "0.0.0.0"


def test_without_a_checkout_there_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(modal_image, "ROOT", tmp_path)
    with pytest.raises(InputError, match="is missing; training on Modal starts from a checkout"):
        modal_image.training_image(Recorder())


def mounted(image, folder):
    """Copy what Modal would mount in the container into `folder` in place of its root; returns the paths."""
    found = []
    inner = synchronizer._translate_in(image)
    while str(inner).startswith("Image(local files"):
        inner, mount = inner._deps()
        for entry in mount.entries:
            for local, remote in entry.get_files_to_upload():
                target = folder / str(remote).lstrip("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(Path(local).read_bytes())
                found.append(str(remote))
    return found


IN_A_CONTAINER = """
import sys
sys.meta_path = [one for one in sys.meta_path if "editable" not in type(one).__module__.lower()]
sys.path = [sys.argv[1], *(place for place in sys.path if place != sys.argv[2])]
import modal
modal.is_local = lambda: len(sys.argv) < 4  # the fourth word: as if in a container of Modal
from train import modal_app
assert modal_app.__file__.startswith(sys.argv[1]), modal_app.__file__
"""


def in_a_container(code, root, folder, *words):
    """Run code in `folder` with the files of a container only, and the packages of this environment."""
    known = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    command = [sys.executable, "-P", "-c", IN_A_CONTAINER + code, str(root), str(ROOT), *words]
    return subprocess.run(command, cwd=folder, env=known, capture_output=True, text=True, check=False)


def test_a_container_loads_the_app_from_its_files_without_the_checkout_and_without_jax(work):
    files = mounted(modal_image.board_image(), work)
    assert "/root/train/modal_app.py" in files and not any("__pycache__" in name for name in files)
    code = "print([name for name in ('jax', 'numpy', 'tyro', 'flax') if name in sys.modules])"
    done = in_a_container(code, work / "root", work, "container")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[]\n"  # TensorBoard's image has none of them


@pytest.mark.slow
def test_a_run_reads_nothing_that_the_container_does_not_hold(work):
    files = mounted(modal_image.training_image(), work)
    assert {"/root/tracks/checkpoints.json", "/root/tracks/circuit.png", "/root/kart_jax/__init__.py"} <= set(files)
    (work / "kart").mkdir()
    flags = {
        "track_name": ["beginner_track.png"], "telemetry_only": True, "timesteps": 512, "vector_envs": 4,
        "rollout_steps": 32, "minibatch_size": 64, "epochs": 1, "save_name": "tiny",
    }  # fmt: skip
    code = f"""
import json
from train import modal_app
print("FIGURES" + json.dumps(modal_app.train_run.local({flags!r}, "fc-1")))
"""
    code = "class Still:\n    def commit(self): pass\nmodal_app.VOLUME, modal_app.MOUNT = Still(), sys.argv[3]\n" + code
    done = in_a_container(code, work / "root", work, str(work / "kart"))
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.partition("FIGURES")[2])
    assert figures["steps"] == 512 and figures["name"] == "tiny"
    assert (work / "kart" / "runs" / "tiny" / "checkpoints" / "512").is_dir()
    assert "tiny: done: 512 steps" in done.stdout


@pytest.mark.usefixtures("on_ring")
def test_local_trains_and_answers_as_kart_train_does(work, capsys, unbroken):
    figures = modal_app.train_run.local({**RING, "save_name": "ring"}, "fc-1")
    assert figures["name"] == "ring" and figures["steps"] == 3072 and figures["failure"] is None
    assert rows(loop.RunFolder(work / "runs" / "ring")) == rows(unbroken[0].folder)
    shown = capsys.readouterr().out.splitlines()
    assert all(line.startswith("ring: ") for line in shown) and shown[-1].startswith("ring: done: 3,072 steps")
    again = modal_app.train_run.local({**RING, "save_name": "ring"}, "fc-2")
    assert again["name"] == "ring" and again["error"].startswith("--save-name is ring, but runs/ring exists")
    assert "the request: the field lapz is unknown" in modal_app.train_run.local({"lapz": 3})["error"]


@pytest.mark.usefixtures("on_ring")
def test_a_preempted_container_saves_and_its_successor_ends_the_run(work, monkeypatch, unbroken):
    chunk, done = loop.chunk, []

    def preempted(*given):
        done.append(1)
        if len(done) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return chunk(*given)

    monkeypatch.setattr(loop, "chunk", preempted)
    flags = {**RING, "save_name": "ring", "checkpoint_freq": 10**6}
    with pytest.raises(KeyboardInterrupt, match="ring: stopped after 1536 steps and saved; the next attempt goes on"):
        modal_app.train_run.local(flags, "fc-1")
    figures = modal_app.train_run.local(flags, "fc-1")
    assert figures["steps"] == 3072 and len(done) == 6
    assert rows(loop.RunFolder(work / "runs" / "ring")) == rows(unbroken[0].folder)


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
    assert [flags["seed"] for flags, _ in started] == [0, 1, 2] and len({call for _, call in started}) == 3
    assert [one["asked"] for one in json.loads(out)["runs"]] == ["b-seed-0", "b-seed-1", "b-seed-2"]
    assert "b-seed-1: RuntimeError: out of memory\n" in err and "b-seed-2: diverged\n" in err
    assert sorted(path.name for path in (work / "runs").iterdir()) == ["b-seed-0", "b-seed-2"]
    assert (shelf.root / "tracks" / "beginner_track.png").is_file()
    (work / "runs" / "b-seed-0").rename(work / "gone")
    with pytest.raises(InputError, match="--save-name is b-seed-0, but the Volume on Modal holds such a run"):
        modal_app.launch(config, runs)
    assert len(started) == 3


def test_a_run_that_cannot_come_home_is_not_lost(work, monkeypatch):
    monkeypatch.setattr(modal_app, "VOLUME", FakeVolume(work))
    (work / "runs" / "mine").mkdir(parents=True)
    said = modal_app.brought_home("mine", Path("runs"))
    assert said.startswith("mine stays on Modal: runs/mine exists") and said.endswith("kart modal pull mine")


def test_the_function_asks_for_an_a100_and_writes_to_the_volume():
    spec = synchronizer._translate_in(modal_app.train_run)._spec
    assert spec.gpus == ["A100-80GB", "A100-40GB"] and list(spec.volumes) == [modal_image.MOUNT]
    assert modal_app.app.name == volume.NAME
