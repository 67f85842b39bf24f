"""The minimum lap time: how a lap is cut and judged, and what a search finds where the answer is
known."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import oval_line

from kart_jax import cli
from kart_jax.cli.evaluate import result_table
from kart_jax.cli.search import describe_minimum
from kart_jax.drivers import path, profile
from kart_jax.errors import InputError
from kart_jax.laptime import flying_lap, search
from kart_jax.laptime import problem as problems
from kart_jax.laptime.flying_lap import Trace
from kart_jax.laptime.problem import LapProblem
from kart_jax.laptime.search import Minimum
from kart_jax.physics.params import preset
from kart_jax.simulate.rollout import World
from kart_jax.track import field
from kart_jax.track.derive import load_tracks
from train.evaluation.result import Result, with_gaps

KNOTS, SPEED, DT = 32, 12.0, 0.04
SPACING = 397.08 / KNOTS  # m, of the oval


@pytest.fixture(scope="module")
def cut(oval):
    """A problem of 32 places on the oval, only good for cutting drives; rolls off at place 3."""
    return LapProblem(
        World(oval, None),
        None,
        None,
        jnp.asarray(3 * SPACING),
        knots=KNOTS,
        start_knot=3,
        steps=1400,
    )


def driven(problem, off_from=None, seconds=1400 * DT):
    """A lap at 12 m/s, a wheel 0.2 m off for a second, standing after `seconds`."""
    time = DT * jnp.arange(1, problem.steps + 1)
    off = jnp.zeros(problem.steps, bool)
    if off_from is not None:
        off = (time > off_from) & (time < off_from + 1.0)
    trace = Trace(
        progress=SPEED * jnp.minimum(time, seconds),
        past_edge=jnp.where(off, 0.2, -0.5),
        speed=jnp.full(problem.steps, SPEED),
    )
    return flying_lap.time_places(problem, trace)


def test_a_lap_at_constant_speed_takes_its_length_over_the_speed(cut):
    lap = driven(cut)
    assert bool(lap.clean)
    assert float(lap.time) == pytest.approx(397.08 / SPEED, rel=1e-4)
    assert float(lap.speed) == pytest.approx(SPEED)
    # 60 m before to 120 m after are 5 and 10 places; the second passages of the first places see
    # the whole of it, too.
    np.testing.assert_allclose(lap.cost, 15 * SPACING / SPEED, rtol=1e-4)


def test_a_wheel_off_the_asphalt_costs_where_it_happens(cut):
    # One second from 16 s on: 192 to 204 m after the start, places 15 and 16 after it, 18 and 19 of
    # the lap.
    lap, clean = driven(cut, off_from=16.0), driven(cut)
    extra = np.asarray(lap.cost - clean.cost)
    assert not bool(lap.clean)
    assert float(lap.time) == pytest.approx(float(clean.time))
    full = flying_lap.OFF_TIME + 0.2 * flying_lap.OFF_DEPTH  # for a second
    assert extra.max() == pytest.approx(full, rel=0.05)
    felt = np.flatnonzero(extra > 0.01)
    assert felt.min() >= 18 - 10 and felt.max() <= 19 + 1 + 5
    assert extra[18] == pytest.approx(full, rel=0.05)


def test_a_lap_that_is_not_completed_is_not_clean_and_costs_more_than_a_slow_one(cut):
    lap = driven(cut, seconds=20.0)
    assert not bool(lap.clean)
    assert float(lap.time) > 397.08 / SPEED * 1.5


def ring(radius=25.0):
    """A circle, 8 m wide."""
    return field.build(oval_line(straight=0.0, radius=radius))


@pytest.fixture(scope="module")
def ring_problem():
    return problems.prepare(ring(), preset("senior_max"))


def circle_time(problem, radius):
    """Lap time in s on a circle at the measured lateral limit: v = sqrt(a r), so 2 pi r / v."""
    ggv = problem.plan.ggv
    return 2 * np.pi * radius / float(profile.corner_speed(jnp.asarray(1.0 / radius), ggv))


@pytest.mark.slow
def test_on_a_circle_the_inside_line_is_faster_by_its_radius(ring_problem):
    # r = 25 m less the offset to the inside (left); at the same part of the limit t goes with
    # sqrt(r).
    problem = ring_problem
    drive = jax.jit(flying_lap.drive)
    middle = jnp.zeros((4, problem.knots)).at[0].set(-problem.plan.path.offset[0, 0])

    def flying(inwards):
        first = drive(problem, flying_lap.first_speed(problem), middle.at[0].add(inwards))
        return drive(problem, first.speed, middle.at[0].add(inwards))

    inside, outside = flying(2.0), flying(-2.0)
    assert bool(inside.clean) and bool(outside.clean)
    assert float(outside.time / inside.time) == pytest.approx(np.sqrt(27.0 / 23.0), rel=0.01)
    # The scripted driver counts on 0.965 of the limit, and cornering at it leaves too little drive
    # to hold its speed.
    assert float(inside.time) == pytest.approx(
        circle_time(problem, 23.0) / np.sqrt(0.965), rel=0.035
    )


@pytest.mark.slow
def test_the_search_on_a_circle_comes_nearer_to_the_inside_line_and_is_remembered(
    ring_problem, tmp_path, monkeypatch
):
    monkeypatch.setenv("KART_JAX_CACHE", str(tmp_path))
    told = []
    plan, minimum = search.find_minimum(
        ring_problem.world.tracks,
        preset("senior_max"),
        660,
        report=lambda *figures: told.append(figures),
    )
    tightest = 25.0 - float(ring_problem.corridor.high.max())
    # It sets off on the outside, the line of least curvature, 6 m from where it is going: 20
    # generations are a start.
    assert circle_time(ring_problem, tightest) < minimum.lap_time < minimum.scripted
    assert float(plan.path.offset.mean()) > float(ring_problem.plan.path.offset.mean()) + 0.3
    assert minimum.past_edge < 0.0 and minimum.wall_distance > 0.0
    assert len(told) == len(minimum.history) == 20 and minimum.laps == 660
    assert list(minimum.history) == sorted(minimum.history, reverse=True)
    # Asked again, nothing is simulated anew and the answer is the same, to the bit.
    again, same = search.find_minimum(
        ring_problem.world.tracks,
        preset("senior_max"),
        660,
        report=lambda *_: pytest.fail("searched"),
    )
    assert same == minimum
    np.testing.assert_array_equal(again.speed, plan.speed)


@pytest.mark.slow
def test_the_search_beats_the_script_on_the_first_circuit(tmp_path, monkeypatch):
    monkeypatch.setenv("KART_JAX_CACHE", str(tmp_path))
    tracks, kart = load_tracks("circuit"), preset("rental_gx270")
    plan, minimum = search.find_minimum(tracks, kart, 20 * search.GENERATION_LAPS)
    assert minimum.quasi_steady < minimum.lap_time < 0.975 * minimum.scripted
    assert minimum.past_edge < 0.0 and minimum.wall_distance > 0.0
    problem = problems.prepare(tracks, kart)
    assert (plan.path.offset[0] <= problem.corridor.high + 1e-4).all()
    assert (plan.path.offset[0] >= problem.corridor.low - 1e-4).all()
    assert float(path.interpolate(plan.speed, tracks, jnp.int32(0), problem.start_s)) > 10.0


def result(driver, best):
    return Result(driver, "oval", 8, 1.0, 16, best, best, 0.0, 90.0, None)


MINIMUM = Minimum(20.0, 21.0, 19.5, -0.1, 1.0, 1320, 0, (20.1, 20.0))


def test_gaps_are_those_to_the_minimum():
    rows = with_gaps(
        [result("run", 22.0), result("scripted", 21.0), result("fastest", 20.1)], MINIMUM
    )
    assert [row.gap for row in rows] == pytest.approx([2.0, 1.0, 0.1])
    assert [row.gap_percent for row in rows] == pytest.approx([10.0, 5.0, 0.5])
    assert [row.minimum for row in rows] == [None, None, MINIMUM]
    # The fastest plan's own drives may do better than the search's, and a driver may have no lap at
    # all.
    rows = with_gaps(
        [result("run", None), result("scripted", 21.0), result("fastest", 19.9)], MINIMUM
    )
    assert rows[0].gap is None and rows[2].gap == 0.0


def test_the_table_shows_the_gaps_only_after_a_search():
    rows = with_gaps(
        [result("run", None), result("scripted", 21.0), result("fastest", 20.0)], MINIMUM
    )
    lines = result_table(rows, search=True).splitlines()
    assert "gap" in lines[0]
    assert lines[1].split()[2:5] == ["-", "-", "-"]
    assert lines[2].split()[2:7] == ["21.000", "+1.000", "s", "+5.0", "%"]
    assert "gap" not in result_table(
        [dataclasses.replace(row, gap=None) for row in rows], search=False
    )
    assert describe_minimum(MINIMUM).startswith(
        "minimum lap time 20.000, the best of 1320 simulated laps; scripted"
    )


@pytest.mark.parametrize("command", ["eval", "drive"])
def test_the_help_names_the_right_numbers(command, capsys):
    with pytest.raises(SystemExit):
        cli.main([command, "--help"])
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert f"generations of {search.GENERATION_LAPS}; default {search.DEFAULT_LAPS}" in text


def test_what_cannot_be_searched_is_refused(oval):
    with pytest.raises(InputError, match="--search-laps is 32; allowed are 33 to 1000000"):
        search.find_minimum(oval, preset("ok"), 32)
    two = jax.tree.map(lambda leaf: jnp.concatenate([leaf, leaf]), oval)
    with pytest.raises(InputError, match="on one circuit at a time; here are 2; name them singly"):
        search.find_minimum(two, preset("ok"))
