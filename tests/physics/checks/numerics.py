"""Rows 15 and 16: convergence with the step size, behaviour at walking pace."""

import numpy as np

from kart_jax.physics.params import preset

from .check import Check, near
from .manoeuvre import DT, STEPS, States, run_manoeuvre, state_after, with_ideal_motor


def slalom(time: np.ndarray) -> dict[str, np.ndarray]:
    """Return a gentle and a wild slalom on throttle and brake: time (s), (steps, 1) -> (steps, 2).

    The gentle one reaches 1.4 g; the wild one 2.1 g, where the kart slides.
    """
    return {
        "steering": np.sin(1.3 * time) * np.array([0.15, 0.30]),
        "throttle": 0.5 + 0.5 * np.sin(0.9 * time),
        "brake": 0.25 * np.maximum(np.sin(0.9 * time + 2.0), 0.0) ** 2,
    }


def swerve(time: np.ndarray) -> dict[str, np.ndarray]:
    """Return the controls of one swerving kart as functions of time (s)."""
    return {
        "steering": 0.25 * np.sin(2.0 * time),
        "throttle": 0.5 + 0.4 * np.sin(1.5 * time),
    }


def position(state: States) -> np.ndarray:
    """Return where karts are as complex numbers, x + i y in m."""
    return state.x + 1j * state.y


def convergence() -> list[Check]:
    """Check row 15: the order of the step, and what 5 ms is worth."""
    kart = preset("senior_max")
    parts = (1, 2, 4, 32)  # of a step of 4 ms: 2.4 s at 4, 2, 1 and 1/8 ms
    ends = {n: position(state_after([kart], 15.0, 0.004 / n, 600 * n, swerve))[0] for n in parts}
    error = {n: abs(ends[n] - ends[32]) for n in parts[:3]}
    coarse, fine = (
        position(state_after([kart, kart], 14.0, dt, round(10.0 / dt), slalom))
        for dt in (DT, 0.0005)
    )
    gentle, wild = np.abs(coarse - fine)

    # First order, by the slips' secants and the implicit axle. Against 1/8 ms, 4 to 2 ms: (32 - 1)
    # / (16 - 1) = 2.07; 2 to 1 ms: (16 - 1) / (8 - 1) = 2.14.
    halves = "error ratio, 4 to 2 ms (first order: 2.07)"
    quarters = "error ratio, 2 to 1 ms (first order: 2.14)"
    return [
        near(15, halves, error[1] / error[2], 2.07, 0.20),
        near(15, quarters, error[2] / error[4], 2.14, 0.20),
        Check(15, "error at 4 ms after 2.4 s of swerving, m", error[1], 0.0, 0.05),
        Check(15, "5 ms against 0.5 ms, slalom at 1.4 g, after 10 s, m", float(gentle), 0.0, 0.1),
        Check(15, "5 ms against 0.5 ms, slalom at 2.1 g, after 10 s, m", float(wild), 0.0, 0.1),
    ]


def standstill() -> list[Check]:
    """Check row 16: held by the brake, with and without throttle; rolling backwards on lock."""
    states, _ = run_manoeuvre(
        [preset("senior_max")] * 3,
        [3.0, 0.0, -2.0],
        brake=[1.0, 1.0, 0.0],
        throttle=[0.0, 0.3, 0.0],
        steering=[0.5, 0.0, 0.3],
    )
    late = slice(600, None)
    crawl = float(np.max(np.abs(states.vx[late, :2])))
    chatter = float(np.max(np.abs(np.diff(states.accel_x[late, :2], axis=0))))
    finite = float(np.isfinite(states.x).mean())

    held = "speed held by the brake, with and without throttle, m/s"
    return [
        Check(16, held, crawl, 0.0, 1e-2),
        Check(16, "chatter there, change of a_x per step, m/s²", chatter, 0.0, 1e-2),
        Check(16, "rolling backwards on lock, finite states", finite, 1.0, 1.0),
    ]


def walking_pace() -> list[Check]:
    """Check row 16: on lock from rest to 3 m/s, and back; the yaw rate follows without a kink."""
    kart = preset("senior_max")
    ramp = np.linspace(0.0, 3.0, STEPS)
    states, _ = run_manoeuvre(
        [with_ideal_motor(kart), kart.replace(clutch_torque=0.0)],
        [0.0, 3.0],
        steering=0.6,
        brake=[0.0, 0.01],
        speed=np.stack([ramp, ramp], -1),
        speed_gain=[2.0, 0.0],
    )

    # After half a second, in which the steering comes on.
    gain = np.diff(states.yaw_rate[100:, :2], axis=0)
    jerk = np.max(np.abs(np.diff(gain, axis=0)), axis=0) / DT
    walks = states.vx[:, 0] > 0.3
    curvature = states.yaw_rate[walks, 0] / states.vx[walks, 0]
    spread = float(curvature.max() / curvature.min())

    least_gain = "0 to 3 m/s on lock, least gain of yaw rate in a step, rad/s"
    up = "most change of yaw acceleration in a step there, rad/s²"
    down = "3 to 0 m/s on lock, most change of yaw acceleration in a step, rad/s²"
    return [
        Check(16, least_gain, float(gain[:, 0].min()), 0.0, 1e-3),
        Check(16, up, float(jerk[0]), 0.0, 0.02),
        Check(16, "curvature from 0.3 to 3 m/s, largest / least", spread, 1.0, 1.05),
        Check(16, down, float(jerk[1]), 0.0, 0.02),
    ]
