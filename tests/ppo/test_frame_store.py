"""The frames of a roll-out, stored once, give back the stacks that were seen."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kart_jax.env import frames
from train.ppo import frame_store

STEPS = 9
KARTS = 3
SIZE = (4, 5)


def shown_stacks(stack, ended):
    """Stacks (T + 1, B, H, W, 3 n) that an environment shows, from some past on.

    `ended` (T, B) tells with which steps the episodes end.
    """
    rng = np.random.default_rng(stack)
    words = jnp.zeros((KARTS, *SIZE, frames.word_count(stack)), jnp.uint32)
    push = jax.vmap(frames.push, in_axes=(0, 0, 0, None))

    past = np.zeros((stack, KARTS), bool)
    past[0] = True
    past[-1, 1] = True  # this kart's episode begins with the roll-out: one frame fills its stack

    shown = []
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
    stacks = shown_stacks(stack, ended)
    assert len(np.unique(stacks.reshape(len(stacks), -1), axis=0)) == STEPS + 1

    newest = frame_store.newest_frame(stacks[:-1])
    store = frame_store.store_frames(stacks[0], newest, jnp.asarray(ended))
    assert store.frames.shape == (STEPS, KARTS, *SIZE, 3)
    assert store.before.shape[0] == stack - 1

    rows = np.random.default_rng(1).permutation(STEPS * KARTS)
    wanted = np.asarray(stacks[:-1]).reshape(STEPS * KARTS, *SIZE, 3 * stack)[rows]
    np.testing.assert_array_equal(frame_store.gather_stacks(store, jnp.asarray(rows)), wanted)
