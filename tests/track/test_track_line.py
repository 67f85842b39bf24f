"""The centre line against analytic circles: reversal, moved start, feet of points.

Barriers, kerbs, rubber, gates and grid beside it, too.
"""

import numpy as np
import pytest

from kart_jax.errors import InputError
from kart_jax.track import field, line
from kart_jax.track.types import SLOPES, SampleColumn

RADIUS = 50.0


def circle(count: int = 90) -> line.CentreLine:
    """Return a circle driven counterclockwise from its easternmost point.

    It is 5 m wide to the left and 3 m to the right.
    """
    angle = np.arange(count) / count * 2 * np.pi
    points = RADIUS * np.column_stack([np.cos(angle), np.sin(angle)])
    return line.resample(points, np.full(count, 5.0), np.full(count, 3.0))


def hairpin(gap: float, half: float = 4.0) -> line.CentreLine:
    """Return two straights of 100 m whose edges lie `gap` apart, joined by half circles."""
    radius, straight = half + gap / 2, 100.0
    arc = np.linspace(-np.pi / 2, np.pi / 2, 60)[1:-1]
    across = np.linspace(0, straight, 100)
    east = np.column_stack([straight + radius * np.cos(arc), radius * np.sin(arc)])
    west = np.column_stack([-radius * np.cos(arc), -radius * np.sin(arc)])
    lower = np.column_stack([across, np.full(100, -radius)])
    upper = np.column_stack([across[::-1], np.full(100, radius)])
    points = np.vstack([lower, east, upper, west])
    return line.resample(points, np.full(len(points), half), np.full(len(points), half))


def test_circle_has_its_length_curvature_and_heading():
    found = circle()
    assert found.length == pytest.approx(2 * np.pi * RADIUS, rel=1e-6)
    np.testing.assert_allclose(found.curvature, 1 / RADIUS, rtol=1e-3)
    assert found.heading[0] == pytest.approx(np.pi / 2, abs=1e-5)
    assert found.heading[-1] - found.heading[0] == pytest.approx(
        2 * np.pi * (1 - 1 / found.count), rel=1e-5
    )
    assert found.spacing == pytest.approx(1.0, abs=0.01)


def test_uneven_points_give_even_samples():
    rng = np.random.default_rng(1)
    angle = np.sort(rng.uniform(0, 2 * np.pi, 400))
    points = RADIUS * np.column_stack([np.cos(angle), np.sin(angle)])
    found = line.resample(points, np.full(400, 4.0), np.full(400, 4.0))
    step = np.hypot(np.diff(found.x), np.diff(found.y))
    # a chord is shorter than its arc by (1 - (h/R)²/24)
    np.testing.assert_allclose(
        step, found.spacing * (1 - (found.spacing / RADIUS) ** 2 / 24), rtol=1e-4
    )


def test_reverse_turns_everything_round():
    there, back = circle(), line.reverse(circle())
    assert back.length == pytest.approx(there.length)
    assert (back.x[0], back.y[0]) == pytest.approx((there.x[0], there.y[0]))
    np.testing.assert_allclose(back.curvature, -1 / RADIUS, rtol=1e-3)
    np.testing.assert_allclose(back.half_left, 3.0)
    np.testing.assert_allclose(back.half_right, 5.0)
    again = line.reverse(back)
    np.testing.assert_allclose(again.x, there.x, atol=1e-4)
    np.testing.assert_allclose(again.y, there.y, atol=1e-4)


def test_start_at_moves_sample_zero():
    moved = line.move_start(circle(), RADIUS * np.pi / 2)  # a quarter round: the northernmost point
    assert (moved.x[0], moved.y[0]) == pytest.approx((0.0, RADIUS), abs=1e-4)
    assert moved.length == pytest.approx(2 * np.pi * RADIUS, rel=1e-5)


def test_foot_of_points_beside_a_circle():
    rng = np.random.default_rng(2)
    s, n = rng.uniform(0, 2 * np.pi * RADIUS, 200), rng.uniform(-10, 10, 200)
    points = (RADIUS - n)[:, None] * np.column_stack([np.cos(s / RADIUS), np.sin(s / RADIUS)])
    found_s, found_n = line.foot(circle(), points)
    np.testing.assert_allclose(found_s, s, atol=1e-4)
    np.testing.assert_allclose(found_n, n, atol=1e-4)


@pytest.mark.parametrize(("count", "repeat"), [(5, False), (20, True)])
def test_impossible_points_are_refused(count, repeat):
    angle = np.arange(count) / count * 2 * np.pi
    points = 20 * np.column_stack([np.cos(angle), np.sin(angle)])
    if repeat:
        points[3] = points[2]
    with pytest.raises(InputError):
        line.resample(points, np.ones(count), np.ones(count))


def rows_of(circuit: line.CentreLine) -> np.ndarray:
    return field.sample_rows(circuit, field.rubbered_line(circuit), field.Asphalt(circuit))


def test_barriers_stand_behind_the_run_off_where_there_is_room():
    rows = rows_of(circle())
    np.testing.assert_allclose(rows[:, SampleColumn.BARRIER_LEFT], 5.0 + field.RUN_OFF, atol=1e-6)
    np.testing.assert_allclose(rows[:, SampleColumn.BARRIER_RIGHT], 3.0 + field.RUN_OFF, atol=1e-6)


@pytest.mark.parametrize("gap", [3.0, 6.0, 10.0])
def test_barriers_between_two_straights_keep_clear_of_the_half_way_line(gap):
    circuit = hairpin(gap)
    rows = rows_of(circuit)
    middle = (circuit.x > 20) & (circuit.x < 80)
    room = rows[middle, SampleColumn.BARRIER_LEFT] - circuit.half_left[middle]
    assert (room >= field.MIN_RUN_OFF - 1e-9).all()
    assert (room <= gap / 2 - field.HALF_WAY_CLEARANCE + 0.1).all()
    assert (room >= gap / 2 - field.HALF_WAY_CLEARANCE - 0.4).all()
    np.testing.assert_allclose(
        rows[middle, SampleColumn.BARRIER_RIGHT], 4.0 + field.RUN_OFF, atol=1e-6
    )


def test_barriers_of_a_tight_bend_stop_before_its_centre():
    circuit = hairpin(6.0)  # centre-line radius 7 m, inner edge at 3 m
    rows = rows_of(circuit)
    bend = circuit.x > 104
    assert (rows[bend, SampleColumn.BARRIER_LEFT] < 7.0 - 0.5).all()
    assert (rows[bend, SampleColumn.BARRIER_LEFT] > 4.0).all()


def test_kerbs_lie_inside_bends_and_outside_where_they_end():
    circuit = hairpin(20.0)  # radius 14 m, both bends to the left; the lower straight runs east
    rows = rows_of(circuit)
    bend = circuit.x > 108
    assert (rows[bend, SampleColumn.KERB_LEFT] > 0.9).all()
    assert (rows[bend, SampleColumn.KERB_RIGHT] < 0.1).all()
    after = (circuit.x > 92) & (circuit.x < 96) & (circuit.y > 0)
    assert (rows[after, SampleColumn.KERB_RIGHT] > 0.9).all()
    straight = (circuit.x > 40) & (circuit.x < 60)
    assert (rows[straight][:, [SampleColumn.KERB_LEFT, SampleColumn.KERB_RIGHT]] < 0.01).all()


def test_rubber_leans_into_bends_and_stays_on_the_asphalt():
    circuit = hairpin(20.0)
    rows = rows_of(circuit)
    assert (
        rows[circuit.x > 108, SampleColumn.RUBBER] > 0.5
    ).all()  # left-hand bend: towards the left
    assert (np.abs(rows[:, SampleColumn.RUBBER]) < 4.0 - 0.7).all()


def test_slopes_are_the_derivatives_of_their_columns():
    circuit = hairpin(12.0)
    rows = rows_of(circuit)
    for value, slope in SLOPES.items():
        # Summed over the lap a derivative gives nothing; over half the lap it gives the difference.
        half = circuit.count // 2
        gained = np.sum(rows[:half, slope]) * circuit.spacing
        ends = (rows[half, value] + rows[half - 1, value] - rows[0, value] - rows[-1, value]) / 2
        assert gained == pytest.approx(ends, abs=1e-6)


def test_defaults_of_gates_sectors_and_grid():
    circuit = circle()
    gates = field.default_gates(circuit)
    assert gates[0] == 0.0
    assert np.diff(gates) == pytest.approx(circuit.length / len(gates))
    assert 30.0 < np.diff(gates)[0] < 50.0
    np.testing.assert_allclose(
        field.default_sectors(circuit), np.array([0, 1, 2]) * circuit.length / 3
    )
    s, n = field.start_grid(circuit)
    assert (np.diff(s) < 0).all()
    assert (s < circuit.length).all()
    assert (n[::2] > 0).all()
    assert (n[1::2] < 0).all()
    assert (n < 5.0 - 0.7).all()
    assert (n > -(3.0 - 0.7)).all()


def test_too_many_samples_are_refused():
    big = np.arange(70_000) / 70_000 * 2 * np.pi
    points = 10_000 * np.column_stack([np.cos(big), np.sin(big)])
    huge = line.resample(points, np.full(70_000, 4.0), np.full(70_000, 4.0), 0.5)
    with pytest.raises(InputError, match="at most 65536"):
        field.build(huge)
