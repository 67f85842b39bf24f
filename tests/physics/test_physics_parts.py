"""Parts of the physics by hand: tyres, loads, linkage, ground, gearbox, brakes, presets."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kart_jax.errors import InputError
from kart_jax.physics import drivetrain, limits, load, steering, surface, tyre
from kart_jax.physics.params import CLASSES, GRAVITY, AirParams, GroundParams, preset
from kart_jax.physics.signals import signals
from kart_jax.physics.state import is_finite, rolling
from kart_jax.physics.step import step
from kart_jax.physics.types import Controls, Pedals
from kart_jax.physics.wheels import WheelMotion

DT = 0.005  # s


def test_tyre_curve_peaks_at_one_and_opposes_the_slide():
    x = jnp.linspace(0.0, 6.0, 601)
    f = x * tyre.similarity(x, jnp.asarray(2.1), jnp.asarray(0.84))
    assert float(f.max()) == pytest.approx(1.0, abs=1e-6)
    assert float(x[jnp.argmax(f)]) == pytest.approx(1.0, abs=0.02)
    assert float(f[-1]) == pytest.approx(0.84, abs=0.02)
    assert float(jnp.diff(f)[:99].min()) > 0.0

    k = preset("ok")
    low = np.array([-40.0, -40.0, -300.0, 0.1, 0.2])
    high = np.array([40.0, 40.0, 400.0, 2000.0, 1.2])
    draws = np.random.default_rng(0).uniform(low, high, (100_000, 5))
    v_x, v_y, omega, wheel_load, grip = map(jnp.asarray, draws.T)
    motion = WheelMotion(v_x, v_y, omega)
    stiffness = tyre.slip_stiffness(motion, wheel_load, grip, k.rear_tyre, k)
    assert float(stiffness.x.min()) > 0.0 and float(stiffness.y.min()) > 0.0


def test_loads_sum_to_the_weight_whatever_happens():
    k = preset("senior_max")
    ax, ay = jnp.meshgrid(jnp.linspace(-60, 60, 41), jnp.linspace(-60, 60, 41))
    loads = jnp.stack(load.wheel_loads(ax, ay, jnp.asarray(0.3), jnp.asarray(0.2), k))
    np.testing.assert_allclose(loads.sum(0), float(k.mass * GRAVITY), rtol=1e-5)
    assert float(loads.min()) > -1e-3


def test_steering_follows_the_measured_linkage():
    """delta = 0.939 s ± 0.303 s² - 0.624 s³ (reference 1.6) within 0.4°; mirrored to the right."""
    s = jnp.linspace(0.0, 0.6, 13)
    mean = 0.939 * s - 0.624 * s**3
    left, right = steering.wheel_angles(mean, preset("ok"))
    np.testing.assert_allclose(left, mean + 0.303 * s**2, atol=np.radians(0.4))
    np.testing.assert_allclose(right, mean - 0.303 * s**2, atol=np.radians(0.4))
    flipped_left, flipped_right = steering.wheel_angles(-mean, preset("ok"))
    np.testing.assert_allclose(flipped_left, -right, atol=1e-6)
    np.testing.assert_allclose(flipped_right, -left, atol=1e-6)


def test_surfaces_change_smoothly_and_in_order():
    k = preset("ok")
    bare, kerbed = jnp.zeros(4), jnp.ones(4)
    at = lambda d, kerb: surface.blend(k, GroundParams(), jnp.full(4, d), kerb)  # noqa: E731
    assert float(at(-1.0, kerbed).grip[0]) == 1.0
    assert float(at(0.4, kerbed).grip[0]) == pytest.approx(float(GroundParams().grip_kerb))
    assert float(at(0.4, bare).grip[0]) == pytest.approx(float(GroundParams().grip_grass))
    assert float(at(2.0, kerbed).grip[0]) == pytest.approx(float(GroundParams().grip_grass))
    assert float(GroundParams().grip_grass) < float(at(0.0, bare).grip[0]) < 1.0


def test_the_engine_meets_the_axle_over_the_shift_cut():
    """An up-shift of kz2 from 13 600 rpm into second: the slip falls in a line to nothing."""
    k = preset("kz2")
    axle = jnp.asarray(13_600.0) / drivetrain.RPM / k.gear_ratio[0]
    slope = jnp.asarray(1e4)  # tyres that hold the axle's speed
    holding = tyre.LinearTyreForce(at_rest=-slope * k.rear_tyre.radius * axle, slope=slope)
    full_throttle = Pedals(throttle=jnp.ones(()), brake=jnp.zeros(()))

    gear, shift_time_left = drivetrain.shift(axle * 1.001, jnp.asarray(0), jnp.zeros(()), k, DT)
    assert int(gear) == 1 and float(shift_time_left) == pytest.approx(float(k.shift_duration))

    start = rolling(k, 0.0, 0.0, 0.0, 0.0).replace(axle_spin=axle)
    engine = axle * k.gear_ratio[0]
    slips = []
    for _ in range(round(float(k.shift_duration) / DT)):
        state = start.replace(engine_speed=engine, gear=gear, shift_time_left=shift_time_left)
        after, engine = drivetrain.rear_spin(state, full_throttle, holding, holding, k, DT)
        assert float(after) == pytest.approx(float(axle), rel=5e-3)  # it is held
        gear, shift_time_left = drivetrain.shift(axle, gear, shift_time_left, k, DT)
        slips.append(float(engine - axle * k.gear_ratio[1]))

    surplus = float(axle * (k.gear_ratio[0] - k.gear_ratio[1]))
    expected = surplus * (1.0 - np.arange(1, 13) / 12.0)  # torque I_e slip / shift_duration
    np.testing.assert_allclose(slips, expected, atol=0.03 * surplus)


def test_changing_down_takes_its_time_too():
    k = preset("kz2")
    slow = jnp.asarray(9_500.0) / drivetrain.RPM / k.gear_ratio[3]
    gear, shift_time_left = drivetrain.shift(slow, jnp.asarray(3), jnp.zeros(()), k, DT)
    assert int(gear) == 2 and float(shift_time_left) == pytest.approx(float(k.shift_duration))
    gear, _ = drivetrain.shift(0.5 * slow, gear, shift_time_left, k, DT)
    assert int(gear) == 2  # one gear at a time


def test_the_brake_limit_is_what_the_brakes_give():
    """The closed form against the step: braking from 20 m/s, pedal by pedal, engine let go."""

    def stop(pedal, k):
        controls = Controls(0.0 * pedal, 0.0 * pedal, pedal)
        ground = surface.asphalt(k)

        def advance(s, _):
            s = step(s, controls, k, ground, AirParams(), DT)
            return s, s.accel_x

        start = rolling(k, 0.0, 0.0, 0.0, 20.0)
        return jnp.mean(jax.lax.scan(advance, start, length=120)[1][60:])

    run = jax.jit(jax.vmap(stop, in_axes=(0, None)))
    for name in ("senior_max", "kz2"):
        k = preset(name).replace(clutch_torque=jnp.zeros(()))
        best = -float(jnp.min(run(jnp.linspace(0.3, 1.0, 32), k)))
        limit = float(limits.brake_limit(jnp.asarray(14.0), k, AirParams()))
        assert best == pytest.approx(limit, rel=0.08), name


def test_presets_refuse_unknown_names_and_states_are_consistent():
    with pytest.raises(InputError, match="class is 'f1'"):
        preset("f1")
    for name in CLASSES:
        k = preset(name)
        s = rolling(k, 1.0, 2.0, 0.5, 25.0)
        seen = signals(s, k)
        np.testing.assert_allclose(seen.slip_ratio, 0.0, atol=1e-5)
        np.testing.assert_allclose(seen.wheel_load.sum(), float(k.mass * GRAVITY), rtol=1e-5)
        assert bool(is_finite(rolling(k, 0.0, 0.0, 0.0, 0.0)))
        if name == "kz2":
            assert 3 <= int(s.gear) <= 5 and 9000 < float(seen.rpm) < 14000
