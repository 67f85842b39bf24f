"""Many environments at once: one key per batch and step, split here and nowhere else.

A batch may be split over the devices of a mesh with one axis, `KARTS`; each device then steps its
own part and none waits for another. What an environment does depends neither on the batch nor on
the device it is in: what is drawn at random is drawn for the whole batch, and each device takes its
own part.
"""

from functools import partial

import chex
import jax
from jax.sharding import Mesh, PartitionSpec

from kart_jax.devices import KARTS, own_part
from kart_jax.env.core import RaceEnv, Step
from kart_jax.env.kart import KartEnv
from kart_jax.env.params import EnvParams
from kart_jax.env.types import EnvState, Observation
from kart_jax.errors import InputError

Env = KartEnv | RaceEnv


def _keys(key: chex.PRNGKey, count: int, axis: str | None) -> chex.PRNGKey:
    """Return the keys (count,) of this device's environments."""
    devices = 1 if axis is None else jax.lax.axis_size(axis)
    return own_part(jax.random.split(key, count * devices), axis)


def reset_batch(
    env: Env,
    key: chex.PRNGKey,
    params: EnvParams,
    count: int,
    varied: bool = False,
    mesh: Mesh | None = None,
) -> tuple[Observation, EnvState]:
    """Reset `count` environments.

    Args:
        env: the environment.
        key: one key; environment i gets the i-th of its `count` splits.
        params: of all environments, or with a leading axis (count,) on every leaf if `varied`.
        count: environments.
        varied: whether `params` differ between environments.
        mesh: of `kart_mesh`, to split the batch over its devices; `count` must be a multiple of
            their number.
    """
    axis, devices = (None, 1) if mesh is None else (KARTS, mesh.size)

    def part(env: Env, key: chex.PRNGKey, params: EnvParams) -> tuple[Observation, EnvState]:
        keys = _keys(key, count // devices, axis)
        return jax.vmap(env.reset, in_axes=(0, 0 if varied else None))(keys, params)

    karts, shared = PartitionSpec(KARTS), PartitionSpec()
    split = _split(part, (shared, shared, karts if varied else shared), count, mesh)
    return split(env, key, params)


def step_batch(
    env: Env,
    key: chex.PRNGKey,
    state: EnvState,
    action: chex.Array,
    params: EnvParams,
    varied: bool = False,
    mesh: Mesh | None = None,
    final: bool = False,
) -> Step:
    """Step a batch of B environments.

    Args:
        env: the environment.
        key: one key; environment i gets the i-th of its B splits.
        state: of `reset_batch` or the last step, every field with a leading axis (B,).
        action: (B, 2), or (B, K, 2) for races of K karts.
        params: of all environments, or with a leading axis (B,) on every leaf if `varied`.
        varied: whether `params` differ between environments.
        mesh: of `kart_mesh`, to split the batch over its devices; B must be a multiple of their
            number.
        final: whether to return `info.final_observation`, which is None otherwise: returned from a
            jitted function it costs a second picture.
    """

    part = partial(step_part, varied=varied, axis=None if mesh is None else KARTS)
    karts, shared = PartitionSpec(KARTS), PartitionSpec()
    split = _split(
        part, (shared, shared, karts, karts, karts if varied else shared), action.shape[0], mesh
    )
    observation, state, reward, terminated, truncated, info = split(env, key, state, action, params)
    info = info if final else info.replace(final_observation=None)
    return observation, state, reward, terminated, truncated, info


def step_part(
    env: Env,
    key: chex.PRNGKey,
    state: EnvState,
    action: chex.Array,
    params: EnvParams,
    varied: bool = False,
    axis: str | None = None,
) -> Step:
    """Step this device's part of a batch inside a `jax.shard_map` of the caller's.

    `axis` is the mesh axis that the map is over, None without one; the rest as in `step_batch`.
    """
    keys = _keys(key, action.shape[0], axis)
    return jax.vmap(env.step, in_axes=(0, 0, 0, 0 if varied else None))(keys, state, action, params)


def _split(part, in_specs: tuple[PartitionSpec, ...], count: int, mesh: Mesh | None):
    """Run `part` on every device of the mesh with its share of `count` environments.

    Without a mesh it is returned as it is.
    """
    if mesh is None:
        return part
    if count % mesh.size:
        raise InputError(
            f"{count} environments cannot be split over {mesh.size} devices; use a multiple of "
            f"{mesh.size}"
        )
    # Nothing is exchanged between devices, so there is nothing for the check of varying values to
    # find.
    return partial(
        jax.shard_map, mesh=mesh, in_specs=in_specs, out_specs=PartitionSpec(KARTS), check_vma=False
    )(part)
