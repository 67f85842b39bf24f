"""The public faces: every name is there, and the kart on the open plane does as it is told."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kart_jax


@pytest.mark.parametrize("face", ["kart_jax", "train"])
def test_every_public_name_is_found_and_documented(face):
    module = importlib.import_module(face)
    assert module.__all__ == sorted(module.__all__)
    for name in module.__all__:
        assert getattr(module, name).__doc__ or name in ("CHANNELS", "CLASSES"), name
    with pytest.raises(AttributeError, match="nonsense"):
        module.nonsense  # noqa: B018


def test_a_kart_on_the_plane_follows_its_plan_and_tells_how_power_moves_it():
    kart = kart_jax.preset("senior_max")
    time = jnp.linspace(0.0, 2.0, 50)
    plan = kart_jax.Controls(steering=jnp.full(50, 0.2), throttle=0.5 * time, brake=jnp.zeros(50))

    def end(power):
        start = kart_jax.rolling(kart, 0.0, 0.0, 0.0, 12.0)
        states, signals = kart_jax.drive_plane(
            start, plan, kart.replace(torque=power * kart.torque)
        )
        return states.vx[-1], (states, signals)

    both = jax.jit(jax.vmap(lambda power: jax.jvp(end, (power,), (1.0,), has_aux=True)))
    # 1 % apart: the trapezium of the slopes has an error of the third order in 0.01, float32 one of
    # 1e-6 / 0.02.
    ends, slopes, (states, signals) = both(jnp.array([0.99, 1.01]))
    assert (
        float(ends[1] - ends[0]) == pytest.approx(0.02 * float(slopes.mean()), rel=2e-3)
        and slopes[0] > 0.1
    )
    assert states.x.shape == (2, 50) and signals.wheel_load.shape == (2, 50, 4)
    np.testing.assert_allclose(signals.speed, np.hypot(states.vx, states.vy), rtol=1e-6)
    # The limbs' lags of 0.04 s have died away after a second: the plan is what the pedals show, a
    # lag behind.
    np.testing.assert_allclose(states.throttle[0, 25:], np.asarray(plan.throttle)[25:], atol=0.03)
    assert (states.yaw_rate[:, 25:] > 0.0).all()
