"""Vertical wheel loads: quasi-static, closed form, with frame warp, steering jacking and wheel
lift.

Three equations of equilibrium and one of compatibility. With X = t_f (F_fr - F_fl) / 2 the roll
moment that the front tyres carry, M = m a_y h the whole of it, and roll right positive, the frame
(torsion K_t) ties the roll of the two ends of the kart together:

    X = lambda M + K_t (roll_r - roll_f),   roll_r = (M - X) / K_r,   roll_f = X / K_f - J
    =>  X = (lambda M + K_t (M / K_r + J)) / (1 + K_t / K_r + K_t / K_f)

K_f, K_r = k t² / 2 are the roll stiffnesses of the tyres, J = (z_fr - z_fl) / t_f the twist that
steering puts between frame and ground (z = how far a front wheel is pushed down, see `jacking`). A
wheel cannot pull: when the inside rear reaches zero it stays there and the compatibility equation
gives way; the front axle takes the rest of the moment.
"""

import chex
import jax.numpy as jnp

from kart_jax.physics.params import KartParams
from kart_jax.xla.sines import cos_sin_small
from kart_jax.xla.stage import stage

SOFTNESS = 0.10  # of an axle's load: width over which a wheel's load bends smoothly into zero


def jacking(left: chex.Array, right: chex.Array, params: KartParams) -> chex.Array:
    """Twist J (rad) that steering puts into the frame, positive when it presses the right front
    wheel down.

    Each front wheel goes down against the frame by z = ±d sin(caster) sin(delta) + d sin(kingpin)
    (1 - cos(delta)), + on the left; d is the scrub radius.
    """
    cast, pin = jnp.sin(params.caster), jnp.sin(params.kingpin_inclination)
    (cos_left, sin_left), (cos_right, sin_right) = cos_sin_small(left), cos_sin_small(right)
    down_right = -cast * sin_right - pin * cos_right
    down_left = cast * sin_left - pin * cos_left
    return params.scrub_radius * (down_right - down_left) / params.front_track


def _clamp(value: chex.Array, bound: chex.Array) -> chex.Array:
    """Clip to [-bound, bound], bending over SOFTNESS * bound; exact beyond it and inside."""
    width = SOFTNESS * bound + 1e-6
    over = jnp.maximum(jnp.abs(value) - bound + width, 0.0)
    bend = jnp.minimum(over, 2.0 * width)
    size = jnp.abs(value) - (over - bend) - bend * bend / (4.0 * width)
    return jnp.where(value < 0.0, -size, size)


def axle_loads(accel_x: chex.Array, params: KartParams) -> tuple[chex.Array, chex.Array]:
    """Load (N) of the front and of the rear axle under the longitudinal acceleration accel_x
    (m/s²)."""
    weight = params.mass * params.gravity
    # Offset from an even split, so that one clamp keeps both axles on the ground.
    offset = (
        weight * (params.front_weight_fraction - 0.5)
        - params.mass * accel_x * params.cg_height / params.wheelbase
    )
    offset = _clamp(offset, 0.5 * weight)
    return 0.5 * weight + offset, 0.5 * weight - offset


def roll_split(accel_y: chex.Array, twist: chex.Array, params: KartParams) -> chex.Array:
    """Roll moment X (N m) on the front tyres with all four wheels on the ground (see the module
    docstring)."""
    moment = params.mass * accel_y * params.cg_height
    front = (
        2.0
        * params.torsional_stiffness
        / (params.front_tyre.vertical_stiffness * params.front_track**2)
    )
    rear = (
        2.0
        * params.torsional_stiffness
        / (params.rear_tyre.vertical_stiffness * params.rear_track**2)
    )
    carried = (params.front_roll_fraction + rear) * moment + params.torsional_stiffness * twist
    return carried / (1.0 + front + rear)


@stage()
def wheel_loads(
    accel_x: chex.Array,
    accel_y: chex.Array,
    left: chex.Array,
    right: chex.Array,
    params: KartParams,
) -> tuple[chex.Array, chex.Array, chex.Array, chex.Array]:
    """Wheel loads (N) front-left, front-right, rear-left, rear-right; none negative, their sum is
    the weight.

    Args:
        accel_x: () m/s², longitudinal acceleration that moves load to the rear.
        accel_y: () m/s², lateral acceleration to the left, moves load to the right.
        left: () rad, angle of the front-left wheel.
        right: () rad, angle of the front-right wheel.
        params: the kart.
    """
    front, rear = axle_loads(accel_x, params)
    moment = params.mass * accel_y * params.cg_height
    on_front = roll_split(accel_y, jacking(left, right, params), params)
    # The rear lifts first, the front takes what it cannot carry; then the front may lift, and the
    # rear takes the rest.
    rear_gap = _clamp(2.0 * (moment - on_front) / params.rear_track, rear)
    front_gap = _clamp((2.0 * moment - params.rear_track * rear_gap) / params.front_track, front)
    rear_gap = jnp.clip(
        (2.0 * moment - params.front_track * front_gap) / params.rear_track, -rear, rear
    )
    return (
        0.5 * (front - front_gap),
        0.5 * (front + front_gap),
        0.5 * (rear - rear_gap),
        0.5 * (rear + rear_gap),
    )
