"""Keep the pictures of a roll-out, or the poses from which they can be drawn again."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from kart_jax.env import observe
from kart_jax.render.view import render_packed
from train.run.request import TrainConfig

from ..measure import learner
from .storage import PICTURE
from .way import Way, sizes_of


def rendering(request: TrainConfig) -> Iterator[Way]:
    """Yield ways to read minibatches of single pictures: fetched, or drawn anew."""
    run = learner.set_up(request)
    env = run.env
    params = env.default_params
    scene = env.scene
    if scene is None:  # telemetry only: nothing to draw
        return

    size = sizes_of(request)
    order = jax.random.permutation(jax.random.key(1), size.samples)
    rows = order[: size.minibatches * size.minibatch].reshape(size.minibatches, -1)
    race = jax.tree.map(
        lambda leaf: jnp.tile(leaf, (size.steps, *[1] * (leaf.ndim - 1))), run.state.env_state.race
    )
    karts = jax.tree.map(lambda leaf: leaf[:, 0], race.karts)
    find_poses = jax.jit(jax.vmap(observe.pose, in_axes=(0, None)))
    poses = (race.track, find_poses(karts, params.kart))

    def draw(track: jax.Array, pose: Any) -> jax.Array:
        return render_packed(scene, track, pose, params.appearance, env.core.view_config)

    @jax.jit
    def fetch(pictures: jax.Array, rows: jax.Array) -> jax.Array:
        return jax.lax.map(lambda part: jnp.sum(jnp.take(pictures, part, axis=0)), rows)

    @jax.jit
    def draw_again(poses: Any, rows: jax.Array) -> jax.Array:
        def one(part: jax.Array) -> jax.Array:
            taken = jax.tree.map(lambda leaf: jnp.take(leaf, part, axis=0), poses)
            return jnp.sum(jax.vmap(draw)(*taken))

        return jax.lax.map(one, rows)

    pictures = jax.jit(lambda poses: jax.lax.map(lambda pose: draw(*pose), poses))(poses)
    in_pictures = size.samples * PICTURE
    yield Way("pictures kept", partial(fetch, pictures, rows), rows.size, in_pictures)

    in_poses = sum(leaf.nbytes for leaf in jax.tree.leaves(poses))
    again = partial(draw_again, poses, rows)
    yield Way("poses kept, drawn again in the loss", again, rows.size, in_poses)
