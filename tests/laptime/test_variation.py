"""A varied plan: the spline against closed forms, nothing changed by no change, and what each
number does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kart_jax.drivers import path as paths
from kart_jax.drivers import profile
from kart_jax.drivers.path import Corridor
from kart_jax.drivers.profile import GGVDiagram
from kart_jax.drivers.types import Gains, Handling, Plan
from kart_jax.laptime import evolution, variation
from kart_jax.laptime.evolution import SearchDistribution

NODES, KNOTS, STEP = 128, 16, 2.0  # a lap of 256 m
USED = variation.UsedFractions(grip=0.9, brake=0.8)


@pytest.fixture(scope="module")
def corridor():
    # A corner of 1/20 m over a quarter of the lap, 3 m of room to either side.
    curvature = jnp.where(jnp.arange(NODES) < NODES // 4, 0.05, 0.0)
    return Corridor(curvature, jnp.full(NODES, -3.0), jnp.full(NODES, 3.0), jnp.asarray(STEP))


@pytest.fixture(scope="module")
def plan(corridor):
    flat, table = jnp.ones(21), jnp.zeros((3, 5))
    ggv = GGVDiagram(
        lateral=16.0 * flat,
        drive=3.0 * flat,
        brake=8.0 * flat,
        coast=-0.5 * flat,
        drive_loss=table,
        scrub=table,
        brake_share=table + 0.5,
        max_speed=jnp.asarray(60.0),
    )
    path = paths.build(jnp.ones(NODES), corridor)
    speed = profile.speeds(path, corridor.step, ggv, USED.grip, USED.brake)
    acceleration = profile.accelerations(speed, path, corridor.step)
    time = profile.lap_time(speed, path, corridor.step)
    path, speed, acceleration, time = jax.tree.map(
        lambda leaf: leaf[None], (path, speed, acceleration, time)
    )
    handling = Handling(front_slip=table, peak_rear_slip=jnp.asarray(0.1))
    return Plan(path, speed, acceleration, time, ggv, handling, Gains())


@pytest.fixture(scope="module")
def varied(plan, corridor):
    return jax.jit(lambda change: variation.vary_plan(plan, corridor, USED, change))


def test_the_spline_of_equal_numbers_is_that_number():
    np.testing.assert_allclose(variation.spline(jnp.full(KNOTS, 0.7), NODES), 0.7, rtol=1e-6)


def test_one_number_acts_on_two_steps_to_either_side():
    # B(0) = 2/3, B(±1) = 1/6, B(±2) = 0; place 0 is reached from both ends of the lap. B(1/2) = 2/3
    # - 1/4 + 1/16.
    values = variation.spline(jnp.zeros(KNOTS).at[0].set(1.0), NODES)
    each = NODES // KNOTS
    np.testing.assert_allclose(
        values[jnp.array([0, each, -each, 2 * each])], [2 / 3, 1 / 6, 1 / 6, 0.0], atol=1e-6
    )
    assert float(values[each // 2]) == pytest.approx(23 / 48, abs=1e-6)
    assert (np.asarray(values[2 * each : -2 * each]) == 0.0).all()


def test_no_change_is_the_plan_itself(varied, plan):
    for new, old in zip(
        jax.tree.leaves(varied(variation.no_variation(KNOTS))), jax.tree.leaves(plan), strict=True
    ):
        np.testing.assert_allclose(new, old, rtol=1e-5, atol=1e-5)


def test_the_line_moves_and_stays_in_its_corridor(varied, plan):
    none = jnp.zeros(KNOTS)
    moved = varied(variation.no_variation(KNOTS).replace(offset=none + 0.5))
    np.testing.assert_allclose(moved.path.offset, 1.5, rtol=1e-6)
    assert (
        float(varied(variation.no_variation(KNOTS).replace(offset=none + 50.0)).path.offset.max())
        == 3.0
    )


def test_a_broad_move_is_as_deep_as_its_number_and_four_times_as_wide():
    # B(0) = 2/3, B(1/4) = 2/3 - 1/16 + 1/128, B(1) = 1/6, B(2) = 0, on steps of a quarter.
    values = variation.broaden(jnp.zeros(32).at[0].set(1.0))
    np.testing.assert_allclose(
        values[jnp.array([0, 1, 4, -4, 8])], [2 / 3, 0.6119792, 1 / 6, 1 / 6, 0.0], atol=1e-6
    )
    # On fewer places than it is wide it reaches round the lap: the sum over places is BROAD all the
    # same.
    np.testing.assert_allclose(variation.broaden(jnp.ones(8)), 4.0, rtol=1e-6)


def test_more_of_the_grip_makes_the_corner_faster_by_its_square_root(varied, plan):
    # In the corner v² = part a / k, so v grows with sqrt(part).
    none = jnp.zeros(KNOTS)
    faster = varied(variation.no_variation(KNOTS).replace(grip_fraction=none + 0.1))
    middle = NODES // 8
    assert float(faster.speed[0, middle] / plan.speed[0, middle]) == pytest.approx(
        np.sqrt(1.0 / 0.9), rel=2e-3
    )
    assert float(faster.lap_time[0]) < float(plan.lap_time[0])


def test_more_of_the_brakes_brakes_later(varied, plan):
    # Before the corner a = -part 8 / 2: the last nodes of the lap lie in the braking zone.
    none = jnp.zeros(KNOTS)
    later = varied(variation.no_variation(KNOTS).replace(brake_fraction=none + 0.1))
    squares = [np.diff(np.asarray(p.speed[0, -6:]) ** 2) / (2 * STEP) for p in (plan, later)]
    np.testing.assert_allclose(squares[0], -USED.brake * 4.0, rtol=2e-2)
    np.testing.assert_allclose(squares[1], -(USED.brake + 0.1) * 4.0, rtol=2e-2)


def test_a_search_on_a_ring_finds_the_inside_line(plan):
    # At the constant limit of a = 16 m/s² a ring of radius r takes 2 pi r / sqrt(a r) = 2 pi sqrt(r
    # / a), least on the inside: r = 25 m - 3 m. What acceleration and brakes gain on a line that
    # weaves is less than that. The search begins in the middle.
    nodes, knots, radius, grip = 64, 16, 25.0, 16.0
    room = jnp.full(nodes, 3.0)
    corridor = Corridor(
        jnp.full(nodes, 1 / radius), -room, room, jnp.asarray(2 * np.pi * radius / nodes)
    )

    def times(offsets):
        """Seconds (J,) at each place with the offsets (2, J) of a candidate."""
        target = variation.spline(offsets[0] + variation.broaden(offsets[1]), nodes)
        path = paths.build(jnp.clip(target, corridor.low, corridor.high), corridor)
        speed = profile.speeds(path, corridor.step, plan.ggv)
        return (path.stretch * corridor.step / speed).reshape(knots, -1).sum(axis=1)

    def generation(search, key):
        steps = evolution.sample_steps(key, search, pairs=16)
        each = jax.vmap(times)(evolution.candidates(search, steps))
        felt = sum(jnp.roll(each, -k, axis=1) for k in range(-3, 6))
        return evolution.update(search, steps, felt), each[0].sum()

    start = SearchDistribution(jnp.zeros((2, knots)), jnp.full((2, knots), 0.25))
    _, laps = jax.lax.scan(generation, start, jax.random.split(jax.random.key(0), 40))
    assert float(laps[0]) == pytest.approx(2 * np.pi * np.sqrt(25.0 / grip), rel=1e-3)
    assert float(laps[-1]) == pytest.approx(2 * np.pi * np.sqrt(22.0 / grip), rel=5e-3)
