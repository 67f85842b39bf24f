"""The action distribution: a Gaussian squashed by tanh, so that every sample lies in [-1, 1]².

With u ~ N(mean, std²) per component and action a = tanh(u), the change of variables gives

    log p(a) = log N(u; mean, std) - log(1 - tanh(u)²)
    log(1 - tanh(u)²) = 2 (log 2 - u - softplus(-2u))          stable for every u

(Haarnoja et al. 2018, Soft Actor-Critic, appendix C). Training keeps u, never a: atanh of a
saturated action loses everything. Against a clipped Gaussian, the density is the density of what
the kart receives; against a Beta, the gradient does not vanish in a policy that has become nearly
deterministic, and full lock and full throttle are reached with finite parameters.

The entropy of a has no closed form: H[a] = H[u] + E[log(1 - tanh(u)²)]. The expectation is taken
per component by Gauss-Hermite quadrature, exact to 1e-3 for std <= 2 and differentiable, so it
needs no sample and has no noise. Unlike the entropy of u it is bounded by log 2 per component and
falls when actions saturate.
"""

import jax
import jax.numpy as jnp
import numpy as np

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(32)  # for integrals against exp(-z²/2)
WEIGHTS = WEIGHTS / np.sqrt(2.0 * np.pi)  # now for expectations over a standard normal z
LOG_SQRT_2PI = 0.5 * float(np.log(2.0 * np.pi))


def squash(pre_tanh: jax.Array) -> jax.Array:
    """Return the action in [-1, 1] of a sample u; (..., 2) -> (..., 2)."""
    return jnp.tanh(pre_tanh)


def tanh_log_det_jacobian(pre_tanh: jax.Array) -> jax.Array:
    """Return log(d tanh(u) / du) = log(1 - tanh(u)²), elementwise, stable for large |u|."""
    return 2.0 * (jnp.log(2.0) - pre_tanh - jax.nn.softplus(-2.0 * pre_tanh))


def sample(noise: jax.Array, mean: jax.Array, log_std: jax.Array) -> jax.Array:
    """Return the sample u of standard normal noise.

    Noise and mean are (..., 2), log_std broadcasts -> (..., 2).
    """
    return mean + jnp.exp(log_std) * noise


def log_prob(pre_tanh: jax.Array, mean: jax.Array, log_std: jax.Array) -> jax.Array:
    """Return the log-density of the action tanh(u) in [-1, 1]².

    u and mean are (..., 2), log_std broadcasts -> (...).
    """
    z = (pre_tanh - mean) * jnp.exp(-log_std)
    gaussian = -0.5 * z * z - log_std - LOG_SQRT_2PI
    return jnp.sum(gaussian - tanh_log_det_jacobian(pre_tanh), axis=-1)


def entropy(mean: jax.Array, log_std: jax.Array) -> jax.Array:
    """Return the differential entropy of the action in nats, at most 2 log 2.

    The mean is (..., 2), log_std broadcasts -> (...).
    """
    nodes, weights = jnp.asarray(NODES, mean.dtype), jnp.asarray(WEIGHTS, mean.dtype)
    pre_tanh = mean[..., None] + jnp.exp(log_std)[..., None] * nodes
    squashing = jnp.sum(weights * tanh_log_det_jacobian(pre_tanh), axis=-1)
    return jnp.sum(0.5 + LOG_SQRT_2PI + log_std + squashing, axis=-1)
