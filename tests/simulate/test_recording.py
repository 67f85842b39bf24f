"""Laps that are driven from the host: how a recording ends, and what is in it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

from kart_jax.drivers import scripted
from kart_jax.drivers.driver import HeldDriver, ScriptedDriver
from kart_jax.env.params import EpisodeLimits
from kart_jax.env.referee import FaultReferee
from kart_jax.physics.params import preset
from kart_jax.physics.types import Controls
from kart_jax.race.channels import NAMES
from kart_jax.race.params import RaceParams, per_kart
from kart_jax.race.start import on_grid, start_race
from kart_jax.simulate.recording import record_laps
from kart_jax.simulate.rollout import World, begin, rollout, rollout_while


@pytest.fixture(scope="module")
def world(oval):
    return World(oval, RaceParams(per_kart(preset("ok"), 1)))


@pytest.fixture(scope="module")
def race(world):
    track = jnp.int32(0)
    return start_race(world.tracks, track, on_grid(world.tracks, track, 1), world.params.kart)


@pytest.fixture(scope="module")
def driver(oval):
    return ScriptedDriver(scripted.prepare(oval, preset("ok"), "given"))


def column(values, name):
    return values[:, 0, NAMES.index(name)]


def test_a_recording_ends_within_two_seconds_of_the_last_lap(world, race, driver):
    values = record_laps(world, driver, begin(jax.random.key(0), world, race, driver), 1)
    np.testing.assert_array_equal(column(values, "step"), np.arange(len(values)))
    done = np.flatnonzero(column(values, "lap") >= 1)
    assert 1 <= len(done) <= 2 * 25 and column(values, "lap").max() == 1
    np.testing.assert_allclose(np.diff(column(values, "time")), 0.04, atol=1e-5)


def test_a_referee_ends_the_drive_before_the_fault(world, race):
    """A kart that stands is stuck after 0.4 s: ten steps, of which the tenth is the fault."""
    still = HeldDriver(Controls(*(jnp.zeros(1),) * 3))
    referee = FaultReferee(EpisodeLimits(stuck_time=0.4))
    session = begin(jax.random.key(0), world, race, still)
    assert len(record_laps(world, still, session, 1, referee)) == 9


def test_drives_of_counted_and_of_uncounted_steps_are_the_same(world, race, driver):
    session = begin(jax.random.key(0), world, race, driver)

    def watch(best, before, after):
        speed = after.race.karts.vx[0]
        return jnp.maximum(best, speed), speed

    counted, best, speeds = jax.jit(
        lambda start: rollout(world, driver, start, 40, watch, jnp.zeros(()))
    )(session)
    uncounted, again = jax.jit(
        lambda start: rollout_while(
            world, driver, start, lambda now: now.step < 40, watch, jnp.zeros(())
        )
    )(session)
    assert best == speeds.max() and float(best) > 4.0
    np.testing.assert_allclose(again, best, rtol=1e-5)
    np.testing.assert_allclose(uncounted.race.karts.x, counted.race.karts.x, atol=1e-3)
    assert int(counted.step) == int(uncounted.step) == 40


def test_each_step_has_a_key_of_its_own(world, race):
    class Dice(struct.PyTreeNode):
        """Steers by the roll of a die and carries it."""

        def initial_state(self, race, tracks, params):
            return jnp.zeros(())

        def act(self, key, race, carried, tracks, params):
            roll = jax.random.uniform(key, minval=-1.0)
            return Controls(roll[None], jnp.zeros(1), jnp.zeros(1)), roll

    dice = Dice()
    session = begin(jax.random.key(3), world, race, dice)
    keep = lambda watched, before, after: (watched, after.driver_state)  # noqa: E731
    rolls = jax.jit(lambda start: rollout(world, dice, start, 16, keep)[2])(session)
    assert len(np.unique(np.asarray(rolls))) == 16
