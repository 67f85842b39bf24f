"""Runs that end early and go on: resumed, killed, asked to stop, diverged, damaged, foreign."""

import dataclasses
import json
import random
import shutil
import signal
import time

import jax
import numpy as np
import pytest
from orbax.checkpoint import v1 as ocp
from ring_runs import SMALL, launch, rows, run, wait_for_checkpoint

from kart_jax import cli
from kart_jax.cli.train import CommandConfig
from kart_jax.errors import InputError
from kart_jax.files import locked
from train.evaluation import load_policy
from train.run import checkpoint, chunks, loop, prepare, reporter
from train.run.progress import Progress
from train.run.request import TrainConfig

pytestmark = pytest.mark.usefixtures("on_ring")


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


@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM]
)
def test_a_request_to_stop_saves_and_ends_with_130(tmp_path, number):
    config = dataclasses.replace(
        SMALL, runs_dir=str(tmp_path), save_name="asked", checkpoint_freq=512, timesteps=10**6
    )
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
        prepare.prepare(TrainConfig(resume_from="whole", runs_dir=str(runs)))


def test_a_damaged_file_is_named_before_orbax_meets_it(copied, monkeypatch):
    folder, runs = copied
    for path in folder.checkpoints.glob("*/rest/d/*"):
        path.write_bytes(path.read_bytes()[:100])
    load_policy.load_policy("whole", str(runs))  # the other part is not asked for
    monkeypatch.setattr(ocp, "load_checkpointables", lambda *given: pytest.fail("Orbax is asked"))
    with pytest.raises(
        InputError, match=r"3072: is damaged, its file rest/d/\w+ is not as it was written"
    ):
        prepare.prepare(TrainConfig(resume_from="whole", runs_dir=str(runs)))


def test_a_checkpoint_without_its_list_of_files_is_refused(copied):
    folder, runs = copied
    for path in folder.checkpoints.iterdir():
        (path / checkpoint.FILES).unlink()
    with pytest.raises(
        InputError, match=r"3072: is damaged, its file files\.json is missing; use another$"
    ):
        prepare.prepare(TrainConfig(resume_from="whole", runs_dir=str(runs)))


def test_a_damaged_checkpoint_costs_whoever_loads_the_driver_one_sentence(
    copied, capsys, monkeypatch
):
    folder, runs = copied
    best = checkpoint.best_first(folder.path)[0]
    damage_by_flipping(best / "driver")

    def load_and_stop(words):
        load_policy.load_policy(str(folder.path), str(runs))

    monkeypatch.setattr("kart_jax.cli.evaluate.run", load_and_stop)
    assert cli.main(["eval", "whole"]) == 0
    err = capsys.readouterr().err
    assert err.startswith(f"kart: {best}: is damaged") and err.count("\n") == 1


def test_a_run_goes_on_with_another_step_size_and_length(copied):
    folder, runs = copied
    config = TrainConfig(
        resume_from=str(folder.path), learning_rate=5e-4, timesteps=4096, runs_dir=str(runs)
    )
    _, result, notes = run(config)
    assert notes == [] and result.steps == 4096 and result.folder.path == folder.path
    rates = [float(row["train/learning_rate"]) for row in rows(folder)]
    # 24 of 24 updates were done with 1e-3; update 24 of 32 begins at 5e-4 (1 - 0.9 24 / 32).
    assert rates[23] == pytest.approx(1e-3 * (1 - 0.9 * 23 / 24), rel=1e-5)
    assert rates[24] == pytest.approx(5e-4 * (1 - 0.9 * 24 / 32), rel=1e-5)


def poison(state, stacked, network, losses):
    """A chunk's result with a network or losses that are no numbers."""
    spoilt = jax.tree.map(lambda leaf: leaf * np.nan, state.params) if network else state.params
    told = jax.tree.map(lambda leaf: leaf * np.nan, stacked.losses) if losses else stacked.losses
    return dataclasses.replace(state, params=spoilt), dataclasses.replace(stacked, losses=told)


@pytest.mark.parametrize(("network", "losses"), [(True, False), (False, True)])
def test_a_run_that_diverges_stops_and_keeps_its_good_checkpoints(
    tmp_path, monkeypatch, capsys, network, losses
):
    chunk, calls = chunks.chunk, []

    def third_time_unlucky(*given, **more):
        calls.append(given)
        state, stacked = chunk(*given, **more)
        return poison(state, stacked, network, losses) if len(calls) >= 3 else (state, stacked)

    monkeypatch.setattr(chunks, "chunk", third_time_unlucky)
    config = dataclasses.replace(SMALL, runs_dir=str(tmp_path), save_name="lost")
    command = CommandConfig(**dataclasses.asdict(config))
    monkeypatch.setattr("kart_jax.cli.train.parse", lambda *_: command)
    assert cli.main(["train"]) == 1
    out, err = capsys.readouterr()
    sentence = (
        "kart: losses or network are no longer finite numbers after 1,536 steps; the checkpoints "
        "before are good"
    )
    assert err.startswith(sentence) and err.count("\n") == 1 and "--resume-from" in err
    assert "filming" not in out and "done" not in out
    assert len(calls) == 3
    kept = sorted(int(path.name) for path in (tmp_path / "lost" / "checkpoints").iterdir())
    assert kept == [512, 1024]
    monkeypatch.setattr(chunks, "chunk", chunk)
    resumed, result, notes = run(TrainConfig(resume_from="lost", runs_dir=str(tmp_path)))
    assert notes == [] and result.steps == 3072 and bool(reporter.finite(resumed.state.params))


def test_a_step_size_beyond_all_measure_diverges_before_the_first_checkpoint(tmp_path):
    config = dataclasses.replace(
        SMALL, learning_rate=1e30, runs_dir=str(tmp_path), checkpoint_freq=10**6
    )
    _, result, _ = run(config)
    assert (
        result.failure is not None and "before the first checkpoint; begin anew" in result.failure
    )
    assert not list(result.folder.checkpoints.iterdir())


def test_a_run_that_another_process_trains_is_left_alone(copied):
    folder, runs = copied
    begun, _ = prepare.prepare(TrainConfig(resume_from="whole", timesteps=4096, runs_dir=str(runs)))
    left = {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}
    with locked(folder.path):
        for use in (
            lambda: prepare.prepare(
                TrainConfig(resume_from="whole", timesteps=5120, runs_dir=str(runs))
            ),
            lambda: loop.run_training(begun),
        ):
            with pytest.raises(
                InputError, match="whole: another process is at work in it; wait until it ends"
            ):
                use()
    assert {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()} == left
    assert loop.run_training(begun).steps == 4096


def test_fewer_steps_than_are_done_are_refused(copied):
    folder, runs = copied
    before = folder.config.read_text()
    with pytest.raises(InputError, match="--timesteps is 2000, but 3072 steps of the run are done"):
        prepare.prepare(TrainConfig(resume_from="whole", timesteps=2000, runs_dir=str(runs)))
    assert folder.config.read_text() == before


def test_a_foreign_checkpoint_is_refused(copied):
    folder, runs = copied
    shutil.rmtree(folder.checkpoints)
    ocp.save_checkpointables(folder.checkpoints / "7", {"driver": {"weights": np.ones(3)}})
    with pytest.raises(InputError, match="is not a checkpoint of this version of kart_jax"):
        prepare.prepare(TrainConfig(resume_from="whole", runs_dir=str(runs)))


def test_a_run_without_checkpoints_is_refused(copied):
    folder, runs = copied
    shutil.rmtree(folder.checkpoints)
    with pytest.raises(InputError, match="holds no checkpoint"):
        prepare.prepare(TrainConfig(resume_from="whole", runs_dir=str(runs)))


def test_on_another_track_the_driver_is_taken_over_and_a_new_run_begins(unbroken, copied):
    whole, _ = unbroken
    _, runs = copied
    config = TrainConfig(
        resume_from="whole", track_name=("spa.png",), vector_envs=16, runs_dir=str(runs)
    )
    started, notes = prepare.prepare(config)
    assert started.folder.path == runs / "spa-1"
    assert started.progress == Progress()
    assert "starting a new run from the driver of" in notes[0]
    assert checkpoint.content(started.state.params) == checkpoint.content(whole.state.params)
    assert int(started.state.update) == 0
