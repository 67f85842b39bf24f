"""Checkpoints of a run: the whole train state and the host's counters, by Orbax.

The only file that knows Orbax. One checkpoint holds two parts: `driver` (network and reward scale,
all that another track or `kart eval` needs) and `rest` (optimiser, karts, keys, counters). Beside
them stand the host's `Progress` and, per part, its layout and the SHA-256 of its bytes, and in
`files.json` that of each file, so that a foreign, older, truncated or altered checkpoint is known
for what it is before use: Orbax, given a damaged file, fills standard error from threads of its
own. It writes into a temporary folder and renames it, so a kill in the middle leaves the earlier
checkpoints whole.
"""

import dataclasses
import hashlib
import json
import logging
import math
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx, struct
from orbax.checkpoint import v1 as ocp

from kart_jax.errors import InputError
from kart_jax.files import replacing
from train.ppo.return_scale import ReturnScale
from train.ppo.train_state import TrainState
from train.run import checkpoint_scores, hosts
from train.run.checkpoint_folder import by_steps, find, is_checkpoint
from train.run.progress import Progress, from_json

FORMAT = "kart_jax train state 2"
FILES = "files.json"
KEEP_LATEST = 3
WORST = (-math.inf, -math.inf)  # score of what cannot be read
T = TypeVar("T")


class DriverPart(struct.PyTreeNode):
    """The part of a train state that is saved as `driver`."""

    params: nnx.State  # of the network
    scale: ReturnScale  # in whose units the critic counts


@contextmanager
def quiet_orbax() -> Iterator[None]:
    """Keep Orbax from telling every step of every save, and what it thinks of other versions."""
    logger = logging.getLogger("absl")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


def _numbers(leaf: jax.Array) -> np.ndarray:
    """Return a leaf as plain numbers on the host; typed keys give their words."""
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    return np.asarray(leaf)


def layout(tree: Any) -> str:
    """Return the SHA-256 of names, shapes and types of a tree of arrays or abstract values."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        digest.update(f"{jax.tree_util.keystr(path)} {leaf.shape} {leaf.dtype}\n".encode())
    return digest.hexdigest()


def content(tree: Any) -> str:
    """Return the SHA-256 of the bytes of a tree of arrays."""
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        digest.update(np.ascontiguousarray(_numbers(leaf)).tobytes())
    return digest.hexdigest()


def parts(state: TrainState) -> dict[str, Any]:
    """Split a state into the parts that are saved."""
    return {
        "driver": DriverPart(state.params, state.scale),
        "rest": dataclasses.replace(state, params=None, scale=None),
    }


class Checkpoints:
    """The `checkpoints` folder of a run, open for writing.

    It keeps the latest three and the best by `Progress.score`. Orbax's own manager of such a folder
    is not used: it reads every checkpoint when it opens, and one damaged file keeps it from opening
    at all.
    """

    def __init__(self, directory: Path, steps: int):
        """Open for a run that stands at `steps`.

        Half-written checkpoints and the scores go, later checkpoints go aside.
        """
        self._directory = directory
        if not hosts.first():
            return

        # What is saved from now on may be another driver after as many steps.
        checkpoint_scores.forget(directory.parent)

        for path in directory.iterdir():
            if path.name.partition(".orbax-checkpoint-tmp")[1]:
                shutil.rmtree(path)
        for step, path in by_steps(directory).items():
            if step > steps:
                aside = path.with_name(f"{step}.abandoned")
                shutil.rmtree(aside, ignore_errors=True)
                path.rename(aside)

    def save(self, steps: int, state: TrainState, progress: Progress) -> None:
        """Write a checkpoint after `steps` environment steps.

        The call returns when the files are complete: the next update reuses the state's memory,
        which on a CPU the writer would still be reading. Of several hosts all must call it, and
        each writes what lies on its devices.
        """
        saved = parts(state)
        about = {
            name: {"layout": layout(part), "content": content(hosts.gather(part))}
            for name, part in saved.items()
        }
        notes: Any = {"format": FORMAT, "parts": about, "progress": dataclasses.asdict(progress)}

        path = (self._directory / str(steps)).resolve()
        with quiet_orbax():
            ocp.save_checkpointables(str(path), saved, overwrite=True, custom_metadata=notes)

        if hosts.first():
            with replacing(path / FILES) as part:
                part.write_text(json.dumps(_digests(path), indent=0))
            self._prune()

    def _prune(self) -> None:
        """Delete all but the latest and the best."""
        found = by_steps(self._directory)
        latest = sorted(found)[-KEEP_LATEST:]
        best = max(found, key=lambda step: (_score(found[step]), step))
        for step in set(found) - {best, *latest}:
            shutil.rmtree(found[step])


def best_first(place: Path) -> list[Path]:
    """Find checkpoints like `checkpoint_folder.find`, but a run's the best first.

    The best is the one that scored best in the checkpoint selection, then by `Progress.score`; of
    equals the later comes first.
    """
    found = find(place)
    if is_checkpoint(place):
        return found
    selected = checkpoint_scores.read(found[0].parent.parent)

    def rank(path: Path) -> tuple[checkpoint_scores.Score, tuple[float, float], int]:
        steps = int(path.name)
        return selected.get(steps, checkpoint_scores.NO_SCORE), _score(path), steps

    return sorted(found, key=rank, reverse=True)


def _notes(path: Path) -> dict[str, Any]:
    """Return what `save` noted beside the arrays.

    InputError when the checkpoint is not ours, anything when it is damaged.
    """
    with quiet_orbax():
        notes = ocp.checkpointables_metadata(str(path.resolve())).custom_metadata
    if not isinstance(notes, dict) or notes.get("format") != FORMAT:
        raise InputError(
            f"{path}: is not a checkpoint of this version of kart_jax; give another one"
        )
    return notes


def _digests(path: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of a checkpoint, by its path there."""
    files = sorted(file for file in path.rglob("*") if file.is_file() and file.suffix != ".part")
    return {file.relative_to(path).as_posix(): _digest(file) for file in files}


def _digest(file: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _check_files(path: Path, wanted: dict[str, Any]) -> None:
    """Raise `InputError` when a file of the wanted parts, or the list, is not as it was written."""
    if not (path / FILES).is_file():
        raise InputError(f"{path}: is damaged, its file {FILES} is missing; use another")
    for name, digest in json.loads((path / FILES).read_text()).items():
        file = path / name
        if name.partition("/")[0] in wanted and not (file.is_file() and _digest(file) == digest):
            raise InputError(
                f"{path}: is damaged, its file {name} is not as it was written; use another"
            )


def _score(path: Path) -> tuple[float, float]:
    """Return the score of a checkpoint; the lowest when it cannot be read."""
    try:
        return from_json(_notes(path)["progress"]).score
    except Exception:
        # Whatever a damaged file raises: it is refused, with its reason, when it is read.
        return WORST


def _read(path: Path, wanted: dict[str, Any]) -> tuple[dict[str, Any], Progress]:
    """Read parts of one checkpoint into the layout of `wanted`; `InputError` says what is wrong."""
    try:
        notes = _notes(path)
        about = notes["parts"]
        for name, part in wanted.items():
            if about[name]["layout"] != layout(part):
                raise InputError(
                    f"{path}: its {name} has another layout than this run asks for; use the same "
                    "--frame-stack, --telemetry-only and --vector-envs as the run that wrote it"
                )
        _check_files(path, wanted)

        with quiet_orbax():
            found = ocp.load_checkpointables(str(path.resolve()), jax.tree.map(_abstract, wanted))
        progress = from_json(notes["progress"])

    except InputError:
        raise
    except Exception as error:  # a damaged file may raise anything inside Orbax and TensorStore
        raise InputError(
            f"{path}: is damaged and cannot be read ({type(error).__name__}); use another"
        ) from error

    for name, part in found.items():
        if content(part) != about[name]["content"]:
            raise InputError(
                f"{path}: is damaged, the numbers of its {name} do not match their checksum; use "
                "another"
            )
    return found, progress


def _abstract(leaf: Any) -> jax.ShapeDtypeStruct:
    """Return shape and type of a leaf, to be placed on the default device."""
    where = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=where)


def _first_readable(paths: list[Path], read: Callable[[Path], T], warn: Callable[[str], None]) -> T:
    """Read the first checkpoint that is good and warn of each bad one before it.

    InputError with the first reason if none is good.
    """
    reasons: list[str] = []
    for path in paths:
        try:
            return read(path)
        except InputError as error:
            reasons.append(str(error))
            if path != paths[-1]:
                warn(f"{error}; trying the one before")
    raise InputError(reasons[0])


def restore(
    place: Path, like: TrainState, warn: Callable[[str], None]
) -> tuple[TrainState, Progress]:
    """Read the whole state of a run.

    Args:
        place: run folder or checkpoint; a damaged one is passed over for the one before it.
        like: a state of the same layout, for instance a fresh one.
        warn: told of each checkpoint that is refused, in one sentence.

    Returns:
        The state and the host's counters. InputError when no checkpoint is good.
    """
    found, progress = _first_readable(find(place), lambda path: _read(path, parts(like)), warn)
    driver: DriverPart = found["driver"]
    return dataclasses.replace(found["rest"], params=driver.params, scale=driver.scale), progress


def restore_driver(paths: list[Path], like: DriverPart, warn: Callable[[str], None]) -> DriverPart:
    """Read network and reward scale from the first good one of `paths`; errors as in `restore`."""
    return _first_readable(paths, lambda path: _read(path, {"driver": like})[0]["driver"], warn)
