"""The table of channels: one for all, and what its readers say of karts placed by hand."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kart_jax.env import observe
from kart_jax.physics.params import GRAVITY, preset
from kart_jax.race import channels
from kart_jax.race.channels import BY_NAME, CHANNELS, NAMES, READERS, UNITS
from kart_jax.race.params import per_kart
from kart_jax.race.start import StartPose, start_race

PAGE = Path(__file__).resolve().parents[2] / "docs" / "telemetry.md"

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


def test_every_promised_channel_is_in_the_table_once():
    assert set(PROMISED) <= set(NAMES)
    assert {
        f"{kind}_{w}"
        for kind in ("slip_ratio", "slip_angle", "load")
        for w in ("fl", "fr", "rl", "rr")
    } <= set(NAMES)
    assert len(BY_NAME) == len(CHANNELS) and len(set(NAMES)) == len(NAMES)
    assert all(channel.meaning and channel.meaning != channel.name for channel in CHANNELS)
    assert {channel.unit for channel in CHANNELS} <= set(UNITS)


def test_what_is_recorded_or_observed_is_specified_and_has_a_reader():
    assert set(READERS) <= set(BY_NAME)
    assert set(NAMES) <= set(READERS)
    assert {row.channel for row in observe.OBSERVATION} <= set(READERS)
    assert {row.unit for row in observe.OBSERVATION} <= set(UNITS)
    # What nobody records, somebody observes.
    unrecorded = {channel.name for channel in CHANNELS if not channel.recorded}
    assert unrecorded <= {row.channel for row in observe.OBSERVATION}


def rows_of(heading: str) -> list[list[str]]:
    """Cells of the table below a heading of the page."""
    section = PAGE.read_text(encoding="utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_page_about_telemetry_is_the_table():
    recorded = [channel for channel in CHANNELS if channel.recorded]
    expected = [[one.name, one.unit, one.sign, one.meaning] for one in recorded]
    assert rows_of("Channels of a recording") == expected
    expected = [[row.name, row.channel, row.unit, f"{row.scale:g}"] for row in observe.OBSERVATION]
    assert rows_of("What the driver observes") == expected


@pytest.mark.parametrize(
    ("unit", "value"),
    [
        ("km/h", 36.0),  # 10 m/s
        ("deg", 1800.0 / np.pi),  # 10 rad
        ("deg/s", 1800.0 / np.pi),
        ("1/min", 300.0 / np.pi),  # 10 rad/s are 10 / (2 pi) turns in a second
        ("g", 10.0 / 9.80665),
        ("%", 1000.0),
        ("m", 10.0),
    ],
)
def test_a_unit_says_how_many_make_one_of_si(unit, value):
    assert 10.0 * UNITS[unit] == pytest.approx(value, rel=1e-12)


@pytest.fixture(scope="module")
def kart():
    return preset("rental_gx270")


@pytest.fixture(scope="module")
def two_karts(oval, kart):
    """One kart on the straight, one in the first bend.

    Kart 0 at 10 m/s 10 m past the line, 1.5 m left of it; kart 1 at 5 m/s, turned 10 degrees left.
    """
    pose = StartPose(
        s=jnp.array([10.0, 60.0 + 0.5 * np.pi * 25.0]),
        n=jnp.array([1.5, 0.0]),
        heading_error=jnp.array([0.0, np.radians(10.0)]),
        speed=jnp.array([10.0, 5.0]),
    )
    return start_race(oval, jnp.int32(0), pose, per_kart(kart, 2))


read_race = jax.jit(channels.read_race)


def test_channels_show_karts_placed_by_hand(oval, kart, two_karts):
    values = read_race(two_karts, jnp.int32(7), oval, kart)
    assert values.shape == (2, len(NAMES)) and values.dtype == jnp.float32
    first, second = (dict(zip(NAMES, row.tolist(), strict=True)) for row in values)
    # The line lies in the middle of the lower straight, 10 m further east is (10, 0); 1.5 m to the
    # left is north.
    expected = {
        "step": 7.0,
        "x": 10.0,
        "y": 1.5,
        "heading": 0.0,
        "speed": 36.0,
        "lap_distance": 10.0,
        "sector": 1.0,
        "sector_distance": 10.0,
        "dist_to_line": 1.5,
        "curvature": 0.0,
        "lap": 0.0,
        "on_track": 1.0,
        "gear": 1.0,
    }
    for name, value in expected.items():
        assert first[name] == pytest.approx(value, abs=2e-3), name
    # Half way round the first bend the path points north; the kart 10 degrees further left. Radius
    # 25 m, to the left.
    assert second["heading"] == pytest.approx(100.0, abs=0.1)
    assert second["speed"] == pytest.approx(18.0, abs=1e-3)
    assert second["curvature"] == pytest.approx(1 / 25.0, rel=0.02)
    assert (second["x"], second["y"]) == pytest.approx((60.0 + 25.0, 25.0), abs=0.05)
    # Kart at rest in roll: the four loads carry the weight.
    weight = float(kart.mass * GRAVITY)
    assert sum(first[f"load_{w}"] for w in ("fl", "fr", "rl", "rr")) == pytest.approx(
        weight, rel=1e-3
    )


def test_controls_and_accelerations_are_shown_and_observed_as_they_are(oval, kart, two_karts):
    state = dataclasses.replace(
        two_karts.karts,
        steer=jnp.full(2, 0.5 * kart.max_steer),
        throttle=jnp.array([0.25, 0.0]),
        brake=jnp.array([0.0, 0.75]),
        accel_y=jnp.array([9.80665, 0.0]),
        accel_x=jnp.array([0.0, -0.5 * 9.80665]),
    )
    race = dataclasses.replace(two_karts, karts=state)
    first, second = (
        dict(zip(NAMES, row.tolist(), strict=True))
        for row in read_race(race, jnp.int32(0), oval, kart)
    )
    # Half the lock, through the ratio of the steering.
    wheel = float(np.degrees(0.5 * kart.max_steer * kart.steering_ratio))
    assert first["steering"] == pytest.approx(wheel, rel=1e-5)
    assert (first["throttle"], second["brake"]) == pytest.approx((25.0, 75.0))
    assert (first["lateral_g"], second["longitudinal_g"]) == pytest.approx((1.0, -0.5), rel=1e-5)

    def observe_kart(race):
        return observe.telemetry(channels.sample_kart(race, 0, oval, kart))

    observed = jax.jit(jax.vmap(observe_kart, in_axes=(channels.RACE_AXES,)))(race)
    names = [row.name for row in observe.OBSERVATION]
    first, second = (dict(zip(names, row.tolist(), strict=True)) for row in observed)
    # 10 m/s of 40; half the lock; 1 g of 2.5; 1.5 m of 6.
    assert first["speed"] == pytest.approx(0.25, rel=1e-5)
    assert first["steering"] == pytest.approx(0.5, rel=1e-5)
    assert first["throttle"] == pytest.approx(0.25) and second["brake"] == pytest.approx(0.75)
    assert first["lat_g"] == pytest.approx(0.4, rel=1e-5)
    assert second["long_g"] == pytest.approx(-0.5, rel=1e-5)
    assert first["dist_to_line"] == pytest.approx(0.25, abs=1e-3)
    # A bend of 25 m has 0.04 1/m, of 0.1.
    assert second["curvature"] == pytest.approx(0.4, rel=0.02)


def test_the_next_gate_shows_on_the_side_where_it_is(oval, kart, two_karts):
    values = read_race(two_karts, jnp.int32(0), oval, kart)
    angle = values[:, NAMES.index("checkpoint_angle")]
    # Kart 0 stands left of the line on a straight: the gate ahead is to its right.
    assert -45.0 < angle[0] < 0.0


def test_each_kart_is_read_with_its_own_parameters(oval, kart, two_karts):
    both = read_race(two_karts, jnp.int32(0), oval, per_kart(kart, 2))
    np.testing.assert_array_equal(both, read_race(two_karts, jnp.int32(0), oval, kart))
    heavy = per_kart(kart, 2).replace(mass=kart.mass * jnp.array([1.0, 2.0]))
    loads = [k for k, name in enumerate(NAMES) if name.startswith("load_")]
    values = read_race(two_karts, jnp.int32(0), oval, heavy)[:, loads].sum(axis=1)
    assert float(values[1]) == pytest.approx(2.0 * float(values[0]), rel=1e-3)


def test_thousands_of_karts_at_once_show_what_each_shows_alone(oval, kart, two_karts):
    alone = read_race(two_karts, jnp.int32(3), oval, kart)
    many = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (1000, *leaf.shape)), two_karts)
    frames = jax.jit(jax.vmap(channels.read_race, in_axes=(0, None, None, None)))(
        many, jnp.int32(3), oval, kart
    )
    assert frames.shape == (1000, 2, len(NAMES))
    np.testing.assert_allclose(frames, np.broadcast_to(alone, frames.shape), rtol=1e-5, atol=1e-4)


def test_a_kart_at_rest_has_no_speed_and_a_finite_slope(two_karts):
    rest = jax.tree.map(lambda leaf: jnp.zeros_like(leaf[0]), two_karts.karts)
    speed, slope = jax.value_and_grad(lambda vx: channels.speed(rest.replace(vx=vx)))(0.0)
    assert speed == 0.0 and slope == 0.0
    # 3, 4, 5: the slope along x is 3 / 5.
    moving = rest.replace(vy=jnp.float32(4.0))
    speed, slope = jax.value_and_grad(lambda vx: channels.speed(moving.replace(vx=vx)))(3.0)
    assert speed == pytest.approx(5.0) and slope == pytest.approx(0.6)
