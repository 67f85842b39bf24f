"""A race of several karts: each sees its own ground, barrier and clock."""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kart_jax.physics.params import preset
from kart_jax.physics.state import is_finite
from kart_jax.physics.types import Controls
from kart_jax.race.params import RaceParams, per_kart
from kart_jax.race.rates import Rates
from kart_jax.race.start import StartPose, on_grid, start_race
from kart_jax.race.step import step
from kart_jax.race.surroundings import wheel_points
from kart_jax.track.derive import load_tracks

RATES = Rates()


@pytest.fixture(scope="module")
def params():
    return preset("rental_gx270")


@pytest.fixture(scope="module")
def drive(oval, params):
    """Three karts on the straight at 12 m/s for 3 s: straight ahead, into the left barrier, half
    off to the right."""
    s, n = jnp.asarray([5.0, 5.0, 5.0]), jnp.asarray([0.0, 3.0, -4.0])
    turn = jnp.asarray([0.0, 0.7, 0.0])
    pose = StartPose(s=s, n=n, heading_error=turn, speed=jnp.full(3, 12.0))
    race = start_race(oval, jnp.int32(0), pose, per_kart(params, 3))
    hands = Controls(steering=jnp.zeros(3), throttle=jnp.full(3, 0.4), brake=jnp.zeros(3))

    @jax.jit
    def run(race):
        def advance(race, _):
            race = step(race, hands, oval, RaceParams(per_kart(params, 3)), RATES)
            return race, race

        return jax.lax.scan(advance, race, None, length=75)[1]

    return race, run(race)


def test_wheels_stand_where_the_kart_has_them(params):
    points = np.asarray(wheel_points(params))
    assert points[0, 0] - points[2, 0] == pytest.approx(float(params.wheelbase), abs=1e-6)
    assert points[0, 1] - points[1, 1] == pytest.approx(float(params.front_track), abs=1e-6)
    assert points[2, 1] - points[3, 1] == pytest.approx(float(params.rear_track), abs=1e-6)
    share = -points[2, 0] / (points[0, 0] - points[2, 0])
    assert share == pytest.approx(
        float(params.front_weight_fraction), abs=1e-6
    )  # lever rule for the centre of gravity


def test_time_is_counted_not_summed(drive):
    _, states = drive
    np.testing.assert_array_equal(states.tick, RATES.substeps * np.arange(1, 76))
    np.testing.assert_allclose(states.time, 0.04 * np.arange(1, 76), atol=1e-6)


def test_the_kart_straight_ahead_stays_on_the_track(drive):
    first, states = drive
    assert np.all(states.on_track[:, 0]) and np.all(states.wall_distance[:, 0] > 5.0)
    way = states.timing.progress[-1, 0] - first.timing.progress[0]
    assert way == pytest.approx(
        float(states.karts.x[-1, 0] - first.karts.x[0]), abs=0.05
    )  # the straight runs east


def test_the_barrier_stops_a_kart_and_sends_it_back(drive):
    _, states = drive
    assert np.any(states.wall_distance[:, 1] < 0.0), "it touches"
    assert not np.all(states.on_track[:, 1]), "on the way it leaves the asphalt"
    assert np.min(states.track_point.barrier[:, 1]) > 0.0, (
        "its centre of gravity never gets behind the barrier"
    )
    speed = np.hypot(states.karts.vx[:, 1], states.karts.vy[:, 1])
    assert speed[-1] < speed[0]


def test_one_wheel_on_the_asphalt_is_on_the_track(drive):
    # Its middle is on the edge line: left wheels on the asphalt, right wheels on the grass, which
    # holds it back.
    _, states = drive
    assert states.on_track[0, 2]
    assert np.min(states.karts.vx[:, 2]) < np.min(states.karts.vx[:, 0])


def test_a_kart_that_is_no_number_stands_still_and_leaves_the_others_bits_alone(
    drive, oval, params
):
    """nan in any number of a kart that a step reads, or in its controls, stops that kart alone."""
    first, _ = drive
    hands = Controls(steering=jnp.zeros(3), throttle=jnp.full(3, 0.4), brake=jnp.zeros(3))
    world = RaceParams(per_kart(params, 3))
    run = jax.jit(lambda race, hands: step(race, hands, oval, world, RATES))
    clean = run(first, hands)
    assert np.all(clean.finite) and np.all(jax.vmap(is_finite)(clean.karts))

    def check(race, hands, name):
        after = run(race, hands)
        np.testing.assert_array_equal(after.finite, [True, False, True], err_msg=name)
        for one, other in zip(
            jax.tree.leaves(after.karts), jax.tree.leaves(clean.karts), strict=True
        ):
            np.testing.assert_array_equal(one[::2], other[::2], err_msg=name)
        return after

    for name, field in vars(first.karts).items():
        if jnp.issubdtype(field.dtype, jnp.floating) and name != "accel_y":  # which is only shown
            broken = first.replace(karts=first.karts.replace(**{name: field.at[1].set(jnp.nan)}))
            check(broken, hands, name)
    for name, field in vars(hands).items():
        after = check(first, hands.replace(**{name: field.at[1].set(jnp.nan)}), name)
        assert after.karts.x[1] == first.karts.x[1], "a kart with a good state keeps it"


def test_grid_slots_lie_before_the_line(oval, params):
    grid = on_grid(oval, jnp.int32(0), 2)
    race = start_race(oval, jnp.int32(0), grid, per_kart(params, 2))
    np.testing.assert_allclose(race.track_point.s, oval.grid_s[0, :2], atol=0.01)
    assert np.all(race.timing.progress < 0.0) and np.all(race.timing.next_gate == 0)
    assert np.all(race.karts.vx == 0.0) and np.all(np.isnan(race.timing.lap_time))


@pytest.mark.slow
def test_a_batch_of_a_thousand_generated_circuits(params):
    """One race on each of a thousand circuits of one stack: 2 s at 10 m/s along its own start
    straight."""
    begin = time.perf_counter()
    tracks = load_tracks("generated:0-999")
    loaded = time.perf_counter()
    which = jnp.arange(1000, dtype=jnp.int32)
    hands = Controls(steering=jnp.zeros(1), throttle=jnp.full(1, 0.3), brake=jnp.zeros(1))
    start = StartPose(*(jnp.full(1, value) for value in (2.0, 1.0, 0.0, 10.0)))
    karts = RaceParams(per_kart(params, 1))

    @jax.jit
    def run(tracks, track):
        def advance(race, _):
            return step(race, hands, tracks, karts, RATES), None

        first = start_race(tracks, track, start, karts.kart)
        return first, jax.lax.scan(advance, first, None, length=50)[0]

    first, race = jax.block_until_ready(jax.vmap(run, in_axes=(None, 0))(tracks, which))
    end = time.perf_counter()
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(tracks))
    print(
        f"{size} bytes in {loaded - begin:.1f} s, the batch with its compilation in "
        f"{end - loaded:.1f} s"
    )
    assert tracks.size == 1000 and len(np.unique(np.asarray(tracks.length))) == 1000
    np.testing.assert_array_equal(race.track, which)
    assert np.all(race.on_track) and np.all(np.isfinite(race.karts.vx))
    # The straight is at least 80 m and begins near the line: offset and heading stay, the way is
    # that of the speed.
    way = np.asarray(race.timing.progress - first.timing.progress)[:, 0]
    np.testing.assert_allclose(
        way, np.hypot(race.karts.x - first.karts.x, race.karts.y - first.karts.y)[:, 0], rtol=0.02
    )
    assert way.min() > 15.0 and way.max() < 25.0
    np.testing.assert_allclose(race.track_point.n, 1.0, atol=0.6)
