"""The drivers that need no training: whom they drive, what they repeat, and by which gains."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kart_jax.drivers import follow, scripted
from kart_jax.drivers.driver import HeldDriver, RecordedDriver, ScriptedDriver
from kart_jax.drivers.types import Gains
from kart_jax.physics.params import preset
from kart_jax.physics.types import Controls
from kart_jax.race.params import RaceParams
from kart_jax.race.start import on_grid, start_race
from kart_jax.simulate.rollout import World, advance, begin, rollout

STEPS = 20


@pytest.fixture(scope="module")
def plan(oval):
    return scripted.prepare(oval, preset("ok"), "given")


@pytest.fixture(scope="module")
def world(oval):
    """A race of three karts of two classes."""
    karts = [preset("ok"), preset("ok"), preset("kz2")]
    return World(oval, RaceParams(jax.tree.map(lambda *leaves: jnp.stack(leaves), *karts)))


@pytest.fixture(scope="module")
def race(world):
    pose = on_grid(world.tracks, jnp.int32(0), 3)
    pose = pose.replace(
        speed=jnp.asarray([4.0, 9.0, 14.0]), heading_error=jnp.asarray([0.1, 0.0, -0.2])
    )
    return start_race(world.tracks, jnp.int32(0), pose, world.params.kart)


def drive(world, driver, race):
    """The last race, and the race before each step with what the driver did then."""

    def watch(_, before, after):
        key = jax.random.key(0)
        acted, _ = driver.act(key, before.race, before.driver_state, world.tracks, world.params)
        return None, (before.race, acted)

    session = begin(jax.random.key(0), world, race, driver)
    session, _, kept = jax.jit(lambda start: rollout(world, driver, start, STEPS, watch))(session)
    return session.race, kept


@pytest.fixture(scope="module")
def driven(world, plan, race):
    return drive(world, ScriptedDriver(plan), race)


def test_the_scripted_driver_drives_each_kart_by_its_own_state_and_parameters(world, plan, driven):
    races, controls = driven[1]
    control = jax.vmap(follow.control, in_axes=(None, None, None, 0, None))

    def of_kart(k):
        """The controls of one kart, without the others in its race."""
        own = jax.tree.map(lambda leaf: leaf[k], world.params.kart)
        kart = jax.tree.map(lambda leaf: leaf[:, k], races.karts)
        return control(plan, world.tracks, jnp.int32(0), kart, own)

    for k in range(3):
        alone = of_kart(k)
        np.testing.assert_allclose(alone.steering, controls.steering[:, k], atol=1e-5)
        np.testing.assert_allclose(alone.throttle, controls.throttle[:, k], atol=1e-4)
        np.testing.assert_allclose(alone.brake, controls.brake[:, k], atol=1e-4)
    assert float(jnp.ptp(controls.steering[0])) > 0.1  # no two of them are in the same place


def test_a_recorded_drive_repeats_itself_and_holds_its_last_controls(world, driven, race):
    final, (_, controls) = driven
    again, (_, repeated) = drive(world, RecordedDriver(controls), race)
    for one, other in zip(jax.tree.leaves(controls), jax.tree.leaves(repeated), strict=True):
        np.testing.assert_array_equal(one, other)
    # Another program: its sums may be rounded otherwise, by a hundredth of a millimetre at most.
    np.testing.assert_allclose(again.karts.x, final.karts.x, rtol=1e-6, atol=1e-5)

    short = RecordedDriver(jax.tree.map(lambda field: field[:5], controls))
    _, (_, held) = drive(world, short, race)
    np.testing.assert_array_equal(held.throttle[5:], np.tile(controls.throttle[4], (STEPS - 5, 1)))


def test_softer_gains_are_a_softer_driver_and_no_other_program(oval, plan, world, race):
    # The pedals close the same error of speed with a third of the acceleration.
    traces = 0

    @jax.jit
    def throttle(plan):
        nonlocal traces
        traces += 1
        kart, params = jax.tree.map(lambda leaf: leaf[1], (race.karts, world.params.kart))
        error = follow.tracking_error(plan, oval, jnp.int32(0), kart)
        planned = follow.target_acceleration(plan, oval, jnp.int32(0), error.replace(speed=20.0))
        return planned, follow.control(plan, oval, jnp.int32(0), kart, params)

    def corrected(speed_gain):
        """The correction of a speed of 20 m/s, in m/s²."""
        softer = scripted.prepare(oval, preset("ok"), "given", Gains(speed_gain=speed_gain))
        return float(throttle(softer)[0])

    none, soft, default = (corrected(gain) for gain in (0.0, 1.0, 3.0))
    assert abs(default - none) > 1.0
    assert (soft - none) / (default - none) == pytest.approx(1 / 3, rel=1e-4)
    np.testing.assert_array_equal(throttle(plan)[0], default)
    assert traces == 1


def test_held_controls_may_change_before_every_step_without_another_program(world, driven, race):
    """Handing over the scripted driver's controls step by step drives as it does."""
    final, (_, controls) = driven
    step = jax.jit(chex.assert_max_traces(advance, n=1))
    still = Controls(*(jnp.zeros(3),) * 3)
    session = begin(jax.random.key(0), world, race, HeldDriver(still))
    for number in range(STEPS):
        now = jax.tree.map(lambda field, i=number: field[i], controls)
        session = step(world, HeldDriver(now), session)
    np.testing.assert_allclose(session.race.karts.x, final.karts.x, atol=1e-3)
    np.testing.assert_allclose(session.race.timing.progress, final.timing.progress, atol=1e-3)
    assert int(session.step) == STEPS
