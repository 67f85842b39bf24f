"""What the scripted driver has prepared before it sets off."""

import chex
from flax import struct

from kart_jax.drivers.path import Path
from kart_jax.drivers.profile import Limits


@struct.dataclass
class Handling:
    """How one kart answers its steering in steady cornering, measured on the simulator itself.

    Rows are V equal steps of speed from 0 to `Limits.top`; columns R equal steps of lateral acceleration from 0 to
    `lateral`, the most that the kart holds at that speed.
    """

    extra: chex.Array  # (V, R) rad, steer angle beyond wheelbase * curvature
    lateral: chex.Array  # (V,) m/s², largest steady lateral acceleration
    front_slip: chex.Array  # () rad, slip angle of the front axle past which more lock brings no more force
    rear_slip: chex.Array  # () rad, the same of the rear axle


@struct.dataclass
class Plan:
    """Path and speed for each of T circuits on M nodes per lap, and the kart's limits."""

    path: Path  # every field (T, M)
    speed: chex.Array  # (T, M) m/s, of the flying lap
    acceleration: chex.Array  # (T, M) m/s², along the path, that the speed asks for
    lap_time: chex.Array  # (T,) s, quasi-steady time of the flying lap
    limits: Limits
    handling: Handling
