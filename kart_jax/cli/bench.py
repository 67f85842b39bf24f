"""`kart bench`: a short version of every benchmark, each in a process of its own, and where the
time goes."""

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

# Script and the question that it answers, in the order in which they are run; the one with the
# breakdown comes last.
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
    """Measure this machine: a short version of every benchmark, and where the time of a training
    update goes.

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


def folder() -> Path:
    """Where the scripts are: in the checkout, or in the installed package."""
    package = Path(__file__).resolve().parents[1]
    for place in (package.parent / "benchmarks", package / "_benchmarks"):
        if (place / "report.py").is_file():
            return place
    raise InputError(
        f"{package}: its benchmarks are missing; install kart_jax anew, or use a checkout"
    )


def run(words: Sequence[str]) -> int:
    """Run `kart bench`; 1 when a benchmark failed."""
    config = parse(BenchConfig, "bench", words, EXAMPLES)
    if config.out is not None:
        Path(config.out).parent.mkdir(parents=True, exist_ok=True)
        Path(config.out).open("a").close()
    records, failed = [], []
    for name in config.chosen:
        if not config.json:
            print(f"{name}: {SCRIPTS[name]}", flush=True)
        record = measure(folder() / f"{name}.py", config)
        (failed if record is None else records).append(name if record is None else record)
        if not config.json:
            print(flush=True)
    if config.json:
        emit_json({"benchmarks": records, "failed": failed})
    else:
        for record in records:
            if record["benchmark"] == "ppo_throughput":
                print(f"where the time goes:\n{where_the_time_goes(record)}")
        if "peers" not in config.chosen and config.only is None:
            print("others were left out; `kart bench --peers` installs and measures them")
    for name in failed:
        print(f"kart: the benchmark {name} failed", file=sys.stderr)
    return 1 if failed else 0


def measure(script: Path, config: BenchConfig) -> dict[str, Any] | None:
    """Run one script, which shows its table; returns its record, or None when it failed."""
    package = str(Path(__file__).resolve().parents[2])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    known = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    with tempfile.TemporaryDirectory() as name:
        out = Path(name) / "line.jsonl"
        command = [sys.executable, str(script), "--quick", "--out", str(out)]
        done = subprocess.run(
            command, stdout=sys.stderr if config.json else None, env=known, check=False
        )
        line = out.read_text() if out.is_file() else ""
    if done.returncode or not line:
        return None
    if config.out is not None:
        with Path(config.out).open("a") as file:
            file.write(line)
    return json.loads(line)


def where_the_time_goes(record: dict[str, Any]) -> str:
    """Milliseconds and share of each part of an update, from the record of `ppo_throughput`."""
    rows = [
        row
        for row in record["rows"]
        if row.get("share") is not None and row["part"] != "bare network"
    ]
    cells = [
        [row["part"], f"{1e3 * row['seconds']['median']:.1f}", f"{100 * row['share']:.1f} %"]
        for row in rows
    ]
    return table(["part of an update", "ms", "share"], cells)
