"""From actions of a policy to controls of a kart: shape, bounds, latency, pedals."""

import chex
import jax
import jax.numpy as jnp

from kart_jax.env import randomise
from kart_jax.env.params import EnvParams
from kart_jax.env.types import EnvState
from kart_jax.errors import InputError
from kart_jax.physics.types import Controls


def controls(action: chex.Array) -> Controls:
    """Turn actions (..., 2) in [-1, 1] into controls (...): throttle, or (negative) brake."""
    steering, pedal = action[..., 0], action[..., 1]
    return Controls(
        steering=steering, throttle=jnp.maximum(pedal, 0.0), brake=jnp.maximum(-pedal, 0.0)
    )


def clip_action(action: chex.Array, shape: tuple[int, ...]) -> chex.Array:
    """Return an action in [-1, 1]; InputError when it has another shape."""
    if jnp.shape(action) != shape:
        raise InputError(
            f"action has the shape {jnp.shape(action)} for one race; give {shape}, steering and "
            "throttle of each kart"
        )
    return jnp.clip(jnp.asarray(action), -1.0, 1.0)


def delayed(action: chex.Array, before: chex.Array, latency: chex.Numeric, dt: float) -> chex.Array:
    """Return the mean over a control step of `dt` s of an action that comes `latency` s late.

    Shapes (..., 2); `before` acts first.
    """
    return action + jnp.clip(latency / dt, 0.0, 1.0) * (before - action)


def delay_actions(action: chex.Array, state: EnvState, params: EnvParams, dt: float) -> chex.Array:
    """Delay the action (K, 2) of each kart by its own latency."""

    def one(action: chex.Array, before: chex.Array, randomization: chex.Array | None) -> chex.Array:
        latency = randomise.vary(params, randomization).latency
        return delayed(action, before, latency, dt)

    return jax.vmap(one)(action, state.action, state.randomization)
