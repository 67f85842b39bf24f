"""From flags to files as a user goes, and training on the real simulator's frames; both tiny."""

import csv
import json
import os

import chex
import jax
import pytest
from conftest import oval_csv
from ring_runs import chunk_without_transfers, crossings

from kart_jax import cli
from train.ppo import minibatches, rollout, update
from train.run import checkpoint, loop, prepare, trace_cache
from train.run.request import TrainConfig


@pytest.fixture(autouse=True)
def in_a_folder_with_an_oval(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KART_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(
        "JAX_COMPILATION_CACHE_DIR",
        os.environ.get("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "jax")),
    )
    oval_csv(tmp_path / "oval.csv", straight=60.0, radius=15.0)


def figures(words, capsys):
    """Run a command that succeeds, and return the JSON object that it prints."""
    assert cli.main(words.split()) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.slow
def test_train_eval_and_play_leave_what_they_promise(tmp_path, capsys, monkeypatch):
    # The film of `kart train` has full size; `kart play` films below.
    monkeypatch.setattr("kart_jax.cli.train.film_driver", lambda *_: None)
    numbers = "--vector-envs 4 --rollout-steps 32 --minibatch-size 64 --epochs 1 --timesteps 256"
    trained = figures(f"train --track-name oval.csv --telemetry-only {numbers} --json", capsys)
    folder = tmp_path / "runs" / "oval-1"
    assert trained["folder"] == "runs/oval-1" and trained["steps"] >= 256
    with (folder / "metrics.csv").open(newline="") as file:
        assert int(list(csv.DictReader(file))[-1]["step"]) == trained["steps"]
    assert (folder / "checkpoints" / str(trained["steps"])).is_dir()
    assert list((folder / "tensorboard").iterdir())

    (tmp_path / "oval.csv").unlink()  # the run has its own copy
    learned, scripted = figures("eval oval-1 --drives 2 --laps 1 --json", capsys)["results"]
    assert (learned["driver"], learned["track"], scripted["driver"]) == (
        "oval-1",
        "oval.csv",
        "scripted",
    )
    assert learned["drives"] == 2 and scripted["best_lap"] > 10.0

    played = figures("play oval-1 --laps 1 --video-height 120 --gif look.gif --json", capsys)
    assert played["files"] == [
        "runs/oval-1/telemetry/oval.csv",
        "runs/oval-1/videos/oval.mp4",
        "look.gif",
    ]
    assert all((tmp_path / name).stat().st_size > 5_000 for name in played["files"])
    assert played["start"] in ("grid", "rolling") and played["driven_m"] > 1.0
    assert (played["clean_lap"] is None) or played["clean_lap"] == played["best_lap"]

    # The example of its help.
    timed = figures(f"telemetry laps {played['files'][0]} --json", capsys)
    assert timed["laps"] == played["laps"]


@pytest.mark.slow
def test_training_on_pictures_is_traced_once_and_resumes_bit_for_bit(tmp_path, monkeypatch):
    places = (
        (update, "update"),
        (rollout, "collect_trajectories"),
        (minibatches, "update_minibatches"),
        (rollout, "step_part"),
    )
    for module, name in places:
        monkeypatch.setattr(module, name, chex.assert_max_traces(getattr(module, name), n=1))
    config = TrainConfig(
        track_name=("oval.csv",),
        vector_envs=4,
        rollout_steps=8,
        minibatch_size=16,
        epochs=2,
        timesteps=64,
        checkpoint_freq=32,
        save_name="seen",
    )
    whole, _ = prepare.prepare(config)
    assert loop.run_training(whole).steps == 64
    assert whole.state.observation["vision"].shape == (4, 84, 84, 3)

    resumed, notes = prepare.prepare(TrainConfig(resume_from="runs/seen/checkpoints/32"))
    assert notes == [] and resumed.steps == 32
    assert loop.run_training(resumed).steps == 64
    assert checkpoint.content(resumed.state) == checkpoint.content(whole.state)

    monkeypatch.undo()  # the look at the program traces it once more
    assert crossings(chunk_without_transfers(whole)) == []
    check_what_is_kept(whole, tmp_path, monkeypatch)


def check_what_is_kept(run, tmp_path, monkeypatch):
    """Run the chunk from the file that JAX exported it to: the same numbers, without the host."""
    monkeypatch.setattr(trace_cache, "_folder", lambda: tmp_path / "traced")
    monkeypatch.setattr(trace_cache, "SETTLED", -1e9)
    given = (run.graph, run.env, run.config, run.hyperparameters, run.state, run.mesh)
    with trace_cache.enabled():
        assert trace_cache.find(*given) is not None

        monkeypatch.setattr(trace_cache.export, "export", lambda *_: pytest.fail("traced again"))
        program = trace_cache.find(*given)
    assert crossings(program.lower(run.env, run.hyperparameters, run.state).compile()) == []

    one, other = (jax.tree.map(lambda leaf: leaf.copy(), run.state) for _ in range(2))
    with jax.transfer_guard("disallow"):
        found = jax.block_until_ready(program(run.env, run.hyperparameters, one))
    again = update.chunk(
        run.graph, run.env, run.config.ppo.shape, run.hyperparameters, other, run.mesh
    )
    assert checkpoint.content(found) == checkpoint.content(again)
