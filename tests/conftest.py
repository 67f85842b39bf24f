"""What all tests share: the CPU as platform, in eight devices, a compilation cache, a small
circuit."""

import dataclasses
import os
import shutil
from importlib import metadata
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # XLA's remarks about the machine
# Most of a test's time is compilation: less than half as long without LLVM's work for speed and,
# before jaxlib 0.11, with XLA's older loops. What comes out is slower and means the same.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
    if metadata.version("jaxlib").startswith("0.10.")
    else "--xla_backend_optimization_level=0",
)

import jax
import numpy as np
import pytest

# Compiled programs are kept between runs and shared by the test processes;
# JAX_COMPILATION_CACHE_DIR moves them.
CACHE = Path(__file__).resolve().parents[1] / ".pytest_cache" / "jax"

# For what must be compiled as users compile it: products and sums fused, where rounding matters.
OPTIMISED = {"xla_backend_optimization_level": 2}
if "xla_cpu_use_fusion_emitters" in os.environ["XLA_FLAGS"]:
    OPTIMISED["xla_cpu_use_fusion_emitters"] = True

jax.config.update(
    "jax_compilation_cache_dir", os.environ.get("JAX_COMPILATION_CACHE_DIR") or str(CACHE)
)
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)
jax.devices()  # made now, so that no test that runs a command can ask for another number first


@pytest.fixture(scope="session")
def oval():
    """Tracks (T = 1): two straights of 120 m and two half circles of radius 25 m, 8 m wide, driven
    to the left.

    The start line is in the middle of the lower straight, which runs east through the origin; the
    lap is 2 * 120 + 2 pi 25 = 397.08 m along the centre line.
    """
    from kart_jax.track.field import build

    return build(oval_line())


def oval_line(straight: float = 120.0, radius: float = 25.0, half_width: float = 4.0):
    """The `CentreLine` of the oval, sampled every metre from the analytic curve."""
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


def oval_csv(path: Path, straight: float = 120.0, radius: float = 25.0) -> Path:
    """Write the oval as a centre-line CSV with half-widths of 4 m; returns the path."""
    length = 2 * straight + 2 * np.pi * radius
    points = [oval_point(s, straight, radius) for s in np.arange(0.0, length, 2.0)]
    rows = "\n".join(f"{x:.4f},{y:.4f},4.0,4.0" for x, y in points)
    path.write_text(f"# x_m,y_m,w_tr_right_m,w_tr_left_m\n{rows}\n")
    return path


@pytest.fixture(scope="session")
def circle_log():
    """Telemetry of three laps of a circle of 100 m, as `circle_motion` describes, at 25 rows per
    second."""
    return make_circle_log()


def circle_motion(time):
    """Distance in m and speed in m/s at `time` s on the circle: 10 m/s with a wave of 2 m/s every 7
    s, from -6 m."""
    wave = 2 * np.pi / 7.0
    return -6.0 + 10.0 * time + 2.0 / wave * (1.0 - np.cos(wave * time)), 10.0 + 2.0 * np.sin(
        wave * time
    )


def make_circle_log(seconds: float = 33.0, rate: float = 25.0, start: float = 0.0):
    """A `Log` of `circle_motion`; sector lines at 0, 30 and 70 m; every channel that plots and
    videos read."""
    from kart_jax.race.channels import NAMES
    from kart_jax.telemetry.log import Log

    time = np.arange(1, round(seconds * rate) + 1) / rate
    distance, speed = circle_motion(time)
    along = distance % 100.0
    angle = along / 100.0 * 2 * np.pi
    radius = 100.0 / (2 * np.pi)
    lap = np.maximum(np.floor(distance / 100.0), 0.0)
    lines = np.array([0.0, 30.0, 70.0])
    columns = dict.fromkeys(NAMES, np.zeros_like(time)) | {
        "step": np.arange(len(time)),
        "time": start + time,
        "lap": lap,
        "distance": distance,
        "lap_distance": along,
        "sector_distance": along - lines[np.searchsorted(lines, along, side="right") - 1],
        "x": radius * np.cos(angle),
        "y": radius * np.sin(angle),
        "heading": np.degrees(np.angle(1j * np.exp(1j * angle))),
        "speed": speed * 3.6,
        "steering": np.full_like(time, 12.0),
        "throttle": 50.0 + 50.0 * np.sin(time),
        "brake": np.clip(-100.0 * np.sin(time), 0.0, 100.0),
        "lateral_g": speed**2 / radius / 9.80665,
        "gear": np.ones_like(time),
        "rpm": np.full_like(time, 2500.0),
        "on_track": np.ones_like(time),
        "lap_valid": np.ones_like(time),
        "lap_time": np.where(distance > 0, time, np.nan),
        "last_lap": np.full_like(time, np.nan),
        "best_lap": np.full_like(time, np.nan),
    }
    return Log(
        NAMES, np.column_stack([columns[name] for name in NAMES]).astype(np.float32), "circle.csv"
    )


@pytest.fixture
def on_ring(monkeypatch):
    """Training drives on the ring of `ring_env`, and so does who is examined."""
    from ring_env import RingEnv
    from ring_runs import sham_exam

    from train.evaluation import selection
    from train.run import prepare

    monkeypatch.setattr(prepare, "make_env", lambda config: RingEnv())
    monkeypatch.setattr(selection, "hold", sham_exam)


@pytest.fixture(scope="session")
def unbroken(tmp_path_factory):
    """A finished run on the ring that nothing disturbed, with its result."""
    from ring_env import RingEnv
    from ring_runs import SMALL, run

    from train.run import prepare

    runs = tmp_path_factory.mktemp("unbroken")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepare, "make_env", lambda config: RingEnv())
        finished, result, _ = run(dataclasses.replace(SMALL, runs_dir=str(runs), save_name="whole"))
    return finished, result


@pytest.fixture
def copied(unbroken, tmp_path):
    """A copy of that run to be damaged at will; (run folder, runs folder)."""
    from train.run.run_folder import RunFolder

    shutil.copytree(unbroken[0].folder.path, tmp_path / "whole")
    return RunFolder(tmp_path / "whole"), tmp_path
