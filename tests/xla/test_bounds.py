"""Bounds against numpy's, which pass nan on as well, and their gradients."""

import jax
import jax.numpy as jnp
import numpy as np

from kart_jax.xla import bounds


def test_bounds_clip_and_pass_nan_on():
    a = np.random.default_rng(0).uniform(-3.0, 3.0, 1000).astype(np.float32)
    a[:4] = np.inf, -np.inf, np.nan, 0.0
    np.testing.assert_array_equal(bounds.at_least(a, 0.5), np.maximum(a, np.float32(0.5)))
    np.testing.assert_array_equal(bounds.at_most(a, 0.5), np.minimum(a, np.float32(0.5)))
    np.testing.assert_array_equal(bounds.within(a, -1.0, 2.0), np.clip(a, -1.0, 2.0))
    slope = jax.vmap(jax.grad(lambda x: bounds.within(x, -1.0, 2.0)))(
        jnp.asarray([-1.5, 0.0, 1.9, 2.5])
    )
    np.testing.assert_array_equal(slope, [0.0, 1.0, 1.0, 0.0])
