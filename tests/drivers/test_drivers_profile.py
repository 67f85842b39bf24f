"""The speed profile against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kart_jax.drivers import profile
from kart_jax.drivers.path import Path
from kart_jax.drivers.profile import Limits


def limits(lateral=16.0, drive=3.0, brake=8.0, top=60.0) -> Limits:
    """Constant limits; in a bend the pedals have nothing left only at the limit itself (a
    rectangle)."""
    flat = jnp.ones(21)
    loss = jnp.zeros((3, 5)).at[:, -1].set(drive)
    left = jnp.ones((3, 5)).at[:, -1].set(0.0)
    return Limits(
        lateral * flat,
        drive * flat,
        brake * flat,
        -0.5 * flat,
        loss,
        0.0 * loss,
        left,
        jnp.asarray(top),
    )


def straight_path(curvature) -> Path:
    zero = jnp.zeros_like(curvature)
    return Path(zero, curvature, zero, jnp.ones_like(curvature))


def test_a_circle_is_driven_at_its_corner_speed():
    # v = sqrt(a R) = sqrt(16 * 25) = 20 m/s
    speed = profile.speeds(straight_path(jnp.full(64, 1 / 25.0)), jnp.asarray(2.0), limits())
    np.testing.assert_allclose(speed, 20.0, rtol=1e-3)
    np.testing.assert_allclose(
        profile.lap_time(speed, straight_path(jnp.full(64, 0.04)), jnp.asarray(2.0)), 6.4, rtol=1e-3
    )


@pytest.fixture(scope="module")
def one_bend():
    """512 m: a point-like bend of 1/25 m in the middle of a straight, nodes 1 m apart."""
    curvature = jnp.zeros(512).at[256].set(1 / 25.0)
    return np.asarray(jax.jit(profile.speeds)(straight_path(curvature), jnp.asarray(1.0), limits()))


def test_braking_and_driving_follow_the_constant_acceleration_law(one_bend):
    # v² = 400 + 2 * 8 d before the bend; v² = 400 + 2 * 3 d behind it; at the bend's own node the
    # share is 0.
    for d in (20, 50):
        assert one_bend[256 - d] ** 2 == pytest.approx(400 + 16 * (d - 1), rel=0.02)
        assert one_bend[256 + d] ** 2 == pytest.approx(400 + 6 * (d - 1), rel=0.02)


def test_the_lap_closes(one_bend):
    # Braking takes over where 400 + 6 (d - 1) meets 400 + 16 (511 - d): the fastest point, seen
    # across the seam.
    meet = (16 * 511 + 6) / 22
    assert abs((256 + int(meet)) % 512 - int(np.argmax(one_bend))) <= 3
    assert one_bend.max() == pytest.approx(np.sqrt(400 + 6 * meet), rel=0.02)


def test_more_grip_is_never_slower():
    rng = np.random.default_rng(1)
    way = straight_path(jnp.asarray(np.convolve(rng.normal(0, 0.05, 256), np.ones(9) / 9, "same")))
    solve = jax.jit(profile.speeds)
    slow = solve(way, jnp.asarray(2.0), limits(lateral=12.0))
    fast = solve(way, jnp.asarray(2.0), limits(lateral=14.0))
    assert (fast >= slow - 1e-3).all()
    assert (np.abs(way.curvature) * slow**2 <= 12.0 * 1.02).all()


def test_table_look_up_is_bilinear():
    speed, part = jnp.linspace(0.0, 60.0, 3)[:, None], jnp.linspace(0.0, 1.0, 5)[None]
    given = limits()
    table = speed + 10.0 * part
    # Lateral 16: 4 m/s² is a quarter of the way.
    assert float(
        profile.in_bend(table, given, jnp.asarray(13.0), jnp.asarray(-4.0))
    ) == pytest.approx(15.5, rel=1e-5)
    assert float(
        profile.in_bend(table, given, jnp.asarray(90.0), jnp.asarray(90.0))
    ) == pytest.approx(70.0, rel=1e-5)
