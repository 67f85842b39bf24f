"""Rows 13, 14 and 30: mirror symmetry, energy, agreement of the channels."""

import jax
import jax.numpy as jnp
import numpy as np

from kart_jax.physics import chassis, drivetrain, load, steering
from kart_jax.physics.params import AirParams, KartParams, preset
from kart_jax.physics.wheels import WheelFrame

from .check import Check, near
from .drive import DT, STEPS, drive


def weave(dt: float, speed: float = 14.0) -> dict[str, np.ndarray]:
    """A smooth ten-second piece of driving as functions of time: a slalom with throttle and
    brake."""
    t = np.arange(STEPS)[:, None] * dt
    return {
        "steering": 0.15 * np.sin(1.3 * t),
        "throttle": 0.5 + 0.5 * np.sin(0.9 * t),
        "brake": 0.25 * np.maximum(np.sin(0.9 * t + 2.0), 0.0) ** 2,
        "speed": speed * np.ones_like(t),
    }


def invariants() -> list[Check]:
    """Rows 13, 14 and 30: mirror symmetry, energy, agreement of the channels."""
    sr = preset("senior_max")
    plan = weave(DT)
    both = plan["steering"] * np.array([1.0, -1.0, 1.0, 0.0, 1.5])
    pedal = np.array([1.0, 1.0, 0.0, 1.0, 1.0])
    free = sr.replace(clutch_torque=0.0)
    states, _ = drive([sr, sr, free, sr, sr], [14.0, 14.0, 25.0, 5.0, 14.0], steering=both,
                      throttle=plan["throttle"] * pedal,
                      brake=plan["brake"] * pedal * np.array([1.0, 1.0, 0.0, 0.0, 0.0]))  # fmt: skip
    end = 2000  # 10 s
    gap = max(
        np.max(np.abs(states.x[:end, 0] - states.x[:end, 1])),
        np.max(np.abs(states.y[:end, 0] + states.y[:end, 1])),
        np.max(np.abs(states.yaw[:end, 0] + states.yaw[:end, 1])),
    )
    energy = kinetic(states, sr)[:, 2]
    gain = np.max(np.diff(energy)) / energy[0]
    vx, vy, r, ax, ay = (np.asarray(v)[:end, 0] for v in
                         (states.vx, states.vy, states.yaw_rate, states.accel_x, states.accel_y))  # fmt: skip
    yaw = states.yaw[:end, 0]
    heading = 0.5 * (
        yaw[1:] + yaw[:-1]
    )  # a specific force belongs to the middle of the step that led to its sample
    world = np.exp(1j * heading) * (ax + 1j * ay)[1:]
    velocity = np.exp(1j * yaw) * (vx + 1j * vy)
    drift = np.abs(velocity[0] + DT * np.cumsum(world) - velocity[1:]) / np.abs(velocity).max()
    place = (states.x + 1j * states.y)[:end, 0]
    path = np.sum(np.abs(np.diff(place)))
    miss = abs(place[0] + DT * np.sum(0.5 * (velocity[1:] + velocity[:-1])) - place[-1]) / path
    turn = 0.25 * (vx[1:] + vx[:-1]) * (r[1:] + r[:-1])
    lateral = np.max(np.abs(ay[1:] - turn - np.diff(vy) / DT)) / np.max(np.abs(ay))
    (straight, _), (bent, scrub) = balance(states, sr, 3), balance(states, sr, 4)
    return [
        Check(13, "mirrored run, largest gap over 10 s, m or rad", float(gap), 0.0, 1e-6),
        Check(
            14, "coasting slalom, largest energy gain in a step / energy", float(gain), -1.0, 0.0
        ),
        near(14, "(energy gained + dissipation) / engine work, straight run", straight, 1.0, 0.005),
        near(14, "(energy gained + dissipation) / engine work, slalom", bent, 1.0, 0.005),
        Check(14, "side slip's part of the slalom's engine work", scrub, 0.1, 1.0),
        Check(
            30,
            "velocity from integrated accelerations, worst error",
            float(drift.max()),
            0.0,
            0.002,
        ),
        Check(30, "path from integrated velocity, error / length", float(miss), 0.0, 0.002),
        Check(
            30,
            "lateral g against v yaw_rate + dv_y/dt, worst error / peak",
            float(lateral),
            0.0,
            0.002,
        ),
    ]


def kinetic(states, k: KartParams) -> np.ndarray:
    """Kinetic energy (J) of kart, wheels and engine (STEPS, lanes)."""
    body = k.mass * (states.vx**2 + states.vy**2) + k.yaw_inertia * states.yaw_rate**2
    spin = k.axle_inertia * states.axle_spin**2 + k.front_inertia * np.sum(
        states.front_wheel_spin**2, -1
    )
    return np.asarray(0.5 * (body + spin + k.engine_inertia * states.engine_speed**2))


def balance(states, k: KartParams, lane: int) -> tuple[float, float]:
    """First law over 10 s of a lane without brakes and shifts.

    Returns (energy gained + dissipation) / engine work, and the share of that work that the tyres
    dissipate across the wheels. Forces belong to the middle of the step that led to their sample,
    so speeds are means over it.
    """
    s = jax.tree.map(lambda v: v[:2001, lane], states)
    mean = lambda v: 0.5 * (v[1:] + v[:-1])  # noqa: E731
    engine, axle, gas = mean(s.engine_speed), mean(s.axle_spin), mean(s.throttle)
    torque, drag = jax.vmap(drivetrain.engine_torque, (0, 0, 0, None))(
        gas, engine, jnp.zeros(2000), k
    )
    work = np.asarray((torque - drag * engine) * engine)
    turn = engine - k.gear_ratio[0] * axle
    clutch = (
        jax.vmap(lambda e, a: drivetrain.clutch_slope(e, a, k.gear_ratio[0], k))(engine, axle)
        * turn**2
    )
    along, across, loads = wheels(s, k)
    along, across, loads = mean(along), mean(across), loads[:-1]
    rear = k.rear_tyre.radius * axle
    tread = np.stack([*(k.front_tyre.radius * mean(s.front_wheel_spin)).T, rear, rear], -1)
    sliding = np.sum(s.tyre_force[1:, :, 0] * (tread - along), -1)
    sideways = -np.sum(s.tyre_force[1:, :, 1] * across, -1)
    speed = np.hypot(mean(s.vx), mean(s.vy))
    air = 0.5 * AirParams().density * k.drag_area * speed**3
    rolling = -np.sum(
        np.asarray(
            chassis.rolling_drag(jnp.asarray(along), jnp.asarray(loads), k.rolling_resistance)
        )
        * along,
        -1,
    )
    lost = np.sum(np.asarray(clutch) + sliding + sideways + np.asarray(air) + rolling) * DT
    energy = kinetic(states, k)[:2001, lane]
    done = np.sum(work) * DT
    return float((energy[-1] - energy[0] + lost) / done), float(np.sum(sideways) * DT / done)


def wheels(s, k: KartParams) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Velocity (m/s) of each contact patch along and across its wheel, and its load (N); (steps, 4)
    each."""

    def patches(state):
        left, right = steering.wheel_angles(state.steer, k)
        ahead = WheelFrame(jnp.ones_like(left), jnp.zeros_like(left))
        front = (WheelFrame(jnp.cos(angle), jnp.sin(angle)) for angle in (left, right))
        motions = chassis.wheel_motions(state, (*front, ahead, ahead), k)
        loads = load.wheel_loads(
            state.load_transfer_accel_x, state.load_transfer_accel_y, left, right, k
        )
        along = jnp.stack([motion.v_x for motion in motions])
        across = jnp.stack([motion.v_y for motion in motions])
        return along, across, jnp.stack(loads)

    along, across, loads = jax.vmap(patches)(s)
    return np.asarray(along), np.asarray(across), np.asarray(loads)
