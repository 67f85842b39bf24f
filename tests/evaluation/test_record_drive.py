"""Which drive is filmed: the first with a clean lap, else the longest; and in which words the film
is announced."""

import dataclasses

import numpy as np
import pytest

from kart_jax.cli.play import describe_lap
from kart_jax.errors import InputError
from kart_jax.telemetry import laps
from train.evaluation import record_drive


def without_clean_laps(log, rows):
    """The first `rows` rows of a log in which no lap counts."""
    values = log.values[:rows].copy()
    values[:, log.names.index("lap_valid")] = 0.0
    return dataclasses.replace(log, values=values)


def choose_among(monkeypatch, drives):
    """Let the attempts give these logs, then the last one again; returns the choice and the
    attempts made."""
    made = []

    def drive(policy, env, laps, attempt):
        made.append(attempt)
        return drives[min(attempt, len(drives) - 1)]

    monkeypatch.setattr(record_drive, "drive", drive)
    return record_drive.record_drive(None, None, 2), made


def test_a_clean_lap_from_the_grid_needs_no_second_drive(monkeypatch, circle_log):
    found, made = choose_among(monkeypatch, [circle_log])
    assert made == [0] and found.attempt == 0 and found.log is circle_log
    assert found.clean_lap == min(lap.time for lap in laps.split_laps(circle_log))


def test_the_first_drive_with_a_clean_lap_is_taken(monkeypatch, circle_log):
    bad = without_clean_laps(circle_log, len(circle_log))
    found, made = choose_among(monkeypatch, [bad, circle_log.rows(0, 0), circle_log])
    assert made == [0, 1, 2] and found.attempt == 2 and found.clean_lap is not None


def test_without_a_clean_lap_the_longest_drive_is_taken(monkeypatch, circle_log):
    drives = [without_clean_laps(circle_log, rows) for rows in (300, 700, 500)]
    found, made = choose_among(monkeypatch, drives)
    assert made == list(range(record_drive.TRIES))
    assert (found.attempt, len(found.log), found.clean_lap) == (1, 700, None)


def test_a_driver_that_goes_nowhere_is_refused(monkeypatch, circle_log):
    with pytest.raises(InputError, match="failed in its first step; train it longer"):
        choose_among(monkeypatch, [circle_log.rows(0, 0)])


def test_the_film_is_announced_with_what_it_holds():
    assert (
        describe_lap({"clean_lap": 52.3451, "start": "grid"})
        == "a clean lap of 52.345, from the grid"
    )
    assert (
        describe_lap({"clean_lap": np.float64(62.5), "start": "rolling"})
        == "a clean lap of 1:02.500, from a rolling start"
    )
    said = describe_lap({"clean_lap": None, "start": "rolling"})
    assert (
        said
        == f"no clean lap in {record_drive.TRIES} drives; this is the longest one, from a rolling "
        "start"
    )
