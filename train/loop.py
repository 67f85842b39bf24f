"""A training run from start to end: compiled chunks of updates on the device, logging and saving on the host.

While the device works on a chunk, the host writes down the one before it. At a checkpoint it waits: the state is
saved first, because the next chunk reuses its memory.
"""

import dataclasses
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from rich.console import Console

from kart_jax.env.config import EnvConfig
from kart_jax.env.core import KartEnv
from kart_jax.env.make import make
from train import checkpoint, resnet, run_folder, run_tracks, state
from train.checkpoint import Checkpoints, Driver
from train.config import Settings, TrainConfig
from train.console import Screen, clock
from train.log import Log
from train.metrics import UpdateMetrics
from train.profiles import resolve
from train.progress import Progress
from train.run_folder import RunFolder
from train.state import TrainState
from train.update import Graph, chunk

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
    env: KartEnv
    graph: Graph
    state: TrainState
    progress: Progress
    begun: float  # s on the monotonic clock, when this session of the run began

    @property
    def steps(self) -> int:
        """Environment steps done."""
        return self.progress.updates * self.settings.ppo.steps_per_update


def make_env(settings: Settings) -> KartEnv:
    """The environment of these settings; an episode is long enough for three slow laps of the longest circuit."""
    config = EnvConfig(frame_stack=settings.frame_stack, vision=not settings.telemetry_only)
    env = make(settings.tracks, kart=settings.kart, config=config)
    params = env.default_params
    seconds = jnp.maximum(params.limits.episode_time, EPISODE_LAPS * jnp.max(env.tracks.length) / SLOW_PACE)
    limits = dataclasses.replace(params.limits, episode_time=seconds)
    return dataclasses.replace(env, default_params=dataclasses.replace(params, limits=limits))


def train(config: TrainConfig) -> RunResult:
    """Do what `kart train` is asked for; InputError when it cannot be done."""
    run, notes = prepare(config)
    return drive(run, notes, Console(stderr=config.json))


def prepare(config: TrainConfig) -> tuple[Run, list[str]]:
    """Set up a new run, a run that goes on, or a transfer; returns it with sentences for the user."""
    begun = time.monotonic()
    runs = Path(config.runs_dir)
    source = None if config.resume_from is None else run_folder.find(config.resume_from, runs)
    saved = None if source is None else run_folder.settings_of(source)
    settings = resolve(config, jax.default_backend(), saved)
    weights = None if config.backbone_weights is None else resnet.load(Path(config.backbone_weights))
    circuits, changed = find_circuits(settings, source, saved)
    env = make_env(dataclasses.replace(settings, tracks=tuple(circuits[name] for name in settings.tracks)))
    graph, fresh = state.start(env, settings, weights)
    notes: list[str] = []
    if source is None or saved is None or config.resume_from is None:
        folder, progress = run_folder.choose(config, settings), Progress()
    elif continues(settings, saved) and not changed:
        place = run_folder.checkpoint_place(config.resume_from, runs)
        fresh, progress = checkpoint.restore(place, fresh, notes.append)
        named_anew = config.save_name is not None and config.save_name != source.path.name
        folder = run_folder.choose(config, settings) if named_anew else source
    else:
        place = run_folder.checkpoint_place(config.resume_from, runs)
        driver = Driver(fresh.params, fresh.scale)
        driver = checkpoint.restore_driver(checkpoint.find(place), driver, notes.append)
        fresh = dataclasses.replace(fresh, params=driver.params, scale=driver.scale)
        folder, progress = run_folder.choose(config, settings), Progress()
        reason = (
            f"{', '.join(changed)} changed"
            if changed
            else "track, kart, seed, karts, roll-out length or trained stages differ"
        )
        notes.append(f"starting a new run from the driver of {place}: {reason}")
    folder.create(settings)
    run_tracks.keep(folder, circuits)
    return Run(folder, settings, env, graph, fresh, progress, begun), notes


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
    same = all(
        getattr(settings, name) == getattr(saved, name) for name in ("tracks", "kart", "seed", "backbone_trainable")
    )
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


def drive(run: Run, notes: Sequence[str] = (), console: Console | None = None) -> RunResult:
    """Train until the steps are done, a stop is asked for or training diverges.

    Saves at the end unless it diverged: the checkpoints before are then left as they are.

    Args:
        run: from `prepare`, with its `notes`, which are shown first.
        console: where to show them and the progress; None = standard output.
    """
    settings = run.settings
    total = settings.chunks * settings.steps_per_chunk
    checkpoints = Checkpoints(run.folder.checkpoints, run.steps)
    log = Log(run.folder, run.steps)
    with stop_requests() as stops, Screen(total, run.steps, console) as screen:
        for note in (*notes, f"run folder {run.folder.path}"):
            screen.say(note)
        reporter = Reporter(run, log, screen)
        launched = run.steps
        last_saved = launched
        while launched < total and not stops and not reporter.diverged:
            run.state, pending = chunk(run.graph, run.env, settings, run.state)
            launched += settings.steps_per_chunk
            reporter.finish()  # the chunk before, while this one runs
            reporter.pending = pending
            if launched // settings.checkpoint_freq > last_saved // settings.checkpoint_freq:
                reporter.save(checkpoints)
                last_saved = launched
        reporter.finish()
        if launched > last_saved:
            reporter.save(checkpoints)
        if not reporter.diverged:
            screen.say(farewell(run, bool(stops)))
    log.close()
    failure = divergence(run) if reporter.diverged else None
    return RunResult(run.folder, run.steps, run.progress, bool(stops), failure)


@jax.jit
def finite(tree: Any) -> jax.Array:
    """Whether every number in a tree of arrays is finite, () bool."""
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]))


class Reporter:
    """Writes down finished chunks: log, screen, counters."""

    def __init__(self, run: Run, log: Log, screen: Screen):
        """For one run."""
        self.run, self.log, self.screen = run, log, screen
        self.pending: UpdateMetrics | None = None
        self.since = run.begun
        self.diverged = False  # losses or network are no longer finite numbers

    def save(self, checkpoints: Checkpoints) -> None:
        """Report the pending chunk and write a checkpoint after it, unless training has diverged."""
        self.finish()
        state = self.run.state
        self.diverged = self.diverged or not bool(finite((state.params, state.optimiser, state.scale)))
        if not self.diverged:
            checkpoints.save(self.run.steps, state, self.run.progress)

    def finish(self) -> None:
        """Wait for the pending chunk, if there is one, and report each of its updates."""
        if self.pending is None:
            return
        stacked = jax.device_get(self.pending)
        self.pending = None
        self.diverged = self.diverged or not bool(finite((stacked.losses, stacked.reward_scale, stacked.std)))
        now = time.monotonic()
        progress, settings = self.run.progress, self.run.settings
        progress.elapsed += now - self.since
        fps = settings.steps_per_chunk / max(now - self.since, 1e-9)
        self.since = now
        unlapped = progress.first_lap_steps is None
        for index in range(settings.ppo.updates_per_chunk):
            one = jax.tree.map(lambda x, i=index: x[i], stacked)
            steps = self.run.steps + settings.ppo.steps_per_update
            scalars = progress.take(one, steps)
            self.log.write(steps, scalars | {"train/fps": fps, "train/seconds": progress.elapsed})
        self.log.flush()
        if unlapped and progress.first_lap_steps is not None and progress.first_lap_seconds is not None:
            took = clock(progress.first_lap_seconds)
            lap = f"{progress.best_lap:.3f} s"
            self.screen.say(f"first clean lap after {took}, {progress.first_lap_steps:,} steps: {lap}")
        self.screen.show(self.run.steps, fps, progress)


def farewell(run: Run, stopped: bool) -> str:
    """The last line: what was reached and where it is."""
    progress = run.progress
    best = "no clean lap yet" if progress.best_lap is None else f"best lap {progress.best_lap:.3f} s"
    reached = f"{run.steps:,} steps in {clock(progress.elapsed)}, {progress.laps} clean laps, {best}"
    if stopped:
        return f"stopped: {reached}; saved, go on with --resume-from {run.folder.path}"
    return f"done: {reached}; saved in {run.folder.path}"


def divergence(run: Run) -> str:
    """What to say when training diverged."""
    what = f"losses or network are no longer finite numbers after {run.steps:,} steps"
    if any(run.folder.checkpoints.iterdir()):
        return f"{what}; the checkpoints before are good: go on with --resume-from {run.folder.path} and other numbers"
    return f"{what}, before the first checkpoint; begin anew with a smaller --learning-rate"
