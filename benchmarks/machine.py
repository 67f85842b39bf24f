"""What a figure was measured on: processor, memory, devices, versions and the commit of the
code."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

CONTROL_GROUPS = Path("/sys/fs/cgroup")
PACKAGES = ("kart_jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "chex", "numpy")


def processor() -> str:
    """Name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def memory_gb() -> float | None:
    """Main memory in GB that this process may use, in a container its share; None where the system
    does not tell."""
    try:
        there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    for limit in (
        "memory.max",
        "memory/memory.limit_in_bytes",
    ):  # of control groups, version 2 and 1
        try:
            there = min(there, int((CONTROL_GROUPS / limit).read_text()))
        except (OSError, ValueError):  # no such group, or "max"
            continue
    return there / 1e9


def versions() -> dict[str, str]:
    """Version of Python and of each package that matters here and is installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str | None:
    """Commit of the checkout that this file is in, `+` behind it if files differ; None outside a
    checkout."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        git(
            "ls-files", "--error-unmatch", Path(__file__).name
        )  # an installed copy may lie in another project's checkout
        return git("rev-parse", "HEAD") + (
            "+" if git("status", "--porcelain", "--untracked-files=no") else ""
        )
    except (OSError, subprocess.CalledProcessError):
        return None


def devices() -> dict[str, Any]:
    """The devices of JAX in this process; starts its backend."""
    import jax

    found = jax.local_devices()
    return {"backend": jax.default_backend(), "kind": found[0].device_kind, "count": len(found)}


def stamp() -> dict[str, Any]:
    """Everything above, for the JSON line."""
    return {
        "commit": commit(),
        "versions": versions(),
        "machine": {
            "processor": processor(),
            "cores": cores(),
            "memory_gb": memory_gb(),
            "system": f"{platform.system()} {platform.machine()}",
        },
        "device": devices(),
    }


def peak_memory() -> int | None:
    """Most bytes so far on the fullest device, or of this process where the device is the CPU; None
    = not known."""
    import jax

    told = [
        (device.memory_stats() or {}).get("peak_bytes_in_use") for device in jax.local_devices()
    ]
    known = [value for value in told if value is not None]
    if known:
        return max(known)
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    peaks = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")]
    return peaks[0] if peaks else None


def memory_of(compiled: Any) -> int | None:
    """Bytes that a compiled program holds on one device by the compiler's account: arguments,
    results that do not take the place of an argument, and what it needs meanwhile; None = not
    told."""
    told = compiled.memory_analysis()
    if told is None:
        return None
    parts = (getattr(told, f"{part}_size_in_bytes", 0) for part in ("argument", "output", "temp"))
    return sum(parts) - getattr(told, "alias_size_in_bytes", 0)


def out_of_memory(error: Exception) -> bool:
    """Whether a device refused a program because its memory is too small."""
    return "RESOURCE_EXHAUSTED" in str(error) or "out of memory" in str(error).lower()
