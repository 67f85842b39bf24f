"""A varied plan: the spline against closed forms, nothing changed by no change, and what each number does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kart_jax.drivers import path, profile, variation
from kart_jax.drivers.path import Corridor
from kart_jax.drivers.profile import Limits
from kart_jax.drivers.types import Handling, Plan
from kart_jax.drivers.variation import Variation

NODES, KNOTS, STEP = 128, 16, 2.0  # a lap of 256 m
USE, USE_BRAKE = 0.9, 0.8


@pytest.fixture(scope="module")
def lane():
    # A bend of 1/20 m over a quarter of the lap, 3 m of room to either side.
    curvature = jnp.where(jnp.arange(NODES) < NODES // 4, 0.05, 0.0)
    return Corridor(curvature, jnp.full(NODES, -3.0), jnp.full(NODES, 3.0), jnp.asarray(STEP))


@pytest.fixture(scope="module")
def plan(lane):
    flat, table = jnp.ones(21), jnp.zeros((3, 5))
    limits = Limits(16.0 * flat, 3.0 * flat, 8.0 * flat, -0.5 * flat, table, table, table + 0.5, jnp.asarray(60.0))
    way = path.build(jnp.ones(NODES), lane)
    speed = profile.speeds(way, lane.step, limits, USE, USE_BRAKE)
    acceleration, time = profile.accelerations(speed, way, lane.step), profile.lap_time(speed, way, lane.step)
    way, speed, acceleration, time = jax.tree.map(lambda leaf: leaf[None], (way, speed, acceleration, time))
    return Plan(way, speed, acceleration, time, limits, Handling(table, jnp.asarray(0.1)))


@pytest.fixture(scope="module")
def varied(plan, lane):
    return jax.jit(lambda change: variation.vary(plan, lane, USE, USE_BRAKE, change))


def test_the_spline_of_equal_numbers_is_that_number():
    np.testing.assert_allclose(variation.spline(jnp.full(KNOTS, 0.7), NODES), 0.7, rtol=1e-6)


def test_one_number_acts_on_two_steps_to_either_side():
    # B(0) = 2/3, B(±1) = 1/6, B(±2) = 0; place 0 is reached from both ends of the lap. B(1/2) = 2/3 - 1/4 + 1/16.
    values = variation.spline(jnp.zeros(KNOTS).at[0].set(1.0), NODES)
    each = NODES // KNOTS
    np.testing.assert_allclose(values[jnp.array([0, each, -each, 2 * each])], [2 / 3, 1 / 6, 1 / 6, 0.0], atol=1e-6)
    assert float(values[each // 2]) == pytest.approx(23 / 48, abs=1e-6)
    assert (np.asarray(values[2 * each : -2 * each]) == 0.0).all()


def test_no_change_is_the_plan_itself(varied, plan):
    for new, old in zip(jax.tree.leaves(varied(variation.still(KNOTS))), jax.tree.leaves(plan), strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-5, atol=1e-5)


def test_the_line_moves_and_stays_in_its_lane(varied, plan):
    none = jnp.zeros(KNOTS)
    moved = varied(Variation(none + 0.5, none, none))
    np.testing.assert_allclose(moved.path.offset, 1.5, rtol=1e-6)
    assert float(varied(Variation(none + 50.0, none, none)).path.offset.max()) == 3.0


def test_more_of_the_grip_makes_the_bend_faster_by_its_square_root(varied, plan):
    # In the bend v² = use a / k, so v grows with sqrt(use).
    none = jnp.zeros(KNOTS)
    faster = varied(Variation(none, none + 0.1, none))
    middle = NODES // 8
    assert float(faster.speed[0, middle] / plan.speed[0, middle]) == pytest.approx(np.sqrt(1.0 / 0.9), rel=2e-3)
    assert float(faster.lap_time[0]) < float(plan.lap_time[0])


def test_more_of_the_brakes_brakes_later(varied, plan):
    # Before the bend a = -use_brake 8 / 2: the last nodes of the lap lie in the braking zone.
    none = jnp.zeros(KNOTS)
    later = varied(Variation(none, none, none + 0.1))
    squares = [np.diff(np.asarray(p.speed[0, -6:]) ** 2) / (2 * STEP) for p in (plan, later)]
    np.testing.assert_allclose(squares[0], -USE_BRAKE * 4.0, rtol=2e-2)
    np.testing.assert_allclose(squares[1], -(USE_BRAKE + 0.1) * 4.0, rtol=2e-2)
