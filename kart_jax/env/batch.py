"""Many environments at once: one key per batch and step, split here and nowhere else.

A batch may be split over the devices of a mesh with one axis, `KARTS`; each device then steps its own part and none
waits for another. What an environment does depends neither on the batch nor on the device it is in.
"""

from functools import partial

import chex
import jax
from jax.sharding import AxisType, Mesh, PartitionSpec

from kart_jax.env.core import KartEnv, Observation
from kart_jax.env.params import EnvParams
from kart_jax.env.types import EnvState, StepInfo
from kart_jax.errors import InputError

KARTS = "karts"  # name of the mesh axis


def kart_mesh(count: int | None = None) -> Mesh:
    """A mesh for `reset_batch` and `step_batch` over the first `count` devices, default all of this process.

    On a CPU there is one device unless `jax.config.update("jax_num_cpu_devices", cores)` comes before the first use
    of JAX. InputError when there are not so many.
    """
    devices = jax.local_devices()
    count = len(devices) if count is None else count
    if not 1 <= count <= len(devices):
        raise InputError(f"{count} devices are asked for; this process has {len(devices)}; ask for 1 to {len(devices)}")
    return jax.make_mesh((count,), (KARTS,), axis_types=(AxisType.Auto,), devices=devices[:count])


def reset_batch(
    env: KartEnv, key: chex.PRNGKey, params: EnvParams, count: int, varied: bool = False, mesh: Mesh | None = None
) -> tuple[Observation, EnvState]:
    """Reset `count` environments.

    Args:
        env: the environment.
        key: one key; environment i gets the i-th of its `count` splits.
        params: of all environments, or with a leading axis (count,) on every leaf if `varied`.
        count: environments.
        varied: whether `params` differ between environments.
        mesh: of `kart_mesh`, to split the batch over its devices; `count` must be a multiple of their number.
    """

    def part(env: KartEnv, keys: chex.PRNGKey, params: EnvParams) -> tuple[Observation, EnvState]:
        return jax.vmap(env.reset, in_axes=(0, 0 if varied else None))(keys, params)

    karts, shared = PartitionSpec(KARTS), PartitionSpec()
    split = _split(part, (shared, karts, karts if varied else shared), count, mesh)
    return split(env, jax.random.split(key, count), params)


def step_batch(
    env: KartEnv,
    key: chex.PRNGKey,
    state: EnvState,
    action: chex.Array,
    params: EnvParams,
    varied: bool = False,
    mesh: Mesh | None = None,
) -> tuple[Observation, EnvState, chex.Array, chex.Array, chex.Array, StepInfo]:
    """Step a batch; every field of `state` and `action` (B, 2) has the leading axis, see `reset_batch`."""

    def part(env: KartEnv, keys: chex.PRNGKey, state: EnvState, action: chex.Array, params: EnvParams):
        return jax.vmap(env.step, in_axes=(0, 0, 0, 0 if varied else None))(keys, state, action, params)

    count = action.shape[0]
    karts, shared = PartitionSpec(KARTS), PartitionSpec()
    split = _split(part, (shared, karts, karts, karts, karts if varied else shared), count, mesh)
    return split(env, jax.random.split(key, count), state, action, params)


def _split(part, in_specs: tuple[PartitionSpec, ...], count: int, mesh: Mesh | None):
    """`part` as it is, or run on every device of the mesh with its share of the `count` environments."""
    if mesh is None:
        return part
    if count % mesh.size:
        raise InputError(
            f"{count} environments cannot be split over {mesh.size} devices; use a multiple of {mesh.size}"
        )
    # Nothing is exchanged between devices, so there is nothing for the check of varying values to find.
    return partial(jax.shard_map, mesh=mesh, in_specs=in_specs, out_specs=PartitionSpec(KARTS), check_vma=False)(part)
