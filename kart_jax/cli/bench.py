"""`kart bench`: a short version of every benchmark, and where the time of an update goes."""

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from kart_jax.cli.flags import parse
from kart_jax.cli.output import emit_json, table
from kart_jax.errors import InputError

EXAMPLES = """
kart bench
kart bench --only env_throughput render
kart bench --peers --out benchmarks/results/machine.jsonl
"""

# Script and the question that it answers, in the order in which they are run; the one that says
# where the time goes comes last.
SCRIPTS = {
    "render": "how fast is the view?",
    "env_throughput": "how fast is the environment, part by part?",
    "scaling": "what do more devices bring?",
    "memory": "how much memory does it take?",
    "compile_time": "how long does the first update wait for the compiler?",
    "hot_loop": "which way of each part of training is the fastest?",
    "peers": "how fast are others, here?",
    "ppo_throughput": "how fast is training, and where does its time go?",
}
Name = Literal[
    "render",
    "env_throughput",
    "scaling",
    "memory",
    "compile_time",
    "hot_loop",
    "peers",
    "ppo_throughput",
]


@dataclasses.dataclass(frozen=True)
class BenchConfig:
    """Measure this machine: every benchmark in short, and where the time of an update goes.

    Takes some minutes. The scripts themselves, in benchmarks/, measure longer and take more flags.
    """

    only: tuple[Name, ...] | None = None
    """Which benchmarks. Not given: all but peers."""
    peers: bool = False
    """Measure other people's environments and learners, too: installs hundreds of MB into a folder
    in the cache."""
    out: str | None = None
    """Append the JSON line of each benchmark to this file."""
    json: bool = False
    """Print the figures as JSON."""

    def __post_init__(self) -> None:
        """Refuse an empty choice."""
        if self.only is not None and not self.only:
            raise InputError(f"--only is empty; choose among {', '.join(SCRIPTS)}")

    @property
    def chosen(self) -> list[str]:
        """The benchmarks to run, in order."""
        wanted = {*(self.only or SCRIPTS)} - ({"peers"} if self.only is None else set())
        return [name for name in SCRIPTS if name in wanted or (self.peers and name == "peers")]


def benchmarks_package() -> str:
    """Return the name of the package of benchmarks: the checkout's, or the installed one's."""
    package = Path(__file__).resolve().parents[1]
    places = {
        "benchmarks": package.parent / "benchmarks",
        "kart_jax._benchmarks": package / "_benchmarks",
    }
    for name, folder in places.items():
        if (folder / "measure" / "report.py").is_file():
            return name
    raise InputError(
        f"{package}: its benchmarks are missing; install kart_jax anew, or use a checkout"
    )


def run(words: Sequence[str]) -> int:
    """Run `kart bench`; 1 when a benchmark failed."""
    config = parse(BenchConfig, "bench", words, EXAMPLES)
    if config.out is not None:
        Path(config.out).parent.mkdir(parents=True, exist_ok=True)
        Path(config.out).open("a").close()

    results, failed = [], []
    for name in config.chosen:
        if not config.json:
            print(f"{name}: {SCRIPTS[name]}", flush=True)
        result = run_script(f"{benchmarks_package()}.{name}", config)
        if result is None:
            failed.append(name)
        else:
            results.append(result)
        if not config.json:
            print(flush=True)

    if config.json:
        emit_json({"benchmarks": results, "failed": failed})
    else:
        for result in results:
            if result["benchmark"] == "ppo_throughput":
                print(f"where the time goes:\n{where_the_time_goes(result)}")
        if "peers" not in config.chosen and config.only is None:
            print("others were left out; `kart bench --peers` installs and measures them")
    for name in failed:
        print(f"kart: the benchmark {name} failed", file=sys.stderr)
    return 1 if failed else 0


def run_script(module: str, config: BenchConfig) -> dict[str, Any] | None:
    """Run one script in a process of its own, which shows its table.

    Returns:
        The content of its JSON line, or None when it failed.
    """
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    with tempfile.TemporaryDirectory() as name:
        out = Path(name) / "line.jsonl"
        # -P: a folder of the user's that is called benchmarks is not meant.
        command = [sys.executable, "-P", "-m", module, "--quick", "--out", str(out)]
        done = subprocess.run(
            command, stdout=sys.stderr if config.json else None, env=environment, check=False
        )
        line = out.read_text() if out.is_file() else ""

    if done.returncode or not line:
        return None
    if config.out is not None:
        with Path(config.out).open("a") as file:
            file.write(line)
    return json.loads(line)


def where_the_time_goes(result: dict[str, Any]) -> str:
    """Show milliseconds and share of each part of an update, from the line of `ppo_throughput`."""
    cells = [
        [row["part"], f"{1e3 * row['seconds']['median']:.1f}", f"{100 * row['share']:.1f} %"]
        for row in result["rows"]
        if row.get("share") is not None and row["part"] != "bare network"
    ]
    return table(["part of an update", "ms", "share"], cells)
