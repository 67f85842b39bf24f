"""Whole runs on the ring of `ring_env`: learning, logging, one trace, and every way to stop and go on."""

import csv
import dataclasses
import io
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import chex
import jax
import numpy as np
import pytest
from orbax.checkpoint import v1 as ocp
from rich.console import Console
from ring_env import RingEnv
from tensorboardX.proto import event_pb2

from kart_jax.errors import InputError
from train import checkpoint, console, loop, policy, return_scale, update
from train.config import TrainConfig
from train.progress import Progress

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
from ring_env import RingEnv
from train import loop, update
from train.config import TrainConfig
loop.make_env = lambda settings: RingEnv()
chunk = loop.chunk
def slowly(*arguments):
    time.sleep(0.3)
    return chunk(*arguments)
loop.chunk = slowly
result = loop.train(eval(sys.argv[1]))
print("interrupted", result.interrupted, result.steps)
"""


@pytest.fixture(autouse=True)
def _ring(monkeypatch):
    monkeypatch.setattr(loop, "make_env", lambda settings: RingEnv())


def run(config):
    """Train and return the finished run with its result."""
    prepared, notes = loop.prepare(config)
    return prepared, loop.drive(prepared), notes


def rows(folder):
    """Rows of metrics.csv without the two columns that tell wall-clock time."""
    with folder.metrics.open(newline="") as file:
        return [
            {k: v for k, v in row.items() if k not in ("train/fps", "train/seconds")} for row in csv.DictReader(file)
        ]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """A finished run that nothing disturbed."""
    runs = tmp_path_factory.mktemp("unbroken")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "make_env", lambda settings: RingEnv())
        finished, result, _ = run(dataclasses.replace(SMALL, runs_dir=str(runs), save_name="whole"))
    return finished, result


@pytest.fixture
def copied(unbroken, tmp_path):
    """A copy of that run to be damaged at will; (run folder, runs folder)."""
    shutil.copytree(unbroken[0].folder.path, tmp_path / "whole")
    return loop.RunFolder(tmp_path / "whole"), tmp_path


def test_run_folder_holds_everything(unbroken):
    finished, result = unbroken
    names = {path.name for path in finished.folder.path.iterdir()}
    assert names == {"config.json", "checkpoints", "tensorboard", "metrics.csv", "videos", "telemetry"}
    assert result.steps == 3072
    assert not result.interrupted
    assert [int(row["step"]) for row in rows(finished.folder)] == [128 * (i + 1) for i in range(24)]


def test_the_best_and_the_last_three_checkpoints_are_kept(unbroken):
    finished, _ = unbroken
    steps = sorted(int(path.name) for path in finished.folder.checkpoints.iterdir() if path.name.isdigit())
    assert steps[-3:] == [2048, 2560, 3072]
    scores = {int(row["step"]): float(row["rollout/ep_rew_mean"]) for row in rows(finished.folder)}
    saved = {step: scores[step] for step in range(512, 3073, 512)}
    best = max(saved, key=lambda step: (saved[step], step))
    assert best in steps
    assert checkpoint.best_first(finished.folder.path)[0].name == str(best)


def read_events(folder):
    """Tags and values of the TensorBoard files: records of length, checksum, event, checksum."""
    values = {}
    for path in folder.glob("events*"):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            event = event_pb2.Event.FromString(data[12 : 12 + length])
            for value in event.summary.value:
                values.setdefault(value.tag, {})[event.step] = value.simple_value
            data = data[16 + length :]
    return values


def test_tensorboard_has_the_agreed_names_and_the_numbers_of_the_table(unbroken):
    finished, _ = unbroken
    events = read_events(finished.folder.tensorboard)
    assert {
        "rollout/ep_rew_mean",
        "rollout/ep_len_mean",
        "train/policy_gradient_loss",
        "train/value_loss",
        "train/fps",
        "train/entropy",
        "train/approx_kl",
        "train/clip_fraction",
        "train/explained_variance",
        "rollout/laps",
        "reward/progress",
        "end/off_track",
    } <= set(events)
    for row in rows(finished.folder):
        assert events["train/value_loss"][int(row["step"])] == pytest.approx(float(row["train/value_loss"]), rel=1e-5)


def test_a_policy_learns_to_lap_the_ring_in_one_trace_and_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(update, "update", chex.assert_max_traces(update.update, n=1))
    long = dataclasses.replace(SMALL, rollout_steps=64, minibatch_size=128, epochs=4, timesteps=40_000, seed=1)
    finished, result, _ = run(dataclasses.replace(long, runs_dir=str(tmp_path), checkpoint_freq=40_000))
    table = rows(finished.folder)
    assert float(table[0]["rollout/laps"]) == 0.0
    assert result.progress.laps > 50
    assert result.progress.first_lap_steps > 512
    assert float(table[-1]["rollout/ep_rew_mean"]) > 30.0  # more than a ring length; from -1 to -2 untrained
    assert result.progress.best_lap < 10.0  # 24 m at 4 m/s at most: 6 s at least
    assert result.progress.best_lap >= 6.0
    announced = [line for line in capsys.readouterr().out.splitlines() if line.startswith("first clean lap after")]
    assert len(announced) == 1
    assert f"{result.progress.first_lap_steps:,} steps" in announced[0]


def test_resuming_in_the_middle_gives_the_unbroken_run_bit_for_bit(unbroken, copied):
    whole, _ = unbroken
    folder, runs = copied
    half_written = folder.checkpoints / "2816.orbax-checkpoint-tmp-7"
    half_written.mkdir()
    place = str(folder.checkpoints / "2560")
    resumed, result, notes = run(TrainConfig(resume_from=place, runs_dir=str(runs)))
    assert notes == []
    assert resumed.folder.path == folder.path
    assert result.steps == 3072
    assert checkpoint.content(resumed.state) == checkpoint.content(whole.state)
    assert rows(folder) == rows(whole.folder)
    assert not half_written.exists()
    assert (folder.checkpoints / "3072.abandoned").is_dir()  # the earlier future of that checkpoint


def launch(config, runs):
    """Start a run in another process, a third of a second per chunk slower so that it can be met half-way."""
    tests = Path(__file__).parent
    paths = os.pathsep.join([str(tests), str(tests.parent), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", SCRIPT, repr(config)]
    return subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": paths}, cwd=runs, stdout=subprocess.PIPE, text=True
    )


def wait_for_checkpoint(folder, process):
    """Wait until the first checkpoint is complete."""
    while not any(path.name.isdigit() for path in (folder / "checkpoints").glob("*")):
        assert process.poll() is None, "the run ended before its first checkpoint"
        time.sleep(0.02)


def test_a_run_killed_at_a_random_point_resumes_to_the_same_numbers(unbroken, tmp_path):
    whole, _ = unbroken
    config = dataclasses.replace(SMALL, runs_dir=str(tmp_path), save_name="killed")
    process = launch(config, tmp_path)
    wait_for_checkpoint(tmp_path / "killed", process)
    time.sleep(random.uniform(0.0, 1.2))  # truly random: every run of the test kills elsewhere
    process.send_signal(signal.SIGKILL)
    process.wait()
    resumed, result, _ = run(TrainConfig(resume_from="killed", runs_dir=str(tmp_path)))
    assert result.steps == 3072
    assert checkpoint.content(resumed.state) == checkpoint.content(whole.state)
    assert rows(resumed.folder) == rows(whole.folder)


def test_sigterm_saves_and_ends_cleanly(tmp_path):
    config = dataclasses.replace(SMALL, runs_dir=str(tmp_path), save_name="asked", checkpoint_freq=512, timesteps=10**6)
    process = launch(config, tmp_path)
    wait_for_checkpoint(tmp_path / "asked", process)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    words = output.split()
    steps = words[-1]
    assert words[-3:-1] == ["interrupted", "True"]
    assert (tmp_path / "asked" / "checkpoints" / steps).is_dir()
    assert "--resume-from" in output


def damage_by_flipping(path):
    """Change one byte in the middle of the largest data file."""
    victim = max((p for p in path.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 0xFF
    victim.write_bytes(data)


def damage_by_truncating(path):
    """Cut every file in half."""
    for victim in [p for p in path.rglob("*") if p.is_file()]:
        victim.write_bytes(victim.read_bytes()[: victim.stat().st_size // 2])


def damage_by_emptying(path):
    """Leave an empty folder."""
    shutil.rmtree(path)
    path.mkdir()


@pytest.mark.parametrize("damage", [damage_by_flipping, damage_by_truncating, damage_by_emptying])
def test_a_damaged_checkpoint_is_refused_and_the_one_before_is_used(unbroken, copied, damage):
    whole, _ = unbroken
    folder, runs = copied
    damage(folder.checkpoints / "3072")
    resumed, _, notes = run(TrainConfig(resume_from="whole", runs_dir=str(runs)))
    assert len(notes) == 1
    assert str(folder.checkpoints / "3072") in notes[0]
    assert "\n" not in notes[0]
    assert checkpoint.content(resumed.state) == checkpoint.content(whole.state)


def test_when_all_are_damaged_the_first_reason_is_given(copied):
    folder, runs = copied
    for path in folder.checkpoints.iterdir():
        damage_by_truncating(path)
    with pytest.raises(InputError, match="3072"):
        loop.prepare(TrainConfig(resume_from="whole", runs_dir=str(runs)))


def test_a_foreign_checkpoint_is_refused(copied):
    folder, runs = copied
    shutil.rmtree(folder.checkpoints)
    ocp.save_checkpointables(folder.checkpoints / "7", {"driver": {"weights": np.ones(3)}})
    with pytest.raises(InputError, match="is not a checkpoint of this version of kart_jax"):
        loop.prepare(TrainConfig(resume_from="whole", runs_dir=str(runs)))


def test_a_run_without_checkpoints_is_refused(copied):
    folder, runs = copied
    shutil.rmtree(folder.checkpoints)
    with pytest.raises(InputError, match="holds no checkpoint"):
        loop.prepare(TrainConfig(resume_from="whole", runs_dir=str(runs)))


def test_on_another_track_the_driver_is_taken_over_and_a_new_run_begins(unbroken, copied):
    whole, _ = unbroken
    _, runs = copied
    config = TrainConfig(resume_from="whole", track_name=("spa.png",), vector_envs=16, runs_dir=str(runs))
    started, notes = loop.prepare(config)
    assert started.folder.path == runs / "spa-1"
    assert started.progress == Progress()
    assert "starting from the driver of" in notes[0]
    assert checkpoint.content(started.state.params) == checkpoint.content(whole.state.params)
    assert int(started.state.update) == 0


def test_the_policy_of_a_run_loads_and_acts_within_bounds(unbroken):
    finished, _ = unbroken
    driver, settings = policy.load_policy(str(finished.folder.path))
    assert settings == finished.settings
    telemetry = jax.random.normal(jax.random.key(0), (5, 9))
    action = driver({"telemetry": telemetry})
    assert action.shape == (5, 2)
    assert float(abs(action).max()) <= 1.0


def test_the_newest_checkpoint_gives_the_trained_network(unbroken):
    finished, _ = unbroken
    driver, _ = policy.load_policy(str(finished.folder.checkpoints / "3072"))
    assert checkpoint.content(driver.params) == checkpoint.content(finished.state.params)
    assert float(return_scale.divisor(finished.state.scale)) > 0.0


def test_plain_lines_where_there_is_no_terminal():
    text = io.StringIO()
    with console.Screen(1000, 0, Console(file=text, width=200)) as screen:
        screen.show(500, 123.4, Progress(laps=2, best_lap=45.6789, recent_episodes=[[2.0, 300.0, 90.0]]))
        screen.show(600, 123.4, Progress())  # too soon for another line
        screen.show(1000, 99.0, Progress())
    lines = text.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("500 of 1,000 steps · 123 steps/s · reward 150 · laps 2 · best lap 45.679 s")
    assert lines[1].startswith("1,000 of 1,000 steps")
