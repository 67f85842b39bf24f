"""What sensors on the kart would show, from its state."""

import chex
import jax.numpy as jnp

from kart_jax.physics import chassis, load, steering, tyre
from kart_jax.physics.drivetrain import RPM
from kart_jax.physics.params import KartParams
from kart_jax.physics.types import KartState, Signals
from kart_jax.physics.wheels import WHEELS, PerWheel


def signals(state: KartState, params: KartParams) -> Signals:
    """Return speed, engine speed, wheel loads and slips, roll and pitch of a kart."""
    left, right = steering.wheel_angles(state.steer, params)
    loads = load.wheel_loads(
        state.load_transfer_accel_x, state.load_transfer_accel_y, left, right, params
    )

    motions = chassis.wheel_motions(state, steering.wheel_frames(left, right), params)
    v_ref = tuple(tyre.reference_speed(motion.v_x, params) for motion in motions)
    slip_ratio = tuple(
        (params.tyres[i].radius * motions[i].omega - motions[i].v_x) / v_ref[i] for i in WHEELS
    )
    slip_angle = tuple(-jnp.arctan2(motions[i].v_y, v_ref[i]) for i in WHEELS)

    roll, pitch = _attitude(loads, params)
    return Signals(
        speed=jnp.sqrt(state.vx**2 + state.vy**2),
        rpm=state.engine_speed * RPM,
        wheel_load=jnp.stack(loads),
        slip_ratio=jnp.stack(slip_ratio),
        slip_angle=jnp.stack(slip_angle),
        roll=roll,
        pitch=pitch,
    )


def _attitude(loads: PerWheel[chex.Array], params: KartParams) -> tuple[chex.Array, chex.Array]:
    """Return roll and pitch (rad), from the tyres' vertical deflection under their loads (N).

    roll = (F_right - F_left) / (k t) averaged over the axles, pitch = (F_front / k_f - F_rear /
    k_r) / (2 L) less its value at rest.
    """
    front, rear = params.front_tyre, params.rear_tyre
    roll = 0.5 * (
        (loads[1] - loads[0]) / (front.vertical_stiffness * params.front_track)
        + (loads[3] - loads[2]) / (rear.vertical_stiffness * params.rear_track)
    )

    front_at_rest, _ = load.axle_loads(jnp.zeros_like(loads[0]), params)
    transfer = loads[0] + loads[1] - front_at_rest
    compliance = 0.5 / front.vertical_stiffness + 0.5 / rear.vertical_stiffness
    pitch = transfer * compliance / params.wheelbase
    return roll, pitch
