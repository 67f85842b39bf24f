"""How well a driver drives: fixed drives on a circuit, learned and scripted driver side by side.

Drive 0 starts from rest on the grid; the others start rolling at places drawn with fixed seeds,
because from one start a deterministic driver always does the same. A drive ends at its first fault
or when its time is up, and no kart is set back on the track: what is counted was driven in one go.
"""

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from kart_jax.drivers import scripted
from kart_jax.env.batch import reset_batch, step_batch
from kart_jax.env.config import EnvConfig
from kart_jax.env.core import KartEnv
from kart_jax.env.make import Source, make
from kart_jax.env.params import EnvParams
from kart_jax.env.types import EnvState
from kart_jax.errors import InputError
from kart_jax.files import check_place
from kart_jax.laptime import search
from kart_jax.laptime.search import Minimum
from kart_jax.telemetry import export, record
from kart_jax.telemetry.channels import NAMES
from train.evaluation.load_policy import load_policy
from train.networks.actor_critic import Observation
from train.networks.policy import Policy
from train.run import run_folder, run_tracks
from train.run.config import Settings

LARGEST_RECORDING = 2_000_000_000  # bytes of telemetry of one driver on one circuit

Report = Callable[[str, int, float], None]  # circuit, laps simulated, best lap in s
Act = Callable[
    [Any, Observation, EnvState, jax.Array], jax.Array
]  # driver, (B, ...), (B, ...), key () -> (B, 2)
Driver = tuple[str, str, Act, Any, KartEnv]  # name, kind, act, what it needs, its environment


@dataclasses.dataclass(frozen=True)
class Result:
    """One driver on one circuit."""

    driver: str
    """Name of the run, or "scripted", or "fastest": the scripted driver with the fastest plan that
    a search found."""
    track: str
    """Circuit."""
    drives: int
    """Drives started."""
    completion_rate: float
    """Share of the drives with at least one clean lap, 0..1."""
    laps: int
    """Clean laps over all drives."""
    best_lap: float | None
    """Seconds; None = no clean lap."""
    mean_lap: float | None
    """Seconds, over all clean laps; each begins and ends at the line."""
    off_track_time: float
    """Mean seconds per drive with all wheels off the track."""
    drive_time: float
    """Mean seconds until the drive ended."""
    telemetry: str | None
    """File with the telemetry of the drives; None = none was asked for."""
    gap: float | None = None
    """Seconds of the best lap over the minimum lap time; None = no lap, or no search was asked
    for."""
    gap_percent: float | None = None
    """The same, in percent of the minimum lap time."""
    minimum: Minimum | None = None
    """What the search found, with the driver "fastest"."""


class Tally(struct.PyTreeNode):
    """Counters of B drives; every field (B,)."""

    alive: jax.Array  # bool, no fault and time left
    laps: jax.Array  # int32
    best_lap: jax.Array  # s, inf = none
    lap_time_sum: jax.Array  # s
    off_track: jax.Array  # int32, steps
    steps: jax.Array  # int32


def learned(policy: Policy, observation: Observation, *_: Any) -> jax.Array:
    """Act by the trained policy, the most likely action each time."""
    return policy(observation)


def exploring(policy: Policy, observation: Observation, _: EnvState, key: jax.Array) -> jax.Array:
    """Act by the trained policy as in training, with exploration."""
    return policy.explore(observation, key)


def by_script(
    driver: tuple[scripted.Plan, KartEnv], _: Observation, state: EnvState, __: jax.Array
) -> jax.Array:
    """Act by the scripted driver, which sees the state itself."""
    plan, env = driver

    def one(state: EnvState) -> jax.Array:
        kart = jax.tree.map(lambda field: field[0], state.race.karts)
        wish = scripted.control(plan, env.tracks, state.race.track, kart, env.default_params.kart)
        return jnp.stack([wish.steering, wish.throttle - wish.brake])

    return jax.vmap(one)(state)


def start_params(params: EnvParams, drives: int, seconds: float) -> EnvParams:
    """Parameters (drives, ...): the first from the grid, the others anywhere; every drive lasts
    `seconds` at most."""
    many: EnvParams = jax.tree.map(lambda x: jnp.broadcast_to(x, (drives, *jnp.shape(x))), params)
    grid = jnp.zeros(drives).at[0].set(1.0)
    start = dataclasses.replace(many.start, grid=grid)
    limits = dataclasses.replace(many.limits, episode_time=jnp.full(drives, seconds))
    return dataclasses.replace(many, start=start, limits=limits)


@partial(jax.jit, static_argnums=(0, 4, 5))
def drive(
    act: Act, driver: Any, env: KartEnv, params: EnvParams, steps: int, recorded: bool = False
) -> tuple[Tally, jax.Array | None]:
    """Drive every drive of `params` (B, ...) for `steps` control steps.

    Returns:
        The counters, and if `recorded` the telemetry (steps, B, C), nan from the end of each drive
        on.
    """
    drives = jnp.shape(params.start.grid)[0]
    key = jax.random.key(0)
    observation, state = reset_batch(env, key, params, drives, varied=True)
    none = jnp.zeros(drives, jnp.int32)
    tally = Tally(
        jnp.ones(drives, bool), none, jnp.full(drives, jnp.inf), jnp.zeros(drives), none, none
    )

    def step(
        carry: tuple[Observation, EnvState, Tally], now: tuple[Any, ...]
    ) -> tuple[tuple[Any, ...], Any]:
        (observation, state, tally), (act_key, count) = carry, now
        action = act(driver, observation, state, act_key)
        observation, state, _, terminated, truncated, info = step_batch(
            env, key, state, action, params, varied=True
        )
        lap = tally.alive & info.lap_completed
        tally = Tally(
            alive=tally.alive & ~(terminated | truncated),
            laps=tally.laps + lap,
            best_lap=jnp.where(lap, jnp.minimum(tally.best_lap, info.lap_time), tally.best_lap),
            lap_time_sum=tally.lap_time_sum + jnp.where(lap, info.lap_time, 0.0),
            off_track=tally.off_track + (tally.alive & info.off_track),
            steps=tally.steps + tally.alive,
        )
        if not recorded:
            return (observation, state, tally), None
        rows = jax.vmap(record.frame, (0, None, None, 0))(
            state.race, count, env.tracks, params.kart
        )[:, 0]
        # A row after the end belongs to the next episode.
        return (observation, state, tally), jnp.where(tally.alive[:, None], rows, jnp.nan)

    clock = (jax.random.split(jax.random.key(1), steps), jnp.arange(steps))
    (_, _, tally), values = jax.lax.scan(step, (observation, state, tally), clock)
    return tally, values


def result(driver: str, track: str, tally: Tally, dt: float, telemetry: Path | None) -> Result:
    """Sum up the drives of one driver; `dt` s per step, `telemetry` their file."""
    tally = jax.device_get(tally)
    laps = int(tally.laps.sum())
    return Result(
        driver=driver,
        track=track,
        drives=len(tally.laps),
        completion_rate=float((tally.laps > 0).mean()),
        laps=laps,
        best_lap=float(tally.best_lap.min()) if laps else None,
        mean_lap=float(tally.lap_time_sum.sum()) / laps if laps else None,
        off_track_time=float(tally.off_track.mean()) * dt,
        drive_time=float(tally.steps.mean()) * dt,
        telemetry=None if telemetry is None else str(telemetry),
    )


def evaluate(
    run: str,
    *,
    track_name: tuple[str, ...] | None = None,
    drives: int = 8,
    laps: int = 2,
    explore: bool = False,
    telemetry: Path | None = None,
    runs_dir: str = "runs",
    search_laps: int | None = None,
    report: Report | None = None,
) -> list[Result]:
    """Examine the driver of a run beside the scripted one, and beside the minimum lap time.

    Args:
        run: run folder, run name or checkpoint, see `policy.load_policy`.
        track_name: circuits; default those of the run, from the copies in its folder.
        drives: drives per circuit.
        laps: how many laps a drive has time for after the way to the line, at 1.5 times the
            scripted lap time.
        explore: draw the learned driver's actions as in training instead of taking the most likely
            ones.
        telemetry: folder for the telemetry of all drives, an npz (steps, drives, channels) for each
            circuit and driver, nan from the end of a drive on.
        runs_dir: where runs are.
        search_laps: laps to simulate in search of the minimum lap time of each circuit; None = no
            search.
        report: told circuit, laps simulated and best lap in s while a search is under way.

    Returns:
        For each circuit the result of the learned and of the scripted driver, with `search_laps`
        also of the fastest plan found. InputError for a bad run or track, or a folder that cannot
        be written to.
    """
    policy, settings = load_policy(run, runs_dir)
    own = run_tracks.own(run_folder.find(run, Path(runs_dir)), settings.tracks)
    if telemetry:
        check_place(recording(telemetry, 1, (track_name or settings.tracks)[0], "learned"))
    results: list[Result] = []
    for number, track in enumerate(track_name or settings.tracks, 1):
        env, plan, params, steps = course(
            track if track_name else own[track], settings, drives, laps
        )
        if telemetry:
            _check_size(steps, drives, laps)
        drivers: list[Driver] = [(run, "learned", exploring if explore else learned, policy, env)]
        drivers.append(follower("scripted", plan, env))
        minimum = None
        if search_laps is not None:
            best, minimum = search.find(
                env.tracks,
                env.default_params.kart,
                search_laps,
                report=report and partial(report, track),
            )
            drivers.append(follower("fastest", best, env))
        rows = []
        for driver in drivers:
            file = telemetry and recording(telemetry, number, track, driver[1])
            rows.append(_examined(driver, track, params, steps, file))
        results += rows if minimum is None else measured(rows, minimum)
    return results


def recording(folder: Path, number: int, track: str, driver: str) -> Path:
    """The file with the telemetry of a driver on the circuit of this number, from 1."""
    return folder / f"{number}-{Path(track).stem.replace(':', '-')}-{driver}.npz"


def course(
    source: Source | list[Source], settings: Settings, drives: int, laps: int
) -> tuple[KartEnv, scripted.Plan, EnvParams, int]:
    """Circuits for the driver of a run; arguments as in `evaluate`.

    Returns:
        The environment, the scripted driver's plan, parameters (drives, ...), and the control steps
        of a drive.
    """
    config = EnvConfig(frame_stack=settings.frame_stack, vision=not settings.telemetry_only)
    env = make(source, kart=settings.kart, config=config)
    plan = scripted.prepare(env.tracks, env.default_params.kart)
    seconds = 1.5 * (laps + 1) * float(jnp.max(plan.lap_time))
    return (
        env,
        plan,
        start_params(env.default_params, drives, seconds),
        math.ceil(seconds / config.control_dt),
    )


def _examined(
    driver: Driver, track: str, params: EnvParams, steps: int, telemetry: Path | None
) -> Result:
    """Let one driver drive, for at most `steps` steps; the telemetry goes to a file, if one is
    named."""
    name, _, act, plan, env = driver
    tally, values = drive(act, plan, env, params, steps, telemetry is not None)
    if telemetry:
        export.write_npz(telemetry, np.asarray(values))
    return result(name, track, tally, env.config.control_dt, telemetry)


def follower(name: str, plan: scripted.Plan, env: KartEnv) -> Driver:
    """The scripted driver with a plan; it sees no pictures."""
    blind = dataclasses.replace(env, config=EnvConfig(frame_stack=1, vision=False))
    return name, name, by_script, (plan, blind), blind


def measured(rows: list[Result], minimum: Minimum) -> list[Result]:
    """The results on one circuit with their gaps to the minimum lap time; the last one is the
    fastest plan's.

    The minimum is that of the search's own drive, or the fastest plan's best lap of these drives
    where that is less.
    """
    least = min(minimum.lap_time, rows[-1].best_lap or math.inf)
    gaps = [None if row.best_lap is None else row.best_lap - least for row in rows]
    rows = [
        dataclasses.replace(row, gap=gap, gap_percent=None if gap is None else 100.0 * gap / least)
        for row, gap in zip(rows, gaps, strict=True)
    ]
    return [*rows[:-1], dataclasses.replace(rows[-1], minimum=minimum)]


def _check_size(steps: int, drives: int, laps: int) -> None:
    """Refuse a recording that fits no memory."""
    size = 4 * steps * drives * len(NAMES)
    if size > LARGEST_RECORDING:
        raise InputError(
            f"telemetry of {drives} drives of {laps} laps is {size / 1e9:.1f} GB; "
            f"allowed are {LARGEST_RECORDING / 1e9:g} GB; ask for fewer --drives or --laps"
        )
