"""Tyres: a similarity curve over combined slip, load-sensitive friction, relaxation.

Slip of a wheel with contact-patch velocity (v_x, v_y) in its own frame and spin omega, regularised
at standstill:

    v_ref = sqrt(v_x² + v_0²),  kappa = (r omega - v_x) / v_ref,  tan(alpha) = -v_y / v_ref
    mu    = mu_0 grip / (1 + s (F_z / F_z0 - 1))
    x     = sqrt((C_x kappa / q)² + (C_y tan(alpha))²) / (k mu)   normalised slip, peak at x = 1
    f(x)  = k x / (1 + (k - 2) x + x²)                  x <= 1    rises with slope k to 1
          = r + (1 - r) / (1 + (x - 1)² / (k (1 - r)))  x > 1     falls to the sliding ratio r
    F     = mu F_z f(x) / x · (C_x kappa, C_y tan(alpha)) / (k mu)

The force always opposes the sliding velocity, so a tyre never makes energy, and it stays inside the
friction ellipse (F_x / q)² + F_y² <= (mu F_z)²; q is the friction along the wheel over that across
it. f and its first two derivatives are continuous; there is no transcendental function in it.
Similarity method: Pacejka, Tyre and Vehicle Dynamics, ch. 4; the curve itself is ours.

The force follows the steady one over a rolling distance, the relaxation length. As a step sees it,
the force is linear in the sliding velocity, with the secant slope of the curve at the slip that the
step begins with (`slip_stiffness`).
"""

import chex
import jax.numpy as jnp
from flax import struct

from kart_jax.geometry import safe_norm
from kart_jax.physics.params import KartParams, TyreParams
from kart_jax.physics.types import KartState
from kart_jax.physics.wheels import WheelMotion


class SlipStiffness(struct.PyTreeNode):
    """Steady force per sliding speed: F_x = S_x (r omega - v_x), F_y = -S_y v_y."""

    x: chex.Array  # () N s/m, along the wheel
    y: chex.Array  # () N s/m, across it


class LinearTyreForce(struct.PyTreeNode):
    """Longitudinal force of a tyre over the step, linear in the spin that the wheel will have."""

    at_rest: chex.Array  # () N, force at zero spin
    slope: chex.Array  # () N s/m, gain in force per metre per second of tread speed

    def at(self, omega: chex.Array, radius: chex.Array) -> chex.Array:
        """Return F_x (N) at a spin (rad/s) of a tyre with that radius (m)."""
        return self.at_rest + self.slope * radius * omega


def friction(load: chex.Array, grip: chex.Array, tyre: TyreParams) -> chex.Array:
    """Return the peak friction coefficient at a load (N): mu_0 grip / (1 + s (F_z / F_z0 - 1)).

    It falls as the load grows.
    """
    return tyre.friction * grip / (1.0 + tyre.load_sensitivity * (load / tyre.reference_load - 1.0))


def similarity(x: chex.Array, shape: chex.Array, sliding_ratio: chex.Array) -> chex.Array:
    """Return f(x) / x of the module docstring at normalised slip x >= 0; at 0 it is `shape`."""
    rise = shape / (1.0 + (shape - 2.0) * x + x * x)

    past = jnp.maximum(x, 1.0)
    width = shape * (1.0 - sliding_ratio)
    fall = (sliding_ratio + (1.0 - sliding_ratio) / (1.0 + (past - 1.0) ** 2 / width)) / past

    return jnp.where(x < 1.0, rise, fall)


def reference_speed(v_x: chex.Array, params: KartParams) -> chex.Array:
    """Return v_ref (m/s), over which slip is counted, from a wheel's velocity v_x (m/s)."""
    return jnp.sqrt(v_x * v_x + params.slip_speed**2)


def slip_stiffness(
    motion: WheelMotion,
    load: chex.Array,
    grip: chex.Array,
    tyre: TyreParams,
    params: KartParams,
) -> SlipStiffness:
    """Return the secant slopes of the steady tyre force at a wheel's slip.

    Args:
        motion: of the wheel.
        load: () N.
        grip: () factor of the ground on friction.
        tyre: the axle's tyre.
        params: the kart.
    """
    v_ref = reference_speed(motion.v_x, params)
    slide_x = tyre.stiffness_x * (tyre.radius * motion.omega - motion.v_x) / tyre.friction_ratio
    slide_y = tyre.stiffness_y * motion.v_y
    scale = 1.0 / (tyre.shape * v_ref)

    # The tiny floor keeps the square root's gradient finite at rest.
    slide = jnp.sqrt(slide_x * slide_x + slide_y * slide_y + 1e-12)
    x = slide * scale / friction(load, grip, tyre)
    gain = load * similarity(x, tyre.shape, tyre.sliding_ratio) * scale

    return SlipStiffness(gain * tyre.stiffness_x, gain * tyre.stiffness_y)


def relaxation(state: KartState, params: KartParams, dt: float) -> chex.Array:
    """Return the share of the way to its steady force that a tyre goes in dt: 1 - exp(-rate dt).

    rate = speed / relaxation length; near standstill, where a rolling distance says nothing, the
    rate tends to `settle_rate`, so that a parked kart damps out instead of ringing on its tyre
    carcasses.
    """
    speed = safe_norm(state.vx, state.vy, floor=1e-6)
    still = params.slip_speed**2 / (params.slip_speed**2 + speed * speed)
    rate = speed / params.relaxation_length + params.settle_rate * still
    return -jnp.expm1(-rate * dt)


def longitudinal_force(
    force_x: chex.Array, stiffness: SlipStiffness, v_x: chex.Array, share: chex.Array
) -> LinearTyreForce:
    """Return F_x⁺ = (1 - share) F_x + share S_x (r omega⁺ - v_x) as a line over r omega⁺.

    Args:
        force_x: () N, relaxed force at the start of the step.
        stiffness: of the tyre.
        v_x: () m/s, velocity of the contact patch at the end of the step.
        share: () `relaxation` over the step.
    """
    return LinearTyreForce(
        at_rest=(1.0 - share) * force_x - share * stiffness.x * v_x,
        slope=share * stiffness.x,
    )


def lateral_force(
    force_y: chex.Array, stiffness: SlipStiffness, v_y: chex.Array, share: chex.Array
) -> chex.Array:
    """Return F_y⁺ = (1 - share) F_y - share S_y v_y (N); arguments as in `longitudinal_force`."""
    return (1.0 - share) * force_y - share * stiffness.y * v_y
