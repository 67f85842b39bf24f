"""Tyres: one similarity curve over combined slip, load-sensitive friction, relaxation over rolling
distance.

Slip of a wheel with contact-point velocity (v_x, v_y) in its own frame and spin omega, regularised
at standstill:

    v_ref = sqrt(v_x² + v_0²),  kappa = (r omega - v_x) / v_ref,  tan(alpha) = -v_y / v_ref
    mu    = mu_0 grip / (1 + s (F_z / F_z0 - 1))
    x     = sqrt((C_x kappa / q)² + (C_y tan(alpha))²) / (k mu)                 normalised slip, peak at x = 1
    f(x)  = k x / (1 + (k - 2) x + x²)                        for x <= 1        rises with slope k to 1
          = r + (1 - r) / (1 + (x - 1)² / (k (1 - r)))        for x > 1         falls to the sliding ratio r
    F     = mu F_z f(x) / x · (C_x kappa, C_y tan(alpha)) / (k mu)

The force always opposes the sliding velocity, so a tyre never makes energy, and it stays inside the
friction ellipse (F_x / q)² + F_y² <= (mu F_z)²; q is the friction along the wheel over that across
it. f and its first two derivatives are continuous; there is no transcendental function in it.
Similarity method: Pacejka, Tyre and Vehicle Dynamics, ch. 4; the curve itself is ours.
"""

import chex
import jax.numpy as jnp

from kart_jax.physics.params import KartParams, TyreParams


def friction(load: chex.Array, grip: chex.Array, tyre: TyreParams) -> chex.Array:
    """Peak friction coefficient at a load (N): mu_0 grip / (1 + s (F_z / F_z0 - 1)); falls as the
    load grows."""
    return tyre.friction * grip / (1.0 + tyre.load_sensitivity * (load / tyre.reference_load - 1.0))


def similarity(x: chex.Array, shape: chex.Array, slide: chex.Array) -> chex.Array:
    """f(x) / x for normalised slip x >= 0 (see the module docstring); finite at 0, where it is
    `shape`."""
    rise = shape / (1.0 + (shape - 2.0) * x + x * x)
    past = jnp.maximum(x, 1.0)
    fall = (slide + (1.0 - slide) / (1.0 + (past - 1.0) ** 2 / (shape * (1.0 - slide)))) / past
    return jnp.where(x < 1.0, rise, fall)


def slip_speed(roll: chex.Array, params: KartParams) -> chex.Array:
    """Reference speed v_ref (m/s) over which slip is counted, from the wheel's rolling velocity v_x
    (m/s)."""
    return jnp.sqrt(roll * roll + params.slip_speed**2)


def secant(
    roll: chex.Array,
    side: chex.Array,
    spin: chex.Array,
    load: chex.Array,
    grip: chex.Array,
    tyre: TyreParams,
    params: KartParams,
) -> tuple[chex.Array, chex.Array]:
    """Force per sliding speed (N s/m) along and across the wheel: F_x = S_x (r omega - v_x), F_y =
    -S_y v_y.

    Args:
        roll: () m/s, velocity of the contact point along the wheel.
        side: () m/s, across it, positive = left.
        spin: () rad/s, wheel speed.
        load: () N.
        grip: () factor of the ground on friction.
        tyre: the axle's tyre.
        params: the kart.
    """
    v_ref = slip_speed(roll, params)
    along = tyre.stiffness_x * (tyre.radius * spin - roll) / tyre.friction_ratio
    slide_y = tyre.stiffness_y * side
    scale = 1.0 / (tyre.shape * v_ref)
    # The tiny floor keeps the square root's gradient finite at rest.
    x = jnp.sqrt(along * along + slide_y * slide_y + 1e-12) * scale / friction(load, grip, tyre)
    gain = load * similarity(x, tyre.shape, tyre.sliding_ratio) * scale
    return gain * tyre.stiffness_x, gain * tyre.stiffness_y


def relaxation(speed: chex.Array, params: KartParams, dt: float) -> chex.Array:
    """Share of the way to the steady force that a tyre goes in dt: 1 - exp(-rate dt).

    rate = speed / relaxation length; near standstill, where a rolling distance says nothing, the
    rate tends to `settle_rate`, so that a parked kart damps out instead of ringing on its tyre
    carcasses.
    """
    still = params.slip_speed**2 / (params.slip_speed**2 + speed * speed)
    rate = speed / params.relaxation_length + params.settle_rate * still
    return -jnp.expm1(-rate * dt)
