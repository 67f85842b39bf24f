"""State of one race: K karts on one circuit, with their lap timing."""

import chex
from flax import struct

from kart_jax.physics.types import KartState


@struct.dataclass
class Timing:
    """Lap and sector timing of K karts; times are interpolated at the line within a substep."""

    progress: chex.Array  # (K,) m, unwrapped arc length since the start line of the first lap; falls when reversing
    next_gate: chex.Array  # (K,) int32, index of the gate that counts next; 0 = the start line
    lap: chex.Array  # (K,) int32, laps completed over the line, valid or not
    sector: chex.Array  # (K,) int32, 0..2, where the kart is in its lap
    lap_start: chex.Array  # (K,) s, race time at the last line crossing; nan before the first
    sector_start: chex.Array  # (K,) s, race time at the last sector line
    sector_times: chex.Array  # (K, 3) s, sectors of the lap under way; nan = not yet
    lap_valid: chex.Array  # (K,) bool, the lap under way has met every gate in order and kept to the track
    last_lap: chex.Array  # (K,) s, last completed valid lap; nan = none
    last_sectors: chex.Array  # (K, 3) s, its sectors
    best_lap: chex.Array  # (K,) s, best valid lap; nan = none
    valid_laps: chex.Array  # (K,) int32, valid laps completed


@struct.dataclass
class RaceState:
    """One race."""

    karts: KartState  # every field with a leading axis (K,)
    timing: Timing
    time: chex.Array  # () s since the start of the race
    track: chex.Array  # () int32, index into the stack of circuits
