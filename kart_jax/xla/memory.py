"""The memory of large results on a CPU, which glibc is told to keep. Why: `kart_jax.xla`."""

import ctypes
import sys

# Parameters of mallopt(3), by the numbers of glibc's <malloc.h>, and what they are set to.
KEEPING = {
    -1: -1,  # M_TRIM_THRESHOLD, free bytes at the end of the heap that go back: never any
    -4: 0,  # M_MMAP_MAX, blocks that lie outside of the heap
    -8: 1,  # M_ARENA_MAX, heaps: those of threads cannot hold a large block
}


def keep_memory() -> bool:
    """Let this process keep the memory of dropped results for new ones; call it before JAX starts.

    On a CPU every call of a program puts its results into memory that is asked for anew.
    Observations of thousands of karts are tens or hundreds of megabytes, and glibc returns blocks
    of that size to the system, which clears each page before it hands it out again. With that
    memory kept such a step is half as fast again. With few karts it may be much slower, because
    threads then wait for one another at the one heap (docs/performance.md). The process stays as
    large as it has been.

    Returns:
        Whether glibc took it; elsewhere than on Linux with glibc nothing is done.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc is None or not hasattr(libc, "gnu_get_libc_version"):
        return False
    return all([libc.mallopt(parameter, value) for parameter, value in KEEPING.items()])
