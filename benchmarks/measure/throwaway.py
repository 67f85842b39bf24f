"""A throw-away Python environment for other people's packages, kept for the next time.

It sees the packages of this environment behind its own, so JAX is not installed again.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Sequence
from pathlib import Path

from kart_jax.errors import InputError
from kart_jax.track import cache

DONE = "installed"  # folder with one file for each group of packages that is complete
VERSIONS = (
    "import importlib.metadata as m, json, sys; "
    "print(json.dumps({name: m.version(name) for name in sys.argv[1:]}))"
)


def place(folder: str | None) -> Path:
    """Return where the environment is: the given folder, or one in the cache for this Python."""
    if folder is not None:
        return Path(folder)
    home = cache.cache_folder()
    if home is None:
        raise InputError(
            "there is no home folder to keep the peers in; choose a folder with --environment"
        )
    here = hashlib.sha256(sys.prefix.encode()).hexdigest()[:8]
    return home / "peers" / f"python{sys.version_info.major}.{sys.version_info.minor}-{here}"


def interpreter(folder: Path) -> Path:
    """Return the Python of the environment, which is made if it is not there."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if python.exists():
        return python
    try:
        venv.create(folder, with_pip=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise InputError(f"{folder}: no Python environment can be made there ({error})") from error
    script = "import sysconfig; print(sysconfig.get_path('purelib'))"
    done = subprocess.run([python, "-c", script], capture_output=True, text=True, check=True)
    site = Path(done.stdout.strip())
    (site / "behind.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return python


def reason(complaint: str) -> str:
    """Return the line of pip's complaint that tells most.

    It is the last error, before pip's own the one of a program that pip started.
    """
    lines = [line.strip() for line in complaint.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith(("fatal:", "error:"))]
    of_programs = [line for line in errors if "subprocess-exited" not in line]
    return (of_programs or errors or lines or ["no reason given"])[-1]


def versions(python: Path, packages: Sequence[str]) -> dict[str, str]:
    """Return the versions that an environment has of packages, named as pip is asked for them."""
    names = [match[0] for package in packages if (match := re.match(r"[\w.-]+", package))]
    command = [python, "-c", VERSIONS, *names]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def install(python: Path, packages: Sequence[str]) -> str | None:
    """Install packages unless this was done before; return why it cannot be done, or None."""
    group = hashlib.sha256("\n".join(packages).encode()).hexdigest()[:16]
    mark = python.parents[1] / DONE / group
    if mark.exists():
        return None
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return reason(done.stderr)
    mark.parent.mkdir(exist_ok=True)
    mark.write_text("\n".join(packages) + "\n")
    return None
