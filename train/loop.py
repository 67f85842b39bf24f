"""A training run from start to end: compiled chunks of updates on the device, logging and saving on the host.

While the device works on a chunk, the host writes down the one before it. At a checkpoint it waits: the state is
saved first, because the next chunk reuses its memory.
"""

import dataclasses
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from rich.console import Console

from kart_jax.env.batch import kart_mesh
from kart_jax.env.config import EnvConfig
from kart_jax.env.core import KartEnv
from kart_jax.env.make import make
from kart_jax.errors import InputError
from kart_jax.files import locked
from train import checkpoint, hosts, resnet, run_folder, run_tracks, state
from train.checkpoint import Driver
from train.chunks import Chunks
from train.config import Settings, TrainConfig
from train.console import Screen
from train.metrics import UpdateMetrics
from train.ppo import Hyperparameters, hyperparameters
from train.profiles import resolve
from train.progress import Progress, together
from train.reporter import Reporter, divergence, farewell
from train.run_folder import RunFolder
from train.state import TrainState
from train.update import Graph

EPISODE_LAPS = 3
SLOW_PACE = 12.0  # m/s, what a learner manages at first


@dataclasses.dataclass(frozen=True)
class RunResult:
    """What a finished or interrupted run left behind."""

    folder: RunFolder
    """Where everything is."""
    steps: int
    """Environment steps done."""
    progress: Progress
    """Laps, times, counters."""
    interrupted: bool
    """Ended early by Ctrl-C or SIGTERM; `--resume-from` goes on."""
    failure: str | None = None
    """One sentence when training diverged: losses or network were no longer finite numbers."""


@dataclasses.dataclass
class Run:
    """A run under way."""

    folder: RunFolder
    settings: Settings
    mesh: Mesh
    env: KartEnv
    graph: Graph
    hyper: Hyperparameters
    state: TrainState
    progress: Progress
    begun: float  # s on the monotonic clock, when this session of the run began

    @property
    def steps(self) -> int:
        """Environment steps done."""
        return self.progress.updates * self.settings.ppo.steps_per_update


def make_env(settings: Settings) -> KartEnv:
    """The environment of these settings; an episode is long enough for three slow laps of the longest circuit."""
    config = EnvConfig(
        frame_stack=settings.frame_stack, vision=not settings.telemetry_only, randomize=settings.randomize
    )
    env = make(settings.tracks, kart=settings.kart, config=config)
    params = env.default_params
    seconds = jnp.maximum(params.limits.episode_time, EPISODE_LAPS * jnp.max(env.tracks.length) / SLOW_PACE)
    limits = dataclasses.replace(params.limits, episode_time=seconds)
    return dataclasses.replace(env, default_params=dataclasses.replace(params, limits=limits))


def train(config: TrainConfig, quiet: bool = False, keep: bool = False) -> RunResult:
    """Do what `kart train` is asked for, without a word if `quiet`; InputError when it cannot be done.

    `keep`: the sources are as they lie on the disk, so what was traced of them may be kept, see `train.kept`.
    """
    run, notes = prepare(config)
    return drive(run, notes, Console(stderr=config.json, quiet=quiet or not hosts.first()), keep=keep)


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
    weights = None if config.backbone_weights is None else resnet.load(Path(config.backbone_weights))
    mesh = choose_mesh(config, settings)
    circuits, changed = find_circuits(settings, source, saved)
    if env is None:
        made = make_env(dataclasses.replace(settings, tracks=tuple(circuits[name] for name in settings.tracks)))
        env = state.replicate(made, mesh)
    graph, fresh = state.start(env, settings, mesh, weights)
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
            with locked(folder.path, wait=False):  # nobody trains it, or its settings and curves would be lost
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
    hyper = state.replicate(hyperparameters(settings.ppo, settings.updates), mesh)
    return Run(folder, settings, mesh, env, graph, hyper, state.spread(fresh, mesh), progress, begun), notes


def check_further(settings: Settings, progress: Progress) -> None:
    """InputError when a run that goes on has more steps behind it than it shall have in the end."""
    done = progress.updates * settings.ppo.steps_per_update
    if settings.chunks * settings.steps_per_chunk < done:
        raise InputError(
            f"--timesteps is {settings.timesteps}, but {done} steps of the run are done; it counts those of the whole "
            "run, so give more"
        )


def new_folder(config: TrainConfig, settings: Settings) -> RunFolder:
    """The folder of a new run, which the first process chooses for all."""
    return RunFolder(Path(hosts.told(str(run_folder.choose(config, settings).path) if hosts.first() else "")))


def choose_mesh(config: TrainConfig, settings: Settings) -> Mesh:
    """The devices of a run: those that are asked for, or as many as there are and can share its groups of karts."""
    shards = settings.ppo.shards
    if hosts.several() and (shards % jax.device_count() or config.devices not in (None, jax.device_count())):
        raise InputError(
            f"the run has {shards} groups of karts, --devices is {config.devices} and the hosts have "
            f"{jax.device_count()} devices; several hosts use all their devices, so begin a new run on them"
        )
    if config.devices is not None:
        if shards % config.devices:
            raise InputError(f"--devices is {config.devices}; it must divide the {shards} groups of karts of the run")
        return kart_mesh(config.devices)
    there = jax.device_count()
    return kart_mesh(max(count for count in range(1, min(there, shards) + 1) if shards % count == 0))


def find_circuits(
    settings: Settings, source: RunFolder | None, saved: Settings | None
) -> tuple[dict[str, str], list[str]]:
    """Where each circuit of a run is loaded from: the copy of the run it goes on from, if that still holds.

    Returns:
        Name or path as given -> what to load, and the circuits that have changed since the earlier run began.
    """
    if source is None or saved is None:
        return {name: name for name in settings.tracks}, []
    changed = [name for name in run_tracks.changed(source, saved.tracks) if name in settings.tracks]
    copies = run_tracks.own(source, saved.tracks)
    return {name: name if name in changed else copies.get(name, name) for name in settings.tracks}, changed


def continues(settings: Settings, saved: Settings) -> bool:
    """Whether a run of these settings can go on from the whole state and counters of the saved one."""
    names = ("tracks", "kart", "seed", "randomize", "backbone_trainable")
    same = all(getattr(settings, name) == getattr(saved, name) for name in names)
    shape = ("vector_envs", "rollout_steps", "updates_per_chunk")
    return same and all(getattr(settings.ppo, name) == getattr(saved.ppo, name) for name in shape)


@contextmanager
def stop_requests() -> Iterator[list[int]]:
    """Collect Ctrl-C and SIGTERM instead of dying of them; a second one of the same kind acts as usual."""
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield received
        return
    before: dict[int, Any] = {int(number): signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, _: object) -> None:
        received.append(number)
        signal.signal(number, before[number])

    for number in before:
        signal.signal(number, note)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def drive(
    run: Run,
    notes: Sequence[str] = (),
    console: Console | None = None,
    after_save: Callable[[], None] = lambda: None,
    keep: bool = False,
) -> RunResult:
    """Train until the steps are done, a stop is asked for or training diverges.

    Saves at the end unless it diverged: the checkpoints before are then left as they are.

    Args:
        run: from `prepare`, with its `notes`, which are shown first.
        console: where to show them and the progress; None = standard output.
        after_save: called whenever a checkpoint is complete, for instance to bring it to a safe place.
        keep: see `train`.
    """
    return drive_together([run], (*notes, f"run folder {run.folder.path}"), console, after_save, keep=keep)[0]


def drive_together(
    runs: Sequence[Run],
    notes: Sequence[str],
    console: Console | None = None,
    after_save: Callable[[], None] = lambda: None,
    spread: Callable[[int, list[dict[str, float]]], None] = lambda steps, rows: None,
    keep: bool = False,
) -> list[RunResult]:
    """Train runs that share one compiled program side by side, see `cohort`; otherwise as `drive`.

    Args:
        runs: at the same step; the environment, the network and the devices of the first serve all.
        notes: shown first.
        console, after_save: as in `drive`.
        spread: called after every update with its environment steps and the scalars of each run.
        keep: see `train`.

    Returns:
        What became of each run. One that diverges is left behind, the others go on.
    """
    lead, many = runs[0], len(runs) > 1
    settings = lead.settings
    total = settings.chunks * settings.steps_per_chunk
    with hold(runs), stop_requests() as stops, Screen(total, lead.steps, console) as screen:
        for note in notes:
            screen.say(note)
        if total != settings.timesteps:
            whole = f"chunks of {settings.steps_per_chunk:,}"
            screen.say(f"{total:,} steps: the {settings.timesteps:,} asked for, rounded up to whole {whole}")
        reporters = [Reporter(run, screen, f"{run.folder.path.name}: " if many else "") for run in runs]
        chunks = Chunks(runs, keep)
        launched = last_saved = lead.steps

        def stop() -> bool:
            return hosts.any_of(bool(stops))

        while launched < total and not stop() and not all(reporter.diverged for reporter in reporters):
            finished = chunks.launch()  # the chunk before, while this one runs
            launched += settings.steps_per_chunk
            report(finished, reporters, screen, spread)
            if launched // settings.checkpoint_freq > last_saved // settings.checkpoint_freq:
                report(chunks.finish(), reporters, screen, spread)
                chunks.hand_out()
                for reporter in reporters:
                    reporter.save(after_save)
                last_saved = launched
        report(chunks.finish(), reporters, screen, spread)
        chunks.hand_out()
        stopped = stop()
        for reporter in reporters:
            if launched > last_saved:
                reporter.save(after_save)
            if not reporter.diverged:
                screen.say(reporter.name + farewell(reporter.run, stopped))
            reporter.close()
    return [
        RunResult(
            one.run.folder,
            one.run.steps,
            one.run.progress,
            stopped,
            divergence(one.run) if one.diverged else None,
        )
        for one in reporters
    ]


@contextmanager
def hold(runs: Sequence[Run]) -> Iterator[None]:
    """Keep other processes from training these runs, too; InputError when one does."""
    with ExitStack() as folders:
        for run in runs if hosts.first() else ():
            folders.enter_context(locked(run.folder.path, wait=False))
        yield


def report(
    finished: list[UpdateMetrics],
    reporters: Sequence[Reporter],
    screen: Screen,
    spread: Callable[[int, list[dict[str, float]]], None],
) -> None:
    """Write down a finished chunk of each run, if there is one."""
    if not finished:
        return
    lead = reporters[0].run
    steps = lead.steps
    told = [reporter.take(stacked) for reporter, stacked in zip(reporters, finished, strict=True)]
    for number, rows in enumerate(zip(*told, strict=True), 1):
        spread(steps + number * lead.settings.ppo.steps_per_update, list(rows))
    pace = sum(rows[-1]["train/fps"] for rows in told)
    screen.show(lead.steps, pace, together([reporter.run.progress for reporter in reporters]))
