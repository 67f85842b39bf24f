"""Lap and sector timing of ONE kart from its arc length; the race vmaps it over its karts.

The kart's reference point is its centre of gravity: the line is crossed when that point crosses it.
Within one physics step the point moves by a fraction of a metre, so the time of a crossing is the
linear interpolation

    t = (tick + f) dt,    f = -a / (b - a)

with a < 0 <= b the signed distances to the line before and after the step. Step and part f are kept
apart and a time is the difference of the whole steps plus that of the parts, so float32 is as exact
after a day as in the first lap, where (tick + f) dt would be 1 ms coarse after two hours. What
scores, and what does not:

* A lap begins with a forward crossing of the line; before the first one (out-lap) nothing is timed.
* A lap counts when every gate was crossed forward and in order, the kart kept to the track in every
    step (`on_track`) and its position never jumped (a short cut to another stretch, a teleport).
* Crossing the line backward voids the lap under way: the next forward crossing begins a new one and
    ends none, so rocking over the line or spinning on it scores nothing.
"""

from dataclasses import replace

import chex
import jax.numpy as jnp

from kart_jax.race.types import Timing
from kart_jax.track.types import Tracks

JUMP_SPEED = 200.0  # m/s along the centre line; no kart gets there, even on the inside of a hairpin
JUMP_DISTANCE = 0.5  # m, allowance for the seam between neighbouring samples


def ahead(s: chex.Array, mark: chex.Array, length: chex.Array) -> chex.Array:
    """Signed way from `mark` to `s`, both in [0, length), the short way round: [-length/2,
    length/2) m.

    Two comparisons instead of a modulo, which on a CPU is a library call for every kart and physics
    step.
    """
    way = s - mark
    way = jnp.where(way >= 0.5 * length, way - length, way)
    return jnp.where(way < -0.5 * length, way + length, way)


def crossing(
    before: chex.Array, after: chex.Array, mark: chex.Array, length: chex.Array, reach: chex.Array
) -> tuple[chex.Array, chex.Array, chex.Array]:
    """Did a step from arc length `before` to `after` cross `mark`?

    Args:
        before, after, mark: () m, arc lengths in [0, length).
        length: () m, of the lap.
        reach: () m, longest way that still is driving and not a jump.

    Returns:
        forward () bool, backward () bool, and the fraction () 0..1 of the step at which the line
        was crossed.
    """
    a, b = ahead(before, mark, length), ahead(after, mark, length)
    driven = jnp.abs(b - a) <= reach
    forward, backward = driven & (a < 0) & (b >= 0), driven & (a >= 0) & (b < 0)
    return forward, backward, jnp.clip(-a / jnp.where(b == a, 1.0, b - a), 0.0, 1.0)


def since(
    first_tick: chex.Array, first_part: chex.Array, tick: chex.Array, part: chex.Array, dt: float
) -> chex.Array:
    """Time () s from one place in the sequence of steps (tick () int32, part () 0..1 of the step)
    to another."""
    return ((tick - first_tick).astype(first_part.dtype) + (part - first_part)) * dt


def next_gate(
    tracks: Tracks, track: chex.Array, s: chex.Array, clearance: float = 0.0
) -> chex.Array:
    """Index () int32 of the first gate more than `clearance` m ahead of arc length `s`; 0 is the
    start line."""
    passed = jnp.sum(tracks.gates[track] <= s + clearance)
    return jnp.where(passed >= tracks.gate_count[track], 0, passed).astype(jnp.int32)


def start(tracks: Tracks, track: chex.Array, s: chex.Array) -> Timing:
    """Timing of one kart that stands or rolls at arc length `s`, () m, before its first crossing of
    the line."""
    none = jnp.full((), jnp.nan, s.dtype)
    return Timing(
        progress=s - tracks.length[track],
        next_gate=next_gate(tracks, track, s),
        lap=jnp.zeros((), jnp.int32),
        sector=(jnp.sum(tracks.sectors[track] <= s) - 1).astype(jnp.int32),
        line_tick=jnp.zeros((), jnp.int32),
        line_part=none,
        sector_tick=jnp.zeros((), jnp.int32),
        sector_part=none,
        lap_time=none,
        sector_times=jnp.full((3,), jnp.nan, s.dtype),
        lap_valid=jnp.zeros((), bool),
        last_lap=none,
        last_sectors=jnp.full((3,), jnp.nan, s.dtype),
        best_lap=none,
        valid_laps=jnp.zeros((), jnp.int32),
    )


def update(
    timing: Timing,
    tracks: Tracks,
    track: chex.Array,
    before: chex.Array,
    after: chex.Array,
    on_track: chex.Array,
    tick: chex.Array,
    dt: float,
) -> Timing:
    """Advance the timing of one kart by one physics step.

    Args:
        timing: as it was before the step, scalar fields.
        tracks, track: the stack of circuits and the circuit's index () int32.
        before, after: () m, arc length before and after the step.
        on_track: () bool, the kart kept to the track limits.
        tick: () int32, physics steps since the start of the race, this one not counted.
        dt: s, length of the step.
    """
    length = tracks.length[track]
    reach = JUMP_DISTANCE + JUMP_SPEED * dt
    way = ahead(after, before, length)
    clean = on_track & (jnp.abs(way) <= reach)
    timing = replace(timing, progress=timing.progress + way, lap_valid=timing.lap_valid & clean)
    timing = _pass_gate(timing, tracks, track, before, after, reach)
    timing = _pass_sector(timing, tracks, track, before, after, reach, tick, dt)
    timing = _pass_line(timing, tracks, track, before, after, reach, clean, tick, dt)
    return replace(
        timing, lap_time=since(timing.line_tick, timing.line_part, tick, jnp.ones_like(after), dt)
    )


def _pass_gate(timing, tracks, track, before, after, reach) -> Timing:
    """Move on to the following gate when the expected one (not the line) is crossed forward."""
    gate = track * tracks.gates.shape[1] + timing.next_gate
    mark = jnp.take(tracks.gates.reshape(-1), gate, mode="clip")
    forward, _, _ = crossing(before, after, mark, tracks.length[track], reach)
    following = jnp.where(timing.next_gate + 1 >= tracks.gate_count[track], 0, timing.next_gate + 1)
    return replace(
        timing, next_gate=jnp.where(forward & (timing.next_gate > 0), following, timing.next_gate)
    )


def _pass_sector(timing, tracks, track, before, after, reach, tick, dt) -> Timing:
    """Close sector 0 or 1 at the line of the sector that follows it; sector 2 ends with the lap."""
    following = jnp.minimum(timing.sector + 1, 2)
    mark = jnp.take(tracks.sectors.reshape(-1), track * 3 + following, mode="clip")
    forward, _, fraction = crossing(before, after, mark, tracks.length[track], reach)
    forward &= timing.sector < 2
    spent = since(timing.sector_tick, timing.sector_part, tick, fraction, dt)
    closed = forward & (jnp.arange(3) == timing.sector)
    return replace(
        timing,
        sector=jnp.where(forward, following, timing.sector),
        sector_tick=jnp.where(forward, tick, timing.sector_tick),
        sector_part=jnp.where(forward, fraction, timing.sector_part),
        sector_times=jnp.where(closed, spent, timing.sector_times),
    )


def _pass_line(timing, tracks, track, before, after, reach, clean, tick, dt) -> Timing:
    """End the lap and begin the next at a forward crossing of the line; void it at a backward
    one."""
    forward, backward, fraction = crossing(
        before, after, jnp.zeros_like(after), tracks.length[track], reach
    )
    started = jnp.isfinite(timing.line_part)
    valid = forward & started & timing.lap_valid & (timing.next_gate == 0)
    lap_time = since(timing.line_tick, timing.line_part, tick, fraction, dt)
    last = since(timing.sector_tick, timing.sector_part, tick, fraction, dt)
    sectors = jnp.where(jnp.arange(3) == 2, last, timing.sector_times)
    either = forward | backward
    begun = jnp.where(forward, fraction, jnp.nan)
    return replace(
        timing,
        next_gate=jnp.where(
            forward, 1 % tracks.gate_count[track], jnp.where(backward, 0, timing.next_gate)
        ),
        lap=timing.lap + (forward & started),
        sector=jnp.where(forward, 0, jnp.where(backward, 2, timing.sector)),
        line_tick=jnp.where(either, tick, timing.line_tick),
        line_part=jnp.where(either, begun, timing.line_part),
        sector_tick=jnp.where(either, tick, timing.sector_tick),
        sector_part=jnp.where(either, begun, timing.sector_part),
        sector_times=jnp.where(either, jnp.nan, timing.sector_times),
        lap_valid=jnp.where(either, forward & clean, timing.lap_valid),
        last_lap=jnp.where(valid, lap_time, timing.last_lap),
        last_sectors=jnp.where(valid, sectors, timing.last_sectors),
        best_lap=jnp.where(valid, jnp.fmin(lap_time, timing.best_lap), timing.best_lap),
        valid_laps=timing.valid_laps + valid,
    )
