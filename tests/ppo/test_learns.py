"""On the real simulator without the view, a driver learns to lap an oval and is examined there."""

import dataclasses
import json

import numpy as np
import pytest
from conftest import oval_csv

from kart_jax import cli
from kart_jax.env.config import EnvConfig
from kart_jax.env.make import make
from kart_jax.errors import InputError
from kart_jax.laptime import search
from kart_jax.telemetry import export, laps
from train.evaluation import evaluate, selection
from train.run import checkpoint, checkpoint_scores, environment, loop
from train.run.environment import make_env
from train.run.request import TrainConfig
from train.run.resolve import resolve

REQUEST = TrainConfig(
    telemetry_only=True,
    save_name="oval",
    vector_envs=16,
    rollout_steps=128,
    minibatch_size=512,
    epochs=4,
    timesteps=160_000,
    checkpoint_freq=16_000,  # a tenth, as by default; the best one is examined
    learning_rate=1e-3,
    ent_coef=0.0,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished run on the oval: (result, runs folder)."""
    runs = tmp_path_factory.mktemp("runs")
    track = str(oval_csv(runs / "oval.csv"))
    return loop.train(dataclasses.replace(REQUEST, track_name=(track,), runs_dir=str(runs))), runs


@pytest.mark.slow
def test_a_telemetry_policy_learns_to_lap(trained):
    result, _ = trained
    assert result.progress.laps >= 10
    # 397 m at the rental kart's 24 m/s at most; a learner takes two to three times as long.
    assert 397.0 / 24.0 < result.progress.best_lap < 60.0


@pytest.mark.slow
def test_the_trained_driver_is_examined_beside_the_scripted_one(trained):
    _, runs = trained
    learned, scripted = evaluate.evaluate(
        "oval", drives=4, laps=2, telemetry=runs / "drives", runs_dir=str(runs)
    )
    for one in (learned, scripted):
        check_recording(one)
    assert (learned.driver, scripted.driver) == ("oval", "scripted")
    assert scripted.completion_rate == 1.0
    assert scripted.off_track_time == 0.0
    assert learned.drives == scripted.drives == 4
    assert learned.completion_rate >= 0.5
    assert learned.best_lap > scripted.best_lap * 0.98  # nobody beats the script by luck


@pytest.mark.slow
def test_exploration_concerns_the_learned_driver_only(trained):
    _, runs = trained
    learned, scripted = evaluate.evaluate("oval", drives=4, laps=2, runs_dir=str(runs))
    drawn, script = evaluate.evaluate("oval", drives=4, laps=2, explore=True, runs_dir=str(runs))
    assert drawn != learned
    assert script == scripted


@pytest.mark.slow
def test_the_commands_measure_the_driver_against_the_fastest_lap_and_drive_it(
    trained, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("KART_JAX_CACHE", str(tmp_path))
    _, runs = trained
    wanted = f"--search-laps {2 * search.GENERATION_LAPS} --json"
    assert cli.main(f"eval oval --fastest {wanted} --drives 2 --runs-dir {runs}".split()) == 0
    learned, scripted, best = json.loads(capsys.readouterr().out)["results"]
    assert [one["driver"] for one in (learned, scripted, best)] == ["oval", "scripted", "fastest"]

    minimum = best["minimum"]["lap_time"]
    assert minimum <= scripted["best_lap"] + 1e-3
    assert best["minimum"]["laps"] == 2 * search.GENERATION_LAPS
    least = min(minimum, best["best_lap"])
    for one in (learned, scripted, best):
        assert one["gap"] == pytest.approx(one["best_lap"] - least, abs=1e-3)

    monkeypatch.setattr(search, "evolve", lambda *given, **more: pytest.fail("searched again"))
    words = f"drive --track-name {runs / 'oval.csv'} --driver fastest {wanted} --laps 2"
    assert cli.main(words.split()) == 0
    driven = json.loads(capsys.readouterr().out)
    assert driven["laps"][1]["time"] == pytest.approx(minimum, abs=0.05)


def check_recording(figures):
    """The telemetry of the drives tells the figures of the result."""
    drives = [export.read_log(figures.telemetry, kart) for kart in range(figures.drives)]
    seconds = [drive["time"][-1] for drive in drives]
    # The last step, of 0.04 s, has no row.
    assert np.mean(seconds) + 0.04 == pytest.approx(figures.drive_time, abs=0.02)
    clean = [[lap.time for lap in laps.split_laps(drive) if lap.valid] for drive in drives]
    assert sum(map(len, clean)) == figures.laps
    assert min(map(min, filter(None, clean))) == pytest.approx(figures.best_lap, abs=1e-3)


@pytest.mark.slow
def test_telemetry_beyond_all_memory_is_refused(trained):
    _, runs = trained
    with pytest.raises(
        InputError, match=r"10000 drives of 100 laps is \d+\.\d GB; allowed are 2 GB; ask for fewer"
    ):
        evaluate.evaluate(
            "oval", drives=10_000, laps=100, telemetry=runs / "huge", runs_dir=str(runs)
        )
    assert not (runs / "huge").exists()


@pytest.mark.slow
def test_the_exam_puts_the_checkpoint_first_that_laps_most_often(trained):
    result, _ = trained
    told = []
    ranked = selection.hold(result.folder, told.append)
    steps = {int(path.name) for path in result.folder.checkpoints.iterdir()}
    assert {int(one.driver) for one in told} == {int(one.driver) for one in ranked} == steps
    keys = [(one.completion_rate, -(one.mean_lap or 0.0)) for one in ranked]
    assert keys == sorted(keys, reverse=True)
    assert keys[0][0] >= 0.5
    assert len(set(keys)) > 1
    assert checkpoint.best_first(result.folder.path)[0].name == ranked[0].driver
    result.folder.path.joinpath(checkpoint_scores.FILE).unlink()


@pytest.mark.slow
def test_an_exam_counts_whole_checkpoints_only_and_costs_no_run_when_it_fails(trained, monkeypatch):
    result, _ = trained
    steps = {path.name for path in result.folder.checkpoints.iterdir()}
    aside = result.folder.checkpoints / "99.abandoned"
    aside.mkdir()
    said = []

    def refuse(folder, report):
        raise InputError("oval.csv: is gone")

    monkeypatch.setattr(selection, "hold", refuse)
    assert selection.examine(result, said.append) == []
    assert said == [
        f"examining the {len(steps)} checkpoints that were kept ...",
        "no exam: oval.csv: is gone",
    ]
    aside.rmdir()
    lost = dataclasses.replace(result, failure="it diverged")
    assert selection.examine(lost, said.append) == [] and len(said) == 2


def test_episodes_are_long_enough_for_laps_of_the_longest_circuit(monkeypatch, oval):
    monkeypatch.setattr(
        environment, "make", lambda tracks, kart, config: make(oval, kart=kart, config=config)
    )
    settings = resolve(dataclasses.replace(REQUEST, save_name=None), "cpu")
    seconds = float(make_env(settings).default_params.limits.episode_time)
    # 3 laps of 397 m at 12 m/s take 99 s: the environment's own limit stays.
    assert seconds == pytest.approx(120.0)
    longer = dataclasses.replace(oval, length=oval.length * 2)
    monkeypatch.setattr(
        environment, "make", lambda tracks, kart, config: make(longer, kart=kart, config=config)
    )
    assert float(make_env(settings).default_params.limits.episode_time) == pytest.approx(
        3 * 794.16 / 12, rel=1e-3
    )


@pytest.mark.parametrize(
    "asked", [{"randomize": True, "kart": "kz2"}, {"frame_stack": 3, "telemetry_only": False}]
)
def test_the_environment_of_a_run_is_the_one_asked_for(monkeypatch, oval, asked):
    made = []

    def note(tracks, **given):
        made.append((tracks, given))
        return make(oval, config=EnvConfig(vision=False))

    monkeypatch.setattr(environment, "make", note)
    make_env(resolve(dataclasses.replace(REQUEST, track_name=("a", "b"), **asked), "cpu"))
    wanted = {
        "randomize": False,
        "kart": "rental_gx270",
        "frame_stack": 1,
        "telemetry_only": True,
    } | asked
    config = EnvConfig(
        frame_stack=wanted["frame_stack"],
        vision=not wanted["telemetry_only"],
        randomize=wanted["randomize"],
    )
    assert made == [(("a", "b"), {"kart": wanted["kart"], "config": config})]
