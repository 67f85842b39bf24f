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

import chex
import jax.numpy as jnp
from flax import struct

from kart_jax.race.types import Timing
from kart_jax.track.types import Tracks

JUMP_SPEED = 200.0  # m/s along the centre line; no kart gets there, even on the inside of a hairpin
JUMP_DISTANCE = 0.5  # m, allowance for the seam between neighbouring samples


class Passage(struct.PyTreeNode):
    """One physics step of one kart along the centre line."""

    before: chex.Array  # () m, arc length before the step, in [0, length)
    after: chex.Array  # () m, arc length after it
    on_track: chex.Array  # () bool, the kart kept to the track limits


class Crossing(struct.PyTreeNode):
    """How a physics step met a line across the circuit."""

    forward: chex.Array  # () bool, crossed in the driving direction
    backward: chex.Array  # () bool, crossed against it
    fraction: chex.Array  # () 0..1, part of the step at which it was crossed


def progress_delta(s: chex.Array, mark: chex.Array, length: chex.Array) -> chex.Array:
    """Return the signed way from `mark` to `s`, the short way round: [-length/2, length/2) m.

    Both lie in [0, length). Two comparisons instead of a modulo, which on a CPU is a library call
    for every kart and physics step.
    """
    delta = s - mark
    delta = jnp.where(delta >= 0.5 * length, delta - length, delta)
    return jnp.where(delta < -0.5 * length, delta + length, delta)


def cross(passage: Passage, mark: chex.Array, length: chex.Array, reach: float) -> Crossing:
    """Tell whether a step crossed the line at arc length `mark`.

    Args:
        passage: the step.
        mark: () m, in [0, length).
        length: () m, of the lap.
        reach: m, longest way that still is driving and not a jump.
    """
    a = progress_delta(passage.before, mark, length)
    b = progress_delta(passage.after, mark, length)
    driven = jnp.abs(b - a) <= reach
    return Crossing(
        forward=driven & (a < 0) & (b >= 0),
        backward=driven & (a >= 0) & (b < 0),
        fraction=jnp.clip(-a / jnp.where(b == a, 1.0, b - a), 0.0, 1.0),
    )


def time_between(
    first_tick: chex.Array,
    first_part: chex.Array,
    tick: chex.Array,
    part: chex.Array,
    dt: float,
) -> chex.Array:
    """Return the time () s from one place in the sequence of steps to another.

    A place is a step (() int32) and a part (() 0..1) of it.
    """
    return ((tick - first_tick).astype(first_part.dtype) + (part - first_part)) * dt


def next_gate(
    tracks: Tracks, track: chex.Array, s: chex.Array, clearance: float = 0.0
) -> chex.Array:
    """Return the first gate () int32 more than `clearance` m ahead of `s`; 0 is the start line."""
    passed = jnp.sum(tracks.gates[track] <= s + clearance)
    return jnp.where(passed >= tracks.gate_count[track], 0, passed).astype(jnp.int32)


def start_timing(tracks: Tracks, track: chex.Array, s: chex.Array) -> Timing:
    """Return the timing of one kart at arc length `s` () m before its first crossing."""
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
    passage: Passage,
    tracks: Tracks,
    track: chex.Array,
    tick: chex.Array,
    dt: float,
) -> Timing:
    """Advance the timing of one kart by one physics step.

    Args:
        timing: as it was before the step, scalar fields.
        passage: the step.
        tracks: the stack of circuits.
        track: () int32, index of the circuit.
        tick: () int32, physics steps since the start of the race, this one not counted.
        dt: s, length of the step.
    """
    length = tracks.length[track]
    reach = JUMP_DISTANCE + JUMP_SPEED * dt
    delta = progress_delta(passage.after, passage.before, length)
    clean = passage.on_track & (jnp.abs(delta) <= reach)
    timing = timing.replace(progress=timing.progress + delta, lap_valid=timing.lap_valid & clean)

    gate = cross(passage, _gate_at(tracks, track, timing.next_gate), length, reach)
    timing = _pass_gate(timing, gate, tracks.gate_count[track])
    sector = cross(passage, _sector_at(tracks, track, timing.sector), length, reach)
    timing = _pass_sector(timing, sector, tick, dt)
    line = cross(passage, jnp.zeros_like(passage.after), length, reach)
    timing = _pass_line(timing, line, clean, tracks.gate_count[track], tick, dt)

    now = jnp.ones_like(passage.after)
    lap_time = time_between(timing.line_tick, timing.line_part, tick, now, dt)
    return timing.replace(lap_time=lap_time)


def _gate_at(tracks: Tracks, track: chex.Array, gate: chex.Array) -> chex.Array:
    """Return the arc length () m of a gate."""
    index = track * tracks.gates.shape[1] + gate
    return jnp.take(tracks.gates.reshape(-1), index, mode="clip")


def _sector_at(tracks: Tracks, track: chex.Array, sector: chex.Array) -> chex.Array:
    """Return the arc length () m at which the sector after `sector` starts; 2 is the last."""
    index = track * 3 + jnp.minimum(sector + 1, 2)
    return jnp.take(tracks.sectors.reshape(-1), index, mode="clip")


def _pass_gate(timing: Timing, gate: Crossing, gate_count: chex.Array) -> Timing:
    """Move on to the following gate when the expected one (not the line) is crossed forward."""
    following = jnp.where(timing.next_gate + 1 >= gate_count, 0, timing.next_gate + 1)
    passed = gate.forward & (timing.next_gate > 0)
    return timing.replace(next_gate=jnp.where(passed, following, timing.next_gate))


def _pass_sector(timing: Timing, line: Crossing, tick: chex.Array, dt: float) -> Timing:
    """Close sector 0 or 1 at the line of the sector after it; sector 2 ends with the lap."""
    following = jnp.minimum(timing.sector + 1, 2)
    forward = line.forward & (timing.sector < 2)
    spent = time_between(timing.sector_tick, timing.sector_part, tick, line.fraction, dt)
    closed = forward & (jnp.arange(3) == timing.sector)
    return timing.replace(
        sector=jnp.where(forward, following, timing.sector),
        sector_tick=jnp.where(forward, tick, timing.sector_tick),
        sector_part=jnp.where(forward, line.fraction, timing.sector_part),
        sector_times=jnp.where(closed, spent, timing.sector_times),
    )


def _pass_line(
    timing: Timing,
    line: Crossing,
    clean: chex.Array,
    gate_count: chex.Array,
    tick: chex.Array,
    dt: float,
) -> Timing:
    """End the lap and begin the next at a forward crossing of the line; void it at a backward one.

    `clean` () bool says that the step kept to the track and was no jump.
    """
    started = jnp.isfinite(timing.line_part)
    valid = line.forward & started & timing.lap_valid & (timing.next_gate == 0)
    lap_time = time_between(timing.line_tick, timing.line_part, tick, line.fraction, dt)
    last = time_between(timing.sector_tick, timing.sector_part, tick, line.fraction, dt)
    sectors = jnp.where(jnp.arange(3) == 2, last, timing.sector_times)

    either = line.forward | line.backward
    begun = jnp.where(line.forward, line.fraction, jnp.nan)
    after_line = jnp.where(line.backward, 0, timing.next_gate)
    return timing.replace(
        next_gate=jnp.where(line.forward, 1 % gate_count, after_line),
        lap=timing.lap + (line.forward & started),
        sector=jnp.where(line.forward, 0, jnp.where(line.backward, 2, timing.sector)),
        line_tick=jnp.where(either, tick, timing.line_tick),
        line_part=jnp.where(either, begun, timing.line_part),
        sector_tick=jnp.where(either, tick, timing.sector_tick),
        sector_part=jnp.where(either, begun, timing.sector_part),
        sector_times=jnp.where(either, jnp.nan, timing.sector_times),
        lap_valid=jnp.where(either, line.forward & clean, timing.lap_valid),
        last_lap=jnp.where(valid, lap_time, timing.last_lap),
        last_sectors=jnp.where(valid, sectors, timing.last_sectors),
        best_lap=jnp.where(valid, jnp.fmin(lap_time, timing.best_lap), timing.best_lap),
        valid_laps=timing.valid_laps + valid,
    )
