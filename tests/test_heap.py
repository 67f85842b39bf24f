"""The memory of results that are dropped is there for those that come."""

import subprocess
import sys

import pytest

from kart_jax import heap

# Page faults of ten arrays of 64 MB, one after another; the first one comes before.
ARRAYS = """
import resource, sys
import numpy as np
from kart_jax.heap import keep_memory

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
        found[how] = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    if found["keep"][0] != "True":
        pytest.skip("the C library is not glibc")
    assert int(found["keep"][1]) < 100 and int(found["leave"][1]) > 1000


def test_elsewhere_nothing_is_done(monkeypatch):
    monkeypatch.setattr(heap.sys, "platform", "darwin")
    monkeypatch.setattr(heap.ctypes, "CDLL", lambda name: pytest.fail("no library is asked"))
    assert heap.keep_memory() is False
