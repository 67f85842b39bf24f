"""A throw-away Python environment for other people's packages, kept in a folder so that nothing is
fetched twice.

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


def place(folder: str | None) -> Path:
    """Where the environment is: the folder given, or one in the cache folder of kart_jax for this
    Python."""
    if folder is not None:
        return Path(folder)
    home = cache.folder()
    if home is None:
        raise InputError(
            "there is no home folder to keep the peers in; choose a folder with --environment"
        )
    here = hashlib.sha256(sys.prefix.encode()).hexdigest()[:8]
    return home / "peers" / f"python{sys.version_info.major}.{sys.version_info.minor}-{here}"


def interpreter(folder: Path) -> Path:
    """The Python of the environment, which is made if it is not there."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        try:
            venv.create(folder, with_pip=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise InputError(
                f"{folder}: no Python environment can be made there ({error})"
            ) from error
        site = subprocess.run(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            capture_output=True, text=True, check=True,
        ).stdout.strip()  # fmt: skip
        (Path(site) / "behind.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return python


def reason(complaint: str) -> str:
    """The line of what pip wrote that tells most: its last error, before it the one of a program
    that it started."""
    lines = [line.strip() for line in complaint.splitlines() if line.strip()]
    told = [line for line in lines if line.lower().startswith(("fatal:", "error:"))]
    return (
        [line for line in told if "subprocess-exited" not in line]
        or told
        or lines
        or ["no reason given"]
    )[-1]


def versions(python: Path, packages: Sequence[str]) -> dict[str, str]:
    """Versions of the packages, named as pip is asked for them, that an environment has."""
    names = [match[0] for package in packages if (match := re.match(r"[\w.-]+", package))]
    script = "import importlib.metadata as m, json, sys; print(json.dumps({n: m.version(n) for n in sys.argv[1:]}))"
    done = subprocess.run(
        [python, "-c", script, *names], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def install(python: Path, packages: Sequence[str]) -> str | None:
    """Install packages unless this was done before; returns why it cannot be done, or None."""
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
