"""What all tests share: the CPU as platform, strict shapes, a compilation cache, a small circuit."""

import os
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # XLA's remarks about the machine

import jax
import numpy as np
import pytest

CACHE = Path(__file__).resolve().parents[1] / ".pytest_cache" / "jax"

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_compilation_cache_dir", str(CACHE))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


@pytest.fixture(scope="session")
def oval():
    """Tracks (T = 1): two straights of 120 m and two half circles of radius 25 m, 8 m wide, driven to the left.

    The start line is in the middle of the lower straight, which runs east through the origin; the lap is
    2 * 120 + 2 pi 25 = 397.08 m along the centre line.
    """
    from kart_jax.track.field import build

    return build(oval_line())


def oval_line(straight: float = 120.0, radius: float = 25.0, half_width: float = 4.0):
    """The `Line` of the oval, sampled every metre from the analytic curve."""
    from kart_jax.track.line import resample

    length = 2 * straight + 2 * np.pi * radius
    s = np.linspace(0.0, length, round(length), endpoint=False)
    points = np.array([oval_point(value, straight, radius) for value in s])
    half = np.full(len(points), half_width)
    return resample(points, half, half)


def oval_point(s: float, straight: float = 120.0, radius: float = 25.0) -> tuple[float, float]:
    """Point of the oval's centre line at arc length `s` from the start line."""
    bend = np.pi * radius
    s = (s + straight / 2) % (2 * (straight + bend))
    if s < straight:
        return s - straight / 2, 0.0
    if s < straight + bend:
        angle = (s - straight) / radius
        return straight / 2 + radius * np.sin(angle), radius * (1 - np.cos(angle))
    if s < 2 * straight + bend:
        return straight / 2 - (s - straight - bend), 2 * radius
    angle = (s - 2 * straight - bend) / radius
    return -straight / 2 - radius * np.sin(angle), radius * (1 + np.cos(angle))
