"""Laps and sectors out of a log, against motion whose passages are known to machine precision."""

import dataclasses

import numpy as np
import pytest
from conftest import circle_motion, make_circle_log
from scipy.optimize import root_scalar

from kart_jax.errors import InputError
from kart_jax.telemetry import laps


def passage(place: float) -> float:
    """When `circle_motion` reaches `place` m."""
    found = root_scalar(
        lambda t: float(circle_motion(t)[0]) - place, bracket=(0.0, 60.0), xtol=1e-12
    )
    return found.root


def with_channel(log, name, values):
    changed = log.values.copy()
    changed[:, log.names.index(name)] = values
    return dataclasses.replace(log, values=changed)


def test_laps_and_sectors_agree_with_the_motion_to_a_millisecond(circle_log):
    found = laps.split_laps(circle_log)
    assert [lap.number for lap in found] == [1, 2, 3]
    for k, lap in enumerate(found):
        places = [100.0 * k + s for s in (0.0, 30.0, 70.0, 100.0)]
        times = [passage(place) for place in places]
        assert lap.start_time == pytest.approx(times[0], abs=1e-3)
        assert lap.time == pytest.approx(times[3] - times[0], abs=1e-3)
        assert lap.sectors == pytest.approx(np.diff(times), abs=1e-3)
        assert sum(lap.sectors) == pytest.approx(lap.time, abs=1e-9)


def test_rows_of_a_lap_lie_between_its_two_passages(circle_log):
    for lap in laps.split_laps(circle_log):
        inside = circle_log.rows(lap.first_row, lap.end_row)["time"]
        before, after = circle_log["time"][lap.first_row - 1], circle_log["time"][lap.end_row]
        assert before < lap.start_time <= inside[0] and inside[-1] < lap.end_time <= after


def test_rolling_back_over_the_line_counts_one_passage():
    # Forward to 3 m past the line, back to 3 m before it, forward again: the line is behind the
    # kart once.
    distance = np.concatenate(
        [np.linspace(-5, 3, 20), np.linspace(2.6, -3, 15), np.linspace(-2.7, 20, 50)]
    )
    time = np.arange(1, len(distance) + 1) / 25.0
    found = laps.find_passages(time, distance, distance % 100.0)
    assert len(found.row) == 1
    # -5 + 8 (t - 0.04) / (19 * 0.04) = 0  =>  t = 0.04 + 0.475
    assert found.time[0] == pytest.approx(0.515, abs=1e-9)


def test_a_restart_begins_a_new_stint_and_ends_no_lap():
    whole = make_circle_log(33.0)
    short = make_circle_log(8.0)
    joined = dataclasses.replace(whole, values=np.vstack([short.values, whole.values]))
    assert laps.find_stints(joined) == [(0, 200), (200, 200 + len(whole))]
    found, alone = laps.split_laps(joined), laps.split_laps(whole)
    assert [lap.time for lap in found] == [lap.time for lap in alone]
    assert [lap.first_row for lap in found] == [lap.first_row + 200 for lap in alone]


def test_a_lap_that_stopped_counting_is_not_valid_and_not_the_best(circle_log):
    fair = laps.split_laps(circle_log)
    fastest = min(fair, key=lambda lap: lap.time)
    valid = np.ones(len(circle_log))
    valid[fastest.first_row + 5] = 0
    found = laps.split_laps(with_channel(circle_log, "lap_valid", valid))
    assert [lap.valid for lap in found] == [lap.number != fastest.number for lap in fair]
    best = laps.best_lap(found)
    assert best is not None and best.number != fastest.number


def test_no_complete_lap_is_no_lap():
    assert laps.split_laps(make_circle_log(5.0)) == []
    assert laps.best_lap([]) is None


def test_a_lap_is_chosen_by_its_number_or_for_being_the_best(circle_log):
    found = laps.split_laps(circle_log)
    second = laps.choose_lap(circle_log, 2)
    assert second.lap == found[1] and second.laps == found
    rows = slice(found[1].first_row, found[1].end_row)
    np.testing.assert_array_equal(second.rows["time"], circle_log["time"][rows])
    assert laps.choose_lap(circle_log, None).lap == laps.best_lap(found)
    whole = laps.choose_lap(circle_log.rows(0, 100), None)
    assert whole.lap is None and whole.laps == [] and len(whole.rows) == 100
    with pytest.raises(InputError, match="lap is 9; allowed are 1 to 3; leave --lap out"):
        laps.choose_lap(circle_log, 9)
    with pytest.raises(InputError, match="lap is 1; allowed are none, as no lap is complete"):
        laps.choose_lap(circle_log.rows(0, 100), 1)


def test_a_missing_channel_is_named(circle_log):
    keep = [k for k, name in enumerate(circle_log.names) if name != "lap_distance"]
    names = tuple(circle_log.names[k] for k in keep)
    with pytest.raises(InputError, match="channel lap_distance is missing"):
        laps.split_laps(
            dataclasses.replace(circle_log, names=names, values=circle_log.values[:, keep])
        )


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (52.3454, "52.345"),
        (59.9996, "1:00.000"),
        (62.3, "1:02.300"),
        (0.0, "0.000"),
        (float("nan"), "-"),
    ],
)
def test_the_clock_rounds_to_milliseconds(seconds, shown):
    assert laps.format_time(seconds) == shown
