"""Generalised advantage estimation over ONE trajectory; the caller vmaps over karts.

    delta_t = r_t + gamma (1 - terminated_t) V(s_{t+1}) - V(s_t)
    A_t     = delta_t + gamma lambda (1 - terminated_t) A_{t+1}

(Schulman et al. 2016, arXiv:1506.02438, eq. 11-16.) `terminated` is an end that belongs to the task
(value 0 afterwards); `truncated` is the time limit, after which the drive would have gone on. Both
reset the kart in the same step, so the state after a truncated step is the first one of another
episode, and the state that the kart really reached exists only in `info.final_observation`. To read
its value, every kart's final frame would have to be rendered at every step (twice the rendering)
for one step in thousands. Instead the trajectory is cut one step earlier: the sums of the steps
before a truncated step t end with the bootstrap V(s_t) of the last state that was seen, exactly as
they do at the end of a roll-out, and step t itself gets weight 0. That is the same estimator with a
horizon one step shorter, not an approximation of it; terminated and truncated at once counts as
terminated.
"""

import chex
import jax
import jax.numpy as jnp


def calculate_gae(
    rewards: jax.Array,
    values: jax.Array,
    terminated: jax.Array,
    truncated: jax.Array,
    gamma: jax.Array,
    gae_lambda: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Estimate the advantages of one trajectory, which may hold several episodes.

    Args:
        rewards: (T,) reward of each step.
        values: (T + 1,) V of the observation before each step, and of the one after the last.
        terminated: (T,) bool, the step ended the episode for good.
        truncated: (T,) bool, the step ended it by the time limit.
        gamma: () discount per step, 0..1.
        gae_lambda: () 0..1.

    Returns:
        Advantages (T,), and weights (T,): 0 where the step is truncated and must not be learnt
        from, else 1. The target of the value is advantages + values[:-1].
    """
    chex.assert_rank([rewards, values, terminated, truncated], 1)
    chex.assert_equal_shape([rewards, values[1:], terminated, truncated])

    not_terminated = 1.0 - terminated.astype(values.dtype)
    weights = 1.0 - (truncated & ~terminated).astype(values.dtype)
    deltas = rewards + gamma * not_terminated * values[1:] - values[:-1]

    def backward(
        next_advantage: jax.Array, step: tuple[jax.Array, jax.Array, jax.Array]
    ) -> tuple[jax.Array, jax.Array]:
        delta, continues, weight = step
        advantage = weight * (delta + gamma * gae_lambda * continues * next_advantage)
        return advantage, advantage

    _, advantages = jax.lax.scan(
        backward, jnp.zeros_like(values[0]), (deltas, not_terminated, weights), reverse=True
    )
    return advantages, weights
