"""State, controls and surroundings of ONE kart; batches are made by `vmap` outside.

ISO 8855 axes at the centre of gravity, SI units. Wheels are ordered front-left, front-right,
rear-left, rear-right wherever an axis of four appears.
"""

import chex
from flax import struct


class KartState(struct.PyTreeNode):
    """Everything the next physics step needs to know of a kart."""

    x: chex.Array  # () m, world
    y: chex.Array  # () m, world
    yaw: chex.Array  # () rad, counter-clockwise from world x, not wrapped
    vx: chex.Array  # () m/s, body frame, forward
    vy: chex.Array  # () m/s, body frame, left
    yaw_rate: chex.Array  # () rad/s
    axle_spin: chex.Array  # () rad/s, spin of the rigid rear axle
    front_wheel_spin: chex.Array  # (2,) rad/s, spin of the front wheels, left and right
    tyre_force: chex.Array  # (4, 2) N, relaxed force on each wheel, along it and across it
    accel_x: chex.Array  # () m/s², specific force of the last substep, body frame
    accel_y: chex.Array  # () m/s²
    load_transfer_accel_x: chex.Array  # () m/s², low-passed accel_x that drives the load transfer
    load_transfer_accel_y: chex.Array  # () m/s²
    steer: chex.Array  # () rad, mean road-wheel angle, positive = left
    throttle: chex.Array  # () 0..1, after the pedal's lag
    brake: chex.Array  # () 0..1, after the pedal's lag
    engine_speed: chex.Array  # () rad/s, crankshaft
    gear: chex.Array  # () int32, 0 = first
    shift_time_left: chex.Array  # () s, left of the current shift cut


class Controls(struct.PyTreeNode):
    """What the driver's hands and feet ask for."""

    steering: chex.Array  # () -1..1, positive = left; 1 is full lock
    throttle: chex.Array  # () 0..1
    brake: chex.Array  # () 0..1


class Pedals(struct.PyTreeNode):
    """Where the pedals are, behind the lag of the driver's feet."""

    throttle: chex.Array  # () 0..1
    brake: chex.Array  # () 0..1


class Surface(struct.PyTreeNode):
    """The ground under each wheel."""

    grip: chex.Array  # (4,) factor on the tyre's friction; 1 = dry asphalt
    rolling: chex.Array  # (4,) rolling-resistance coefficient of the ground


class Walls(struct.PyTreeNode):
    """Barriers near each contact point of the bodywork (see `contact.body_points`)."""

    distance: chex.Array  # (P,) m, from the point to the barrier; negative = inside it
    normal: chex.Array  # (P, 2) unit vector in world axes, from the barrier towards the track
    restitution: chex.Array  # () 0..1
    friction: chex.Array  # () friction coefficient of bodywork on the barrier


class Signals(struct.PyTreeNode):
    """What sensors on the kart would show; derived from the state, stored nowhere."""

    speed: chex.Array  # () m/s, length of the velocity
    rpm: chex.Array  # () 1/min, crankshaft
    wheel_load: chex.Array  # (4,) N
    slip_ratio: chex.Array  # (4,) longitudinal slip
    slip_angle: chex.Array  # (4,) rad
    roll: chex.Array  # () rad, positive = leaning to the right (right side down)
    pitch: chex.Array  # () rad, positive = nose down
