"""Logs of a drive: lap times against the race's own timing, and channels against each other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

from kart_jax import geometry
from kart_jax.physics.params import preset
from kart_jax.physics.types import Controls
from kart_jax.race.channels import BY_NAME, NAMES
from kart_jax.simulate import recording
from kart_jax.telemetry import laps, session
from kart_jax.telemetry.log import log_of_kart
from kart_jax.track import query


def test_a_log_holds_the_rows_of_its_kart():
    values = np.arange(3 * 2 * len(NAMES), dtype=np.float32).reshape(3, 2, len(NAMES))
    for kart in (0, 1):
        log = log_of_kart(values, kart)
        np.testing.assert_array_equal(log["x"], values[:, kart, NAMES.index("x")])
        np.testing.assert_array_equal(log.rows(1, 3)["x"], log["x"][1:])
        np.testing.assert_array_equal(log.every(2)["x"], log["x"][::2])


@pytest.fixture(scope="module")
def kart():
    return preset("rental_gx270")


class CentreLineDriver(struct.PyTreeNode):
    """Steer to the point of the centre line 6 m ahead, hold 13 m/s."""

    def initial_state(self, race, tracks, params):
        return ()

    def act(self, key, race, carried, tracks, params):
        steer_kart = jax.vmap(follow, in_axes=(None, None, 0, 0))
        return steer_kart(tracks, race.track, race.karts, params.kart), carried


def follow(tracks, track, state, params):
    """Controls of one kart."""
    at = query.locate(tracks, track, state.x, state.y)
    x, y, _ = query.pose_at(tracks, track, at.s + 6.0)
    bearing = geometry.wrap_angle(jnp.arctan2(y - state.y, x - state.x) - state.yaw)
    steer = jnp.arctan(2.0 * params.wheelbase * jnp.sin(bearing) / 6.0)
    push = 13.0 - state.vx
    return Controls(
        jnp.clip(steer / params.max_steer, -1.0, 1.0),
        jnp.clip(push, 0.0, 1.0),
        jnp.clip(-push, 0.0, 1.0),
    )


@pytest.fixture(scope="module")
def drive(oval, kart):
    return session.drive_laps(oval, 0, kart, CentreLineDriver(), laps=2)


def test_lap_times_from_telemetry_agree_with_race_timing_to_a_millisecond(drive):
    found = laps.split_laps(drive)
    assert [lap.number for lap in found] == [1, 2] and all(lap.valid for lap in found)
    for lap in found:
        assert lap.time == pytest.approx(drive["last_lap"][lap.end_row], abs=1e-3)
        assert len(lap.sectors) == 3
    assert drive["best_lap"][-1] == pytest.approx(min(lap.time for lap in found), abs=1e-3)


def test_channels_of_a_drive_are_consistent(drive, oval):
    dt = np.diff(drive["time"])
    np.testing.assert_allclose(dt, 0.04, atol=1e-5)
    np.testing.assert_array_equal(drive["step"], np.arange(len(drive)))
    # Path length from x and y agrees with the integral of speed, and distance with laps times the
    # lap length.
    path = np.hypot(np.diff(drive["x"]), np.diff(drive["y"])).sum()
    assert path == pytest.approx((drive["speed"][1:] / 3.6 * dt).sum(), rel=2e-3)
    second = laps.split_laps(drive)[1]
    covered = np.interp([second.start_time, second.end_time], drive["time"], drive["distance"])
    assert np.diff(covered)[0] == pytest.approx(
        float(oval.length[0]), abs=0.1
    )  # float32 sums of 1,600 small steps
    # A left-hand bend: steering, lateral g, yaw rate, curvature and slip all say left; the right
    # tyres carry more.
    bend = (drive["curvature"] > 0.035) & (drive["speed"] > 40.0)
    for name in ("steering", "lateral_g", "yaw_rate", "slip_angle_fl", "slip_angle_rr"):
        assert (drive[name][bend] > 0).all(), name
    assert (drive["load_fr"] + drive["load_rr"] > drive["load_fl"] + drive["load_rl"])[bend].all()
    steady = bend & (np.abs(np.gradient(drive["yaw_rate"])) < 0.2)
    centripetal = drive["speed"] / 3.6 * np.radians(drive["yaw_rate"]) / 9.80665
    np.testing.assert_allclose(drive["lateral_g"][steady], centripetal[steady], atol=0.03)


def test_a_driver_that_is_too_slow_ends_without_its_laps(oval, kart, monkeypatch):
    # m/s, more than this driver's 13; twice the 397 m of a lap then have 9.9 s, one chunk.
    monkeypatch.setattr(recording, "MIN_SPEED", 80.0)
    log = session.drive_laps(oval, 0, kart, CentreLineDriver(), laps=1)
    assert laps.split_laps(log) == []
    assert len(log) == recording.CHUNK and log["speed"][-1] > 30.0
    assert BY_NAME["speed"].unit == "km/h"
