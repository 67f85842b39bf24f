"""Rows 8, 9, 10 and 12: skid-pad, solid axle, understeer."""

import numpy as np

from kart_jax.physics.params import preset

from .check import Check, near
from .manoeuvre import STEPS, G, States, run_manoeuvre, with_ideal_motor

# g, lateral on a skid-pad. The reference names no junior_max: its range lies half-way between
# mini_max and senior_max.
SKID_PAD = {
    "rental_gx270": (1.1, 1.3),
    "mini_max": (1.7, 1.7),
    "junior_max": (1.8, 1.875),
    "senior_max": (1.9, 2.05),
    "okj": (2.1, 2.3),
    "ok": (2.1, 2.3),
    "kz2": (2.1, 2.3),
}


def pads() -> list[Check]:
    """Check rows 8 to 10 and 12: circles."""
    names = [name for name in SKID_PAD for _ in range(2)]
    radius = np.array([15.0, 30.0] * len(SKID_PAD))
    top = np.sqrt(np.array([SKID_PAD[name][1] + 0.3 for name in names]) * G * radius)
    ramp = np.linspace(0.6, 1.0, STEPS)[:, None] * top
    states, _ = run_manoeuvre(
        [with_ideal_motor(preset(name)) for name in names],
        0.6 * top,
        speed=ramp,
        speed_gain=2.0,
        curvature=1.0 / radius,
        follow=1.0,
    )

    checks = []
    for i, name in enumerate(names):
        lateral = max_lateral(states, i, radius[i]) / G
        low, high = SKID_PAD[name]
        what = f"skid-pad R={radius[i]:.0f} m, {name}, g ({low} … {high}, 0.1 either side)"
        checks.append(Check(8, what, lateral, low - 0.1, high + 0.1))
    return checks


def max_lateral(states: States, kart: int, radius: float) -> float:
    """Return the most lateral acceleration (m/s²) of a kart that still follows its radius.

    Within 5 %, and after the first second.
    """
    speed = states.vx[200:, kart]
    yaw_rate = states.yaw_rate[200:, kart]
    follows = np.abs(yaw_rate * radius / speed - 1.0) < 0.05
    end = len(speed) if follows.all() else np.argmin(follows)
    return float(np.max((speed * yaw_rate)[:end], initial=0.0))


def axle() -> list[Check]:
    """Check rows 9 and 10: the solid axle.

    The tyres' load sensitivity is off, so that only the axle differs.
    """
    base = with_ideal_motor(preset("senior_max"))
    tyre = base.rear_tyre.replace(load_sensitivity=0.0, stiffness_x=12.0)
    base = base.replace(
        rear_tyre=tyre,
        front_tyre=base.front_tyre.replace(load_sensitivity=0.0),
        slip_speed=0.2,
        settle_rate=100.0,
    )
    # No load transfer, no jacking: nothing lifts.
    flat = base.replace(cg_height=1e-3, scrub_radius=0.0)
    # Each rear wheel nearly free, as with a differential.
    loose = flat.replace(rear_tyre=tyre.replace(stiffness_x=0.5))

    top = np.sqrt(2.6 * G * 8.0)
    ramp = np.linspace(0.5, 1.0, STEPS) * top
    states, sensed = run_manoeuvre(
        [flat, loose, base, flat],
        [0.5 * top] * 3 + [4.0],
        speed=np.stack([ramp, ramp, ramp, np.full(STEPS, 4.0)], -1),
        speed_gain=0.4,
        curvature=1.0 / 8.0,
        follow=1.0,
    )

    solid, free, lifting = (max_lateral(states, i, 8.0) for i in range(3))
    ratio = states.yaw_rate[-1, 3] / states.vx[-1, 3] * float(base.rear_track)
    slip = sensed.slip_ratio[-1, 3, 2] - sensed.slip_ratio[-1, 3, 3]
    inner, outer = states.tyre_force[-1, 3, 2:, 0]
    moment = float(0.5 * base.rear_track * (inner - outer))
    recovered = (lifting - solid) / (free - solid)

    return [
        near(9, "(kappa_in - kappa_out) / (t_r / R), R = 8 m", slip / ratio, 1.0, 0.02),
        Check(
            10,
            "anti-yaw moment of the axle, nothing lifted, R = 8 m, N m",
            moment,
            400.0,
            500.0,
        ),
        Check(10, "lateral limit lost to it, share", 1.0 - solid / free, 0.08, 1.0),
        Check(10, "recovered by the lifting inside rear, share", recovered, 0.70, 2.0),
    ]


def understeer() -> list[Check]:
    """Check row 12: steering beyond L / R grows as the arc tightens, by the solid axle.

    Frozen within a tenth.
    """
    kart = with_ideal_motor(preset("senior_max"))
    radius = np.array([8.0, 15.0, 30.0])
    speed = np.sqrt(0.5 * G * radius)
    states, _ = run_manoeuvre(
        [kart] * 3, speed, speed=speed, speed_gain=0.4, curvature=1.0 / radius, follow=1.0
    )

    at_8, at_15, at_30 = np.degrees(states.steer[-1, :3] - float(kart.wheelbase) / radius)
    what = "steer beyond L/R at 0.5 g: R 8 m less R 30 m, degrees (frozen)"
    return [
        near(12, what, at_8 - at_30, 1.96, 0.10),
        near(12, "the same, R 8 m less R 15 m, degrees (frozen)", at_8 - at_15, 1.087, 0.10),
    ]


def lift_off() -> list[Check]:
    """Check row 12: on the same arc, a coasting kart beside one under full throttle.

    One kart accelerates through 0.8 g on a constant radius, the other coasts down through it. Their
    angles beyond L yaw_rate / v are compared there: lifting off moves load to the front, whose
    tyres need less slip then. The axle's anti-yaw moment grows meanwhile, as its tyres are rid of
    the drive force, which keeps the effect small, and turns its sign in rental_gx270 (at 0.52 g).
    """
    radius = np.tile([8.0, 8.0, 15.0, 15.0], 2)
    throttle = np.tile([1.0, 0.0], 4)
    speed = np.sqrt(np.repeat([0.8, 0.52], 4) * G * radius)
    kart = preset("senior_max")
    states, sensed = run_manoeuvre(
        [kart] * 4 + [preset("rental_gx270")] * 4,
        speed * np.where(throttle > 0.0, 0.68, 1.28),
        throttle=throttle,
        curvature=1.0 / radius,
        follow=1.0,
    )

    passed = states.vx[:, :8]
    at = np.where(throttle > 0.0, passed > speed, passed < speed).argmax(0), np.arange(8)
    extra = np.degrees(
        states.steer[at] - float(kart.wheelbase) * states.yaw_rate[at] / states.vx[at]
    )
    senior_8, senior_15, rental_8, rental_15 = extra[0::2] - extra[1::2]

    load = sensed.wheel_load[at]
    front = load[:, 0] + load[:, 1]
    rear_force = states.tyre_force[at][:, 2:, 0]
    moment = 0.5 * float(kart.rear_track) * (rear_force[:, 0] - rear_force[:, 1])

    frozen = (
        ("steer on throttle less coasting, R 8 m, 0.8 g, degrees", senior_8, 0.1417),
        ("steer on throttle less coasting, R 15 m, 0.8 g, degrees", senior_15, 0.0953),
        ("rental_gx270, the same, R 8 m, 0.52 g, degrees", rental_8, -0.1402),
        ("rental_gx270, the same, R 15 m, 0.52 g, degrees", rental_15, -0.0453),
        (
            "senior_max, inside-rear load coasting / on throttle, R 8 m",
            load[1, 2] / load[0, 2],
            0.7855,
        ),
        ("senior_max, front load coasting / on throttle, R 8 m", front[1] / front[0], 1.1555),
        ("senior_max, anti-yaw moment on throttle, R 8 m, N m", moment[0], 228.0),
        ("senior_max, anti-yaw moment coasting, R 8 m, N m", moment[1], 316.5),
    )
    return [
        near(12, f"{what} (frozen)", value, target, 0.10, (0.0, 1.0) if i < 4 else None)
        for i, (what, value, target) in enumerate(frozen)
    ]
