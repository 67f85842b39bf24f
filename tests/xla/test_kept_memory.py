"""The memory of results that are dropped is there for those that come."""

import subprocess
import sys

import pytest

from kart_jax.xla import memory

# Page faults of ten arrays of 64 MB, one after another; the first one comes before.
ARRAYS = """
import resource, sys
import numpy as np
from kart_jax.xla.memory import keep_memory

kept = keep_memory() if sys.argv[1] == "keep" else None
def fill(): return np.ones(64_000_000, np.uint8)
fill()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10): fill()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc is asked for")
def test_memory_is_fetched_once_and_not_for_every_array():
    found = {}
    for how in ("keep", "leave"):
        command = [sys.executable, "-c", ARRAYS, how]
        found[how] = subprocess.run(
            command, capture_output=True, text=True, check=True
        ).stdout.split()
    if found["keep"][0] != "True":
        pytest.skip("the C library is not glibc")
    assert int(found["keep"][1]) < 100 and int(found["leave"][1]) > 1000


# By how many bytes the heap grows for three gigabytes that nobody touches, and shrinks when they
# are given back.
SHRINKING = """
import ctypes
from kart_jax.xla.memory import keep_memory

keep_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.sbrk.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
libc.sbrk.argtypes = [ctypes.c_ssize_t]
begin = libc.sbrk(0)
block = libc.malloc(3_000_000_000)
end = libc.sbrk(0)
libc.free(block)
print(end - begin, end - libc.sbrk(0))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc is asked for")
def test_memory_of_gigabytes_is_kept_too():
    done = subprocess.run(
        [sys.executable, "-c", SHRINKING], capture_output=True, text=True, check=True
    )
    grown, shrunk = map(int, done.stdout.split())
    if grown < 3_000_000_000:
        pytest.skip("the C library is not glibc, or there is no room")
    assert shrunk == 0


def test_elsewhere_nothing_is_done(monkeypatch):
    monkeypatch.setattr(memory.sys, "platform", "darwin")
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: pytest.fail("no library is asked"))
    assert memory.keep_memory() is False
