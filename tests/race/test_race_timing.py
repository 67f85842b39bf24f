"""Timing against synthetic drives: what scores, what does not, and to what accuracy."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kart_jax.race import timing
from kart_jax.track import field, query
from kart_jax.track.line import resample

DT = 0.005


def ellipse(a=60.0, b=35.0, half=4.0):
    angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    points = np.column_stack([a * np.cos(angle), b * np.sin(angle)])
    return resample(points, np.full(200, half), np.full(200, half))


@pytest.fixture(scope="module")
def tracks():
    return field.build(ellipse())


@pytest.fixture(scope="module")
def length(tracks):
    return float(tracks.length[0])


@pytest.fixture(scope="module")
def drive(tracks):
    """drive(s, on_track, begin) -> the timing after each step of a kart at arc lengths s (M,), one
    physics step apart.

    `begin` is the race's tick before the first of them.
    """

    @jax.jit
    def run(s, on_track, begin):
        s = jnp.mod(s, tracks.length[0])
        first = timing.start_timing(tracks, 0, s[0])

        def step(state, inputs):
            before, after, kept, tick = inputs
            passage = timing.Passage(before, after, kept)
            state = timing.update(state, passage, tracks, 0, tick, DT)
            return state, state

        _, states = jax.lax.scan(
            step, first, (s[:-1], s[1:], on_track[1:], begin + jnp.arange(len(s) - 1))
        )
        return states

    padded = 16384  # one shape, one compilation

    def call(s, on_track=None, begin=0):
        s = np.asarray(s, np.float64)
        kept = np.ones(len(s), bool) if on_track is None else np.asarray(on_track)
        count = len(s) - 1
        assert len(s) <= padded
        s = np.concatenate([s, np.full(padded - len(s), s[-1])])
        kept = np.concatenate([kept, np.ones(padded - len(kept), bool)])
        states = run(jnp.asarray(s, jnp.float32), jnp.asarray(kept), jnp.int32(begin))
        return jax.tree.map(lambda leaf: np.asarray(leaf)[:count], states)

    return call


def path(*marks, speed=20.0):
    """Arc lengths of a kart that goes from mark to mark at `speed`, forward or backward."""
    legs = [
        np.linspace(a, b, max(2, round(abs(b - a) / speed / DT)), endpoint=False)
        for a, b in itertools.pairwise(marks)
    ]
    return np.concatenate([*legs, [marks[-1]]])


def last(states):
    return jax.tree.map(lambda leaf: leaf[-1], states)


def test_lap_and_sector_times_are_exact_at_constant_speed(drive, length):
    # From 7.3 m before the line at v = 17 m/s: crossings at (7.3 + i L) / v, sectors each L / 3 /
    # v.
    v = 17.0
    s = length - 7.3 + v * DT * np.arange(int((2.5 * length) / v / DT))
    end = last(drive(s))
    assert end.valid_laps == 2 and end.lap == 2
    assert end.last_lap == pytest.approx(length / v, abs=1e-4)
    assert (end.line_tick + end.line_part) * DT == pytest.approx((7.3 + 2 * length) / v, abs=1e-4)
    assert end.lap_time == pytest.approx((len(s) - 1) * DT - (7.3 + 2 * length) / v, abs=1e-4)
    np.testing.assert_allclose(end.last_sectors, length / 3 / v, atol=2e-4)


def test_lap_time_of_an_accelerating_kart_is_within_a_tenth_of_a_millisecond(drive, length):
    # s = s0 + v0 t + a t²/2; the exact crossing times are the roots. Linear interpolation errs by a
    # dt² / 8 v.
    v0, a, s0 = 8.0, 0.5, -20.0
    t = np.arange(16000) * DT
    end = last(drive(s0 + v0 * t + 0.5 * a * t * t))
    roots = [(-v0 + np.sqrt(v0**2 + 2 * a * (i * length - s0))) / a for i in range(12)]
    laps = np.diff([root for root in roots if root < t[-1]])
    assert end.valid_laps == len(laps) >= 2
    assert end.last_lap == pytest.approx(laps[-1], abs=2e-4)
    assert end.best_lap == pytest.approx(laps.min(), abs=2e-4)


@pytest.mark.parametrize("begin", [5_000_000, 2**31 - 20_000])
def test_times_of_a_long_run_are_those_of_a_short_one(drive, length, begin):
    # Seven hours and four months into a race, where (tick + f) dt in float32 steps by 2 ms and by 1
    # s.
    s = length - 7.3 + 17.0 * DT * np.arange(int((2.5 * length) / 17.0 / DT))
    end = last(drive(s, begin=begin))
    assert end.last_lap == pytest.approx(length / 17.0, abs=1e-4)
    assert end.best_lap == pytest.approx(length / 17.0, abs=1e-4)
    np.testing.assert_allclose(end.last_sectors, length / 3 / 17.0, atol=2e-4)
    assert end.lap_time == pytest.approx((len(s) - 1) * DT - (7.3 + 2 * length) / 17.0, abs=1e-4)


def test_sectors_sum_to_the_lap(drive, length):
    end = last(drive(path(-30.0, 1.4 * length, speed=23.0)))
    assert end.last_sectors.sum() == pytest.approx(float(end.last_lap), abs=1e-4)


def test_the_out_lap_does_not_count(drive, length):
    states = drive(path(0.3 * length, 1.2 * length))
    assert last(states).valid_laps == 0 and last(states).lap == 0
    assert np.isfinite(last(states).lap_time), "the first crossing starts lap 1"


def test_leaving_the_track_spoils_this_lap_only(drive, length):
    s = path(-5.0, 2.1 * length)
    kept = np.ones(len(s), bool)
    kept[len(s) // 4] = False  # for one step, in the first lap
    end = last(drive(s, kept))
    assert end.lap == 2 and end.valid_laps == 1


def test_wrong_way_laps_never_score(drive, length):
    end = last(drive(path(0.5 * length, -2.6 * length)))
    assert end.valid_laps == 0 and end.lap == 0
    assert end.progress == pytest.approx(-3.6 * length, rel=1e-4)


def test_rocking_over_the_line_never_scores(drive, length):
    end = last(drive(path(-5.0, *([5.0, -5.0] * 40), 5.0)))
    assert end.valid_laps == 0 and end.lap == 0


def test_reversing_over_the_line_voids_the_lap(drive, length):
    # All but a lap, back over the line that began it, and forward again: one crossing more, no lap.
    end = last(drive(path(-5.0, 5.0, -5.0, 5.0, 0.5 * length)))
    assert end.valid_laps == 0 and end.lap == 0
    end = last(drive(path(-5.0, 0.4 * length, -5.0, 1.1 * length)))
    assert end.valid_laps == 1, "after the reverse a whole lap was driven"


def test_turning_round_one_gate_counts_it_once(drive, tracks, length):
    gate = float(tracks.gates[0, 3])
    states = drive(path(-5.0, gate + 3.0, *([gate - 3.0, gate + 3.0] * 10)))
    assert last(states).next_gate == 4 and last(states).valid_laps == 0


def test_a_jump_over_the_infield_spoils_the_lap(drive, length):
    s = np.concatenate([path(-5.0, 0.2 * length), path(0.6 * length, 1.3 * length)])
    end = last(drive(s))
    assert end.lap == 1 and end.valid_laps == 0


def test_teleporting_over_the_line_is_no_crossing(drive, length):
    hops = np.tile([length - 30.0, 30.0], 50)
    end = last(drive(np.repeat(hops, 5)))
    assert end.lap == 0 and end.valid_laps == 0 and np.isnan(end.lap_time)


def test_a_lap_lost_by_a_jump_does_not_spoil_the_next(drive, length):
    s = np.concatenate([path(-5.0, 0.2 * length), path(0.9 * length, 2.1 * length)])
    end = last(drive(s))
    assert end.lap == 2 and end.valid_laps == 1


@pytest.mark.parametrize("seed", range(12))
def test_random_drives_score_only_whole_clean_laps(drive, tracks, length, seed):
    """Property: valid laps = forward passages line to line that never went back over it, never
    jumped, never left."""
    rng = np.random.default_rng(seed)
    steps = 15000
    speed = np.interp(
        np.arange(steps), np.arange(0, steps + 500, 500), rng.uniform(-15, 45, steps // 500 + 1)
    )
    s = rng.uniform(0, length) + np.cumsum(speed * DT)
    for at in rng.integers(1000, steps, rng.integers(0, 3)):
        s[at:] += rng.uniform(3.0, 200.0)
    off = np.ones(steps, bool)
    off[rng.integers(0, steps, rng.integers(0, 4))] = False
    states = drive(s, off)

    wanted, begun, clean = 0, False, False
    for a, b, kept in zip(s[:-1], s[1:], off[1:], strict=True):
        jump = abs(b - a) > timing.JUMP_DISTANCE + timing.JUMP_SPEED * DT
        clean &= kept and not jump
        over = 0 if jump else int(np.floor(b / length) - np.floor(a / length))
        if over:
            wanted += over > 0 and begun and clean
            begun, clean = over > 0, over > 0 and bool(kept)
    assert int(last(states).valid_laps) == wanted
    assert np.all(np.diff(states.valid_laps) >= 0)


def test_batch_of_circuits_uses_its_own_gates():
    from kart_jax.track.stack import stack

    both = stack([field.build(ellipse()), field.build(ellipse(90.0, 50.0))])
    for track in (0, 1):
        for gate in range(int(both.gate_count[track])):
            s = both.gates[track, gate] + 0.01
            assert timing.next_gate(both, track, s) == (gate + 1) % int(both.gate_count[track])


def test_positions_on_the_plane_give_the_same_lap_time(drive, tracks, length):
    # Ride at a wavering offset: the lap time is that of the arc length, whatever the line.
    v = 20.0
    s = length - 10.0 + v * DT * np.arange(int(1.3 * length / v / DT))
    x, y, _ = query.pose_at(
        tracks, 0, jnp.asarray(s, jnp.float32), jnp.asarray(2.0 * np.sin(s / 15.0), jnp.float32)
    )
    point = query.locate(tracks, 0, x, y)
    end = last(drive(np.unwrap(np.asarray(point.s), period=length)))
    assert end.valid_laps == 1
    assert end.last_lap == pytest.approx(length / v, abs=1e-3)
