"""Channels recorded on the device, against karts placed by hand, and lap times against the race's
own timing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kart_jax import geometry
from kart_jax.physics.params import preset
from kart_jax.physics.types import Controls
from kart_jax.race import place
from kart_jax.telemetry import laps, record, session
from kart_jax.telemetry.channels import BY_NAME, CHANNELS, NAMES
from kart_jax.telemetry.log import of_kart
from kart_jax.track import query

PROMISED = (
    "step",
    "time",
    "lap",
    "sector",
    "distance",
    "x",
    "y",
    "heading",
    "speed",
    "steering",
    "throttle",
    "brake",
    "lateral_g",
    "longitudinal_g",
    "yaw_rate",
    "rpm",
    "gear",
    "dist_to_line",
    "curvature",
    "checkpoint_angle",
    "on_track",
    "lap_time",
)


@pytest.fixture(scope="module")
def kart():
    return preset("rental_gx270")


@pytest.fixture(scope="module")
def two_karts(oval, kart):
    """Kart 0 at 10 m/s 10 m past the line, 1.5 m left of it; kart 1 in the first bend, turned 10
    degrees left."""
    s, n = jnp.array([10.0, 60.0 + 0.5 * np.pi * 25.0]), jnp.array([1.5, 0.0])
    turn, speed = jnp.array([0.0, np.radians(10.0)]), jnp.array([10.0, 5.0])
    return place.place(oval, jnp.int32(0), s, n, turn, speed, kart)


def test_every_promised_channel_is_in_the_table_once():
    assert set(PROMISED) <= set(NAMES)
    assert {
        f"{kind}_{w}"
        for kind in ("slip_ratio", "slip_angle", "load")
        for w in ("fl", "fr", "rl", "rr")
    } <= set(NAMES)
    assert len(set(NAMES)) == len(NAMES)
    assert all(channel.meaning and channel.meaning != channel.name for channel in CHANNELS)


frame = jax.jit(record.frame)


def test_channels_show_karts_placed_by_hand(oval, kart, two_karts):
    values = frame(two_karts, jnp.int32(7), oval, kart)
    assert values.shape == (2, len(NAMES)) and values.dtype == jnp.float32
    first, second = (dict(zip(NAMES, row.tolist(), strict=True)) for row in values)
    # The line lies in the middle of the lower straight, 10 m further east is (10, 0); 1.5 m to the
    # left is north.
    expected = {
        "step": 7.0, "x": 10.0, "y": 1.5, "heading": 0.0, "speed": 36.0, "lap_distance": 10.0, "sector": 1.0,
        "sector_distance": 10.0, "dist_to_line": 1.5, "curvature": 0.0, "lap": 0.0, "on_track": 1.0, "gear": 1.0,
    }  # fmt: skip
    for name, value in expected.items():
        assert first[name] == pytest.approx(value, abs=2e-3), name
    # Half way round the first bend the path points north; the kart 10 degrees further left. Radius
    # 25 m, to the left.
    assert second["heading"] == pytest.approx(100.0, abs=0.1)
    assert second["speed"] == pytest.approx(18.0, abs=1e-3)
    assert second["curvature"] == pytest.approx(1 / 25.0, rel=0.02)
    assert (second["x"], second["y"]) == pytest.approx((60.0 + 25.0, 25.0), abs=0.05)
    # Kart at rest in roll: the four loads carry the weight.
    weight = float(kart.mass * kart.gravity)
    assert sum(first[f"load_{w}"] for w in ("fl", "fr", "rl", "rr")) == pytest.approx(
        weight, rel=1e-3
    )


def test_the_next_gate_shows_on_the_side_where_it_is(oval, kart, two_karts):
    values = frame(two_karts, jnp.int32(0), oval, kart)
    angle = values[:, NAMES.index("checkpoint_angle")]
    # Kart 0 stands left of the line on a straight: the gate ahead is to its right.
    assert -45.0 < angle[0] < 0.0


def test_thousands_of_karts_at_once_show_what_each_shows_alone(oval, kart, two_karts):
    alone = frame(two_karts, jnp.int32(3), oval, kart)
    many = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (1000, *leaf.shape)), two_karts)
    frames = jax.jit(jax.vmap(record.frame, in_axes=(0, None, None, None)))(
        many, jnp.int32(3), oval, kart
    )
    assert frames.shape == (1000, 2, len(NAMES))
    np.testing.assert_allclose(frames, np.broadcast_to(alone, frames.shape), rtol=1e-5, atol=1e-4)


def test_a_log_holds_the_rows_of_its_kart():
    values = np.arange(3 * 2 * len(NAMES), dtype=np.float32).reshape(3, 2, len(NAMES))
    for kart in (0, 1):
        np.testing.assert_array_equal(of_kart(values, kart)["x"], values[:, kart, NAMES.index("x")])


def follow(tracks, track, state, params):
    """Steer to the point of the centre line 6 m ahead, hold 13 m/s."""
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
    return session.drive(oval, 0, kart, follow, laps=2)


def test_lap_times_from_telemetry_agree_with_race_timing_to_a_millisecond(drive):
    found = laps.split(drive)
    assert [lap.number for lap in found] == [1, 2] and all(lap.valid for lap in found)
    for lap in found:
        assert lap.time == pytest.approx(drive["last_lap"][lap.last], abs=1e-3)
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
    second = laps.split(drive)[1]
    covered = np.interp([second.start, second.end], drive["time"], drive["distance"])
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
    monkeypatch.setattr(
        session, "SLOWEST", 40.0
    )  # m/s, more than this driver's 13: 397 m have 9.9 s
    log = session.drive(oval, 0, kart, follow, laps=1)
    assert laps.split(log) == []
    assert len(log) == session.CHUNK and log["speed"][-1] > 30.0
    assert BY_NAME["speed"].unit == "km/h"
