"""The numbers of the seven kart classes: plain data, with sources in `docs/physics.md`."""

import itertools
import math
from typing import TYPE_CHECKING, Any, Literal

CLASSES = ("rental_gx270", "mini_max", "junior_max", "senior_max", "okj", "ok", "kz2")

if TYPE_CHECKING:
    KartClass = str
else:
    KartClass = Literal[CLASSES]  # one of them, as a flag or a file names it

# Torque over peak torque against 1/min (reference 1.2): shapes are priors fitted so that power
# peaks where sources say.
_TAG = (
    (0, 2000, 4000, 6000, 8000, 9000, 10000, 11500, 13000, 14200),
    (0.25, 0.25, 0.45, 0.75, 0.95, 1.0, 0.98, 0.87, 0.66, 0.0),
)
_MINI = (
    (0, 2000, 4000, 5500, 7000, 8000, 9000, 10000, 11200, 12300),
    (0.25, 0.25, 0.50, 0.75, 0.95, 1.0, 0.98, 0.87, 0.66, 0.0),
)
_OK = (
    (0, 3000, 5000, 7000, 9000, 11000, 12500, 14000, 15500, 16200),
    (0.55, 0.65, 0.75, 0.85, 0.94, 1.0, 0.97, 0.86, 0.60, 0.0),
)
_OKJ = (
    (0, 3000, 5000, 6500, 8000, 9500, 11000, 12500, 13700, 14300),
    (0.55, 0.65, 0.75, 0.85, 0.94, 1.0, 0.97, 0.86, 0.60, 0.0),
)
_KZ = (
    (0, 3000, 5000, 7000, 9000, 11000, 12500, 13500, 14500, 14900),
    (0.30, 0.40, 0.50, 0.65, 0.90, 1.0, 0.97, 0.80, 0.30, 0.0),
)
_GX = (
    (0, 800, 1500, 2500, 3000, 3600, 4000, 4200, 4600, 4700),
    (0.6, 0.7, 0.85, 1.0, 0.98, 0.90, 0.80, 0.75, 0.0, 0.0),
)

# Steering-wheel angle over mean road-wheel angle, of every class; a film of a log, which has no
# parameters, turns the front wheels by it.
STEERING_RATIO = 1.3

_COMMON: dict[str, Any] = {
    "wheelbase": 1.045,
    "front_weight_fraction": 0.43,
    "cg_height": 0.22,
    "front_track": 1.10,
    "rear_track": 1.17,
    "front_overhang": 0.45,
    "rear_overhang": 0.30,
    "front_width": 1.00,
    "rear_width": 1.38,
    "torsional_stiffness": 230.0 * 180.0 / math.pi,
    "front_roll_fraction": 0.30,
    "caster": math.radians(15.0),
    "kingpin_inclination": math.radians(11.0),
    "scrub_radius": 0.12,
    "max_steer": 0.43,
    "ackermann_2": 0.354,
    "ackermann_6": 7.12,
    "steering_ratio": STEERING_RATIO,
    "relaxation_length": 0.15,
    "slip_speed": 2.0,
    "settle_rate": 300.0,
    "load_lag": 0.04,
    "axle_inertia": 0.12,
    "front_inertia": 0.025,
    "engine_inertia": 0.002,
    "efficiency": 0.92,
    "clutch_slip": 5.0,
    "shift_up": 1e6,
    "shift_down": -1e6,
    "shift_duration": 0.06,
    "front_brake": 0.0,
    "brake_fade_spin": 0.5,
    "drag_area": 0.50,
    "rolling_resistance": 0.020,
    "steer_lag": 0.04,
    "steer_rate": 4.0,
    "throttle_lag": 0.04,
    "brake_lag": 0.04,
}


def _tyre(friction: float, front: bool, stiffness: float = 1.0) -> dict[str, float]:
    """Return one axle's tyre: friction at the reference load, stiffness over a race slick's."""
    return {
        "radius": 0.125 if front else 0.1377,
        "friction": friction,
        "reference_load": 400.0 if front else 500.0,
        "load_sensitivity": 0.15,
        "stiffness_x": 14.0 * stiffness,
        "stiffness_y": (18.0 if front else 24.0) * stiffness,
        "friction_ratio": 0.85,
        "shape": 2.1,
        "sliding_ratio": 0.84,
        "vertical_stiffness": 90_000.0,
    }


def _engine(curve: tuple, power: float, efficiency: float = 0.92) -> dict[str, Any]:
    """Return a torque table scaled to a peak power (W) at the axle, after `efficiency`.

    The curve is linear between its knots.
    """
    speeds, shape = curve
    knots = list(zip(speeds, shape, strict=True))

    peak = 0.0
    for (n0, t0), (n1, t1) in itertools.pairwise(knots):
        for step in range(101):
            part = step / 100
            peak = max(peak, (n0 + part * (n1 - n0)) * math.pi / 30 * (t0 + part * (t1 - t0)))
    scale = power / (efficiency * peak)

    return {
        "torque_speed": tuple(float(n) for n in speeds),
        "torque": tuple(scale * t for t in shape),
        "engine_drag": 0.15 * scale,
        "clutch_torque": 2.5 * scale,
        "efficiency": efficiency,
    }


_CLASS: dict[str, dict[str, Any]] = {
    "rental_gx270": {
        **_engine(_GX, 5_200.0),
        "mass": 232.0,
        "yaw_inertia": 42.0,
        "drag_area": 0.65,
        "rolling_resistance": 0.025,
        "front_tyre": _tyre(1.29, True, 0.75),
        "rear_tyre": _tyre(1.49, False, 0.75),
        "engine_inertia": 0.012,
        "idle_speed": 1400.0,
        "idle_gain": 0.3,
        "clutch_start": 1800.0,
        "clutch_full": 2800.0,
        "gear_count": 1.0,
        "gear_ratio": (3.1,) * 6,
        "rear_brake": 205.0,
    },
    "mini_max": {
        **_engine(_MINI, 8_500.0),
        "mass": 114.0,
        "yaw_inertia": 16.0,
        "wheelbase": 0.95,
        "front_track": 1.00,
        "rear_track": 1.06,
        "rear_width": 1.25,
        "cg_height": 0.21,
        "drag_area": 0.42,
        "front_tyre": _tyre(1.69, True, 0.9),
        "rear_tyre": _tyre(1.94, False, 0.9),
        "idle_speed": 1900.0,
        "idle_gain": 0.05,
        "clutch_start": 4000.0,
        "clutch_full": 9000.0,
        "gear_count": 1.0,
        "gear_ratio": (5.8,) * 6,
        "rear_brake": 135.0,
    },
    "junior_max": {
        **_engine(_TAG, 13_500.0),
        "mass": 145.0,
        "yaw_inertia": 25.0,
        "front_tyre": _tyre(1.94, True),
        "rear_tyre": _tyre(2.22, False),
        "idle_speed": 1900.0,
        "idle_gain": 0.05,
        "clutch_start": 4000.0,
        "clutch_full": 9000.0,
        "gear_count": 1.0,
        "gear_ratio": (79.0 / 13.0,) * 6,
        "rear_brake": 195.0,
    },
    "senior_max": {
        **_engine(_TAG, 18_500.0),
        "mass": 162.0,
        "yaw_inertia": 28.0,
        "front_tyre": _tyre(2.10, True),
        "rear_tyre": _tyre(2.40, False),
        "idle_speed": 1900.0,
        "idle_gain": 0.05,
        "clutch_start": 4000.0,
        "clutch_full": 9000.0,
        "gear_count": 1.0,
        "gear_ratio": (78.0 / 13.0,) * 6,
        "rear_brake": 220.0,
    },
    "okj": {
        **_engine(_OKJ, 19_500.0),
        "mass": 140.0,
        "yaw_inertia": 24.0,
        "front_tyre": _tyre(2.39, True),
        "rear_tyre": _tyre(2.74, False),
        "idle_speed": 0.0,
        "idle_gain": 0.0,
        "clutch_start": -1e6,
        "clutch_full": -1e5,
        "gear_count": 1.0,
        "gear_ratio": (5.7,) * 6,
        "rear_brake": 215.0,
    },
    "ok": {
        **_engine(_OK, 27_000.0),
        "mass": 150.0,
        "yaw_inertia": 26.0,
        "front_tyre": _tyre(2.50, True),
        "rear_tyre": _tyre(2.86, False),
        "idle_speed": 0.0,
        "idle_gain": 0.0,
        "clutch_start": -1e6,
        "clutch_full": -1e5,
        "gear_count": 1.0,
        "gear_ratio": (6.0,) * 6,
        "rear_brake": 230.0,
    },
    "kz2": {
        **_engine(_KZ, 33_000.0),
        "mass": 175.0,
        "yaw_inertia": 30.0,
        "front_tyre": _tyre(2.54, True),
        "rear_tyre": _tyre(2.91, False),
        "idle_speed": 2500.0,
        "idle_gain": 0.05,
        "clutch_start": 7000.0,
        "clutch_full": 9500.0,
        "gear_count": 6.0,
        "gear_ratio": (13.8, 11.0, 8.9, 7.3, 6.0, 5.0),
        "shift_up": 13_600.0,
        "shift_down": 9_600.0,
        "front_brake": 95.0,
        "rear_brake": 95.0,
    },
}


def numbers(name: str) -> dict[str, Any]:
    """Return a fresh dict of all numbers of one class, keyed by the fields of `KartParams`."""
    return {**_COMMON, **_CLASS[name]}
