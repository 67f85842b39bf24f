"""What a container on Modal holds: the locked packages, and every file that a run reads."""

import inspect
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import modal
import pytest
from modal._utils.async_utils import synchronizer
from packaging.requirements import Requirement

from kart_jax.errors import InputError
from train.cloud import image, tensorboard_server

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def work(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KART_JAX_CACHE", str(tmp_path / "cache"))
    return tmp_path


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


@pytest.mark.parametrize("build", [image.training_image, image.tensorboard_image])
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
    recorder = Recorder()
    image.training_image(recorder)
    (wanted,) = steps(recorder, "uv_pip_install")[0]["packages"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(project["dependencies"]) <= set(wanted)
    assert any(
        Requirement(one).name == "jax" and Requirement(one).extras == {"cuda12"} for one in wanted
    )


def test_the_tensorboard_image_holds_tensorboard_at_the_version_of_the_lock():
    recorder = Recorder()
    image.tensorboard_image(recorder)
    (wanted,) = steps(recorder, "uv_pip_install")[0]["packages"]
    assert [Requirement(one).name for one in wanted] == ["tensorboard"]
    assert re.search(r"^tensorboard==", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    words = tensorboard_server.command(Path("/tmp/board"))
    assert (
        words[words.index("--port") + 1] == str(tensorboard_server.PORT)
        and words[words.index("--host") + 1] == "0.0.0.0"
    )


def test_without_a_checkout_there_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(image, "ROOT", tmp_path)
    with pytest.raises(InputError, match="is missing; training on Modal starts from a checkout"):
        image.training_image(Recorder())


def mounted(image, folder):
    """Copy what Modal would mount in the container into `folder` in place of its root.

    Returns the paths.
    """
    found = []
    inner: Any = synchronizer._translate_in(image)
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
    """Run code in `folder` with the files of a container only, and the packages of this
    environment."""
    known = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    command = [sys.executable, "-P", "-c", IN_A_CONTAINER + code, str(root), str(ROOT), *words]
    return subprocess.run(
        command, cwd=folder, env=known, capture_output=True, text=True, check=False
    )


def test_a_container_loads_the_app_from_its_files_without_the_checkout_and_without_jax(work):
    files = mounted(image.tensorboard_image(), work)
    assert "/root/train/modal_app.py" in files and not any("__pycache__" in name for name in files)
    code = "print([name for name in ('jax', 'numpy', 'tyro', 'flax') if name in sys.modules])"
    done = in_a_container(code, work / "root", work, "container")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[]\n"  # TensorBoard's image has none of them


@pytest.mark.slow
def test_a_run_reads_nothing_that_the_container_does_not_hold(work):
    files = mounted(image.training_image(), work)
    assert {
        "/root/tracks/checkpoints.json",
        "/root/tracks/circuit.png",
        "/root/kart_jax/__init__.py",
    } <= set(files)
    (work / "kart").mkdir()
    flags = {
        "track_name": ["beginner_track.png"],
        "telemetry_only": True,
        "timesteps": 512,
        "vector_envs": 4,
        "rollout_steps": 32,
        "minibatch_size": 64,
        "epochs": 1,
        "save_name": "tiny",
    }
    code = f"""
import json
from train import modal_app
print("FIGURES" + json.dumps(modal_app.train_run.local({flags!r}, "fc-1")))
"""
    code = (
        "class Still:\n    def commit(self): pass\nmodal_app.VOLUME, modal_app.MOUNT = Still(), "
        "sys.argv[3]\n" + code
    )
    done = in_a_container(code, work / "root", work, str(work / "kart"))
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.partition("FIGURES")[2])
    assert figures["steps"] == 512 and figures["name"] == "tiny"
    assert (work / "kart" / "runs" / "tiny" / "checkpoints" / "512").is_dir()
    assert "tiny: done: 512 steps" in done.stdout
