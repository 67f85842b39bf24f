"""State of one race: K karts on one circuit, with their lap timing."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
from flax import struct

from kart_jax.physics.types import KartState
from kart_jax.track.types import TrackPoint


class Timing(struct.PyTreeNode):
    """Lap and sector timing of K karts; times are interpolated at the line within a physics step.

    A place in the sequence of physics steps is a whole step (tick) and a part of it, see `timing`.
    """

    progress: chex.Array  # (K,) m, unwrapped arc length since the first start line; may fall
    next_gate: chex.Array  # (K,) int32, the gate that counts next; 0 = the start line
    lap: chex.Array  # (K,) int32, laps completed over the line, valid or not
    sector: chex.Array  # (K,) int32, 0..2, where the kart is in its lap
    line_tick: chex.Array  # (K,) int32, physics step in which the line was last crossed
    line_part: chex.Array  # (K,) 0..1, part of that step; nan before the first forward crossing
    sector_tick: chex.Array  # (K,) int32, physics step in which the last sector line was crossed
    sector_part: chex.Array  # (K,) 0..1, part of that step; nan likewise
    lap_time: chex.Array  # (K,) s, of the lap under way; nan likewise
    sector_times: chex.Array  # (K, 3) s, sectors of the lap under way; nan = not yet
    lap_valid: chex.Array  # (K,) bool, the lap under way met its gates in order, on the track
    last_lap: chex.Array  # (K,) s, last completed valid lap; nan = none
    last_sectors: chex.Array  # (K, 3) s, its sectors
    best_lap: chex.Array  # (K,) s, best valid lap; nan = none
    valid_laps: chex.Array  # (K,) int32, valid laps completed


class RaceState(struct.PyTreeNode):
    """One race. The surroundings are kept with the state so that nobody looks them up twice."""

    karts: KartState  # every field with a leading axis (K,)
    timing: Timing  # every field with a leading axis (K,)
    track_point: TrackPoint  # every field (K,), where the centres of gravity are
    on_track: chex.Array  # (K,) bool, a wheel was inside the track limits all through the last step
    wall_distance: chex.Array  # (K,) m, bodywork to barrier, least of the last step; < 0 = contact
    finite: chex.Array  # (K,) bool, the last step ended in numbers; else it was undone
    tick: chex.Array  # () int32, physics steps since the start of the race
    time: chex.Array  # () s since the start = tick * dt, so no drift; 1 ms coarse after 2 h
    track: chex.Array  # () int32, index into the stack of circuits

    @property
    def size(self) -> int:
        """Number of karts K."""
        return self.on_track.shape[-1]

    def where_karts(self, chosen: chex.Array, other: "RaceState") -> "RaceState":
        """Return this race with the karts of `other` where they are not chosen (K,)."""
        own, others = (
            {name: value for name, value in vars(race).items() if name not in OF_RACE}
            for race in (self, other)
        )
        return self.replace(**where_karts(chosen, own, others))


OF_RACE = ("tick", "time", "track")  # fields of `RaceState` without an axis of karts
# Where the axis of karts is, for `jax.vmap`: in front of every field but those.
_AXES: Any = {name: None if name in OF_RACE else 0 for name in RaceState.__dataclass_fields__}
RACE_AXES = RaceState(**_AXES)


def where_karts(chosen: chex.Array, one: Any, other: Any) -> Any:
    """Return the leaves (K, ...) of `one` for the karts (K,) that are chosen, else of `other`."""

    def select(a: chex.Array, b: chex.Array) -> chex.Array:
        return jnp.where(jax.lax.expand_dims(chosen, range(1, jnp.ndim(a))), a, b)

    return jax.tree.map(select, one, other)
