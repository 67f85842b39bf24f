"""The periodic solver, the geometry of offset paths, and the minimum-curvature line."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import oval_line

from kart_jax.drivers import cyclic, line, path, scripted
from kart_jax.drivers.path import Corridor
from kart_jax.physics.params import preset
from kart_jax.track import field, stack
from kart_jax.track.types import SampleColumn


@pytest.mark.parametrize("count", [1, 2, 8, 64])
def test_cyclic_solve_matches_a_dense_solver(count):
    rng = np.random.default_rng(count)
    lower, upper = rng.normal(size=(2, count, 2, 2)) * 0.2
    diagonal = rng.normal(size=(count, 2, 2)) * 0.2 + 3.0 * np.eye(2)
    right = rng.normal(size=(count, 2))
    dense = np.zeros((2 * count, 2 * count))
    for i in range(count):
        for block, j in ((lower[i], i - 1), (diagonal[i], i), (upper[i], i + 1)):
            column = 2 * (j % count)
            dense[2 * i : 2 * i + 2, column : column + 2] += block
    expected = np.linalg.solve(dense, right.reshape(-1)).reshape(count, 2)
    np.testing.assert_allclose(
        cyclic.solve(*map(jnp.asarray, (lower, diagonal, upper, right))), expected, atol=1e-5
    )


def circle_corridor(radius: float, nodes: int = 128) -> Corridor:
    """A centre line that is a circle, driven to the left, 3 m of room on both sides."""
    step = jnp.asarray(2 * np.pi * radius / nodes)
    return Corridor(jnp.full(nodes, 1 / radius), jnp.full(nodes, -3.0), jnp.full(nodes, 3.0), step)


def test_an_offset_circle_is_a_circle():
    # Offset n to the left of a left-hand circle of radius R is a circle of radius R - n.
    offset_path = path.build(jnp.full(128, 2.0), circle_corridor(20.0))
    np.testing.assert_allclose(offset_path.curvature, 1 / 18.0, rtol=1e-4)
    np.testing.assert_allclose(offset_path.stretch, 18.0 / 20.0, rtol=1e-5)
    np.testing.assert_allclose(offset_path.angle, 0.0, atol=1e-6)


def test_a_shifted_circle_keeps_its_curvature():
    # A circle of radius 20 whose centre is moved by 0.5 m, described as offsets from the first:
    # still 1/20 everywhere.
    angle = np.arange(256) / 256 * 2 * np.pi
    away = np.sqrt(20.0**2 - (0.5 * np.sin(angle)) ** 2) + 0.5 * np.cos(angle)
    offset_path = path.build(jnp.asarray(20.0 - away), circle_corridor(20.0, 256))
    np.testing.assert_allclose(offset_path.curvature, 1 / 20.0, rtol=2e-3)


@pytest.fixture(scope="module")
def corridor():
    return path.find_corridor(field.build(oval_line()), jnp.int32(0), jnp.asarray(1.0), 512)


@pytest.fixture(scope="module")
def best(corridor):
    return np.asarray(jax.jit(line.minimise)(corridor))


def energy(offset, corridor) -> float:
    offset_path = path.build(jnp.asarray(offset, jnp.float32), corridor)
    return float(jnp.sum(offset_path.curvature**2 * offset_path.stretch) * corridor.step)


def test_the_line_stays_in_the_corridor_and_uses_it(best, corridor):
    assert (best > np.asarray(corridor.low)).all()
    assert (best < np.asarray(corridor.high)).all()
    # Two half circles to the left: wide on the right before and after each, cutting in towards its
    # middle.
    middle, entry = (
        round((60.0 + 12.5 * np.pi) / float(corridor.step)),
        round(60.0 / float(corridor.step)),
    )
    assert best.min() < float(corridor.low.min()) + 0.05
    assert best[middle] > best[entry] + 0.5
    curvature = np.asarray(path.build(jnp.asarray(best), corridor).curvature)
    assert int(np.argmax(curvature[: len(best) // 2])) == pytest.approx(middle, abs=2)


def test_no_neighbouring_line_has_less_curvature(best, corridor):
    here = energy(best, corridor)
    assert here < 0.9 * energy(np.zeros_like(best), corridor)
    rng = np.random.default_rng(0)
    s = np.arange(len(best)) / len(best) * 2 * np.pi
    for _ in range(40):
        waves = rng.integers(1, 12)
        bump = 0.05 * np.sin(waves * s + rng.uniform(0, 2 * np.pi))
        nearby = np.clip(best + bump, np.asarray(corridor.low), np.asarray(corridor.high))
        assert energy(nearby, corridor) > here - 1e-4


def test_the_line_mirrors_with_the_circuit(best, corridor):
    mirrored = Corridor(-corridor.curvature, -corridor.high, -corridor.low, corridor.step)
    np.testing.assert_allclose(np.asarray(jax.jit(line.minimise)(mirrored)), -best, atol=2e-3)


def test_circuits_of_a_stack_do_not_disturb_each_other(best):
    short = field.build(oval_line(straight=60.0, radius=18.0))
    both = stack.stack([short, field.build(oval_line())])
    found = [path.find_corridor(both, jnp.int32(t), jnp.asarray(1.0), 512) for t in (0, 1)]
    np.testing.assert_allclose(jax.jit(line.minimise)(found[1]), best, atol=5e-3)
    alone = path.find_corridor(short, jnp.int32(0), jnp.asarray(1.0), 512)
    np.testing.assert_allclose(found[0].curvature, alone.curvature, atol=1e-6)


def test_sampling_wraps_at_the_count():
    tracks = stack.stack(
        [field.build(oval_line(straight=60.0, radius=18.0)), field.build(oval_line())]
    )
    half = path.sample(tracks, jnp.int32(0), SampleColumn.HALF_LEFT, 64)
    np.testing.assert_allclose(half, 4.0, atol=1e-4)
    values = jnp.broadcast_to(jnp.arange(64.0), (2, 64))
    # Between the last node and the first the value goes back from 63 to 0.
    middle = tracks.length[1] * 63.5 / 64
    np.testing.assert_allclose(
        path.interpolate(values, tracks, jnp.int32(1), middle), 31.5, atol=1e-2
    )


@pytest.mark.slow
def test_a_plan_does_not_depend_on_the_longest_circuit_of_the_stack():
    # Planned on the nodes of a circuit 17 times as long, the steps of 0.1 m drown curvature in
    # rounding: nan.
    kart = preset("rental_gx270")
    short, long = (
        field.build(oval_line(straight, radius))
        for straight, radius in ((60.0, 6.0), (1200.0, 60.0))
    )
    plans = scripted.prepare(stack.stack([long, short]), kart)
    alone = scripted.prepare(short, kart)
    assert plans.lap_time[1] == pytest.approx(float(alone.lap_time[0]), rel=1e-5)
    times = plans.speed.shape[1] // alone.speed.shape[1]
    assert times == 16
    np.testing.assert_allclose(plans.path.offset[1, ::times], alone.path.offset[0], atol=1e-4)
    np.testing.assert_allclose(plans.speed[1, ::times], alone.speed[0], atol=1e-3)


def test_refined_values_are_the_same_function():
    values = jnp.asarray([[0.0, 4.0, -2.0, 1.0]])
    np.testing.assert_allclose(path.refine(values, 2), [[0.0, 2.0, 4.0, 1.0, -2.0, -0.5, 1.0, 0.5]])
    np.testing.assert_array_equal(path.refine(values, 1), values)
