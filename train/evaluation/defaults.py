"""How a driver is examined where nobody asks for other numbers.

This file imports nothing, so that `kart eval --help` need not wait for JAX.
"""

DRIVES = 8  # per track and driver; in the exam at the end of a run, over all of its circuits
LAPS = 2  # that a drive has time for, after the way to the line
