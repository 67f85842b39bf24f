"""What a container on Modal holds: packages at the versions of the lock, our code and tracks.

Reads the checkout, which only the machine that builds has; in a container nothing here is called.
"""

import re
import tomllib
from pathlib import Path
from typing import Any

import modal

from kart_jax.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
PYTHON = "3.12"
CUDA = "cuda12"  # of the two extras the one that older drivers take as well
HOME = "/root"  # where Modal puts Python sources, and where they are imported from
MOUNT = "/kart"  # of the Volume, which stands for the folder that one works in at home
LOCK = "/build/requirements.lock"
TENSORBOARD = "board"  # the extra that holds TensorBoard


def training_image(base: modal.Image | None = None) -> modal.Image:
    """Return the image that trains on a GPU.

    Args:
        base: an image with Python; None = Debian's smallest one.

    Raises:
        InputError: this is no checkout, and so has no lock.
    """
    image = _locked(base, [*_project()["dependencies"], *_project()["optional-dependencies"][CUDA]])

    # What JAX and the tracks' cache keep stays on the Volume, so that a second attempt starts
    # without compiling.
    image = image.env(
        {
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "JAX_COMPILATION_CACHE_DIR": f"{MOUNT}/cache/jax",
            "KART_JAX_CACHE": f"{MOUNT}/cache",
        }
    )

    # The sources come last: they change most often, and what follows a change is built again.
    return image.add_local_dir(_checkout("tracks"), f"{HOME}/tracks").add_local_python_source(
        "kart_jax", "train"
    )


def tensorboard_image(base: modal.Image | None = None) -> modal.Image:
    """Return the image that shows TensorBoard; arguments and errors as in `training_image`."""
    return _locked(base, _project()["optional-dependencies"][TENSORBOARD]).add_local_python_source(
        "kart_jax", "train"
    )


def _project() -> dict[str, Any]:
    """Read the table `project` of `pyproject.toml`."""
    text = _checkout("pyproject.toml").read_text(encoding="utf-8")
    table: dict[str, Any] = tomllib.loads(text)["project"]
    return table


def _locked(base: modal.Image | None, wanted: list[str]) -> modal.Image:
    """Return an image with these packages and all that they need, at the versions of the lock."""
    lock = _checkout("requirements.lock")
    pin = re.search(r"^uv==(\S+)", lock.read_text(encoding="utf-8"), re.MULTILINE)
    image = modal.Image.debian_slim(python_version=PYTHON) if base is None else base
    image = image.add_local_file(lock, LOCK, copy=True)
    return image.uv_pip_install(
        wanted, extra_options=f"--constraint {LOCK}", uv_version=pin[1] if pin is not None else None
    )


def _checkout(name: str) -> Path:
    """Return a file or folder at the top of the checkout."""
    path = ROOT / name
    if not path.exists():
        raise InputError(
            f"{path}: is missing; training on Modal starts from a checkout of kart_jax, so make one"
        )
    return path
