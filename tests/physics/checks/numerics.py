"""Rows 15 and 16: convergence with the step size, behaviour at walking pace."""

import numpy as np

from kart_jax.physics.params import preset

from .check import Check, near
from .drive import DT, STEPS, cruiser, drive, finish


def slalom(time: np.ndarray) -> dict[str, np.ndarray]:
    """Controls as functions of time (s), (steps, 1) -> (steps, 2): a slalom on throttle and brake,
    gentle and wild.

    The gentle one reaches 1.4 g; the wild one 2.1 g, where the kart slides.
    """
    return {
        "steering": np.sin(1.3 * time) * np.array([0.15, 0.30]),
        "throttle": 0.5 + 0.5 * np.sin(0.9 * time),
        "brake": 0.25 * np.maximum(np.sin(0.9 * time + 2.0), 0.0) ** 2,
    }


def convergence() -> list[Check]:
    """Row 15: the order of the step, and what 5 ms is worth."""
    sr = preset("senior_max")
    place = lambda end: end.x + 1j * end.y  # noqa: E731
    swerve = lambda t: {"steering": 0.25 * np.sin(2.0 * t), "throttle": 0.5 + 0.4 * np.sin(1.5 * t)}  # noqa: E731
    split = (1, 2, 4, 32)  # 2.4 s at 4, 2, 1 and 1/8 ms
    swerved = {n: place(finish([sr], 15.0, 0.004 / n, 600 * n, swerve))[0] for n in split}
    error = {n: abs(swerved[n] - swerved[32]) for n in split[:3]}
    coarse, fine = (
        place(finish([sr, sr], 14.0, dt, round(10.0 / dt), slalom)) for dt in (DT, 0.0005)
    )
    gap = np.abs(coarse - fine)
    # First order, by the slips' secants and the implicit axle. Against 1/8 ms, 4 to 2 ms: (32 - 1)
    # / (16 - 1) = 2.07; 2 to 1 ms: (16 - 1) / (8 - 1) = 2.14.
    return [
        near(15, "error ratio, 4 to 2 ms (first order: 2.07)", error[1] / error[2], 2.07, 0.20),
        near(15, "error ratio, 2 to 1 ms (first order: 2.14)", error[2] / error[4], 2.14, 0.20),
        Check(15, "error at 4 ms after 2.4 s of swerving, m", error[1], 0.0, 0.05),
        Check(15, "5 ms against 0.5 ms, slalom at 1.4 g, after 10 s, m", float(gap[0]), 0.0, 0.1),
        Check(15, "5 ms against 0.5 ms, slalom at 2.1 g, after 10 s, m", float(gap[1]), 0.0, 0.1),
    ]


def standstill() -> list[Check]:
    """Row 16: held by the brake, with and without throttle; rolling backwards on lock."""
    karts = [preset("senior_max")] * 3
    hold, _ = drive(
        karts,
        [3.0, 0.0, -2.0],
        brake=[1.0, 1.0, 0.0],
        throttle=[0.0, 0.3, 0.0],
        steering=[0.5, 0.0, 0.3],
    )
    late = slice(600, None)
    crawl = np.max(np.abs(hold.vx[late, :2]))
    chatter = np.max(np.abs(np.diff(hold.accel_x[late, :2], axis=0)))
    return [
        Check(
            16, "speed held by the brake, with and without throttle, m/s", float(crawl), 0.0, 1e-2
        ),
        Check(16, "chatter there, change of a_x per step, m/s²", float(chatter), 0.0, 1e-2),
        Check(
            16,
            "rolling backwards on lock, finite states",
            float(np.isfinite(hold.x).mean()),
            1.0,
            1.0,
        ),
    ]


def walking_pace() -> list[Check]:
    """Row 16: on lock from rest to 3 m/s, and from 3 m/s to rest: the yaw rate follows the speed
    without a kink."""
    k = preset("senior_max")
    ramp = np.linspace(0.0, 3.0, STEPS)
    states, _ = drive([cruiser(k), k.replace(clutch_torque=0.0)], [0.0, 3.0], steering=0.6, brake=[0.0, 0.01],
                      speed=np.stack([ramp, ramp], -1), hold=[2.0, 0.0])  # fmt: skip
    gain = np.diff(
        states.yaw_rate[100:, :2], axis=0
    )  # after half a second, in which the steering comes on
    jerk = np.max(np.abs(np.diff(gain, axis=0)), axis=0) / DT
    walks = states.vx[:, 0] > 0.3
    bend = states.yaw_rate[walks, 0] / states.vx[walks, 0]
    return [
        Check(
            16,
            "0 to 3 m/s on lock, least gain of yaw rate in a step, rad/s",
            float(gain[:, 0].min()),
            0.0,
            1e-3,
        ),
        Check(
            16, "most change of yaw acceleration in a step there, rad/s²", float(jerk[0]), 0.0, 0.02
        ),
        Check(
            16,
            "curvature from 0.3 to 3 m/s, largest / least",
            float(bend.max() / bend.min()),
            1.0,
            1.05,
        ),
        Check(
            16,
            "3 to 0 m/s on lock, most change of yaw acceleration in a step, rad/s²",
            float(jerk[1]),
            0.0,
            0.02,
        ),
    ]
