"""The pictures of a roll-out, stored once, give back the stacks that were seen."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kart_jax.env import frames
from train.ppo import frame_store

STEPS, KARTS, SIZE = 9, 3, (4, 5)


def seen(stack, ended):
    """Stacks (T + 1, B, H, W, 3 n) that an environment shows when episodes end as told (T, B), from
    some past on."""
    rng = np.random.default_rng(stack)
    words = jnp.zeros((KARTS, *SIZE, frames.word_count(stack)), jnp.uint32)
    push = jax.vmap(frames.push, in_axes=(0, 0, 0, None))
    shown = []
    past = np.zeros((stack, KARTS), bool)
    past[0] = True
    past[-1, 1] = (
        True  # this kart's episode begins with the roll-out: its stack is full of one picture
    )
    for fresh in (*past, *ended):
        picture = jnp.asarray(rng.integers(0, 2**24, (KARTS, *SIZE)), jnp.uint32)
        words = push(words, picture, jnp.asarray(fresh), stack)
        shown.append(jax.vmap(frames.unpack, in_axes=(0, None))(words, stack))
    return jnp.stack(shown[stack - 1 :])


@pytest.mark.parametrize("stack", [1, 2, 4])
def test_stacks_come_back_as_they_were_seen(stack):
    ended = np.zeros((STEPS, KARTS), bool)
    ended[[0, 1, 5], 0] = True  # twice in a row
    ended[4, 2] = True
    stacks = seen(stack, ended)
    assert len(np.unique(stacks.reshape(len(stacks), -1), axis=0)) == STEPS + 1
    shot = frame_store.record(stacks[0], frame_store.newest(stacks[:-1]), jnp.asarray(ended))
    assert shot.pictures.shape == (STEPS, KARTS, *SIZE, 3) and shot.before.shape[0] == stack - 1
    rows = np.random.default_rng(1).permutation(STEPS * KARTS)
    wanted = np.asarray(stacks[:-1]).reshape(STEPS * KARTS, *SIZE, 3 * stack)[rows]
    np.testing.assert_array_equal(frame_store.stacks(shot, jnp.asarray(rows)), wanted)
