"""A run of training from beginning to end: its folder, checkpoints, logs, learning, one trace, the
driver it leaves."""

import dataclasses
import json

import chex
import jax
import numpy as np
import pytest
from ring_runs import SMALL, chunk_without_transfers, crossings, read_events, rows, run

from kart_jax import cli
from kart_jax.env.reward import TERMS
from kart_jax.env.types import Cause
from train.evaluation import load_policy
from train.ppo import return_scale, surrogate, update
from train.ppo.metrics import UpdateMetrics
from train.run import checkpoint, checkpoint_scores, metrics_log
from train.run.progress import Progress
from train.run.reporter import Reporter, finite
from train.run.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("on_ring")


def test_run_folder_holds_everything(unbroken):
    finished, result = unbroken
    names = {path.name for path in finished.folder.path.iterdir()}
    assert names == {
        "config.json",
        "tracks",
        "checkpoints",
        "tensorboard",
        "metrics.csv",
        "videos",
        "telemetry",
    }
    assert result.steps == 3072
    assert not result.interrupted
    assert [int(row["step"]) for row in rows(finished.folder)] == [128 * (i + 1) for i in range(24)]


def test_the_best_and_the_last_three_checkpoints_are_kept(unbroken):
    finished, _ = unbroken
    steps = sorted(
        int(path.name) for path in finished.folder.checkpoints.iterdir() if path.name.isdigit()
    )
    assert steps[-3:] == [2048, 2560, 3072]
    table = rows(finished.folder)
    laps = [float(row["rollout/laps"]) for row in table]
    assert max(laps) < 100  # so that the rate counts from the first lap on
    first = next((i for i, count in enumerate(laps) if count), len(laps))
    rates = [count / max(i - first + 1, 1) for i, count in enumerate(laps)]
    scores = {
        int(row["step"]): (rates[i], float(row["rollout/ep_rew_mean"]))
        for i, row in enumerate(table)
    }
    saved = {step: scores[step] for step in range(512, 3073, 512)}
    best = max(saved, key=lambda step: (saved[step], step))
    assert best in steps
    assert checkpoint.best_first(finished.folder.path)[0].name == str(best)


def test_the_best_checkpoint_is_the_one_with_most_clean_laps(unbroken, tmp_path):
    """Three checkpoints of the same driver with made-up counters; 128 steps are one update."""
    finished, _ = unbroken
    counters = {
        128: Progress(recent_episodes=[[1.0, 4000.0, 90.0]]),  # the highest return, without a lap
        256: Progress(
            recent_episodes=[[1.0, 3000.0, 90.0]], recent_laps=[[2.0, 90.0], [0.0, 0.0]]
        ),  # 1 per update
        384: Progress(
            recent_episodes=[[1.0, 9000.0, 90.0]], recent_laps=[[2.0, 90.0], *[[0.0, 0.0]] * 3]
        ),
        512: Progress(
            recent_laps=[[1.0, 45.0]], recent_episodes=[[1.0, 2000.0, 90.0]]
        ),  # 1 again, a lower return
    }
    (tmp_path / "checkpoints").mkdir()
    saver = checkpoint.Checkpoints(tmp_path / "checkpoints", 0)
    for steps, progress in counters.items():
        saver.save(steps, finished.state, progress)
    assert [path.name for path in checkpoint.best_first(tmp_path)] == ["256", "512", "384"]
    checkpoint_scores.write(
        tmp_path, {128: (1.0, 40.0), 256: (0.0, None), 384: (0.5, 45.0), 512: (0.5, 44.0)}
    )
    assert [path.name for path in checkpoint.best_first(tmp_path)] == [
        "512",
        "384",
        "256",
    ]  # 128 is gone
    (tmp_path / checkpoint_scores.FILE).write_text("[1]")
    assert [path.name for path in checkpoint.best_first(tmp_path)] == ["256", "512", "384"]
    checkpoint_scores.write(tmp_path, {384: (1.0, 40.0)})
    checkpoint.Checkpoints(
        tmp_path / "checkpoints", 512
    )  # training goes on: another driver may be saved at 384
    assert [path.name for path in checkpoint.best_first(tmp_path)] == ["256", "512", "384"]
    assert sorted(int(path.name) for path in (tmp_path / "checkpoints").iterdir()) == [
        256,
        384,
        512,
    ]


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
        assert events["train/value_loss"][int(row["step"])] == pytest.approx(
            float(row["train/value_loss"]), rel=1e-5
        )


def test_tensorboard_has_the_lap_times(tmp_path):
    """The curves that appear with the first clean lap, written as the run writes them."""
    losses = surrogate.LossTerms(*[np.float32(0.1)] * 5)
    numbers = dict.fromkeys(
        (field.name for field in dataclasses.fields(UpdateMetrics)), np.float32(1.0)
    )
    made_up = {"laps": 3, "lap_time_sum": 135.0, "lap_time_min": 44.5, "losses": losses}
    terms = {"reward_terms": np.arange(len(TERMS)), "causes": np.arange(len(Cause))}
    folder = RunFolder(tmp_path)
    writer = metrics_log.MetricsLog(folder, 0)
    writer.write(64, Progress().take(UpdateMetrics(**{**numbers, **made_up, **terms}), 64))
    writer.close()
    events = read_events(folder.tensorboard)
    assert events["rollout/lap_time_best"] == {64: pytest.approx(44.5)}
    assert events["rollout/lap_time_mean"] == {64: pytest.approx(45.0)}
    assert events["rollout/laps"] == {64: 3.0}
    assert [events[f"reward/{name}"][64] for name in TERMS] == list(range(len(TERMS)))


def test_a_policy_learns_to_lap_the_ring_in_one_trace_and_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(update, "update", chex.assert_max_traces(update.update, n=1))
    long = dataclasses.replace(
        SMALL, rollout_steps=64, minibatch_size=128, epochs=4, timesteps=40_000, seed=1
    )
    finished, result, _ = run(
        dataclasses.replace(long, runs_dir=str(tmp_path), checkpoint_freq=40_000)
    )
    table = rows(finished.folder)
    assert float(table[0]["rollout/laps"]) == 0.0
    assert result.progress.laps > 50
    assert result.progress.first_lap_steps > 512
    assert (
        float(table[-1]["rollout/ep_rew_mean"]) > 30.0
    )  # more than a ring length; from -1 to -2 untrained
    assert result.progress.best_lap < 10.0  # 24 m at 4 m/s at most: 6 s at least
    assert result.progress.best_lap >= 6.0
    announced = [
        line
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("first clean lap after")
    ]
    assert len(announced) == 1
    assert f"{result.progress.first_lap_steps:,} steps" in announced[0]


def test_a_chunk_asks_nothing_of_the_host_while_it_runs(unbroken):
    finished, _ = unbroken
    assert crossings(chunk_without_transfers(finished)) == []
    telling = jax.jit(lambda x: jax.debug.print("{}", x)).lower(1.0).compile()
    assert len(crossings(telling)) == 1  # what would be found


def test_writing_down_a_chunk_asks_nothing_of_the_device(tmp_path, monkeypatch):
    """It would have to wait for the chunk that runs there: it reads NumPy's arrays, and computes
    with NumPy."""
    take, taken = Reporter.take, []

    def guarded(reporter, stacked):
        assert {type(leaf) for leaf in jax.tree.leaves(stacked)} <= {np.ndarray}
        state, reporter.run.state = reporter.run.state, None
        with jax.transfer_guard("disallow"):
            with pytest.raises(Exception, match="Disallowed host-to-device transfer"):
                finite(stacked.losses)  # as it was
            taken.append(take(reporter, stacked))
        reporter.run.state = state
        return taken[-1]

    monkeypatch.setattr(Reporter, "take", guarded)
    run(dataclasses.replace(SMALL, runs_dir=str(tmp_path), timesteps=1536))
    assert len(taken) == 3


def test_the_policy_of_a_run_loads_and_acts_within_bounds(unbroken):
    finished, _ = unbroken
    driver, config = load_policy.load_policy(str(finished.folder.path))
    assert config == finished.config
    telemetry = jax.random.normal(jax.random.key(0), (5, 9))
    action = driver({"telemetry": telemetry})
    assert action.shape == (5, 2)
    assert float(abs(action).max()) <= 1.0


def test_the_newest_checkpoint_gives_the_trained_network(unbroken):
    finished, _ = unbroken
    driver, _ = load_policy.load_policy(str(finished.folder.checkpoints / "3072"))
    assert checkpoint.content(driver.params) == checkpoint.content(finished.state.params)
    assert float(return_scale.divisor(finished.state.scale)) > 0.0


def test_json_has_standard_output_to_itself(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(
        "kart_jax.cli.train.film_driver", lambda result, config: {"clean_lap": None}
    )
    words = (
        "train --json --telemetry-only --vector-envs 8 --rollout-steps 16 --minibatch-size 64 "
        "--timesteps 512"
    )
    assert cli.main([*words.split(), "--runs-dir", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    figures = json.loads(out)
    assert (
        figures["folder"] == str(tmp_path / "circuit-1")
        and figures["steps"] == 512
        and figures["seconds"] > 0
    )
    assert (
        figures["laps"],
        figures["best_lap"],
        figures["first_lap_steps"],
        figures["first_lap_seconds"],
    ) == (
        *(0, None),
        *(None, None),
    )
    assert figures["interrupted"] is False and figures["film"] == {"clean_lap": None}
    assert "512 of 512 steps" in err and "done: 512 steps" in err


def test_training_only_neither_examines_nor_films(on_ring, tmp_path, capsys, monkeypatch):
    for called in ("train.evaluation.selection.examine", "kart_jax.cli.train.film_driver"):
        monkeypatch.setattr(called, lambda *given: pytest.fail("not asked for"))
    words = (
        "train --train-only --json --telemetry-only --vector-envs 8 --rollout-steps 16 "
        "--timesteps 512"
    )
    assert cli.main([*words.split(), "--runs-dir", str(tmp_path), "--minibatch-size", "64"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["steps"] == 512 and figures["film"] is None and figures["exam"] == []
    assert (tmp_path / "circuit-1" / "checkpoints" / "512").is_dir()
    examined = []
    monkeypatch.setattr(
        "train.evaluation.selection.examine",
        lambda result, tell: examined.append(result.steps) or [],
    )
    monkeypatch.setattr("kart_jax.cli.train.film_driver", lambda *given: {"clean_lap": None})
    assert (
        cli.main(["train", "--json", "--resume-from", "circuit-1", "--runs-dir", str(tmp_path)])
        == 0
    )
    assert examined == [512]  # the complete run: no step more, but what was left out
