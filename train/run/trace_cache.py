"""Chunks of training that need not be traced again: what tracing made of them is kept beside JAX's
compiled programs.

Tracing is Python and takes longer than fetching the compiled program from JAX's cache. What comes
of it depends on sources, versions, shapes and a few of the settings only, so JAX exports it to a
file that is named by a digest of all of those; runs that differ in their seed, length or
hyperparameters share it. It knows nothing of a function that somebody replaced in this process; so
only a process that runs the sources as they lie on the disk, as the commands do, may ask for it.
"""

import contextlib
import hashlib
import os
import time
from dataclasses import fields
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
from jax import export
from jax.export import Exported
from jax.sharding import Mesh
from jax.stages import Wrapped

from kart_jax import files
from kart_jax.env.core import KartEnv
from kart_jax.errors import InputError
from train.ppo.hyperparameters import Hyperparameters
from train.ppo.metrics import UpdateMetrics
from train.ppo.surrogate import LossTerms
from train.ppo.train_state import TrainState
from train.ppo.update import Graph, chunk
from train.run import hosts
from train.run.config import Settings

MOST = 32  # programs in the folder; the oldest go
LOADED = time.time()  # s since the epoch; the sources were imported shortly before
SETTLED = 60.0  # s before; sources that changed later may not be those that this process imported
CHECKSUM = hashlib.sha256().digest_size
PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy")


def find(
    graph: Graph,
    env: KartEnv,
    settings: Settings,
    hyper: Hyperparameters,
    state: TrainState,
    mesh: Mesh,
    runs: int = 1,
) -> Wrapped | None:
    """`train.ppo.update.chunk` of these arguments as JAX exported it, read or else traced and kept.

    `settings` are those that `graph` was made by; the other arguments are as there.

    Returns:
        A jitted function of `env`, `hyper` and `state` that gives what the chunk gives and reuses
        the state's memory. None without a cache folder of JAX, on several hosts, for another
        environment than `KartEnv`, and when JAX has no export for a part of the program.
    """
    folder = _folder()
    if (
        folder is None
        or hosts.several()
        or type(env) is not KartEnv
        or _changed() > LOADED - SETTLED
    ):
        return None
    shape = settings.ppo.shape
    static = (
        shape,
        _of_network(settings),
        runs,
        [(device.device_kind, device.id) for device in mesh.devices.flat],
        mesh.axis_names,
    )
    path = folder / f"{_digest(static, (env, hyper, state))}.bin"
    program = _read(path)
    if program is None:
        leaves, forms = zip(*map(jax.tree.flatten, (env, hyper, state)), strict=True)

        # JAX exports no classes of ours, so the program is one of lists and tables.
        def bare(*parts: list[jax.Array]) -> tuple[list[jax.Array], dict[str, Any]]:
            whole_env, whole_hyper, whole_state = map(jax.tree.unflatten, forms, parts)
            after, told = chunk(graph, whole_env, shape, whole_hyper, whole_state, mesh, runs=runs)
            return jax.tree.leaves(after), {**vars(told), "losses": vars(told.losses)}

        try:
            program = export.export(jax.jit(bare))(*leaves)
            _write(path, program.serialize())
        except (ValueError, NotImplementedError):
            return None
    return _dressed(program)


def _dressed(program: Exported) -> Wrapped:
    """The program as a function of our classes again."""

    @partial(jax.jit, donate_argnums=2)
    def chunk(
        env: KartEnv, hyper: Hyperparameters, state: TrainState
    ) -> tuple[TrainState, UpdateMetrics]:
        after, told = program.call(*map(jax.tree.leaves, (env, hyper, state)))
        losses = LossTerms(**told.pop("losses"))
        return jax.tree.unflatten(jax.tree.structure(state), after), UpdateMetrics(
            **told, losses=losses
        )

    return chunk


def _of_network(settings: Settings) -> list[tuple[str, Any]]:
    """What of the settings may decide what the static graph of the network holds: all that is not
    given to a chunk."""
    given = (
        "tracks",
        "kart",
        "seed",
        "timesteps",
        "checkpoint_freq",
        "profile",
        "ppo",
        "randomize",
    )
    return [
        (field.name, getattr(settings, field.name))
        for field in fields(settings)
        if field.name not in given
    ]


def _folder() -> Path | None:
    """Where programs are kept."""
    folder = jax.config.read("jax_compilation_cache_dir")
    return None if folder is None else Path(folder) / "traced"


def _read(path: Path) -> Exported | None:
    """The program in a file; None if there is none, or it is damaged."""
    try:
        whole = path.read_bytes()
    except OSError:
        return None
    data = whole[CHECKSUM:]
    return (
        export.deserialize(bytearray(data))
        if hashlib.sha256(data).digest() == whole[:CHECKSUM]
        else None
    )


def _write(path: Path, data: bytearray) -> None:
    """Keep a program behind its checksum, if the disk allows; the oldest make room."""
    with contextlib.suppress(InputError, OSError):
        with files.replacing(path) as part:
            part.write_bytes(hashlib.sha256(data).digest() + data)
        for old in sorted(path.parent.glob("*.bin"), key=lambda file: file.stat().st_mtime)[:-MOST]:
            old.unlink(missing_ok=True)


def _digest(static: Any, traced: Any) -> str:
    """All that tracing depends on, as hexadecimal digits: static and traced arguments, versions,
    sources."""
    leaves, form = jax.tree.flatten(traced)
    variables = sorted(
        (name, value) for name, value in os.environ.items() if name.startswith(("JAX_", "XLA_"))
    )
    parts = [
        *(f"{package} {metadata.version(package)}" for package in PACKAGES),
        repr((jax.default_backend(), variables, static)),
        str(form),
        *(f"{jax.typeof(leaf)} {getattr(leaf, 'weak_type', True)}" for leaf in leaves),
    ]
    digest = hashlib.sha256("\n".join(parts).encode())
    for path in _sources():
        digest.update(f"\n{path.name} {path.stat().st_size}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:32]


def _changed() -> float:
    """When a source last changed, in s since the epoch."""
    return max(path.stat().st_mtime for path in _sources())


def _sources() -> list[Path]:
    """The files of our packages that a chunk may be made of."""
    folders = [Path(files.__file__).parent, Path(__file__).parents[1]]
    return [path for folder in folders for path in sorted(folder.rglob("*.py"))]
