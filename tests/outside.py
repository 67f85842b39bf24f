"""Other people's learners in throw-away environments, in which they see this project.

A learner that cannot be installed is no fault of ours: its tests are skipped, and the reason is
printed.
"""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import jax
import pytest

ROOT = Path(__file__).parents[1]


def interpreter(factory: pytest.TempPathFactory, *packages: str) -> Path:
    """Make a Python that has `packages` and sees this project behind them, or skip."""
    folder = factory.mktemp("outside")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"

    install = subprocess.run(
        [python, "-m", "pip", "install", "-q", *packages],
        capture_output=True,
        text=True,
        check=False,
    )
    if install.returncode:
        last = install.stderr.strip().splitlines()[-1]
        reason = f"{', '.join(packages)} cannot be installed here: {last}"
        print(reason)
        pytest.skip(reason)

    site = next((folder / "lib").glob("python*/site-packages"))
    (site / "project.pth").write_text(f"{ROOT}\n{sysconfig.get_path('purelib')}\n")
    return python


def checkout(factory: pytest.TempPathFactory, address: str, commit: str, part: str) -> Path:
    """Fetch one folder, as of a commit, of a learner that is no package, or skip."""
    folder = factory.mktemp("sources")
    commands = (
        "init",
        f"remote add origin {address}",
        f"fetch --quiet --depth 1 --filter=blob:none origin {commit}",
        f"sparse-checkout set {part}",
        f"checkout --quiet {commit}",
    )

    for words in commands:
        done = subprocess.run(
            ["git", "-C", str(folder), *words.split()],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"GIT_TERMINAL_PROMPT": "0"},
        )
        if done.returncode:
            reason = f"{address} cannot be fetched here: {done.stderr.strip().splitlines()[-1]}"
            print(reason)
            pytest.skip(reason)

    return folder / part


def run(python: Path, program: str) -> str:
    """Run a program, which must end well, and return what it prints.

    Compiled programs are kept where the other tests keep theirs.
    """
    cache = {
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(jax.config.values["jax_compilation_cache_dir"]),
    }
    done = subprocess.run(
        [python, "-c", program],
        capture_output=True,
        text=True,
        timeout=1200,
        cwd=ROOT,
        check=False,
        env=os.environ | cache,
    )

    print(done.stdout)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
