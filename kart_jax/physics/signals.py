"""What sensors on the kart would show, from its state."""

import jax.numpy as jnp

from kart_jax.physics import chassis, load, steering, tyre
from kart_jax.physics.drivetrain import RPM
from kart_jax.physics.params import KartParams
from kart_jax.physics.types import KartState, Signals


def signals(state: KartState, params: KartParams) -> Signals:
    """Speed, engine speed, wheel loads and slips, roll and pitch of a kart.

    Roll and pitch come from the tyres' vertical deflection: roll = (F_right - F_left) / (k t)
    averaged over the axles, pitch = (F_front / k_f - F_rear / k_r) / (2 L) less its value at rest.
    """
    left, right = steering.wheel_angles(state.steer, params)
    directions = steering.wheel_directions(left, right)
    along, across = chassis.wheel_velocities(
        state.vx, state.vy, state.yaw_rate, *directions, params
    )
    loads = load.wheel_loads(
        state.load_transfer_accel_x, state.load_transfer_accel_y, left, right, params
    )
    front, rear = params.front_tyre, params.rear_tyre
    tread = (
        front.radius * state.front_wheel_spin[0],
        front.radius * state.front_wheel_spin[1],
        rear.radius * state.axle_spin,
        rear.radius * state.axle_spin,
    )
    reference = [tyre.slip_speed(v, params) for v in along]
    roll = 0.5 * (
        (loads[1] - loads[0]) / (front.vertical_stiffness * params.front_track)
        + (loads[3] - loads[2]) / (rear.vertical_stiffness * params.rear_track)
    )
    rest_front, _ = load.axle_loads(jnp.zeros_like(left), params)
    dive = loads[0] + loads[1] - rest_front
    pitch = (
        dive * (0.5 / front.vertical_stiffness + 0.5 / rear.vertical_stiffness) / params.wheelbase
    )
    return Signals(
        speed=jnp.sqrt(state.vx**2 + state.vy**2),
        rpm=state.engine_speed * RPM,
        wheel_load=jnp.stack(loads),
        slip_ratio=jnp.stack(
            [(t - v) / r for t, v, r in zip(tread, along, reference, strict=True)]
        ),
        slip_angle=jnp.stack([-jnp.arctan2(v, r) for v, r in zip(across, reference, strict=True)]),
        roll=roll,
        pitch=pitch,
    )
