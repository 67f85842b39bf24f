"""Rows 13, 14 and 30: mirror symmetry, energy, agreement of the channels."""

import jax
import jax.numpy as jnp
import numpy as np

from kart_jax.physics import chassis, drivetrain, load, steering
from kart_jax.physics.params import AirParams, KartParams, preset
from kart_jax.physics.wheels import WheelFrame

from .check import Check, near
from .manoeuvre import DT, STEPS, States, run_manoeuvre

END = 2000  # steps, 10 s


def weave(dt: float) -> dict[str, np.ndarray]:
    """Return a smooth ten-second piece of driving: a slalom with throttle and brake."""
    time = np.arange(STEPS)[:, None] * dt
    return {
        "steering": 0.15 * np.sin(1.3 * time),
        "throttle": 0.5 + 0.5 * np.sin(0.9 * time),
        "brake": 0.25 * np.maximum(np.sin(0.9 * time + 2.0), 0.0) ** 2,
    }


def invariants() -> list[Check]:
    """Check rows 13, 14 and 30: mirror symmetry, energy, agreement of the channels."""
    kart = preset("senior_max")
    coasting = kart.replace(clutch_torque=0.0)
    plan = weave(DT)
    pedal = np.array([1.0, 1.0, 0.0, 1.0, 1.0])

    # The slalom, its mirror image, the slalom coasting; straight and slalom without brakes.
    states, _ = run_manoeuvre(
        [kart, kart, coasting, kart, kart],
        [14.0, 14.0, 25.0, 5.0, 14.0],
        steering=plan["steering"] * np.array([1.0, -1.0, 1.0, 0.0, 1.5]),
        throttle=plan["throttle"] * pedal,
        brake=plan["brake"] * pedal * np.array([1.0, 1.0, 0.0, 0.0, 0.0]),
    )
    return [
        *_mirror_symmetry(states),
        *_energy(states, kart),
        *_agreement(jax.tree.map(lambda leaf: leaf[:END, 0], states)),
    ]


def _mirror_symmetry(states: States) -> list[Check]:
    """Check row 13: the mirrored run stays the mirror image."""
    gap = max(
        np.max(np.abs(states.x[:END, 0] - states.x[:END, 1])),
        np.max(np.abs(states.y[:END, 0] + states.y[:END, 1])),
        np.max(np.abs(states.yaw[:END, 0] + states.yaw[:END, 1])),
    )
    return [Check(13, "mirrored run, largest gap over 10 s, m or rad", float(gap), 0.0, 1e-6)]


def _energy(states: States, kart: KartParams) -> list[Check]:
    """Check row 14: no energy from nowhere, and the first law."""
    energy = kinetic_energy(states, kart)[:, 2]
    gain = float(np.max(np.diff(energy)) / energy[0])
    straight, _ = energy_balance(states, kart, 3)
    bent, scrub = energy_balance(states, kart, 4)

    balance = "(energy gained + dissipation) / engine work"
    return [
        Check(14, "coasting slalom, largest energy gain in a step / energy", gain, -1.0, 0.0),
        near(14, f"{balance}, straight run", straight, 1.0, 0.005),
        near(14, f"{balance}, slalom", bent, 1.0, 0.005),
        Check(14, "side slip's part of the slalom's engine work", scrub, 0.1, 1.0),
    ]


def _agreement(state: States) -> list[Check]:
    """Check row 30 on the slalom, fields (END,): what an accelerometer feels is how it moves."""
    vx, vy, yaw, yaw_rate = state.vx, state.vy, state.yaw, state.yaw_rate
    accel_x, accel_y = state.accel_x, state.accel_y

    # A specific force belongs to the middle of the step that led to its sample.
    heading = 0.5 * (yaw[1:] + yaw[:-1])
    force = np.exp(1j * heading) * (accel_x + 1j * accel_y)[1:]
    velocity = np.exp(1j * yaw) * (vx + 1j * vy)
    gap = np.abs(velocity[0] + DT * np.cumsum(force) - velocity[1:])
    drift = float((gap / np.abs(velocity).max()).max())

    place = state.x + 1j * state.y
    path = np.sum(np.abs(np.diff(place)))
    moved = DT * np.sum(0.5 * (velocity[1:] + velocity[:-1]))
    miss = float(abs(place[0] + moved - place[-1]) / path)

    turn = 0.25 * (vx[1:] + vx[:-1]) * (yaw_rate[1:] + yaw_rate[:-1])
    worst = np.max(np.abs(accel_y[1:] - turn - np.diff(vy) / DT))
    lateral = float(worst / np.max(np.abs(accel_y)))

    of_peak = "lateral g against v yaw_rate + dv_y/dt, worst error / peak"
    return [
        Check(30, "velocity from integrated accelerations, worst error", drift, 0.0, 0.002),
        Check(30, "path from integrated velocity, error / length", miss, 0.0, 0.002),
        Check(30, of_peak, lateral, 0.0, 0.002),
    ]


def kinetic_energy(states: States, kart: KartParams) -> np.ndarray:
    """Return the kinetic energy (J) of kart, wheels and engine (STEPS, karts)."""
    body = kart.mass * (states.vx**2 + states.vy**2) + kart.yaw_inertia * states.yaw_rate**2
    front = kart.front_inertia * np.sum(states.front_wheel_spin**2, -1)
    spin = kart.axle_inertia * states.axle_spin**2 + front
    return np.asarray(0.5 * (body + spin + kart.engine_inertia * states.engine_speed**2))


def energy_balance(states: States, kart: KartParams, index: int) -> tuple[float, float]:
    """Apply the first law to 10 s of a kart without brakes and shifts.

    Forces belong to the middle of the step that led to their sample, so speeds are means over it.

    Returns:
        (energy gained + dissipation) / engine work, and the share of that work that the tyres
        dissipate across the wheels.
    """
    state = jax.tree.map(lambda v: v[: END + 1, index], states)
    engine, axle = _mean(state.engine_speed), _mean(state.axle_spin)

    # What the engine puts in, and what clutch, tyres, air and rolling resistance take out, in W.
    torque, drag = jax.vmap(drivetrain.engine_torque, (0, 0, 0, None))(
        _mean(state.throttle), engine, jnp.zeros(END), kart
    )
    work = np.asarray((torque - drag * engine) * engine)
    first_gear = kart.gear_ratio[0]
    slope = jax.vmap(lambda e, a: drivetrain.clutch_slope(e, a, first_gear, kart))(engine, axle)
    clutch = slope * (engine - first_gear * axle) ** 2

    along, across, loads = wheel_motions(state, kart)
    along, across, loads = _mean(along), _mean(across), loads[:-1]
    front = kart.front_tyre.radius * _mean(state.front_wheel_spin)
    rear = kart.rear_tyre.radius * axle
    tread = np.stack([*front.T, rear, rear], -1)
    sliding = np.sum(state.tyre_force[1:, :, 0] * (tread - along), -1)
    sideways = -np.sum(state.tyre_force[1:, :, 1] * across, -1)

    speed = np.hypot(_mean(state.vx), _mean(state.vy))
    air = 0.5 * AirParams().density * kart.drag_area * speed**3
    drags = chassis.rolling_drag(jnp.asarray(along), jnp.asarray(loads), kart.rolling_resistance)
    rolling = -np.sum(np.asarray(drags) * along, -1)

    lost = np.sum(np.asarray(clutch) + sliding + sideways + np.asarray(air) + rolling) * DT
    energy = kinetic_energy(states, kart)[: END + 1, index]
    done = np.sum(work) * DT
    return float((energy[-1] - energy[0] + lost) / done), float(np.sum(sideways) * DT / done)


def _mean(values: np.ndarray) -> np.ndarray:
    """Return the mean of each sample and the one before."""
    return 0.5 * (values[1:] + values[:-1])


def wheel_motions(states: States, kart: KartParams) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return how each wheel moves and is loaded; (steps, 4) each.

    Velocity (m/s) of the contact patch along and across the wheel, and load (N).
    """

    def patches(state: States) -> tuple[jax.Array, jax.Array, jax.Array]:
        left, right = steering.wheel_angles(state.steer, kart)
        ahead = WheelFrame(jnp.ones_like(left), jnp.zeros_like(left))
        front = (WheelFrame(jnp.cos(angle), jnp.sin(angle)) for angle in (left, right))
        motions = chassis.wheel_motions(state, (*front, ahead, ahead), kart)
        loads = load.wheel_loads(
            state.load_transfer_accel_x, state.load_transfer_accel_y, left, right, kart
        )
        along = jnp.stack([motion.v_x for motion in motions])
        across = jnp.stack([motion.v_y for motion in motions])
        return along, across, jnp.stack(loads)

    along, across, loads = jax.vmap(patches)(states)
    return np.asarray(along), np.asarray(across), np.asarray(loads)
