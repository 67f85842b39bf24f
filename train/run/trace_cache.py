"""Chunks of training that need not be traced again: their traces lie beside JAX's programs.

Tracing is Python and takes longer than fetching the compiled program from JAX's cache. What comes
of it depends on sources, versions, shapes and the network only, so JAX exports it to a file that is
named by a digest of all of those; runs that differ in their seed, length or hyperparameters share
it.

It is off unless a process is inside `enabled`. It knows nothing of a function that somebody
replaced in this process; so only a process that runs the sources as they lie on the disk, as
`kart train` does, may turn it on.
"""

import contextlib
import hashlib
import os
import time
from collections.abc import Iterator
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
from kart_jax.env.kart import KartEnv
from kart_jax.errors import InputError
from train.ppo.hyperparameters import Hyperparameters
from train.ppo.metrics import UpdateMetrics
from train.ppo.surrogate import LossTerms
from train.ppo.train_state import TrainState
from train.ppo.update import Graph, chunk
from train.run import hosts
from train.run.config import RunConfig

MAX_PROGRAMS = 32  # programs in the folder; the oldest go
LOADED = time.time()  # s since the epoch; the sources were imported shortly before
SETTLED = 60.0  # s before; sources that changed later may not be those that this process imported
CHECKSUM = hashlib.sha256().digest_size
PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy")


_enabled = False  # whether this process may use what was traced before, see `enabled`


@contextlib.contextmanager
def enabled() -> Iterator[None]:
    """Let `find` read and write programs inside the block; elsewhere it finds none."""
    global _enabled  # noqa: PLW0603 - the one switch of the process
    before = _enabled
    _enabled = True
    try:
        yield
    finally:
        _enabled = before


def find(
    graph: Graph,
    env: KartEnv,
    config: RunConfig,
    hyper: Hyperparameters,
    state: TrainState,
    mesh: Mesh,
    runs: int = 1,
) -> Wrapped | None:
    """Read `train.ppo.update.chunk` of these arguments as JAX exported it, or trace and keep it.

    The arguments are those of the chunk; `config` is that of the run, by which `graph` was made.

    Returns:
        A jitted function of `env`, `hyper` and `state` that gives what the chunk gives and reuses
        the state's memory. None outside `enabled`, without a cache folder of JAX, on several hosts,
        for another environment than `KartEnv`, when a source has changed since this process began,
        and when JAX has no export for a part of the program.
    """
    folder = _folder()
    if (
        not _enabled
        or folder is None
        or hosts.several()
        or type(env) is not KartEnv
        or _changed() > LOADED - SETTLED
    ):
        return None

    shape = config.ppo.shape
    static = (
        shape,
        config.network,
        runs,
        [(device.device_kind, device.id) for device in mesh.devices.flat],
        mesh.axis_names,
    )
    path = folder / f"{_digest(static, (env, hyper, state))}.bin"
    program = _read(path)

    if program is None:
        leaves, forms = zip(*map(jax.tree.flatten, (env, hyper, state)), strict=True)

        # JAX exports no classes of ours, so the program is one of lists and tables.
        def plain_chunk(*parts: list[jax.Array]) -> tuple[list[jax.Array], dict[str, Any]]:
            whole_env, whole_hyper, whole_state = map(jax.tree.unflatten, forms, parts)
            after, metrics = chunk(
                graph, whole_env, shape, whole_hyper, whole_state, mesh, runs=runs
            )
            return jax.tree.leaves(after), {**vars(metrics), "losses": vars(metrics.losses)}

        try:
            program = export.export(jax.jit(plain_chunk))(*leaves)
            _write(path, program.serialize())
        except (ValueError, NotImplementedError):
            return None
    return _with_classes(program)


def _with_classes(program: Exported) -> Wrapped:
    """Make a function of our classes of a program of lists and tables."""

    @partial(jax.jit, donate_argnums=2)
    def chunk(
        env: KartEnv, hyper: Hyperparameters, state: TrainState
    ) -> tuple[TrainState, UpdateMetrics]:
        after, metrics = program.call(*map(jax.tree.leaves, (env, hyper, state)))
        losses = LossTerms(**metrics.pop("losses"))
        return jax.tree.unflatten(jax.tree.structure(state), after), UpdateMetrics(
            **metrics, losses=losses
        )

    return chunk


def _folder() -> Path | None:
    """Return where programs are kept; None without a cache folder of JAX."""
    folder = jax.config.values["jax_compilation_cache_dir"]
    return None if folder is None else Path(folder) / "traced"


def _read(path: Path) -> Exported | None:
    """Read the program in a file; None if there is none, or it is damaged."""
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
        for old in sorted(path.parent.glob("*.bin"), key=lambda file: file.stat().st_mtime)[
            :-MAX_PROGRAMS
        ]:
            old.unlink(missing_ok=True)


def _digest(static: Any, traced: Any) -> str:
    """Return a digest of all that tracing depends on: arguments, versions, sources."""
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
    """Return when a source last changed, in s since the epoch."""
    return max(path.stat().st_mtime for path in _sources())


def _sources() -> list[Path]:
    """Return the files of our packages that a chunk may be made of."""
    folders = [Path(files.__file__).parent, Path(__file__).parents[1]]
    return [path for folder in folders for path in sorted(folder.rglob("*.py"))]
