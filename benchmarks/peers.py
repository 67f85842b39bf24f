"""Other people's environments and learners beside ours, on the same machine in the same run.

    python -m benchmarks.peers
    python -m benchmarks.peers --only envpool kart_jax --environment FOLDER
    python -m benchmarks.peers --python PATH            a Python that has the packages

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

from kart_jax.errors import InputError

from .measure import flags, fresh, machine, report, table, throwaway, timing
from .measure.benchmark import Benchmark, Plot
from .measure.table import Row
from .measure.timing import Spread

HERE = Path(__file__).resolve().parent
CARRACING = "gymnasium[box2d]>=1.2"
SB3 = ("torch==2.13.0", "stable-baselines3==2.9.2")
JAXENSTEIN = "jaxenstein @ git+https://github.com/taodav/jaxenstein.git"
EPOCHS = 4
BATCH = 256
KARTS = 16  # of our training


@dataclasses.dataclass(frozen=True)
class Peer:
    """One row of the table that others fill."""

    title: str
    what: str
    """frames, or steps of training."""
    packages: tuple[str, ...]
    program: str
    """Module in `peer_envs`."""
    words: tuple[str, ...]
    """Its arguments before repeats and seconds."""


PEERS = {
    "gymnasium": Peer("Gymnasium CarRacing, 1", "frames", (CARRACING,), "carracing", ("1",)),
    "gymnasium8": Peer(
        "Gymnasium CarRacing, 8 processes", "frames", (CARRACING,), "carracing", ("8",)
    ),
    "envpool": Peer("EnvPool CarRacing, 64", "frames", ("envpool",), "envpool_carracing", ("64",)),
    "jaxenstein": Peer(
        "JAXenstein my-way-home, 1,024", "frames", (JAXENSTEIN,), "jaxenstein_maze", ("1024",)
    ),
    "sb3": Peer(
        "SB3 PPO on CarRacing, 8 processes", "training", (CARRACING, *SB3), "sb3_carracing", ("8",)
    ),
}
OURS = {"kart_jax": "frames", "kart_jax_ppo": "training"}
TARGETS = (  # ours, theirs, how many times as fast ours is to be
    ("kart_jax", "envpool", 10.0),
    ("kart_jax", "gymnasium", 100.0),
    ("kart_jax_ppo", "sb3", 2.5),
)
COLUMNS = (
    table.text("what", "what", 8),
    table.text("who", "title", 40),
    table.number("per second", "per_second"),
    table.extent("lowest .. highest", "per_second"),
)


def make_flags() -> flags.Flags:
    """Return the command line."""
    parser = flags.shared(__doc__)
    flags.add_timing(parser, seconds=1.0)
    whole = flags.at_least(1)

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


def measure_peers(arguments: argparse.Namespace) -> Iterator[Row]:
    """Ask every one in turn."""
    samples = arguments.samples or (512 if arguments.quick else 2048)
    if samples % BATCH:
        raise InputError(f"--samples is {samples}; it must be a multiple of the batch, {BATCH}")
    chosen = arguments.only or [*PEERS, *OURS]

    for name, peer in PEERS.items():
        if name in chosen:
            about = {"name": name, "what": peer.what, "title": peer.title}
            yield about | measure_peer(name, peer, samples, arguments)

    if "kart_jax" in chosen:
        yield {
            "name": "kart_jax",
            "what": "frames",
            "title": f"kart_jax with the 84x84 view, {arguments.karts:,}",
            "per_second": fresh.call(
                measure_our_frames, arguments.karts, arguments.repeats, arguments.seconds
            ),
        }
    if "kart_jax_ppo" in chosen:
        yield {
            "name": "kart_jax_ppo",
            "what": "training",
            "title": f"kart_jax PPO, {KARTS} karts",
            "per_second": fresh.call(measure_our_training, samples, arguments.repeats),
        }


def measure_peer(name: str, peer: Peer, samples: int, arguments: argparse.Namespace) -> Row:
    """Measure what a peer manages, or say why it has no figure."""
    packages = (arguments.jaxenstein,) if name == "jaxenstein" else peer.packages
    if arguments.python is None:
        python = throwaway.interpreter(throwaway.place(arguments.environment))
        if reason := throwaway.install(python, packages):
            return {"note": f"left out: it cannot be installed ({reason})"}
    else:
        python = Path(arguments.python)

    words = (*peer.words, str(arguments.repeats), str(arguments.seconds))
    if name == "sb3":
        words = (*peer.words, str(samples), str(EPOCHS), str(BATCH), str(arguments.repeats))
    # The peer's Python finds this folder and none of our packages.
    command = [str(python), "-m", f"peer_envs.{peer.program}", *words]
    environment = {
        **os.environ,
        "PYTHONPATH": str(HERE),
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    }
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        complaint = done.stderr.strip().splitlines() or ["no reason given"]
        return {"note": f"left out: its program failed ({complaint[-1]})"}

    found = json.loads(done.stdout.strip().splitlines()[-1])
    return {
        "per_second": Spread(found["median"], found["low"], found["high"], tuple(found["repeats"])),
        "environment": found["environment"],
        "versions": throwaway.versions(python, packages),
    }


def measure_our_frames(karts: int, repeats: int, seconds: float) -> Spread:
    """Measure frames per second of our environment in this process."""
    import jax

    from kart_jax.devices import kart_mesh

    from .measure import fleet

    jax.config.update("jax_num_cpu_devices", machine.cores())
    together = fleet.make("circuit", karts, 1, kart_mesh())
    step = fleet.stepper(together, fleet.lower(together, "vision").compile())
    return timing.rate(timing.time_call(step, jax.block_until_ready, repeats, seconds), karts)


def measure_our_training(samples: int, repeats: int) -> Spread:
    """Measure environment steps per second of our PPO in this process."""
    import jax

    from .measure import learner

    fields = [
        f"rollout_steps={samples // KARTS}",
        f"epochs={EPOCHS}",
        f"minibatch_size={BATCH}",
        "devices=1",
    ]
    run = learner.set_up(learner.request("circuit", KARTS, 1, fields))
    took = timing.time_call(run.update, jax.block_until_ready, repeats, 0.0)
    return timing.rate(took, run.steps)


def conclude(rows: list[Row]) -> list[str]:
    """Compare ours with theirs."""
    rates = {row["name"]: row["per_second"].median for row in rows if "per_second" in row}
    return [
        f"{ours}: {rates[ours] / rates[theirs]:.1f} times {theirs}; the target on 2 CPU cores is "
        f"{least:g} times"
        for ours, theirs, least in TARGETS
        if ours in rates and theirs in rates
    ]


BENCHMARK = Benchmark(
    "peers",
    COLUMNS,
    measure_peers,
    Plot("title", "per_second", "frames/s or training steps/s"),
    conclude,
)

if __name__ == "__main__":
    report.run(BENCHMARK, make_flags())
