"""How a run is set up: a new one, one that goes on, or a transfer of a driver to other numbers."""

import dataclasses
import time
from pathlib import Path

import jax

from kart_jax.env.kart import KartEnv
from kart_jax.errors import InputError
from kart_jax.files import locked
from train.declaration import Role, flatten, with_role
from train.networks import resnet
from train.ppo.hyperparameters import Hyperparameters
from train.ppo.train_state import TrainState
from train.run import (
    checkpoint,
    checkpoint_folder,
    hosts,
    placement,
    run_folder,
    run_tracks,
)
from train.run.checkpoint import DriverPart
from train.run.config import RunConfig
from train.run.environment import make_env
from train.run.progress import Progress
from train.run.request import TrainConfig
from train.run.resolve import resolve
from train.run.run_folder import RunFolder
from train.run.types import Run


@dataclasses.dataclass(frozen=True)
class Source:
    """The run to go on from."""

    folder: RunFolder
    """Its folder."""
    config: RunConfig
    """Its numbers."""
    place: Path
    """Where its checkpoint is looked for."""


Begun = tuple[RunFolder, TrainState, Progress]  # what a run starts with


def prepare(request: TrainConfig, env: KartEnv | None = None) -> tuple[Run, list[str]]:
    """Set up a new run, a run that goes on, or a transfer.

    Args:
        request: what is asked for.
        env: the environment, where another run of the same request has made it.

    Returns:
        The run, and sentences for the user. InputError when it cannot be done.
    """
    begun = time.monotonic()
    source = find_source(request)
    config = resolve_here(request, source)
    weights = read_weights(request)
    mesh = placement.choose_mesh(request.devices, config.ppo.shards)

    circuits, changed = find_circuits(config, source)
    if env is None:
        found = tuple(circuits[name] for name in config.tracks)
        env = placement.replicate(make_env(dataclasses.replace(config, tracks=found)), mesh)
    graph, fresh = placement.initial_state(env, config, mesh, weights)

    notes: list[str] = []
    if source is None:
        folder, state, progress = new_folder(request, config), fresh, Progress()
    elif not (differing := [*changed, *new_run_leaves(config, source.config)]):
        folder, state, progress = go_on(request, config, source, fresh, notes)
    else:
        folder, state, progress = transfer(request, config, source, fresh, notes)
        notes.append(
            f"starting a new run from the driver of {source.place}: {', '.join(differing)} changed"
        )

    if hosts.first():
        folder.create(config)
        run_tracks.keep(folder, circuits)

    hyperparameters = Hyperparameters.from_config(config.ppo, config.updates)
    run = Run(
        folder=folder,
        config=config,
        mesh=mesh,
        env=env,
        graph=graph,
        hyperparameters=placement.replicate(hyperparameters, mesh),
        state=placement.spread(state, mesh),
        progress=progress,
        begun=begun,
    )
    return run, notes


def find_source(request: TrainConfig) -> Source | None:
    """Find the run that a request goes on from; None when it asks for a new one."""
    if request.resume_from is None:
        return None
    runs = Path(request.runs_dir)
    folder = run_folder.find(request.resume_from, runs)
    place = run_folder.checkpoint_place(request.resume_from, runs)
    return Source(folder, run_folder.read_config(folder), place)


def resolve_here(request: TrainConfig, source: Source | None) -> RunConfig:
    """Fix every number of a run on this machine."""
    backend = jax.default_backend()
    # A CPU's cores work together as one device; several are cut out of it only for those who ask.
    devices = 1 if backend == "cpu" and not hosts.several() else jax.device_count()
    return resolve(request, backend, None if source is None else source.config, devices)


def read_weights(request: TrainConfig) -> resnet.Weights | None:
    """Read the weights of a pretrained backbone, where they are given."""
    path = request.backbone_weights
    return None if path is None else resnet.load(Path(path))


def new_run_leaves(config: RunConfig, saved: RunConfig) -> list[str]:
    """Return the leaves in which a run must not differ to go on from the saved one's whole state.

    A run that differs in one of them begins anew, from the saved driver.
    """
    now = flatten(config)
    before = flatten(saved)
    return [name for name in with_role(RunConfig, Role.NEW_RUN) if now[name] != before[name]]


def go_on(
    request: TrainConfig, config: RunConfig, source: Source, fresh: TrainState, notes: list[str]
) -> Begun:
    """Go on from the whole state of a saved run, in its folder unless another name is given."""
    state, progress = checkpoint.restore(source.place, fresh, notes.append)

    done = progress.updates * config.ppo.steps_per_update
    if config.chunks * config.steps_per_chunk < done:
        raise InputError(
            f"--timesteps is {config.timesteps}, but {done} steps of the run are done; it counts "
            "those of the whole run, so give more"
        )

    renamed = request.save_name not in (None, source.folder.path.name)
    folder = new_folder(request, config) if renamed else source.folder
    if hosts.first():
        # While another process trains it, its config and curves would be lost.
        with locked(folder.path, wait=False):
            pass
    return folder, state, progress


def transfer(
    request: TrainConfig, config: RunConfig, source: Source, fresh: TrainState, notes: list[str]
) -> Begun:
    """Begin a new run with the driver of a saved one."""
    driver = checkpoint.restore_driver(
        checkpoint_folder.find(source.place), DriverPart(fresh.params, fresh.scale), notes.append
    )
    state = dataclasses.replace(fresh, params=driver.params, scale=driver.scale)
    return new_folder(request, config), state, Progress()


def new_folder(request: TrainConfig, config: RunConfig) -> RunFolder:
    """Make the folder of a new run, which the first process chooses for all."""
    chosen = str(run_folder.choose(request, config).path) if hosts.first() else ""
    return RunFolder(Path(hosts.broadcast(chosen)))


def find_circuits(config: RunConfig, source: Source | None) -> tuple[dict[str, str], list[str]]:
    """Find where each circuit of a run is loaded from: the copy of the run it goes on from.

    Returns:
        Name or path as given -> what to load, and the circuits that have changed since the earlier
        run began; their copies no longer hold.
    """
    if source is None:
        return {name: name for name in config.tracks}, []
    before = source.config.tracks
    changed = [name for name in run_tracks.changed(source.folder, before) if name in config.tracks]
    copies = run_tracks.own(source.folder, before)
    return {
        name: name if name in changed else copies.get(name, name) for name in config.tracks
    }, changed
