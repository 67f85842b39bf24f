"""How many devices a CPU is cut into, which must be said before JAX is used."""

import contextlib


def offer_devices(count: int) -> None:
    """Cut the CPU into as many devices as are asked for, unless JAX runs already."""
    import jax

    with contextlib.suppress(RuntimeError):
        jax.config.update("jax_num_cpu_devices", count)
