"""Row 7: braking on the straight, rear-only and with four wheels, and what a locked axle does."""

import numpy as np

from kart_jax.physics.params import CLASSES, KartParams, preset

from .check import Check, near
from .manoeuvre import KARTS, STEPS, G, States, run_manoeuvre

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
    """Check the statics: straight-line braking from 100 km/h over a range of pedals."""
    senior = preset("senior_max")
    plain = senior.replace(
        clutch_torque=0.0,
        drag_area=0.0,
        rear_brake=300.0,
        rear_tyre=senior.rear_tyre.replace(
            friction=1.8 / senior.rear_tyre.friction_ratio, load_sensitivity=0.0
        ),
    )
    pedals = np.r_[np.linspace(0.53, 0.58, KARTS - 2), 1.0, 1.0]
    karts = [*[plain] * (KARTS - 1), preset("kz2")]
    states, sensed = run_manoeuvre(karts, 100 / 3.6, brake=pedals)

    rolls = sensed.slip_ratio[250, :, 2] > -0.5
    distance = stopping_distances(states)
    best = np.argmin(np.where(rolls[:-2], distance[:-2], np.inf))
    mean_decel = -states.accel_x[150:250, :-2].mean(0)
    decel = np.max(np.where(rolls[:-2], mean_decel, 0.0))
    height = float(senior.cg_height / senior.wheelbase)
    formula = 1.8 * 0.57 * G / (1.0 + 1.8 * height) + 0.02 * G * 0.43

    return [
        near(7, "rear-only best deceleration / formula, mu 1.8", decel / formula, 1.0, 0.05),
        Check(
            7, "rear-only 100-0 km/h, mu 1.8, m", float(distance[best]), 51.0 * 0.95, 55.0 * 1.05
        ),
        Check(7, "locked / best distance", float(distance[-2] / distance[best]), 1.08, 2.0),
        Check(7, "kz2 four-wheel 100-0 km/h, m", float(distance[-1]), 28.0 * 0.95, 33.0 * 1.05),
    ]


def stopping_distances(states: States) -> np.ndarray:
    """Return the distance (m) of each kart to a standstill; infinite where it still rolls."""
    stopped = states.vx < 0.3
    distance = np.take_along_axis(states.x, stopped.argmax(0)[None], 0)[0]
    return np.where(stopped.any(0), distance, np.inf)


def shortest_stop(kart: KartParams, speed: float) -> tuple[float, float]:
    """Find a kart's shortest stop from `speed` (m/s) with the throttle shut.

    Returns:
        Its length (m) and its pedal, held still.
    """
    pedals = np.linspace(0.46, 1.0, 2 * KARTS)
    stops = [run_manoeuvre([kart] * KARTS, speed, brake=part)[0] for part in np.split(pedals, 2)]
    distance = np.concatenate([stopping_distances(states) for states in stops])
    return float(distance.min()), float(pedals[distance.argmin()])


def presets() -> list[Check]:
    """Check every class as it stands, engine, air and all."""
    speed = 60 / 3.6
    checks = []
    for name in CLASSES:
        decel = speed**2 / (2.0 * shortest_stop(preset(name), speed)[0] * G)
        frozen, reference = STOPS[name]
        what = f"{name}, shortest stop from 60 km/h, mean g (frozen)"
        checks.append(near(7, what, decel, frozen, 0.03, reference))
    return checks


def spins() -> list[Check]:
    """Check that a locked rear axle does not guide.

    Two karts stop after the same touch of steering (0.5° for 0.1 s).
    """
    kart = preset("senior_max")
    speed = 100 / 3.6
    pedal = shortest_stop(kart, speed)[1]
    touch = np.where(np.arange(STEPS)[:, None] < 20, 0.02, 0.0)
    states, _ = run_manoeuvre([kart, kart], speed, steering=touch, brake=[pedal, 1.0])

    guided, locked = np.degrees(np.abs(states.yaw[-1]))[:2]
    what = "yaw after the shortest stop from 100 km/h, steering touched, degrees"
    return [
        Check(7, what, float(guided), 0.0, 10.0),
        Check(7, "the same with the rear axle locked, degrees", float(locked), 90.0, 720.0),
    ]
