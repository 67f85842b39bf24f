"""Drive one kart by a control law and record it: the loop behind `kart drive` and the scripted
baseline.

The steps run on the device in chunks of constant length, so that one compiled program serves any
number of laps; between chunks the host looks whether the laps are done.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from kart_jax.drivers import scripted
from kart_jax.env.config import EnvConfig
from kart_jax.env.make import Source
from kart_jax.physics.params import KartParams, preset
from kart_jax.physics.types import Controls, KartState
from kart_jax.race import place
from kart_jax.race.step import step as race_step
from kart_jax.race.types import RaceState
from kart_jax.telemetry import record
from kart_jax.telemetry.log import Log, of_kart
from kart_jax.track import derive
from kart_jax.track.types import Tracks

CHUNK = 250  # control steps per call
SLOWEST = 4.0  # m/s on average; a session that is slower ends without its laps

# One kart's state on circuit `track` -> its controls, all fields ().
ControlLaw = Callable[[Tracks, jax.Array, KartState, KartParams], Controls]


def drive(
    tracks: Tracks,
    track: int,
    kart: KartParams,
    control: ControlLaw,
    laps: int,
    config: EnvConfig | None = None,
) -> Log:
    """Drive from the first slot of the grid, standing, until `laps` laps are complete.

    Args:
        tracks: the stack of circuits.
        track: which of them.
        kart: parameters of the kart.
        control: the driver, one kart, traceable; what it knows belongs in a
            `jax.tree_util.Partial`, so that another driver of the same kind needs no compilation.
        laps: complete laps wanted; lap 1 starts from standstill a few metres before the line.
        config: control rate and substeps; default `EnvConfig()`.

    Returns:
        Telemetry, one row per control step, ending about two seconds after the last lap; fewer laps
        where the driver is slower than `SLOWEST` on average.
    """
    config = EnvConfig() if config is None else config
    index = jnp.asarray(track, jnp.int32)
    race = place.place_on_grid(tracks, index, 1, kart)
    control = control if isinstance(control, Partial) else Partial(control)
    limit = laps * float(tracks.length[track]) / SLOWEST * config.control_rate
    parts, done = [], 0
    while done < limit and int(race.timing.lap[0]) < laps:
        race, values = _run(race, done, tracks, kart, control, config)
        parts.append(np.asarray(values))
        done += CHUNK
    log = of_kart(np.concatenate(parts))
    finished = np.flatnonzero(log["lap"] >= laps)
    return log.rows(0, int(finished[0]) + 2 * config.control_rate) if len(finished) else log


def scripted_laps(
    track: Source | Tracks = "circuit",
    kart: str | KartParams = "rental_gx270",
    laps: int = 2,
    line: str = "optimal",
) -> Log:
    """Let the scripted driver lap a circuit from a standing start, with telemetry as in `drive`.

    Args:
        track: a shipped name, the path of a PNG or a centre-line CSV, or a stack of circuits, whose
            first is driven.
        kart: a class, or parameters of your own, which the driver measures before it plans its
            laps.
        laps: complete laps wanted.
        line: "optimal" or "given", see `drivers.scripted.prepare`.

    Raises:
        InputError: track, class or line is unknown, or the track's file is bad.
    """
    tracks = track if isinstance(track, Tracks) else derive.load(track)
    params = preset(kart) if isinstance(kart, str) else kart
    plan = scripted.prepare(tracks, params, line)
    name = track if isinstance(track, str) else "circuit"
    return drive(tracks, 0, params, Partial(scripted.control, plan), laps).named(
        f"{name}, {kart}" if isinstance(kart, str) else name
    )


@partial(jax.jit, static_argnames="config")
def _run(
    race: RaceState,
    first: jax.Array,
    tracks: Tracks,
    kart: KartParams,
    control: ControlLaw,
    config: EnvConfig,
) -> tuple[RaceState, jax.Array]:
    """`CHUNK` control steps; returns the race after them and (CHUNK, 1, C) telemetry."""

    def body(state: RaceState, step: jax.Array) -> tuple[RaceState, jax.Array]:
        steer = jax.vmap(lambda one: control(tracks, state.track, one, kart))(state.karts)
        state = race_step(state, steer, tracks, kart, config.physics_dt, config.substeps)
        return state, record.frame(state, step, tracks, kart)

    return jax.lax.scan(body, race, first + jnp.arange(CHUNK))
