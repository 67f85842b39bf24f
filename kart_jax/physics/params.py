"""Every number of a kart, the ground and the air: traced, to be randomised or differentiated.

Sources and marks of the class values are in `docs/physics.md`; the values themselves in
`classes.py`.
"""

from typing import Any

import chex
import jax
import jax.numpy as jnp
from flax import struct

from kart_jax.errors import InputError
from kart_jax.physics import classes
from kart_jax.physics.wheels import PerWheel

CLASSES = classes.CLASSES
GRAVITY = 9.81  # m/s²
KERB_WIDTH = 0.80  # m, of a kerb


class TyreParams(struct.PyTreeNode):
    """One axle's tyres: a similarity curve over combined slip (see `tyre.py`)."""

    radius: chex.Array  # () m, loaded rolling radius
    friction: chex.Array  # () peak friction coefficient at `reference_load` on dry asphalt
    reference_load: chex.Array  # () N
    load_sensitivity: chex.Array  # () relative loss of friction per relative gain of load
    stiffness_x: chex.Array  # () slip stiffness per load, 1 / slip ratio
    stiffness_y: chex.Array  # () cornering stiffness per load, 1 / rad
    friction_ratio: chex.Array  # () peak friction along the wheel over peak friction across it
    shape: chex.Array  # () initial slope over peak secant of the curve, > 2 for a concave rise
    sliding_ratio: chex.Array  # () friction in full sliding over peak friction, 0..1
    vertical_stiffness: chex.Array  # () N/m


class KartParams(struct.PyTreeNode):
    """One kart with its driver."""

    # Mass and geometry
    mass: chex.Array  # () kg, kart and driver
    yaw_inertia: chex.Array  # () kg m²
    wheelbase: chex.Array  # () m
    front_weight_fraction: chex.Array  # () 0..1, share of the weight on the front axle at rest
    cg_height: chex.Array  # () m
    front_track: chex.Array  # () m, between the middles of the contact patches
    rear_track: chex.Array  # () m
    front_overhang: chex.Array  # () m, front axle to the front of the bodywork
    rear_overhang: chex.Array  # () m, rear axle to the rear bumper
    front_width: chex.Array  # () m, bodywork at the nose
    rear_width: chex.Array  # () m, bodywork at the rear wheels
    # Frame and steering geometry
    torsional_stiffness: chex.Array  # () N m/rad, torsion of the frame between the axles
    front_roll_fraction: chex.Array  # () 0..1, share of the roll moment on the frame's front half
    caster: chex.Array  # () rad
    kingpin_inclination: chex.Array  # () rad
    scrub_radius: chex.Array  # () m, kingpin axis to the middle of the front contact patch
    max_steer: chex.Array  # () rad, mean road-wheel angle at full lock
    ackermann_2: chex.Array  # () 1/rad, split of the wheel angles, second-order term
    ackermann_6: chex.Array  # () 1/rad⁵, sixth-order term
    steering_ratio: chex.Array  # () steering-wheel angle over mean road-wheel angle
    # Tyres
    front_tyre: TyreParams
    rear_tyre: TyreParams
    relaxation_length: chex.Array  # () m
    slip_speed: chex.Array  # () m/s, regularises slip at standstill
    settle_rate: chex.Array  # () 1/s, response of the tyre force at standstill, without rolling
    load_lag: chex.Array  # () s, time constant of the load transfer
    # Spin inertias
    axle_inertia: chex.Array  # () kg m², rear axle with wheels, disc and sprocket
    front_inertia: chex.Array  # () kg m², one front wheel
    engine_inertia: chex.Array  # () kg m², crankshaft and clutch
    # Engine and drive
    torque_speed: chex.Array  # (10,) 1/min, knots of the torque curve, ascending
    torque: chex.Array  # (10,) N m at full throttle; zero at the last knot is the limiter
    efficiency: chex.Array  # () drive efficiency, crankshaft to axle
    engine_drag: chex.Array  # () N m, closed-throttle drag
    idle_speed: chex.Array  # () 1/min, 0 = stops with the axle (direct drive)
    idle_gain: chex.Array  # () N m s, torque per rad/s below idle
    clutch_start: chex.Array  # () 1/min, the clutch begins to bite; far below zero = direct drive
    clutch_full: chex.Array  # () 1/min, the clutch carries `clutch_torque`
    clutch_torque: chex.Array  # () N m, capacity at the crankshaft
    clutch_slip: chex.Array  # () rad/s, slip at which the clutch gives 0.7 of its capacity
    gear_ratio: chex.Array  # (6,) crankshaft over axle; unused gears repeat the last
    gear_count: chex.Array  # () number of gears in use
    shift_up: chex.Array  # () 1/min
    shift_down: chex.Array  # () 1/min
    shift_duration: chex.Array  # () s without drive while shifting
    # Brakes, at full pedal
    front_brake: chex.Array  # () N m, each front wheel; 0 = rear-only
    rear_brake: chex.Array  # () N m, on the axle
    brake_fade_spin: chex.Array  # () rad/s, below which the brake torque fades through zero
    # Resistance
    drag_area: chex.Array  # () m², drag coefficient times frontal area
    rolling_resistance: chex.Array  # () rolling-resistance coefficient of the tyres on asphalt
    # Driver's limbs
    steer_lag: chex.Array  # () s
    steer_rate: chex.Array  # () rad/s, at the road wheels
    throttle_lag: chex.Array  # () s
    brake_lag: chex.Array  # () s

    @property
    def front_distance(self) -> chex.Array:
        """() m, centre of gravity to front axle: (1 - front_weight_fraction) L."""
        return (1.0 - self.front_weight_fraction) * self.wheelbase

    @property
    def rear_distance(self) -> chex.Array:
        """() m, centre of gravity to rear axle: front_weight_fraction L."""
        return self.front_weight_fraction * self.wheelbase

    @property
    def tyres(self) -> PerWheel[TyreParams]:
        """The tyre of each wheel."""
        return self.front_tyre, self.front_tyre, self.rear_tyre, self.rear_tyre


class GroundParams(struct.PyTreeNode):
    """The ground beside the asphalt, and the barriers: the same for every kart on it."""

    rolling_kerb: chex.Numeric = 0.030  # () rolling-resistance coefficient
    rolling_grass: chex.Numeric = 0.12  # () the same
    grip_kerb: chex.Numeric = 0.90  # () factor on tyre friction
    grip_grass: chex.Numeric = 0.45  # () the same
    kerb_width: chex.Numeric = KERB_WIDTH  # () m
    surface_blend: chex.Numeric = 0.10  # () m, width of the smooth change between two surfaces
    restitution: chex.Numeric = 0.20  # () 0..1, of a barrier
    wall_friction: chex.Numeric = 0.40  # () friction coefficient of bodywork on a barrier


class AirParams(struct.PyTreeNode):
    """The air that all karts drive in."""

    density: chex.Numeric = 1.18  # () kg/m³


def preset(name: str) -> KartParams:
    """Return the parameters of a class; raise InputError for an unknown name."""
    if name not in CLASSES:
        raise InputError(
            f"kart: class is {name!r}; allowed are {', '.join(CLASSES)}; choose one of them"
        )

    values: dict[str, Any] = jax.tree.map(
        lambda value: jnp.asarray(value, dtype=float),
        classes.numbers(name),
        is_leaf=lambda v: isinstance(v, tuple),
    )
    tyres: dict[str, Any] = {
        axle: TyreParams(**values.pop(axle)) for axle in ("front_tyre", "rear_tyre")
    }
    return KartParams(**values, **tyres)
