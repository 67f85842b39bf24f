"""Other people's environments and learners beside ours, on the same machine in the same run.

    python benchmarks/peers.py
    python benchmarks/peers.py --only envpool kart_jax --environment FOLDER
    python benchmarks/peers.py --python PATH            a Python that has the packages

Gymnasium CarRacing alone and under Stable-Baselines3's PPO, EnvPool's CarRacing, JAXenstein's maze.
Their packages are installed into a throw-away environment, which is kept for the next time; what
cannot be installed is left out, and the reason stands in its row. CarRacing draws 96x96 pictures,
JAXenstein and kart_jax 84x84; PPO sees 84x84 in both cases, with the same convolutions and heads,
samples per update, epochs and batch.
"""

import argparse
import dataclasses
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import fresh
import machine
import report
import throwaway
from report import Row
from timing import Spread

from kart_jax.errors import InputError

HERE = Path(__file__).resolve().parent
CARRACING, SB3 = "gymnasium[box2d]>=1.2", ("torch==2.13.0", "stable-baselines3==2.9.2")
JAXENSTEIN = "jaxenstein @ git+https://github.com/taodav/jaxenstein.git"
EPOCHS, BATCH = 4, 256


@dataclasses.dataclass(frozen=True)
class Peer:
    """One row of the table that others fill."""

    title: str
    what: str
    """frames, or steps of training."""
    packages: tuple[str, ...]
    program: str
    """In `outsiders`."""
    words: tuple[str, ...]
    """Its arguments before repeats and seconds."""


PEERS = {
    "gymnasium": Peer("Gymnasium CarRacing, 1", "frames", (CARRACING,), "carracing.py", ("1",)),
    "gymnasium8": Peer(
        "Gymnasium CarRacing, 8 processes", "frames", (CARRACING,), "carracing.py", ("8",)
    ),
    "envpool": Peer(
        "EnvPool CarRacing, 64", "frames", ("envpool",), "envpool_carracing.py", ("64",)
    ),
    "jaxenstein": Peer(
        "JAXenstein my-way-home, 1,024", "frames", (JAXENSTEIN,), "jaxenstein_maze.py", ("1024",)
    ),
    "sb3": Peer(
        "SB3 PPO on CarRacing, 8 processes",
        "training",
        (CARRACING, *SB3),
        "sb3_carracing.py",
        ("8",),
    ),
}
OURS = {"kart_jax": "frames", "kart_jax_ppo": "training"}
TARGETS = (
    ("kart_jax", "envpool", 10.0),
    ("kart_jax", "gymnasium", 100.0),
    ("kart_jax_ppo", "sb3", 2.5),
)
COLUMNS = (
    report.text("what", "what", 8),
    report.text("who", "title", 40),
    report.number("per second", "per_second"),
    report.extent("lowest .. highest", "per_second"),
)


def flags() -> report.Flags:
    """The command line."""
    parser = report.flags(__doc__)
    report.add_timing(parser, seconds=1.0)
    whole = report.at_least(1)
    parser.add_argument("--only", nargs="+", choices=(*PEERS, *OURS), help="default: all")
    parser.add_argument(
        "--environment", metavar="FOLDER", help="the throw-away environment (default: in the cache)"
    )
    parser.add_argument(
        "--python", metavar="PATH", help="a Python that has the packages; nothing is installed"
    )
    parser.add_argument(
        "--jaxenstein",
        default=JAXENSTEIN,
        help="what pip installs it from (default: its repository)",
    )
    parser.add_argument(
        "--karts", type=whole, default=1024, help="of our environment (default 1024)"
    )
    parser.add_argument(
        "--samples", type=whole, help="steps of one PPO update (default 2048; with --quick 512)"
    )
    return parser


def measure(arguments: argparse.Namespace) -> Iterator[Row]:
    """Ask every one in turn."""
    samples = arguments.samples or (512 if arguments.quick else 2048)
    if samples % BATCH:
        raise InputError(f"--samples is {samples}; it must be a multiple of the batch, {BATCH}")
    chosen = arguments.only or [*PEERS, *OURS]
    for name, peer in PEERS.items():
        if name in chosen:
            yield {
                "name": name,
                "what": peer.what,
                "title": peer.title,
                **others(name, peer, samples, arguments),
            }
    if "kart_jax" in chosen:
        title = f"kart_jax with the 84x84 view, {arguments.karts:,}"
        rate = fresh.call(our_frames, arguments.karts, arguments.repeats, arguments.seconds)
        yield {"name": "kart_jax", "what": "frames", "title": title, "per_second": rate}
    if "kart_jax_ppo" in chosen:
        rate = fresh.call(our_training, samples, arguments.repeats)
        yield {
            "name": "kart_jax_ppo",
            "what": "training",
            "title": "kart_jax PPO, 16 karts",
            "per_second": rate,
        }


def others(name: str, peer: Peer, samples: int, arguments: argparse.Namespace) -> Row:
    """What a peer manages, or why it has no figure."""
    packages = (arguments.jaxenstein,) if name == "jaxenstein" else peer.packages
    if arguments.python is None:
        python = throwaway.interpreter(throwaway.place(arguments.environment))
        if reason := throwaway.install(python, packages):
            return {"note": f"left out: it cannot be installed ({reason})"}
    else:
        python = Path(arguments.python)
    times = (str(arguments.repeats), str(arguments.seconds))
    if name == "sb3":
        times = (str(samples), str(EPOCHS), str(BATCH), str(arguments.repeats))
    command = [str(python), str(HERE / "outsiders" / peer.program), *peer.words, *times]
    known = {**os.environ, "PYTHONPATH": str(HERE), "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    done = subprocess.run(command, capture_output=True, text=True, env=known, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no reason given"]
        return {"note": f"left out: its program failed ({said[-1]})"}
    found = json.loads(done.stdout.strip().splitlines()[-1])
    rate = Spread(found["median"], found["low"], found["high"], tuple(found["repeats"]))
    return {
        "per_second": rate,
        "environment": found["environment"],
        "versions": throwaway.versions(python, packages),
    }


def our_frames(karts: int, repeats: int, seconds: float) -> Spread:
    """Frames per second of our environment in this process."""
    import jax
    import timing
    import world

    from kart_jax.devices import kart_mesh

    jax.config.update("jax_num_cpu_devices", machine.cores())
    batch = world.make("circuit", karts, 1, kart_mesh())
    step = world.stepper(batch, world.lower(batch, "vision").compile())
    return timing.rate(timing.seconds(step, jax.block_until_ready, repeats, seconds), karts)


def our_training(samples: int, repeats: int) -> Spread:
    """Environment steps per second of our PPO in this process."""
    import jax
    import learner
    import timing
    import update_parts

    sizes = [
        f"rollout_steps={samples // 16}",
        f"epochs={EPOCHS}",
        f"minibatch_size={BATCH}",
        "devices=1",
    ]
    run = learner.start(learner.request("circuit", 16, 1, sizes))
    took = timing.seconds(update_parts.update(run), jax.block_until_ready, repeats, 0.0)
    return timing.rate(took, run.settings.steps_per_chunk)


def conclude(rows: list[Row]) -> list[str]:
    """Ours against theirs."""
    rates = {row["name"]: row["per_second"].median for row in rows if "per_second" in row}
    return [
        f"{ours}: {rates[ours] / rates[theirs]:.1f} times {theirs}; the target on 2 CPU cores is "
        f"{least:g} times"
        for ours, theirs, least in TARGETS
        if ours in rates and theirs in rates
    ]


BENCHMARK = report.Benchmark(
    "peers",
    COLUMNS,
    measure,
    report.Plot("title", "per_second", "frames/s or training steps/s"),
    conclude,
)

if __name__ == "__main__":
    report.run(BENCHMARK, flags())
