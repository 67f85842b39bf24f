"""Several hosts as one machine: how they find each other, and what they must agree on.

Every process runs the same program on the same request, drives the karts of its own devices and
comes to the same decisions; the first alone writes. Whatever only one process can know goes through
`broadcast` or `any_of`.
"""

import json
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Sharding

from kart_jax.errors import InputError

AUTOMATIC = "auto"
MAX_WORD = 4096  # bytes of what one process may tell the others


def join(coordinator: str | None, count: int | None, number: int | None) -> None:
    """Make this process one of several, before the first use of JAX.

    It does nothing without a coordinator.

    Args:
        coordinator: host:port of the first process, or `auto` where JAX can ask Slurm, Open MPI or
            Kubernetes.
        count: processes; left out with `auto`.
        number: of this one, from 0; left out with `auto`.
    """
    given = {"--hosts": count, "--host": number}
    if coordinator is None:
        for flag, value in given.items():
            if value is not None:
                raise InputError(
                    f"{flag} is {value}, but there is no --coordinator; add the first host's "
                    "host:port"
                )
        return

    if coordinator != AUTOMATIC:
        address, _, port = coordinator.rpartition(":")
        if not address or not port.isdigit() or not 0 < int(port) < 65536:
            raise InputError(
                f"--coordinator is {coordinator!r}; it must be {AUTOMATIC}, or host:port of the "
                "first host"
            )
        if count is None or number is None or count < 1 or not 0 <= number < count:
            raise InputError(
                f"--hosts is {count} and --host is {number}; with a --coordinator give the number "
                "of hosts, and which of them this is, from 0"
            )

    address = None if coordinator == AUTOMATIC else coordinator
    try:
        jax.distributed.initialize(address, count, number)
    except (RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"--coordinator {coordinator}: the hosts do not come together ({reason}); give "
            f"host:port of the first, or {AUTOMATIC} in a job of Slurm, Open MPI or Kubernetes"
        ) from error


def several() -> bool:
    """Return whether other processes take part."""
    return jax.process_count() > 1


def first() -> bool:
    """Return whether this process is the one that writes."""
    return jax.process_index() == 0


def any_of(flag: bool) -> bool:
    """Return whether the flag is set in any process; all must ask at the same point."""
    return bool(np.any(multihost_utils.process_allgather(np.asarray(flag)))) if several() else flag


def broadcast(word: str) -> str:
    """Return the word of the first process.

    All must ask at the same point; the others' own words do not matter.
    """
    if not several():
        return word
    text = json.dumps(word).encode()
    if len(text) > MAX_WORD:
        raise InputError(
            f"{word[:80]} ... is {len(text)} bytes long; hosts can share up to {MAX_WORD}; "
            "shorten it"
        )
    shared = multihost_utils.broadcast_one_to_all(np.frombuffer(text.ljust(MAX_WORD), np.uint8))
    answer: str = json.loads(bytes(np.asarray(shared, np.uint8)).decode())
    return answer


def place(tree: Any, places: Any) -> Any:
    """Put a tree of arrays, equal in all processes, on the devices of all of them.

    Args:
        tree: arrays of this process, or arrays that lie on all devices already.
        places: the same tree, or a prefix of it, of shardings.
    """
    return jax.tree.map(
        lambda where, part: jax.tree.map(partial(_place_leaf, where=where), part), places, tree
    )


def _place_leaf(leaf: jax.Array, where: Sharding) -> jax.Array:
    """Put one array, or typed keys, on the devices of a sharding."""
    if where.is_fully_addressable or not leaf.is_fully_addressable:
        moved: jax.Array = jax.device_put(leaf, where)
        return moved
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(_place_leaf(jax.random.key_data(leaf), where))
    numbers = np.asarray(leaf)
    return jax.make_array_from_callback(numbers.shape, where, lambda index: numbers[index])


def gather(tree: Any) -> Any:
    """Bring arrays that lie on the devices of all processes, whole, to each.

    All must ask at the same point.
    """
    return jax.tree.map(_gather_leaf, tree) if several() else tree


def _gather_leaf(leaf: jax.Array) -> jax.Array:
    """Bring one array, or typed keys, whole to this process."""
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(_gather_leaf(jax.random.key_data(leaf)))
    if leaf.is_fully_replicated:
        return leaf.addressable_data(0)
    return jnp.asarray(multihost_utils.process_allgather(leaf, tiled=True))
