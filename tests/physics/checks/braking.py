"""Row 7: braking on the straight, rear-only and with four wheels, and what a locked axle does."""

import numpy as np

from kart_jax.physics.params import CLASSES, KartParams, preset

from .check import Check, near
from .drive import LANES, STEPS, G, drive

# g, mean deceleration of the shortest stop from 60 km/h, frozen; reference 1.5: logs of rear-only
# karts, KZ as stated
STOPS = {
    "rental_gx270": (0.568, (0.67, 0.80)),
    "mini_max": (0.710, (0.67, 0.80)),
    "junior_max": (0.778, (0.67, 0.80)),
    "senior_max": (0.823, (0.67, 0.80)),
    "okj": (0.879, (0.67, 0.80)),
    "ok": (0.909, (0.67, 0.80)),
    "kz2": (1.290, (1.2, 1.4)),
}


def brakes() -> list[Check]:
    """The statics: straight-line braking from 100 km/h over a range of pedals."""
    sr, kz = preset("senior_max"), preset("kz2")
    plain = sr.replace(
        clutch_torque=0.0, drag_area=0.0, rear_brake=300.0,
        rear_tyre=sr.rear_tyre.replace(friction=1.8 / sr.rear_tyre.friction_ratio, load_sensitivity=0.0),
    )  # fmt: skip
    pedals = np.r_[np.linspace(0.53, 0.58, LANES - 2), 1.0, 1.0]
    states, seen = drive([plain] * (LANES - 1) + [kz], 100 / 3.6, brake=pedals)
    rolling_lanes = seen.slip_ratio[250, :, 2] > -0.5
    dist = lengths(states)
    best = np.argmin(np.where(rolling_lanes[:-2], dist[:-2], np.inf))
    decel = np.max(np.where(rolling_lanes[:-2], -states.accel_x[150:250, :-2].mean(0), 0.0))
    formula = 1.8 * 0.57 * G / (1.0 + 1.8 * float(sr.cg_height / sr.wheelbase)) + 0.02 * G * 0.43
    return [
        near(7, "rear-only best deceleration / formula, mu 1.8", decel / formula, 1.0, 0.05),
        Check(7, "rear-only 100-0 km/h, mu 1.8, m", float(dist[best]), 51.0 * 0.95, 55.0 * 1.05),
        Check(7, "locked / best distance", float(dist[-2] / dist[best]), 1.08, 2.0),
        Check(7, "kz2 four-wheel 100-0 km/h, m", float(dist[-1]), 28.0 * 0.95, 33.0 * 1.05),
    ]


def lengths(states) -> np.ndarray:
    """Way (m) of each lane to a standstill; infinite where it is still rolling at the end."""
    stopped = states.vx < 0.3
    way = np.take_along_axis(states.x, stopped.argmax(0)[None], 0)[0]
    return np.where(stopped.any(0), way, np.inf)


def shortest(kart: KartParams, speed: float) -> tuple[float, float]:
    """Length (m) of the kart's shortest stop from `speed` (m/s) with the throttle shut, and its
    pedal, held still."""
    pedals = np.linspace(0.46, 1.0, 2 * LANES)
    way = np.concatenate(
        [lengths(drive([kart] * LANES, speed, brake=part)[0]) for part in np.split(pedals, 2)]
    )
    return float(way.min()), float(pedals[way.argmin()])


def presets() -> list[Check]:
    """Every class as it stands, engine, air and all."""
    speed = 60 / 3.6
    out = []
    for name in CLASSES:
        decel = speed**2 / (2.0 * shortest(preset(name), speed)[0] * G)
        frozen, reference = STOPS[name]
        out.append(
            near(
                7,
                f"{name}, shortest stop from 60 km/h, mean g (frozen)",
                decel,
                frozen,
                0.03,
                reference,
            )
        )
    return out


def spins() -> list[Check]:
    """A locked rear axle does not guide: two stops after the same touch of steering (0.5° for 0.1
    s)."""
    k, speed = preset("senior_max"), 100 / 3.6
    pedal = shortest(k, speed)[1]
    touch = np.where(np.arange(STEPS)[:, None] < 20, 0.02, 0.0)
    states, _ = drive([k, k], speed, steering=touch, brake=[pedal, 1.0])
    yaw = np.degrees(np.abs(states.yaw[-1]))
    return [
        Check(
            7,
            "yaw after the shortest stop from 100 km/h, steering touched, degrees",
            float(yaw[0]),
            0.0,
            10.0,
        ),
        Check(7, "the same with the rear axle locked, degrees", float(yaw[1]), 90.0, 720.0),
    ]
