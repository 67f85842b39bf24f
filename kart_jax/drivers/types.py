"""What the scripted driver has prepared before it sets off."""

import chex
from flax import struct

from kart_jax.drivers.path import Path
from kart_jax.drivers.profile import GGVDiagram


class Handling(struct.PyTreeNode):
    """How one kart answers its steering in steady cornering, measured on the simulator itself."""

    front_slip: chex.Array  # (V, R) rad, steer angle less the motion of the front axle; on the GGV
    peak_rear_slip: chex.Array  # () rad, slip angle of the rear axle past which force falls


class Gains(struct.PyTreeNode):
    """How a driver works at its path and its speed; traced, so all drivers are one program.

    The defaults are those of the test pilot. Smaller gains and longer times make a softer driver.
    """

    look_ahead_time: chex.Numeric = 0.35  # () s, of the feedback of offset and course
    min_look_ahead: chex.Numeric = 3.0  # () m
    steer_preview: chex.Numeric = 0.10  # () s, from a steering command to the yaw rate it brings
    pedal_preview: chex.Numeric = 0.06  # () s, from a pedal command to the force it brings
    yaw_gain: chex.Numeric = 0.25  # () of the angle that would cure the yaw rate geometrically
    speed_gain: chex.Numeric = 3.0  # () 1/s, acceleration per speed error
    rejoin_angle: chex.Numeric = 0.5  # () rad, to the path from afar: largest offset / look-ahead
    rejoin_speed: chex.Numeric = 6.0  # () m/s, when far from the path or pointing away from it
    min_brake_share: chex.Numeric = (
        0.25  # () 0..1, of the braking limit used even at full cornering
    )
    slide_release: chex.Numeric = 1.6  # () rear slip angle over its peak that frees both pedals
    slide_easing: chex.Numeric = 0.7  # () width of the band below, in which they are eased
    spin_release: chex.Numeric = 3.0  # () rear slip ratio over the same peak that frees a pedal
    spin_easing: chex.Numeric = 1.5  # () width of the band below, in which it is eased


class Plan(struct.PyTreeNode):
    """Path and speed for each of T circuits on M nodes per lap, and what the driver knows."""

    path: Path  # every field (T, M)
    speed: chex.Array  # (T, M) m/s, of the flying lap
    acceleration: chex.Array  # (T, M) m/s², along the path, that the speed asks for
    lap_time: chex.Array  # (T,) s, quasi-steady time of the flying lap
    ggv: GGVDiagram  # of the kart, with what the driver keeps back in corners
    handling: Handling  # of the kart
    gains: Gains  # of the driver
