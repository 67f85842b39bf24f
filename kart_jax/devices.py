"""The devices that karts are split over: a mesh of one axis, and each device's part of a batch."""

import chex
import jax
from jax.sharding import AxisType, Mesh

from kart_jax.errors import InputError

KARTS = "karts"  # name of the mesh axis


def kart_mesh(count: int | None = None) -> Mesh:
    """Return a mesh for `reset_batch` and `step_batch` over the first `count` devices.

    By default over all devices, of whatever process. On a CPU there is one device unless
    `jax.config.update("jax_num_cpu_devices", cores)` comes before the first use of JAX.

    Raises:
        InputError: there are not so many devices.
    """
    devices = jax.devices()
    count = len(devices) if count is None else count
    if not 1 <= count <= len(devices):
        raise InputError(
            f"{count} devices are asked for; there are {len(devices)}; ask for 1 to {len(devices)}"
        )
    return jax.make_mesh((count,), (KARTS,), axis_types=(AxisType.Auto,), devices=devices[:count])


def own_part(whole: chex.Array, axis: str | None) -> chex.Array:
    """Return this device's part of an array with a leading axis over the whole batch.

    Where `axis` is None, that is all of it. Otherwise the call stands inside `jax.shard_map` over
    the mesh axis `axis`, whose size divides the length of the array.
    """
    if axis is None:
        return whole
    count = whole.shape[0] // jax.lax.axis_size(axis)
    return jax.lax.dynamic_slice_in_dim(whole, jax.lax.axis_index(axis) * count, count)
