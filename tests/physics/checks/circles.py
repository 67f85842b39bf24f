"""Rows 8, 9, 10 and 12: skid-pad, solid axle, understeer."""

import numpy as np

from kart_jax.physics.params import preset

from .check import Check, near
from .drive import STEPS, G, cruiser, drive


def pads() -> list[Check]:
    """Rows 8 to 10 and 12: circles."""
    # The reference names no junior_max: its range lies half-way between mini_max and senior_max.
    aim = {"rental_gx270": (1.1, 1.3), "mini_max": (1.7, 1.7), "junior_max": (1.8, 1.875), "senior_max": (1.9, 2.05),
           "okj": (2.1, 2.3), "ok": (2.1, 2.3), "kz2": (2.1, 2.3)}  # fmt: skip
    names = [n for n in aim for _ in range(2)]
    radius = np.array([15.0, 30.0] * len(aim))
    top = np.sqrt(np.array([aim[n][1] + 0.3 for n in names]) * G * radius)
    ramp = np.linspace(0.6, 1.0, STEPS)[:, None] * top
    states, _ = drive([cruiser(preset(n)) for n in names], 0.6 * top, speed=ramp, hold=2.0,
                      curvature=1.0 / radius, follow=1.0)  # fmt: skip
    out = []
    for i, name in enumerate(names):
        pulls = most_lateral(states, i, radius[i]) / G
        low, high = aim[name]
        what = f"skid-pad R={radius[i]:.0f} m, {name}, g ({low} … {high}, 0.1 either side)"
        out.append(Check(8, what, pulls, low - 0.1, high + 0.1))
    return out


def most_lateral(states, lane: int, radius: float) -> float:
    """Most lateral acceleration (m/s²) while the lane still follows its radius within 5 % (after 1
    s)."""
    v, r = states.vx[200:, lane], states.yaw_rate[200:, lane]
    follows = np.abs(r * radius / v - 1.0) < 0.05
    end = len(v) if follows.all() else np.argmin(follows)
    return float(np.max((v * r)[:end], initial=0.0))


def axle() -> list[Check]:
    """Rows 9 and 10: the solid axle, with the tyres' load sensitivity off so that only the axle
    differs."""
    base = cruiser(preset("senior_max"))
    tyre = base.rear_tyre.replace(load_sensitivity=0.0, stiffness_x=12.0)
    base = base.replace(
        rear_tyre=tyre,
        front_tyre=base.front_tyre.replace(load_sensitivity=0.0),
        slip_speed=0.2,
        settle_rate=100.0,
    )
    flat = base.replace(
        cg_height=1e-3, scrub_radius=0.0
    )  # no load transfer, no jacking: nothing lifts
    loose = flat.replace(
        rear_tyre=tyre.replace(stiffness_x=0.5)
    )  # each rear wheel nearly free, as with a differential
    top = np.sqrt(2.6 * G * 8.0)
    ramp = np.linspace(0.5, 1.0, STEPS) * top
    speed = np.stack([ramp, ramp, ramp, np.full(STEPS, 4.0)], -1)
    states, seen = drive([flat, loose, base, flat], [0.5 * top] * 3 + [4.0], speed=speed, hold=0.4,
                         curvature=1.0 / 8.0, follow=1.0)  # fmt: skip
    lost, none, lifted = (most_lateral(states, i, 8.0) for i in range(3))
    ratio = states.yaw_rate[-1, 3] / states.vx[-1, 3] * float(base.rear_track)
    pair = states.tyre_force[-1, 3, 2:, 0]
    return [
        near(9, "(kappa_in - kappa_out) / (t_r / R), R = 8 m",
             (seen.slip_ratio[-1, 3, 2] - seen.slip_ratio[-1, 3, 3]) / ratio, 1.0, 0.02),
        Check(10, "anti-yaw moment of the axle, nothing lifted, R = 8 m, N m",
              float(0.5 * base.rear_track * (pair[0] - pair[1])), 400.0, 500.0),
        Check(10, "lateral limit lost to it, share", 1.0 - lost / none, 0.08, 1.0),
        Check(10, "recovered by the lifting inside rear, share", (lifted - lost) / (none - lost), 0.70, 2.0),
    ]  # fmt: skip


def understeer() -> list[Check]:
    """Row 12: steering beyond L / R grows as the arc tightens, by the solid axle; frozen within a
    tenth."""
    k = cruiser(preset("senior_max"))
    radius = np.array([8.0, 15.0, 30.0])
    speed = np.sqrt(0.5 * G * radius)
    states, _ = drive([k] * 3, speed, speed=speed, hold=0.4, curvature=1.0 / radius, follow=1.0)
    extra = np.degrees(states.steer[-1, :3] - float(k.wheelbase) / radius)
    return [
        near(
            12,
            "steer beyond L/R at 0.5 g: R 8 m less R 30 m, degrees (frozen)",
            extra[0] - extra[2],
            1.96,
            0.10,
        ),
        near(12, "the same, R 8 m less R 15 m, degrees (frozen)", extra[0] - extra[1], 1.087, 0.10),
    ]


def lift_off() -> list[Check]:
    """Row 12: at the same place of the same arc, a coasting kart beside one under full throttle.

    One kart accelerates through 0.8 g on a constant radius, the other coasts down through it. Their
    angles beyond L yaw_rate / v are compared there: lifting off moves load to the front, whose
    tyres need less slip then. The axle's anti-yaw moment grows meanwhile, as its tyres are rid of
    the drive force, which keeps the effect small, and turns its sign in rental_gx270 (at 0.52 g).
    """
    radius, gas = np.tile([8.0, 8.0, 15.0, 15.0], 2), np.tile([1.0, 0.0], 4)
    speed = np.sqrt(np.repeat([0.8, 0.52], 4) * G * radius)
    k = preset("senior_max")
    states, seen = drive([k] * 4 + [preset("rental_gx270")] * 4, speed * np.where(gas > 0.0, 0.68, 1.28), throttle=gas,
                         curvature=1.0 / radius, follow=1.0)  # fmt: skip
    v = states.vx[:, :8]
    at = np.where(gas > 0.0, v > speed, v < speed).argmax(0), np.arange(8)
    extra = np.degrees(states.steer[at] - float(k.wheelbase) * states.yaw_rate[at] / states.vx[at])
    more = extra[0::2] - extra[1::2]  # senior_max at 8 m and 15 m, rental_gx270 at 8 m and 15 m
    load, pair = seen.wheel_load[at], states.tyre_force[at][:, 2:, 0]
    part, front = load[1, 2] / load[0, 2], load[:, 0] + load[:, 1]
    moment = 0.5 * float(k.rear_track) * (pair[:, 0] - pair[:, 1])
    less = (0.0, 1.0)
    return [
        near(12, "steer on throttle less coasting, R 8 m, 0.8 g, degrees (frozen)", more[0], 0.1417, 0.10, less),
        near(12, "steer on throttle less coasting, R 15 m, 0.8 g, degrees (frozen)", more[1], 0.0953, 0.10, less),
        near(12, "rental_gx270, the same, R 8 m, 0.52 g, degrees (frozen)", more[2], -0.1402, 0.10, less),
        near(12, "rental_gx270, the same, R 15 m, 0.52 g, degrees (frozen)", more[3], -0.0453, 0.10, less),
        near(12, "senior_max, inside-rear load coasting / on throttle, R 8 m (frozen)", part, 0.7855, 0.10),
        near(12, "senior_max, front load coasting / on throttle, R 8 m (frozen)", front[1] / front[0], 1.1555, 0.1),
        near(12, "senior_max, anti-yaw moment on throttle, R 8 m, N m (frozen)", moment[0], 228.0, 0.10),
        near(12, "senior_max, anti-yaw moment coasting, R 8 m, N m (frozen)", moment[1], 316.5, 0.10),
    ]  # fmt: skip
