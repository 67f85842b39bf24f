"""Cosine and sine against numpy in float64: accuracy, gradients, and what no direction is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import OPTIMISED

from kart_jax.xla.sines import cos_sin

direction = jax.jit(cos_sin, compiler_options=OPTIMISED)


@pytest.mark.parametrize("reach", [0.8, 1.6, 7.0, 500.0, 25_000.0])
def test_direction_is_cosine_and_sine(reach):
    angle = np.random.default_rng(0).uniform(-reach, reach, 200_000).astype(np.float32)
    angle = np.concatenate([angle, np.float32(np.arange(-4, 5) * np.pi / 4)])
    cosine, sine = direction(angle)
    assert np.abs(cosine - np.cos(np.float64(angle))).max() < 3e-7
    assert np.abs(sine - np.sin(np.float64(angle))).max() < 3e-7
    mirrored = direction(-angle)
    np.testing.assert_array_equal(mirrored[0], cosine)
    np.testing.assert_array_equal(mirrored[1], -sine)


def test_gradient_of_direction_is_its_normal():
    angle = np.random.default_rng(1).uniform(-500.0, 500.0, 50_000).astype(np.float32)
    slope = jax.jit(jax.vmap(jax.jacfwd(lambda a: jnp.stack(cos_sin(a)))))(angle)
    np.testing.assert_allclose(slope[:, 0], -np.sin(np.float64(angle)), atol=1e-6)
    np.testing.assert_allclose(slope[:, 1], np.cos(np.float64(angle)), atol=1e-6)


def test_huge_angles_stay_on_the_circle_and_no_number_stays_none():
    angle = np.float32(10.0 ** np.linspace(4.0, 38.0, 20_000))
    angle = np.concatenate([angle, -angle])
    length = np.hypot(*direction(angle))
    np.testing.assert_allclose(length, 1.0, atol=1e-4)
    near = np.abs(angle) < 1e6  # float32 numbers are 0.06 rad apart there
    assert np.abs(direction(angle)[1] - np.sin(np.float64(angle)))[near].max() < 1e-6
    for number in (jnp.inf, -jnp.inf, jnp.nan):
        assert all(bool(jnp.isnan(part)) for part in direction(jnp.float32(number)))


def test_float64_has_the_library_s_accuracy():
    with jax.enable_x64(True):
        angle = jnp.linspace(-50.0, 50.0, 1001)
        cosine, sine = cos_sin(angle)
        np.testing.assert_allclose(cosine, np.cos(np.asarray(angle)), atol=1e-15)
        np.testing.assert_allclose(sine, np.sin(np.asarray(angle)), atol=1e-15)
