"""What the commands say of a search for the minimum lap time."""

import os
import sys
from typing import TYPE_CHECKING

from kart_jax.cli.devices import offer_devices

if TYPE_CHECKING:
    from kart_jax.laptime.search import Minimum

TOLD = 10  # generations from one line of progress to the next


def laps_wanted(asked: int | None) -> int:
    """Laps to simulate, the default where none are named; gets the cores ready. Call it before JAX
    is used.

    Raises:
        InputError: too few or too many.
    """
    offer_devices(os.cpu_count() or 1)
    from kart_jax.laptime import search

    laps = search.SEARCH_LAPS if asked is None else asked
    search.check_laps(laps)
    return laps


def tell(track: str, laps: int, best: float) -> None:
    """Progress, a line each ten generations, on stderr."""
    from kart_jax.laptime import search

    if laps % (TOLD * search.GENERATION) == 0:
        print(
            f"{track}: {laps} laps simulated, the best in {best:.3f} s", file=sys.stderr, flush=True
        )


def sentence(minimum: "Minimum") -> str:
    """What was found, in one sentence."""
    from kart_jax.telemetry.laps import clock

    return (
        f"minimum lap time {clock(minimum.lap_time)}, the best of {minimum.laps} simulated laps; "
        f"scripted driver {clock(minimum.scripted)}; quasi-steady on that line "
        f"{clock(minimum.quasi_steady)}"
    )
