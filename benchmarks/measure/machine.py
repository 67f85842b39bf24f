"""What a figure was measured on: processor, memory, devices, versions and commit."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

CONTROL_GROUPS = Path("/sys/fs/cgroup")
MEMORY_LIMITS = ("memory.max", "memory/memory.limit_in_bytes")  # of control groups, version 2 and 1
PACKAGES = ("kart_jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "chex", "numpy")


def processor() -> str:
    """Return the name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def cores() -> int:
    """Count the cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def memory_gb() -> float | None:
    """Return the main memory in GB that this process may use; None where it is not told.

    In a container only its share counts.
    """
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    for limit in MEMORY_LIMITS:
        try:
            size = min(size, int((CONTROL_GROUPS / limit).read_text()))
        except (OSError, ValueError):  # no such group, or "max"
            continue
    return size / 1e9


def versions() -> dict[str, str]:
    """Return the version of Python and of each package that matters here and is installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str | None:
    """Return the commit of the checkout that this file is in; None outside a checkout.

    `+` stands behind it if files differ.
    """

    def git(*words: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        # An installed copy may lie in another project's checkout.
        git("ls-files", "--error-unmatch", Path(__file__).name)
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def devices() -> dict[str, Any]:
    """Describe the devices of JAX in this process; starts its backend."""
    import jax

    found = jax.local_devices()
    return {"backend": jax.default_backend(), "kind": found[0].device_kind, "count": len(found)}


def stamp() -> dict[str, Any]:
    """Return everything above, for the JSON line."""
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
    """Return the most bytes held so far on the fullest device; None = not known.

    Where the device is the CPU, they are those of this process.
    """
    import jax

    stats = [device.memory_stats() or {} for device in jax.local_devices()]
    known = [one["peak_bytes_in_use"] for one in stats if "peak_bytes_in_use" in one]
    if known:
        return max(known)

    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    peaks = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")]
    return peaks[0] if peaks else None


def memory_of(compiled: Any) -> int | None:
    """Return the bytes that a compiled program holds on one device; None = not told.

    By the compiler's account: arguments, results that do not take the place of an argument, and
    what it needs meanwhile.
    """
    account = compiled.memory_analysis()
    if account is None:
        return None
    names = (f"{part}_size_in_bytes" for part in ("argument", "output", "temp"))
    held = sum(getattr(account, name, 0) for name in names)
    return held - getattr(account, "alias_size_in_bytes", 0)


def out_of_memory(error: Exception) -> bool:
    """Return whether a device refused a program because its memory is too small."""
    return "RESOURCE_EXHAUSTED" in str(error) or "out of memory" in str(error).lower()
