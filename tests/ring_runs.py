"""Runs of training on the ring of `ring_env`: started here or in another process, and read back."""

import csv
import dataclasses
import os
import re
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from tensorboardX.proto import event_pb2

from train.evaluation.result import Result
from train.ppo import update
from train.run import checkpoint_scores, loop, prepare
from train.run.request import TrainConfig

Event: Any = vars(event_pb2)["Event"]  # made when the module is imported

SMALL = TrainConfig(
    telemetry_only=True,
    vector_envs=8,
    rollout_steps=16,
    minibatch_size=64,
    epochs=2,
    timesteps=8 * 16 * 24,
    checkpoint_freq=8 * 16 * 4,
    learning_rate=1e-3,
)  # 24 updates in 6 chunks of 4, a checkpoint after each
SCRIPT = """
import sys, time
from kart_jax import cli
from ring_env import RingEnv
from train.run import chunks, prepare
prepare.make_env = lambda config: RingEnv()
chunk = chunks.chunk
def slowly(*given, **more):
    time.sleep(0.3)
    return chunk(*given, **more)
chunks.chunk = slowly
sys.exit(cli.main(sys.argv[1].split()))
"""


def run(config):
    """Train and return the finished run with its result."""
    prepared, notes = prepare.prepare(config)
    return prepared, loop.run_training(prepared), notes


def rows(folder):
    """Read metrics.csv without the two columns that tell wall-clock time."""
    with folder.metrics.open(newline="") as file:
        return [
            {k: v for k, v in row.items() if k not in ("train/fps", "train/seconds")}
            for row in csv.DictReader(file)
        ]


def read_events(folder):
    """Read tags and values of TensorBoard's files: records of length, checksum, event, checksum."""
    values = {}
    for path in folder.glob("events*"):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            event = Event.FromString(data[12 : 12 + length])
            for value in event.summary.value:
                values.setdefault(value.tag, {})[event.step] = value.simple_value
            data = data[16 + length :]
    return values


def sham_exam(folder, report, rate=1.0):
    """Stand in for `train.evaluation.selection.hold` where no circuit is made for the drivers.

    `rate` of the drives lap, in 30 s.
    """
    results = [
        Result(path.name, "ring", 8, rate, 16, 30.0, 30.0, 0.0, 60.0, None)
        for path in sorted(path for path in folder.checkpoints.iterdir() if path.name.isdigit())
    ]
    checkpoint_scores.write(folder.path, {int(one.driver): (rate, one.mean_lap) for one in results})
    for one in results:
        report(one)
    return results


def launch(config, runs, more=""):
    """Start a run in another process, slower so that it can be met half-way.

    A chunk takes a third of a second longer. `more` flags follow those of the config.
    """
    tests = Path(__file__).parent
    paths = os.pathsep.join([str(tests), str(tests.parent), os.environ.get("PYTHONPATH", "")])
    fields = {
        name: value
        for name, value in dataclasses.asdict(config).items()
        if value not in (None, False)
    }
    flags = " ".join(
        f"--{name.replace('_', '-')} {value}" for name, value in fields.items() if value is not True
    )
    command = [sys.executable, "-c", SCRIPT, f"train --telemetry-only --json {flags} {more}"]
    return subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": paths},
        cwd=runs,
        stdout=subprocess.PIPE,
        text=True,
    )


def crossings(program):
    """Find the operations of a compiled program that reach out to the host while it runs."""
    found = re.findall(
        r'custom_call_target="([^"]*callback[^"]*)"| (infeed|outfeed|send|recv)\(',
        program.as_text(),
    )
    return [call or operation for call, operation in found]


def chunk_without_transfers(prepared):
    """Run one more chunk of a run, on copies, while JAX allows no transfer.

    Returns the compiled program.
    """
    given = (prepared.graph, prepared.env, prepared.config.ppo.shape, prepared.hyperparameters)
    program = update.chunk.lower(*given, prepared.state, prepared.mesh).compile()
    copies = jax.tree.map(lambda leaf: leaf.copy(), prepared.state)
    with jax.transfer_guard("disallow"):
        with pytest.raises(Exception, match="Disallowed host-to-device transfer"):
            update.chunk(*given, dataclasses.replace(copies, update=np.int32(0)), prepared.mesh)
        jax.block_until_ready(update.chunk(*given, copies, prepared.mesh))
    return program


def wait_for_checkpoint(folder, process):
    """Wait until the first checkpoint is complete."""
    while not any(path.name.isdigit() for path in (folder / "checkpoints").glob("*")):
        assert process.poll() is None, "the run ended before its first checkpoint"
        time.sleep(0.02)
