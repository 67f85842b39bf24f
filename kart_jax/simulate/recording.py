"""Drive laps from the host and bring the telemetry home.

The steps run on the device in chunks of constant length, so that one compiled program serves any
number of laps; between chunks the host looks whether the laps are done.
"""

from typing import Any, Protocol

import chex
import jax
import jax.numpy as jnp
import numpy as np

from kart_jax.drivers.driver import Driver
from kart_jax.race import channels
from kart_jax.race.types import RaceState
from kart_jax.simulate.rollout import Session, World, rollout

CHUNK = 250  # control steps per call
MIN_SPEED = 4.0  # m/s on average; a drive that is slower ends without its laps
AFTER = 2.0  # s that are kept at most after the last lap


class Referee(Protocol):
    """Say whose drive is over; a pytree, as a driver is."""

    def start(self, race: RaceState) -> Any:
        """Return what the referee carries into the first step."""
        ...

    def judge(self, carried: Any, race: RaceState, dt: float) -> tuple[Any, chex.Array]:
        """Look at a race after a control step of `dt` s; returns whose drive is over (K,) bool."""
        ...


def record_laps(
    world: World,
    driver: Driver,
    session: Session,
    laps: int,
    referee: Referee | None = None,
) -> np.ndarray:
    """Drive until the first kart has completed `laps` laps, and record every channel.

    Args:
        world: of a race of one kart or several.
        driver: who drives.
        session: from `begin`.
        laps: complete laps wanted.
        referee: ends the drive at the first kart's first fault; None = nobody does.

    Returns:
        (steps, K, C) float32 in the order of `channels.NAMES`, a row per control step. It ends
        within `AFTER` s of the last lap, with the step before a fault, or where the driver was
        slower than `MIN_SPEED` on average.
    """
    length = float(world.tracks.length[session.race.track])
    limit = (laps + 1) * length / MIN_SPEED * world.rates.control_rate
    rows: list[np.ndarray] = []
    watched = (None if referee is None else referee.start(session.race), jnp.zeros((), bool))
    done, ended = 0, False
    while done < limit and int(session.race.timing.lap[0]) < laps and not ended:
        session, watched, (values, over) = _chunk(world, driver, referee, session, watched)
        rows.append(np.asarray(values)[~np.asarray(over)])
        ended = bool(watched[1])
        done += CHUNK

    values = np.concatenate(rows)
    finished = np.flatnonzero(values[:, 0, channels.NAMES.index("lap")] >= laps)
    last = int(finished[0]) + round(AFTER * world.rates.control_rate) if len(finished) else None
    return values[:last]


@jax.jit
def _chunk(
    world: World, driver: Driver, referee: Referee | None, session: Session, watched: Any
) -> tuple[Session, Any, tuple[chex.Array, chex.Array]]:
    """Drive `CHUNK` control steps.

    Returns:
        The session, what the referee carries and whether the drive is over; and of each step the
        telemetry (CHUNK, K, C) and whether it is past the end (CHUNK,).
    """

    def watch(watched: Any, before: Session, after: Session) -> tuple[Any, Any]:
        carried, ended = watched
        if referee is not None:
            carried, over = referee.judge(carried, after.race, world.rates.control_dt)
            ended = ended | over[0]
        values = channels.read_race(after.race, before.step, world.tracks, world.params.kart)
        return (carried, ended), (values, ended)

    return rollout(world, driver, session, CHUNK, watch, watched)
