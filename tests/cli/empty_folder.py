"""An empty folder for a command to run in, with caches of its own."""

import os
from pathlib import Path

import pytest


def enter(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `folder` the working folder, with the caches in it and a terminal of 100 columns."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("KART_JAX_CACHE", str(folder / "cache"))
    programs = os.environ.get("JAX_COMPILATION_CACHE_DIR", str(folder / "jax"))
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", programs)
    monkeypatch.setenv("COLUMNS", "100")
