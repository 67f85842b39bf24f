"""Vertical wheel loads: quasi-static, with frame warp, steering jacking and wheel lift.

Three equations of equilibrium and one of compatibility, in closed form. With
X = t_f (F_fr - F_fl) / 2 the roll moment that the front tyres carry, M = m a_y h the whole of it,
and roll right positive, the frame (torsion K_t) ties the roll of the two ends of the kart together:

    X = lambda M + K_t (roll_r - roll_f),   roll_r = (M - X) / K_r,   roll_f = X / K_f - J
    =>  X = (lambda M + K_t (M / K_r + J)) / (1 + K_t / K_r + K_t / K_f)

K_f, K_r = k t² / 2 are the roll stiffnesses of the tyres, J = (z_fr - z_fl) / t_f the twist that
steering puts between frame and ground (z = how far a front wheel is pushed down, see `jacking`). A
wheel cannot pull: when the inside rear reaches zero it stays there and the compatibility equation
gives way; the front axle takes the rest of the moment.
"""

import chex
import jax.numpy as jnp

from kart_jax.physics.lag import first_order_lag
from kart_jax.physics.params import GRAVITY, KartParams, TyreParams
from kart_jax.physics.types import KartState
from kart_jax.physics.wheels import PerWheel
from kart_jax.xla.sines import cos_sin_small
from kart_jax.xla.stage import stage

SOFTNESS = 0.10  # of an axle's load: width over which a wheel's load bends smoothly into zero


def transfer_accelerations(
    state: KartState, accel_x: chex.Array, accel_y: chex.Array, params: KartParams, dt: float
) -> tuple[chex.Array, chex.Array]:
    """Return the accelerations (m/s²) that move load from wheel to wheel, after dt.

    They follow the kart's own, `accel_x` and `accel_y`, with a first-order lag.
    """
    lag = params.load_lag
    return (
        first_order_lag(state.load_transfer_accel_x, accel_x, lag, dt),
        first_order_lag(state.load_transfer_accel_y, accel_y, lag, dt),
    )


def jacking(left: chex.Array, right: chex.Array, params: KartParams) -> chex.Array:
    """Return the twist J (rad) that steering puts into the frame.

    Positive presses the right front wheel down. Each front wheel goes down against the frame by
    z = ±d sin(caster) sin(delta) + d sin(kingpin) (1 - cos(delta)), + on the left; d is the scrub
    radius, delta the wheel's angle (rad).
    """
    sin_caster = jnp.sin(params.caster)
    sin_kingpin = jnp.sin(params.kingpin_inclination)
    cos_left, sin_left = cos_sin_small(left)
    cos_right, sin_right = cos_sin_small(right)

    down_right = -sin_caster * sin_right - sin_kingpin * cos_right
    down_left = sin_caster * sin_left - sin_kingpin * cos_left
    return params.scrub_radius * (down_right - down_left) / params.front_track


def _smooth_clip(value: chex.Array, bound: chex.Array) -> chex.Array:
    """Clip to [-bound, bound], bending over SOFTNESS * bound; exact beyond it and inside."""
    width = SOFTNESS * bound + 1e-6
    over = jnp.maximum(jnp.abs(value) - bound + width, 0.0)
    bend = jnp.minimum(over, 2.0 * width)
    size = jnp.abs(value) - (over - bend) - bend * bend / (4.0 * width)
    return jnp.where(value < 0.0, -size, size)


def axle_loads(accel_x: chex.Array, params: KartParams) -> tuple[chex.Array, chex.Array]:
    """Return the load (N) of front and rear axle under a longitudinal acceleration (m/s²)."""
    weight = params.mass * GRAVITY

    # Offset from an even split, so that one clip keeps both axles on the ground.
    at_rest = weight * (params.front_weight_fraction - 0.5)
    transfer = params.mass * accel_x * params.cg_height / params.wheelbase
    offset = _smooth_clip(at_rest - transfer, 0.5 * weight)

    return 0.5 * weight + offset, 0.5 * weight - offset


def _stiffness_ratio(tyre: TyreParams, track: chex.Array, params: KartParams) -> chex.Array:
    """Return K_t over the roll stiffness k t² / 2 of an axle's tyres."""
    return 2.0 * params.torsional_stiffness / (tyre.vertical_stiffness * track**2)


def front_roll_moment(accel_y: chex.Array, twist: chex.Array, params: KartParams) -> chex.Array:
    """Return the roll moment X (N m) on the front tyres while all four wheels are on the ground.

    Args:
        accel_y: () m/s², lateral acceleration to the left.
        twist: () rad, J of the module docstring.
        params: the kart.
    """
    moment = params.mass * accel_y * params.cg_height
    front = _stiffness_ratio(params.front_tyre, params.front_track, params)
    rear = _stiffness_ratio(params.rear_tyre, params.rear_track, params)
    carried = (params.front_roll_fraction + rear) * moment + params.torsional_stiffness * twist
    return carried / (1.0 + front + rear)


@stage()
def wheel_loads(
    accel_x: chex.Array,
    accel_y: chex.Array,
    left: chex.Array,
    right: chex.Array,
    params: KartParams,
) -> PerWheel[chex.Array]:
    """Return the four wheel loads (N); none is negative, their sum is the weight.

    Args:
        accel_x: () m/s², longitudinal acceleration that moves load to the rear.
        accel_y: () m/s², lateral acceleration to the left, moves load to the right.
        left: () rad, angle of the front-left wheel.
        right: () rad, angle of the front-right wheel.
        params: the kart.
    """
    front, rear = axle_loads(accel_x, params)
    moment = params.mass * accel_y * params.cg_height
    on_front = front_roll_moment(accel_y, jacking(left, right, params), params)

    # Right less left load of each axle. The rear lifts first, the front takes what it cannot carry;
    # then the front may lift, and the rear takes the rest.
    rear_transfer = _smooth_clip(2.0 * (moment - on_front) / params.rear_track, rear)
    rest_on_front = 2.0 * moment - params.rear_track * rear_transfer
    front_transfer = _smooth_clip(rest_on_front / params.front_track, front)
    rest_on_rear = 2.0 * moment - params.front_track * front_transfer
    rear_transfer = jnp.clip(rest_on_rear / params.rear_track, -rear, rear)

    return (
        0.5 * (front - front_transfer),
        0.5 * (front + front_transfer),
        0.5 * (rear - rear_transfer),
        0.5 * (rear + rear_transfer),
    )
