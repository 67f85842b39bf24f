"""What is shipped: the lock for every Python, the wheel with its tracks, the source archive.

And the targets that set a bare machine up.
"""

import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements.lock"


def locked() -> list[Requirement]:
    lines = (line.strip() for line in LOCK.read_text().splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def holds(marker: Marker | None, python: str) -> bool:
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.1",
        "sys_platform": "linux",
    }
    return marker is None or marker.evaluate(environment)


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_the_lock_names_one_exact_version_of_everything_for_every_python(python):
    chosen: dict[str, str] = {}
    for one in locked():
        assert re.fullmatch(r"==[\w.+!-]+", str(one.specifier)), one
        if holds(one.marker, python):
            assert one.name not in chosen, f"{one.name} twice on {python}"
            chosen[one.name] = str(one.specifier)

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    for extra, needs in project["project"]["optional-dependencies"].items():
        wanted += needs
        if extra.startswith("cuda"):
            assert chosen[f"jax-{extra}-plugin"] == chosen[f"jax-{extra}-pjrt"] == chosen["jax"]

    for text in wanted:
        need = Requirement(text)
        name = re.sub(r"[-_.]+", "-", need.name).lower()
        assert name in chosen, f"{name} is not in requirements.lock; run make lock"
        assert need.specifier.contains(chosen[name].removeprefix("=="), prereleases=True), name


def test_the_lock_holds_no_address_hash_or_machine_path():
    text = LOCK.read_text()
    for word in ("://", "--hash", "--index", "--find-links", "/home", "/root", "/tmp", "file:"):
        assert word not in text, word
    assert "make lock" in text.splitlines()[1]


def test_the_licence_is_mit_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["license"] == "MIT" and (ROOT / "LICENSE").read_text().startswith("MIT License")


def test_make_says_in_one_sentence_that_python_is_missing(tmp_path):
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    done = subprocess.run(
        ["make", "setup", "PYTHON=no-such-python"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert (
        "no Python 3.11 or newer was found as no-such-python; install one, or name it"
        in done.stderr
    )
    assert not (tmp_path / ".venv").exists()


def test_make_train_passes_flags_on():
    done = subprocess.run(
        ["make", "--dry-run", "--old-file", ".venv/.set-up", "train", "ARGS=--timesteps 1000"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ".venv/bin/kart train --timesteps 1000" in done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT, capture_output=True, check=True,
    )  # fmt: skip
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_the_code_the_tracks_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    tops = {name.split("/")[0] for name in names}
    assert tops == {"kart_jax", "train", next(top for top in tops if top.endswith(".dist-info"))}

    shipped = {
        f"kart_jax/_tracks/{p.name}"
        for p in (ROOT / "tracks").iterdir()
        if not p.name.startswith(".")
    }
    assert "kart_jax/_tracks/checkpoints.json" in shipped and shipped <= names
    assert {"kart_jax/cli/__init__.py", "train/run/loop.py"} <= names

    shown = subprocess.run(
        ["git", "ls-files", "benchmarks"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    listed = shown.stdout.split() or ["benchmarks/measure/report.py"]
    scripts = {f"kart_jax/_{name}" for name in listed}
    assert scripts <= names and not any("__pycache__" in name for name in names)


TINY = (
    "train", "--track-name", "beginner_track.png", "--telemetry-only", "--timesteps", "256",
    "--vector-envs", "4", "--rollout-steps", "32", "--minibatch-size", "64", "--epochs", "1",
    "--save-name", "tiny", "--json",
)  # fmt: skip


def answer(command: list[str], folder: Path) -> dict:
    """Return what a `kart` command prints with --json.

    It is run in a folder without the checkout on any path.
    """
    known = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        command, cwd=folder, env=known, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def check_use(kart: list[str], folder: Path) -> None:
    """Check that an installed `kart` lists tracks, drives, trains and films in an empty folder."""
    listed = answer([*kart, "track", "list", "--json"], folder)["tracks"]
    names = {track["name"] for track in listed}
    assert {"circuit", "beginner_track", "monza", "spa", "silverstone"} <= names

    words = "drive --track-name beginner_track.png --laps 1 --json"
    figures = answer([*kart, *words.split()], folder)
    assert len(figures["laps"]) == 1 and figures["laps"][0]["valid"]

    trained = answer([*kart, *TINY], folder)
    run = folder / "runs" / "tiny"
    assert (run / "config.json").is_file() and any((run / "checkpoints").iterdir())
    assert len((run / "metrics.csv").read_text().splitlines()) > 1

    recording = run / "telemetry" / "beginner_track.csv"
    film = run / "videos" / "beginner_track.mp4"
    assert trained["film"]["files"] == [str(path.relative_to(folder)) for path in (recording, film)]
    assert recording.read_text().startswith("step,")
    assert len(recording.read_text().splitlines()) > 10
    assert film.read_bytes()[4:8] == b"ftyp" and film.stat().st_size > 20_000


@pytest.mark.slow
def test_the_wheel_drives_and_trains_from_an_empty_folder_outside_the_checkout(wheel, tmp_path):
    site, work = tmp_path / "site", tmp_path / "work"
    work.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    # The installed dependencies of this environment, without the editable install of the checkout.
    code = (
        f"import sys; sys.path = [{str(site)!r}] + [p for p in sys.path if p != {str(ROOT)!r}]\n"
        "sys.meta_path = [f for f in sys.meta_path if 'editable' not in "
        "type(f).__module__.lower()]\n"
        "import kart_jax, kart_jax.cli as cli, train\n"
        f"assert all(m.__file__.startswith({str(site)!r}) for m in (kart_jax, train)), "
        "kart_jax.__file__\n"
        "sys.exit(cli.main(sys.argv[1:]))"
    )
    check_use([sys.executable, "-P", "-c", code], work)


@pytest.mark.slow
def test_the_wheel_works_in_an_environment_of_its_own_at_the_versions_of_the_lock(wheel, tmp_path):
    # As a user installs it; needs the package index or a warm uv cache.
    own, work = tmp_path / "venv", tmp_path / "work"
    work.mkdir()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(own)], check=True)
    python = str(own / "bin" / "python")
    uv = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--quiet"]
    install = [*uv, "--python", python, "--constraint", str(LOCK), str(wheel)]
    done = subprocess.run(install, cwd=work, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

    where = "import kart_jax, train; print(kart_jax.__file__, train.__file__)"
    found = subprocess.run(
        [python, "-P", "-c", where], cwd=work, capture_output=True, text=True, check=True
    ).stdout
    assert all(path.startswith(str(own)) for path in found.split())
    check_use([str(own / "bin" / "kart")], work)


def test_the_source_archive_holds_what_its_tests_read(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)],
        cwd=ROOT, capture_output=True, check=True,
    )  # fmt: skip
    (path,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        inside = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}

    for name in (
        "benchmarks/physics_table.py",
        "benchmarks/lap_times.py",
        "docs/physics.md",
        "notebooks/execute.py",
        "tests/conftest.py",
        "tests/physics/checks/check.py",
        "tracks/checkpoints.json",
        "train/run/loop.py",
        "README.md",
        "Makefile",
        "requirements.lock",
    ):
        assert name in inside, name
