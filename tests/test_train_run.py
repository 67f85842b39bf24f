"""Whole runs on the ring of `ring_env`: learning, logging, one trace, and every way to stop and go on."""

import csv
import dataclasses
import io
import json
import os
import random
import re
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

from kart_jax import cli
from kart_jax.env.reward import TERMS
from kart_jax.env.types import Cause
from kart_jax.errors import InputError
from kart_jax.track import load
from train import checkpoint, console, log, loop, policy, ppo, return_scale, run_tracks, update
from train.config import TrainConfig
from train.metrics import UpdateMetrics
from train.progress import Progress
from train.run_folder import RunFolder

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
from train import loop
loop.make_env = lambda settings: RingEnv()
chunk = loop.chunk
def slowly(*arguments):
    time.sleep(0.3)
    return chunk(*arguments)
loop.chunk = slowly
sys.exit(cli.main(sys.argv[1].split()))
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
    assert names == {"config.json", "tracks", "checkpoints", "tensorboard", "metrics.csv", "videos", "telemetry"}
    assert result.steps == 3072
    assert not result.interrupted
    assert [int(row["step"]) for row in rows(finished.folder)] == [128 * (i + 1) for i in range(24)]


def test_the_best_and_the_last_three_checkpoints_are_kept(unbroken):
    finished, _ = unbroken
    steps = sorted(int(path.name) for path in finished.folder.checkpoints.iterdir() if path.name.isdigit())
    assert steps[-3:] == [2048, 2560, 3072]
    table = rows(finished.folder)
    laps = [float(row["rollout/laps"]) for row in table]
    assert max(laps) < 100  # so that the rate counts from the first lap on
    first = next((i for i, count in enumerate(laps) if count), len(laps))
    rates = [count / max(i - first + 1, 1) for i, count in enumerate(laps)]
    scores = {int(row["step"]): (rates[i], float(row["rollout/ep_rew_mean"])) for i, row in enumerate(table)}
    saved = {step: scores[step] for step in range(512, 3073, 512)}
    best = max(saved, key=lambda step: (saved[step], step))
    assert best in steps
    assert checkpoint.best_first(finished.folder.path)[0].name == str(best)


def test_the_best_checkpoint_is_the_one_with_most_clean_laps(unbroken, tmp_path):
    """Three checkpoints of the same driver with made-up counters; 128 steps are one update."""
    finished, _ = unbroken
    counters = {
        128: Progress(recent_episodes=[[1.0, 4000.0, 90.0]]),  # the highest return, without a lap
        256: Progress(recent_episodes=[[1.0, 3000.0, 90.0]], recent_laps=[[2.0, 90.0], [0.0, 0.0]]),  # 1 per update
        384: Progress(recent_episodes=[[1.0, 9000.0, 90.0]], recent_laps=[[2.0, 90.0], *[[0.0, 0.0]] * 3]),
        512: Progress(recent_laps=[[1.0, 45.0]], recent_episodes=[[1.0, 2000.0, 90.0]]),  # 1 again, a lower return
    }
    (tmp_path / "checkpoints").mkdir()
    saver = checkpoint.Checkpoints(tmp_path / "checkpoints", 0)
    for steps, progress in counters.items():
        saver.save(steps, finished.state, progress)
    assert [path.name for path in checkpoint.best_first(tmp_path)] == ["256", "512", "384"]
    assert sorted(int(path.name) for path in (tmp_path / "checkpoints").iterdir()) == [256, 384, 512]


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
        "rollout/off_track",
        "end/off_track",
        *(f"reward/{name}" for name in TERMS),
    } <= set(events)
    for row in rows(finished.folder):
        assert events["train/value_loss"][int(row["step"])] == pytest.approx(float(row["train/value_loss"]), rel=1e-5)


def test_tensorboard_has_the_lap_times(tmp_path):
    """The curves that appear with the first clean lap, written as the run writes them."""
    losses = ppo.LossTerms(*[np.float32(0.1)] * 5)
    numbers = dict.fromkeys((field.name for field in dataclasses.fields(UpdateMetrics)), np.float32(1.0))
    made_up = {"laps": 3, "lap_time_sum": 135.0, "lap_time_min": 44.5, "losses": losses}
    terms = {"reward_terms": np.arange(len(TERMS)), "causes": np.arange(len(Cause))}
    folder = RunFolder(tmp_path)
    writer = log.Log(folder, 0)
    writer.write(64, Progress().take(UpdateMetrics(**{**numbers, **made_up, **terms}), 64))
    writer.close()
    events = read_events(folder.tensorboard)
    assert events["rollout/lap_time_best"] == {64: pytest.approx(44.5)}
    assert events["rollout/lap_time_mean"] == {64: pytest.approx(45.0)}
    assert events["rollout/laps"] == {64: 3.0}
    assert [events[f"reward/{name}"][64] for name in TERMS] == list(range(len(TERMS)))


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
    fields = {name: value for name, value in dataclasses.asdict(config).items() if value not in (None, False)}
    flags = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in fields.items() if value is not True)
    command = [sys.executable, "-c", SCRIPT, f"train --telemetry-only --json {flags}"]
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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_request_to_stop_saves_and_ends_with_130(tmp_path, number):
    config = dataclasses.replace(SMALL, runs_dir=str(tmp_path), save_name="asked", checkpoint_freq=512, timesteps=10**6)
    process = launch(config, tmp_path)
    wait_for_checkpoint(tmp_path / "asked", process)
    process.send_signal(number)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    figures = json.loads(output)
    assert figures["interrupted"] is True and figures["failure"] is None and figures["film"] is None
    assert (tmp_path / "asked" / "checkpoints" / str(figures["steps"])).is_dir()


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


def test_a_damaged_checkpoint_costs_whoever_loads_the_driver_one_sentence(copied, capsys, monkeypatch):
    folder, runs = copied
    best = checkpoint.best_first(folder.path)[0]
    damage_by_flipping(best / "driver")

    def load_and_stop(words):
        policy.load_policy(str(folder.path), str(runs))

    monkeypatch.setattr("kart_jax.cli.evaluate.run", load_and_stop)
    assert cli.main(["eval", "whole"]) == 0
    err = capsys.readouterr().err
    assert err.startswith(f"kart: {best}: is damaged") and err.count("\n") == 1


def poison(state, stacked, network, losses):
    """A chunk's result with a network or losses that are no numbers."""
    spoilt = jax.tree.map(lambda leaf: leaf * np.nan, state.params) if network else state.params
    told = jax.tree.map(lambda leaf: leaf * np.nan, stacked.losses) if losses else stacked.losses
    return dataclasses.replace(state, params=spoilt), dataclasses.replace(stacked, losses=told)


@pytest.mark.parametrize(("network", "losses"), [(True, False), (False, True)])
def test_a_run_that_diverges_stops_and_keeps_its_good_checkpoints(tmp_path, monkeypatch, capsys, network, losses):
    chunk, calls = loop.chunk, []

    def third_time_unlucky(*given):
        calls.append(given)
        state, stacked = chunk(*given)
        return poison(state, stacked, network, losses) if len(calls) >= 3 else (state, stacked)

    monkeypatch.setattr(loop, "chunk", third_time_unlucky)
    config = dataclasses.replace(SMALL, runs_dir=str(tmp_path), save_name="lost")
    monkeypatch.setattr("kart_jax.cli.train.parse", lambda *_: config)
    assert cli.main(["train"]) == 1
    out, err = capsys.readouterr()
    sentence = "kart: losses or network are no longer finite numbers after 1,536 steps; the checkpoints before are good"
    assert err.startswith(sentence) and err.count("\n") == 1 and "--resume-from" in err
    assert "filming" not in out and "done" not in out
    assert len(calls) == 3
    kept = sorted(int(path.name) for path in (tmp_path / "lost" / "checkpoints").iterdir())
    assert kept == [512, 1024]
    monkeypatch.setattr(loop, "chunk", chunk)
    resumed, result, notes = run(TrainConfig(resume_from="lost", runs_dir=str(tmp_path)))
    assert notes == [] and result.steps == 3072 and bool(loop.finite(resumed.state.params))


def test_a_step_size_beyond_all_measure_diverges_before_the_first_checkpoint(tmp_path):
    config = dataclasses.replace(SMALL, learning_rate=1e30, runs_dir=str(tmp_path), checkpoint_freq=10**6)
    _, result, _ = run(config)
    assert result.failure is not None and "before the first checkpoint; begin anew" in result.failure
    assert not list(result.folder.checkpoints.iterdir())


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
    assert "starting a new run from the driver of" in notes[0]
    assert checkpoint.content(started.state.params) == checkpoint.content(whole.state.params)
    assert int(started.state.update) == 0


@pytest.fixture
def on_my_track(tmp_path, monkeypatch):
    """A finished short run on `mine/ring.png`, given as a relative path; (run folder, runs folder, picture)."""
    from kart_jax.track import draw, layouts

    monkeypatch.chdir(tmp_path)
    draw.save(layouts.line(layouts.STARTER), "ring", "mine", 1.0)
    config = dataclasses.replace(SMALL, track_name=("mine/ring.png", "generated:7"), timesteps=512)
    finished, _, _ = run(dataclasses.replace(config, runs_dir=str(tmp_path / "runs"), save_name="own"))
    return finished.folder, tmp_path / "runs", tmp_path / "mine" / "ring.png"


def test_a_run_holds_its_own_copy_of_a_track(on_my_track, monkeypatch, tmp_path):
    folder, runs, picture = on_my_track
    copy = folder.tracks / "ring.png"
    assert {path.name for path in folder.tracks.iterdir()} == {"ring.png", "checkpoints.json"}
    assert load.content(copy) == load.content(picture)
    assert run_tracks.own(folder, ("mine/ring.png", "generated:7")) == {
        "mine/ring.png": str(copy),
        "generated:7": "generated:7",
    }
    shutil.rmtree(picture.parent)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")  # from where the relative path means nothing
    asked = []
    monkeypatch.setattr(loop, "make_env", lambda settings: asked.append(settings.tracks) or RingEnv())
    resumed, result, notes = run(TrainConfig(resume_from="own", timesteps=1024, runs_dir=str(runs)))
    assert notes == [] and resumed.folder.path == folder.path and result.steps == 1024
    assert asked == [(str(copy), "generated:7")]
    assert resumed.settings.tracks == ("mine/ring.png", "generated:7")


def test_a_run_does_not_go_on_on_a_track_that_has_changed(on_my_track):
    folder, runs, picture = on_my_track
    index = picture.parent / "checkpoints.json"
    entries = json.loads(index.read_text())
    turned = {"clockwise": "counterclockwise", "counterclockwise": "clockwise"}
    entries["ring"] = {key: entries["ring"][key] for key in ("metres_per_pixel", "start")} | {
        "direction": turned[entries["ring"]["direction"]]
    }
    index.write_text(json.dumps(entries))
    started, notes = loop.prepare(TrainConfig(resume_from="own", timesteps=1024, runs_dir=str(runs)))
    assert started.folder.path == runs / "ring-1" and started.progress == Progress()
    assert len(notes) == 1 and notes[0].endswith("mine/ring.png changed")
    assert load.content(started.folder.tracks / "ring.png") == load.content(picture)
    assert load.content(folder.tracks / "ring.png") != load.content(picture)


def test_equal_file_names_get_copies_of_their_own(tmp_path):
    names = ("a/ring.png", "b/ring.png", "ring", "c/ring.csv", "generated:1-9", "a/ring.png")
    found = {name: path.name for name, path in run_tracks.places(RunFolder(tmp_path), names).items()}
    assert found == {
        "a/ring.png": "ring.png",
        "b/ring.png": "ring-2.png",
        "ring": "ring-3.png",
        "c/ring.csv": "ring.csv",
    }


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


def test_the_bar_on_a_terminal_tells_speed_reward_best_lap_and_time_left():
    text = io.StringIO()
    terminal = Console(force_terminal=True, file=text, width=160, color_system=None)
    with console.Screen(1000, 0, terminal) as screen:
        screen.say("run folder runs/x")
        screen.show(250, 123.4, Progress(laps=2, best_lap=45.6789, recent_episodes=[[2.0, 300.0, 90.0]]))
        time.sleep(0.2)  # the time that is left follows from two different moments
        screen.show(500, 123.4, Progress(laps=2, best_lap=45.6789, recent_episodes=[[2.0, 300.0, 90.0]]))
    shown = text.getvalue()
    assert "run folder runs/x" in shown
    last = next(line for line in reversed(shown.splitlines()) if "training" in line)
    assert "50%" in last and "123 steps/s" in last and "reward 150" in last and "best lap 45.679 s" in last
    assert re.search(r"left \d\d:\d\d", last)
    assert "of 1,000 steps" not in shown  # the plain lines stay away


def test_json_has_standard_output_to_itself(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("kart_jax.cli.train.film_driver", lambda result, config: {"clean_lap": None})
    words = "train --json --telemetry-only --vector-envs 8 --rollout-steps 16 --minibatch-size 64 --timesteps 512"
    assert cli.main([*words.split(), "--runs-dir", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    figures = json.loads(out)
    assert figures["folder"] == str(tmp_path / "circuit-1") and figures["steps"] == 512 and figures["seconds"] > 0
    assert (figures["laps"], figures["best_lap"], figures["first_lap_steps"], figures["first_lap_seconds"]) == (
        *(0, None),
        *(None, None),
    )
    assert figures["interrupted"] is False and figures["film"] == {"clean_lap": None}
    assert "512 of 512 steps" in err and "done: 512 steps" in err
