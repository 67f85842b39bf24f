"""What the scripted driver has prepared before it sets off."""

import chex
from flax import struct

from kart_jax.drivers.path import Path
from kart_jax.drivers.profile import Limits


class Handling(struct.PyTreeNode):
    """How one kart answers its steering in steady cornering, measured on the simulator itself."""

    slip: (
        chex.Array
    )  # (V, R) rad, steer angle beyond the direction in which the front axle moves; as in `Limits`
    rear_slip: (
        chex.Array
    )  # () rad, slip angle of the rear axle past which more brings no more force


class Plan(struct.PyTreeNode):
    """Path and speed for each of T circuits on M nodes per lap, and the kart's limits."""

    path: Path  # every field (T, M)
    speed: chex.Array  # (T, M) m/s, of the flying lap
    acceleration: chex.Array  # (T, M) m/s², along the path, that the speed asks for
    lap_time: chex.Array  # (T,) s, quasi-steady time of the flying lap
    limits: Limits
    handling: Handling
