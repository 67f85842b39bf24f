"""Rigid body in the plane: where the wheels are, how they move, what their forces do."""

import chex
import jax.numpy as jnp

from kart_jax.physics.params import AirParams, KartParams
from kart_jax.physics.types import KartState, Surface
from kart_jax.physics.wheels import WHEELS, PerWheel, WheelForce, WheelFrame, WheelMotion
from kart_jax.xla.sines import cos_sin
from kart_jax.xla.stage import stage

ROLLING_FADE = 0.1  # m/s, below which rolling resistance fades smoothly through zero


def wheel_positions(params: KartParams) -> tuple[PerWheel[chex.Array], PerWheel[chex.Array]]:
    """Return x and y (m, body frame) of the four contact patches."""
    front = 0.5 * params.front_track
    rear = 0.5 * params.rear_track
    ahead = params.front_distance
    behind = -params.rear_distance
    return (ahead, ahead, behind, behind), (front, -front, rear, -rear)


def wheel_motions(
    state: KartState, frames: PerWheel[WheelFrame], params: KartParams
) -> PerWheel[WheelMotion]:
    """Return the motion of each wheel: v + yaw_rate x position, turned into the wheel's frame."""
    xs, ys = wheel_positions(params)
    front_left, front_right = state.front_wheel_spin[0], state.front_wheel_spin[1]
    spins = (front_left, front_right, state.axle_spin, state.axle_spin)

    motions = []
    for x, y, frame, omega in zip(xs, ys, frames, spins, strict=True):
        forward = state.vx - state.yaw_rate * y
        left = state.vy + state.yaw_rate * x
        v_x = frame.cosine * forward + frame.sine * left
        v_y = frame.cosine * left - frame.sine * forward
        motions.append(WheelMotion(v_x, v_y, omega))
    return tuple(motions)


def coming_velocities(
    state: KartState, motions: PerWheel[WheelMotion], frames: PerWheel[WheelFrame], dt: float
) -> PerWheel[chex.Array]:
    """Extrapolate v_x (m/s) of each contact patch to the end of the step.

    By the kart's change of forward velocity at its last acceleration, dt (a_x + yaw_rate v_y).
    """
    gain = dt * (state.accel_x + state.yaw_rate * state.vy)
    return tuple(
        motion.v_x + frame.cosine * gain for motion, frame in zip(motions, frames, strict=True)
    )


def rolling_drag(v_x: chex.Array, load: chex.Array, coefficient: chex.Array) -> chex.Array:
    """Return the rolling resistance (N) on one wheel: -c F_z v_x / sqrt(v_x² + v_fade²)."""
    return -coefficient * load * v_x / jnp.sqrt(v_x * v_x + ROLLING_FADE**2)


def with_rolling_drag(
    forces: PerWheel[WheelForce],
    motions: PerWheel[WheelMotion],
    loads: PerWheel[chex.Array],
    surface: Surface,
) -> PerWheel[WheelForce]:
    """Add rolling resistance to the tyre forces, under these loads (N)."""
    return tuple(
        WheelForce(
            x=forces[i].x + rolling_drag(motions[i].v_x, loads[i], surface.rolling[i]),
            y=forces[i].y,
        )
        for i in WHEELS
    )


@stage()
def accelerations(
    vx: chex.Array,
    vy: chex.Array,
    forces: PerWheel[WheelForce],
    frames: PerWheel[WheelFrame],
    params: KartParams,
    air: AirParams,
) -> tuple[chex.Array, chex.Array, chex.Array]:
    """Return specific force (m/s², body frame, x and y) and yaw acceleration (rad/s²).

    Args:
        vx: () m/s, for the air drag 1/2 rho CdA |v| v.
        vy: () m/s.
        forces: on the four wheels.
        frames: of the four wheels.
        params: the kart.
        air: what it drives through.
    """
    xs, ys = wheel_positions(params)
    drag = 0.5 * air.density * params.drag_area * jnp.sqrt(vx * vx + vy * vy + 1e-12)

    force_x = -drag * vx
    force_y = -drag * vy
    moment = 0.0
    for x, y, frame, force in zip(xs, ys, frames, forces, strict=True):
        on_body_x = frame.cosine * force.x - frame.sine * force.y
        on_body_y = frame.sine * force.x + frame.cosine * force.y
        force_x = force_x + on_body_x
        force_y = force_y + on_body_y
        moment = moment + x * on_body_y - y * on_body_x

    return force_x / params.mass, force_y / params.mass, moment / params.yaw_inertia


def integrate(
    state: KartState, accel_x: chex.Array, accel_y: chex.Array, accel_yaw: chex.Array, dt: float
) -> KartState:
    """Advance velocity and pose by dt, second order for accelerations that belong to its middle.

    Half the push, the turn of the body frame under the velocity, the other half: the turn is an
    exact rotation (Cayley form), so it neither makes nor loses energy. The pose moves with the mean
    velocity at the mean heading.
    """
    yaw_rate = state.yaw_rate + dt * accel_yaw
    half_turn = 0.25 * dt * (state.yaw_rate + yaw_rate)

    # Velocity: half the push, the turn by 2 atan(half_turn), half the push.
    norm = 1.0 / (1.0 + half_turn * half_turn)
    cos_turn = (1.0 - half_turn * half_turn) * norm
    sin_turn = 2.0 * half_turn * norm
    push_x, push_y = 0.5 * dt * accel_x, 0.5 * dt * accel_y
    vx, vy = state.vx + push_x, state.vy + push_y
    vx, vy = cos_turn * vx + sin_turn * vy + push_x, cos_turn * vy - sin_turn * vx + push_y

    # Pose: mean velocity at the mean heading.
    cos_yaw, sin_yaw = cos_sin(state.yaw + half_turn)
    mean_x, mean_y = 0.5 * (state.vx + vx), 0.5 * (state.vy + vy)
    x = state.x + dt * (cos_yaw * mean_x - sin_yaw * mean_y)
    y = state.y + dt * (sin_yaw * mean_x + cos_yaw * mean_y)
    yaw = state.yaw + 2.0 * half_turn

    return state.replace(x=x, y=y, yaw=yaw, vx=vx, vy=vy, yaw_rate=yaw_rate)
