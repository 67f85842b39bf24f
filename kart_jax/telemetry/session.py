"""Laps of a driver as telemetry: what `kart drive` and the notebooks begin with."""

import jax
import jax.numpy as jnp

from kart_jax.drivers import scripted
from kart_jax.drivers.driver import Driver, ScriptedDriver
from kart_jax.env.make import Source
from kart_jax.physics.params import KartParams, preset
from kart_jax.race.params import RaceParams, per_kart
from kart_jax.race.start import on_grid, start_race
from kart_jax.simulate.recording import Referee, record_laps
from kart_jax.simulate.rollout import World, begin
from kart_jax.telemetry.log import Log, log_of_kart
from kart_jax.track import derive
from kart_jax.track.types import Tracks


def drive_laps(
    tracks: Tracks,
    track: int,
    kart: KartParams,
    driver: Driver,
    laps: int,
    referee: Referee | None = None,
) -> Log:
    """Drive one kart from the first slot of the grid, standing, until `laps` laps are complete.

    Args:
        tracks: the stack of circuits.
        track: which of them.
        kart: parameters of the kart.
        driver: who drives.
        laps: complete laps wanted; lap 1 starts from standstill a few metres before the line.
        referee: ends the drive at a fault; None = nobody does.

    Returns:
        Telemetry, one row per control step, ending within two seconds of the last lap; fewer laps
        where the driver is slower than `recording.MIN_SPEED` on average.
    """
    index = jnp.asarray(track, jnp.int32)
    karts = per_kart(kart, 1)
    race = start_race(tracks, index, on_grid(tracks, index, 1), karts)
    world = World(tracks=tracks, params=RaceParams(kart=karts))
    session = begin(jax.random.key(0), world, race, driver)
    return log_of_kart(record_laps(world, driver, session, laps, referee))


def scripted_laps(
    track: Source | Tracks = "circuit",
    kart: str | KartParams = "rental_gx270",
    laps: int = 2,
    line: str = "optimal",
) -> Log:
    """Let the scripted driver lap a circuit from a standing start.

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
    tracks = track if isinstance(track, Tracks) else derive.load_tracks(track)
    params = preset(kart) if isinstance(kart, str) else kart
    plan = scripted.prepare(tracks, params, line)
    name = track if isinstance(track, str) else "circuit"
    log = drive_laps(tracks, 0, params, ScriptedDriver(plan), laps)
    return log.named(f"{name}, {kart}" if isinstance(kart, str) else name)
