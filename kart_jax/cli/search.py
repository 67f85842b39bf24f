"""What the commands say of a search for the minimum lap time."""

import os
import sys
from typing import TYPE_CHECKING

from kart_jax.cli.devices import offer_devices

if TYPE_CHECKING:
    from kart_jax.laptime.search import Minimum

TOLD = 10  # generations from one line of progress to the next


def resolve_search_laps(asked: int | None) -> int:
    """Return the laps to simulate, the default where none are named, and get the cores ready.

    Call it before JAX is used.

    Raises:
        InputError: too few or too many.
    """
    offer_devices(os.cpu_count() or 1)
    from kart_jax.laptime import search

    laps = search.DEFAULT_LAPS if asked is None else asked
    search.check_laps(laps)
    return laps


def print_progress(track: str, laps: int, best: float) -> None:
    """Print the progress of a search on stderr, a line each ten generations.

    Args:
        track: name of the circuit.
        laps: simulated so far.
        best: s, the shortest of them.
    """
    from kart_jax.laptime import search

    if laps % (TOLD * search.GENERATION_LAPS) == 0:
        print(
            f"{track}: {laps} laps simulated, the best in {best:.3f} s", file=sys.stderr, flush=True
        )


def describe_minimum(minimum: "Minimum") -> str:
    """Say in one sentence what was found."""
    from kart_jax.telemetry.laps import format_time

    return (
        f"minimum lap time {format_time(minimum.lap_time)}, the best of {minimum.laps} simulated "
        f"laps; scripted driver {format_time(minimum.scripted)}; quasi-steady on that line "
        f"{format_time(minimum.quasi_steady)}"
    )
