"""The speed profile against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kart_jax.drivers import profile
from kart_jax.drivers.path import Path
from kart_jax.drivers.profile import GGVDiagram


def constant_ggv(lateral=16.0, drive=3.0, brake=8.0, max_speed=60.0) -> GGVDiagram:
    """Constant limits; in a corner the pedals have nothing left only at the limit (a rectangle)."""
    flat = jnp.ones(21)
    loss = jnp.zeros((3, 5)).at[:, -1].set(drive)
    return GGVDiagram(
        lateral=lateral * flat,
        drive=drive * flat,
        brake=brake * flat,
        coast=-0.5 * flat,
        drive_loss=loss,
        scrub=0.0 * loss,
        brake_share=jnp.ones((3, 5)).at[:, -1].set(0.0),
        max_speed=jnp.asarray(max_speed),
    )


def straight_path(curvature) -> Path:
    zero = jnp.zeros_like(curvature)
    return Path(zero, curvature, zero, jnp.ones_like(curvature))


def test_a_circle_is_driven_at_its_corner_speed():
    # v = sqrt(a R) = sqrt(16 * 25) = 20 m/s
    speed = profile.speeds(straight_path(jnp.full(64, 1 / 25.0)), jnp.asarray(2.0), constant_ggv())
    np.testing.assert_allclose(speed, 20.0, rtol=1e-3)
    np.testing.assert_allclose(
        profile.lap_time(speed, straight_path(jnp.full(64, 0.04)), jnp.asarray(2.0)), 6.4, rtol=1e-3
    )


@pytest.fixture(scope="module")
def one_corner():
    """512 m: a point-like corner of 1/25 m in the middle of a straight, nodes 1 m apart."""
    curvature = jnp.zeros(512).at[256].set(1 / 25.0)
    return np.asarray(
        jax.jit(profile.speeds)(straight_path(curvature), jnp.asarray(1.0), constant_ggv())
    )


def test_braking_and_driving_follow_the_constant_acceleration_law(one_corner):
    # v² = 400 + 2 * 8 d before the corner; v² = 400 + 2 * 3 d behind it; at its own node the share
    # is 0.
    for d in (20, 50):
        assert one_corner[256 - d] ** 2 == pytest.approx(400 + 16 * (d - 1), rel=0.02)
        assert one_corner[256 + d] ** 2 == pytest.approx(400 + 6 * (d - 1), rel=0.02)


def test_the_lap_closes(one_corner):
    # Braking takes over where 400 + 6 (d - 1) meets 400 + 16 (511 - d): the fastest point, seen
    # across the seam.
    meet = (16 * 511 + 6) / 22
    assert abs((256 + int(meet)) % 512 - int(np.argmax(one_corner))) <= 3
    assert one_corner.max() == pytest.approx(np.sqrt(400 + 6 * meet), rel=0.02)


def test_more_grip_is_never_slower():
    rng = np.random.default_rng(1)
    path = straight_path(jnp.asarray(np.convolve(rng.normal(0, 0.05, 256), np.ones(9) / 9, "same")))
    solve = jax.jit(profile.speeds)
    slow = solve(path, jnp.asarray(2.0), constant_ggv(lateral=12.0))
    fast = solve(path, jnp.asarray(2.0), constant_ggv(lateral=14.0))
    assert (fast >= slow - 1e-3).all()
    assert (np.abs(path.curvature) * slow**2 <= 12.0 * 1.02).all()


def test_table_look_up_is_bilinear():
    speed, part = jnp.linspace(0.0, 60.0, 3)[:, None], jnp.linspace(0.0, 1.0, 5)[None]
    given = constant_ggv()
    table = speed + 10.0 * part
    # Lateral 16: 4 m/s² is a quarter of the way.
    assert float(
        profile.in_corner(table, given, jnp.asarray(13.0), jnp.asarray(-4.0))
    ) == pytest.approx(15.5, rel=1e-5)
    assert float(
        profile.in_corner(table, given, jnp.asarray(90.0), jnp.asarray(90.0))
    ) == pytest.approx(70.0, rel=1e-5)
