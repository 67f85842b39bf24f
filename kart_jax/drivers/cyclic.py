"""Solve periodic block-tridiagonal systems by cyclic reduction.

It takes log2(M) vectorised stages and no loop over the lap. The system is
A_i x_{i-1} + B_i x_i + C_i x_{i+1} = d_i with indices modulo M, M a power of two.
Each stage eliminates the odd unknowns: with P_i = A_i B_{i-1}^-1 and Q_i = C_i B_{i+1}^-1 the even
ones obey

    A'_i = -P_i A_{i-1},   B'_i = B_i - P_i C_{i-1} - Q_i A_{i+1},   C'_i = -Q_i C_{i+1},
    d'_i = d_i - P_i d_{i-1} - Q_i d_{i+1}

(Hockney 1965, "A fast direct solution of Poisson's equation using Fourier analysis", with blocks).
"""

import chex
import jax.numpy as jnp


def inverse_2x2(matrices: chex.Array) -> chex.Array:
    """Invert (..., 2, 2) matrices by the adjugate."""
    a, b = matrices[..., 0, 0], matrices[..., 0, 1]
    c, d = matrices[..., 1, 0], matrices[..., 1, 1]
    adjugate = jnp.stack([jnp.stack([d, -b], -1), jnp.stack([-c, a], -1)], -2)
    return adjugate / (a * d - b * c)[..., None, None]


def solve(
    lower: chex.Array, diagonal: chex.Array, upper: chex.Array, right: chex.Array
) -> chex.Array:
    """Solve the periodic system of the module docstring.

    Args:
        lower: (M, 2, 2) blocks A_i; M is a power of two.
        diagonal: (M, 2, 2) blocks B_i; every block met on the way must be invertible, which holds
            for symmetric quasi-definite systems.
        upper: (M, 2, 2) blocks C_i.
        right: (M, 2) right-hand side d_i.

    Returns:
        (M, 2) unknowns x_i.
    """
    count = diagonal.shape[0]
    if count == 1:
        return jnp.einsum("nij,nj->ni", inverse_2x2(lower + diagonal + upper), right)

    odd = slice(1, None, 2)
    inverse = inverse_2x2(diagonal[odd])
    a_odd, c_odd, d_odd = lower[odd], upper[odd], right[odd]
    a_even, b_even, c_even, d_even = lower[::2], diagonal[::2], upper[::2], right[::2]

    # P and Q of the even rows.
    before = jnp.matmul(a_even, jnp.roll(inverse, 1, axis=0))
    after = jnp.matmul(c_even, inverse)
    even = solve(
        -jnp.matmul(before, jnp.roll(a_odd, 1, axis=0)),
        b_even - jnp.matmul(before, jnp.roll(c_odd, 1, axis=0)) - jnp.matmul(after, a_odd),
        -jnp.matmul(after, c_odd),
        d_even
        - jnp.einsum("nij,nj->ni", before, jnp.roll(d_odd, 1, axis=0))
        - jnp.einsum("nij,nj->ni", after, d_odd),
    )

    # The odd unknowns follow from their even neighbours.
    known = (
        d_odd
        - jnp.einsum("nij,nj->ni", a_odd, even)
        - jnp.einsum("nij,nj->ni", c_odd, jnp.roll(even, -1, axis=0))
    )
    odd_unknowns = jnp.einsum("nij,nj->ni", inverse, known)
    return jnp.stack([even, odd_unknowns], axis=1).reshape(count, 2)
