"""A training run from start to end: compiled chunks of updates on the device, logging and saving on
the host.

While the device works on a chunk, the host writes down the one before it. At a checkpoint it waits:
the state is saved first, because the next chunk reuses its memory.
"""

import dataclasses
import time
from pathlib import Path

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from kart_jax.devices import kart_mesh
from kart_jax.env.config import EnvConfig
from kart_jax.env.core import KartEnv
from kart_jax.env.make import make
from kart_jax.errors import InputError
from kart_jax.files import locked
from train.networks import resnet
from train.ppo.hyperparameters import hyperparameters
from train.run import checkpoint, hosts, placement, run_folder, run_tracks
from train.run.checkpoint import Driver
from train.run.config import Settings, TrainConfig
from train.run.defaults import resolve
from train.run.progress import Progress
from train.run.run_folder import RunFolder
from train.run.types import Run

EPISODE_LAPS = 3
SLOW_PACE = 12.0  # m/s, what a learner manages at first


def make_env(settings: Settings) -> KartEnv:
    """The environment of these settings; an episode is long enough for three slow laps of the
    longest circuit."""
    config = EnvConfig(
        frame_stack=settings.frame_stack,
        vision=not settings.telemetry_only,
        randomize=settings.randomize,
    )
    env = make(settings.tracks, kart=settings.kart, config=config)
    params = env.default_params
    seconds = jnp.maximum(
        params.limits.episode_time, EPISODE_LAPS * jnp.max(env.tracks.length) / SLOW_PACE
    )
    limits = dataclasses.replace(params.limits, episode_time=seconds)
    return dataclasses.replace(env, default_params=dataclasses.replace(params, limits=limits))


def prepare(config: TrainConfig, env: KartEnv | None = None) -> tuple[Run, list[str]]:
    """Set up a new run, a run that goes on, or a transfer.

    Args:
        config: the request.
        env: the environment, where another run of the same request has made it.

    Returns:
        The run, and sentences for the user. InputError when it cannot be done.
    """
    begun = time.monotonic()
    runs = Path(config.runs_dir)
    source = None if config.resume_from is None else run_folder.find(config.resume_from, runs)
    saved = None if source is None else run_folder.settings_of(source)
    # A CPU's cores work together as one device; several are cut out of it only for those who ask.
    devices = 1 if jax.default_backend() == "cpu" and not hosts.several() else jax.device_count()
    settings = resolve(config, jax.default_backend(), saved, devices)
    weights = (
        None if config.backbone_weights is None else resnet.load(Path(config.backbone_weights))
    )
    mesh = choose_mesh(config, settings)
    circuits, changed = find_circuits(settings, source, saved)
    if env is None:
        made = make_env(
            dataclasses.replace(settings, tracks=tuple(circuits[name] for name in settings.tracks))
        )
        env = placement.replicate(made, mesh)
    graph, fresh = placement.start(env, settings, mesh, weights)
    notes: list[str] = []
    if source is None or saved is None or config.resume_from is None:
        folder, progress = new_folder(config, settings), Progress()
    elif continues(settings, saved) and not changed:
        place = run_folder.checkpoint_place(config.resume_from, runs)
        fresh, progress = checkpoint.restore(place, fresh, notes.append)
        check_further(settings, progress)
        named_anew = config.save_name is not None and config.save_name != source.path.name
        folder = new_folder(config, settings) if named_anew else source
        if hosts.first():
            with locked(
                folder.path, wait=False
            ):  # nobody trains it, or its settings and curves would be lost
                pass
    else:
        place = run_folder.checkpoint_place(config.resume_from, runs)
        driver = Driver(fresh.params, fresh.scale)
        driver = checkpoint.restore_driver(checkpoint.find(place), driver, notes.append)
        fresh = dataclasses.replace(fresh, params=driver.params, scale=driver.scale)
        folder, progress = new_folder(config, settings), Progress()
        reason = (
            f"{', '.join(changed)} changed"
            if changed
            else "track, kart, seed, karts, roll-out, randomisation or trained stages differ"
        )
        notes.append(f"starting a new run from the driver of {place}: {reason}")
    if hosts.first():
        folder.create(settings)
        run_tracks.keep(folder, circuits)
    hyper = placement.replicate(hyperparameters(settings.ppo, settings.updates), mesh)
    return Run(
        folder, settings, mesh, env, graph, hyper, placement.spread(fresh, mesh), progress, begun
    ), notes


def check_further(settings: Settings, progress: Progress) -> None:
    """InputError when a run that goes on has more steps behind it than it shall have in the end."""
    done = progress.updates * settings.ppo.steps_per_update
    if settings.chunks * settings.steps_per_chunk < done:
        raise InputError(
            f"--timesteps is {settings.timesteps}, but {done} steps of the run are done; it "
            "counts those of the whole "
            "run, so give more"
        )


def new_folder(config: TrainConfig, settings: Settings) -> RunFolder:
    """The folder of a new run, which the first process chooses for all."""
    return RunFolder(
        Path(hosts.told(str(run_folder.choose(config, settings).path) if hosts.first() else ""))
    )


def choose_mesh(config: TrainConfig, settings: Settings) -> Mesh:
    """The devices of a run: those that are asked for, or as many as there are and can share its
    groups of karts."""
    shards = settings.ppo.shards
    if hosts.several() and (
        shards % jax.device_count() or config.devices not in (None, jax.device_count())
    ):
        raise InputError(
            f"the run has {shards} groups of karts, --devices is {config.devices} and the hosts "
            "have "
            f"{jax.device_count()} devices; several hosts use all their devices, so begin a new "
            "run on them"
        )
    if config.devices is not None:
        if shards % config.devices:
            raise InputError(
                f"--devices is {config.devices}; it must divide the {shards} groups of karts of "
                "the run"
            )
        return kart_mesh(config.devices)
    there = jax.device_count()
    return kart_mesh(
        max(count for count in range(1, min(there, shards) + 1) if shards % count == 0)
    )


def find_circuits(
    settings: Settings, source: RunFolder | None, saved: Settings | None
) -> tuple[dict[str, str], list[str]]:
    """Where each circuit of a run is loaded from: the copy of the run it goes on from, if that
    still holds.

    Returns:
        Name or path as given -> what to load, and the circuits that have changed since the earlier
        run began.
    """
    if source is None or saved is None:
        return {name: name for name in settings.tracks}, []
    changed = [name for name in run_tracks.changed(source, saved.tracks) if name in settings.tracks]
    copies = run_tracks.own(source, saved.tracks)
    return {
        name: name if name in changed else copies.get(name, name) for name in settings.tracks
    }, changed


def continues(settings: Settings, saved: Settings) -> bool:
    """Whether a run of these settings can go on from the whole state and counters of the saved
    one."""
    names = ("tracks", "kart", "seed", "randomize", "backbone_trainable")
    same = all(getattr(settings, name) == getattr(saved, name) for name in names)
    shape = ("vector_envs", "rollout_steps", "updates_per_chunk")
    return same and all(getattr(settings.ppo, name) == getattr(saved.ppo, name) for name in shape)
