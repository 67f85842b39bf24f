"""Seeds and numbers side by side: each is the run that it would be alone, and how far they spread
is told."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import chex
import jax
import numpy as np
import pytest
from ring_runs import SMALL, read_events, rows, run, sham_exam

from kart_jax import cli
from kart_jax.cli.train import run_table
from kart_jax.errors import InputError
from train.evaluation import selection
from train.ppo import update
from train.run import checkpoint_scores, loop, prepare, run_folder
from train.run.progress import Progress
from train.run.request import TrainConfig
from train.run.run_folder import RunFolder
from train.run.types import RunResult
from train.sweep import cohort, comparison

pytestmark = pytest.mark.usefixtures("on_ring")
FLAGS = (
    "train --telemetry-only --vector-envs 8 --rollout-steps 16 --minibatch-size 64 --epochs 2 "
    "--timesteps 3072 --checkpoint-freq 1024 --learning-rate 1e-3 --save-name three --seeds 3 "
    "--seed 5 --json"
)


def examined(folder, report):
    """An exam that the middle one of the seeds passes best."""
    return sham_exam(folder, report, 1.0 if folder.path.name == "seed-6" else 0.5)


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """Three seeds by the command; (its JSON, what it told, the folder)."""
    from ring_env import RingEnv

    runs = tmp_path_factory.mktemp("seeds")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepare, "make_env", lambda config: RingEnv())
        patch.setattr(selection, "hold", examined)
        patch.setattr(
            "kart_jax.cli.train.film_driver", lambda result, config: {"of": result.folder.path.name}
        )
        patch.setattr(
            "kart_jax.cli.train.emit_json",
            lambda figures: (runs / "told.json").write_text(json.dumps(figures)),
        )
        assert cli.main([*FLAGS.split(), "--runs-dir", str(runs)]) == 0
    return json.loads((runs / "told.json").read_text()), runs / "three"


def test_each_seed_is_the_run_it_would_be_alone(three, tmp_path):
    figures, folder = three
    assert [one["folder"] for one in figures["runs"]] == [
        str(folder / f"seed-{seed}") for seed in (5, 6, 7)
    ]
    alone, result, _ = run(dataclasses.replace(SMALL, seed=6, runs_dir=str(tmp_path)))
    assert result.steps == 3072
    found, notes = prepare.prepare(TrainConfig(resume_from="seed-6", runs_dir=str(folder)))
    assert notes == [] and found.steps == 3072
    # Three networks in one matrix product sum in another order than one.
    chex.assert_trees_all_close(
        jax.device_get(found.state.params), jax.device_get(alone.state.params), rtol=2e-2, atol=2e-3
    )


def test_the_spread_over_the_seeds_is_told(three):
    _, folder = three
    table = [rows(run_folder.RunFolder(folder / f"seed-{seed}")) for seed in (5, 6, 7)]
    assert len({row["train/entropy"] for row in (part[-1] for part in table)}) == 3
    events = read_events(folder / "tensorboard")
    losses = [float(part[-1]["train/value_loss"]) for part in table]
    mean = sum(losses) / 3
    deviation = (sum((loss - mean) ** 2 for loss in losses) / 2) ** 0.5
    assert events["train/value_loss/mean"][3072] == pytest.approx(mean, rel=1e-5)
    assert events["train/value_loss/std"][3072] == pytest.approx(deviation, rel=1e-4)


def test_every_seed_that_laps_is_examined_and_the_best_is_filmed(three):
    figures, folder = three
    assert figures["film"]["of"] == "seed-6"
    rates = [[mark["completion_rate"] for mark in one["exam"]] for one in figures["runs"]]
    assert rates == [[0.5] * 3, [1.0] * 3, [0.5] * 3]
    assert [one["steps"] for one in figures["runs"][0]["exam"]] == [1024, 2048, 3072]
    assert all((folder / f"seed-{seed}" / checkpoint_scores.FILE).is_file() for seed in (5, 6, 7))


def test_the_mean_leaves_out_what_a_seed_does_not_have_yet():
    told = comparison.summarise(
        [{"lap": 40.0, "none": float("nan")}, {"lap": float("nan"), "none": float("nan")}]
    )
    assert told == {"lap": (40.0, 0.0)}


def reached(seed, failure=None, **progress):
    """What is left of the run of a seed."""
    return RunResult(
        RunFolder(Path(f"runs/many/seed-{seed}")), 1000, Progress(**progress), False, failure
    )


def test_the_table_of_seeds_tells_each_their_mean_and_deviation():
    episodes = [
        [[1.0, 90.0, 1.0]],
        [[2.0, 400.0, 1.0]],
        [],
    ]  # returns of 90, of 200 on average, of none yet
    results = [
        reached(3, laps=10, first_lap_steps=1000, best_lap=40.0, recent_episodes=episodes[0]),
        reached(4, laps=14, first_lap_steps=3000, best_lap=41.0, recent_episodes=episodes[1]),
        reached(5, laps=0, recent_episodes=episodes[2]),
    ]
    head, *body = (re.split(" {2,}", line.strip()) for line in run_table(results).splitlines())
    assert head == ["laps", "first lap, steps", "best lap, s", "mean return"]
    assert body == [
        ["seed-3", "10", "1,000", "40.000", "90"],
        ["seed-4", "14", "3,000", "41.000", "200"],
        ["seed-5", "0", "-", "-", "-"],
        ["mean", "8", "2,000", "40.500", "145"],
        # sqrt((2² + 6² + 8²) / 2) = 7.2; of two values a and b, |a - b| / sqrt(2).
        ["standard deviation", "7", "1,414", "0.707", "78"],
    ]
    assert len(run_table(results[:1]).splitlines()) == 2  # no spread of one


def test_the_table_of_a_sweep_tells_the_spread_over_the_seeds_of_each_combination():
    def one(name, laps):
        return dataclasses.replace(reached(0, laps=laps), folder=RunFolder(Path(name)))

    results = [one("gamma-0.9-seed-0", 2), one("gamma-0.9-seed-1", 4), one("gamma-0.99-seed-0", 7)]
    body = [re.split(" {2,}", line.strip()) for line in run_table(results).splitlines()[1:]]
    assert [row[:2] for row in body] == [
        ["gamma-0.9-seed-0", "2"],
        ["gamma-0.9-seed-1", "4"],
        ["gamma-0.99-seed-0", "7"],
        ["gamma-0.9: mean", "3"],
        ["gamma-0.9: standard deviation", "1"],
    ]


def test_the_best_seed_is_whole_before_it_scores():
    poor = reached(0, recent_laps=[[1.0, 50.0]], recent_episodes=[[1.0, 900.0, 1.0]])
    good = reached(1, recent_laps=[[3.0, 150.0]], recent_episodes=[[1.0, 100.0, 1.0]])
    fair = reached(2, recent_laps=[[3.0, 150.0]], recent_episodes=[[1.0, 50.0, 1.0]])
    lost = reached(
        3, "it diverged", recent_laps=[[9.0, 350.0]], recent_episodes=[[1.0, 999.0, 1.0]]
    )
    worse = reached(
        4, "it diverged", recent_laps=[[8.0, 350.0]], recent_episodes=[[1.0, 999.0, 1.0]]
    )
    for results in ([poor, good, fair, lost], [lost, fair, good, poor]):
        assert comparison.best(results) is good  # laps first, then the return
    assert comparison.best([lost, poor]) is comparison.best([poor, lost]) is poor
    assert comparison.best([worse, lost]) is comparison.best([lost, worse]) is lost
    assert comparison.best([reached(5), poor]) is poor  # one without an episode yet


@pytest.mark.slow
def test_hyperparameters_in_a_cohort_are_the_runs_they_would_be_alone(tmp_path):
    axes = {"learning_rate": (1e-3, 9e-3), "gamma": (0.9, 0.99)}
    config = dataclasses.replace(
        SMALL, learning_rate=None, timesteps=1024, runs_dir=str(tmp_path), save_name="grid"
    )
    folder, results = cohort.train_sweep(config, axes, quiet=True)
    pairs = [(rate, gamma) for rate in axes["learning_rate"] for gamma in axes["gamma"]]
    names = [f"learning_rate-{rate}-gamma-{gamma}" for rate, gamma in pairs]
    assert [result.folder.path for result in results] == [folder / name for name in names]
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        names
    )  # no spread where there are no seeds

    def curve(folder):
        columns = ("train/value_loss", "train/entropy", "train/learning_rate")
        return np.array([[float(row[column]) for column in columns] for row in rows(folder)])

    alone = []
    for rate, gamma in pairs:
        one = dataclasses.replace(
            config, learning_rate=rate, gamma=gamma, save_name=f"alone-{rate}-{gamma}"
        )
        alone.append(curve(run(one)[0].folder))
    together = [curve(result.folder) for result in results]
    apart = np.array([[np.abs(mine - other).max() for other in alone] for mine in together])
    for place, distances in enumerate(apart):
        assert distances[place] < 0.2 * min(np.delete(distances, place)), apart
    found = prepare.prepare(TrainConfig(resume_from=names[3], runs_dir=str(folder)))[0]
    assert (found.config.ppo.learning_rate, found.config.ppo.gamma) == pairs[3]


def test_a_sweep_of_numbers_and_seeds_is_every_combination(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "run_side_by_side", lambda runs, *given, **more: runs)
    axes = {"profile": ("conservative", "aggressive"), "kart": ("kz2",)}
    request = dataclasses.replace(SMALL, seed=3, runs_dir=str(tmp_path))
    found: Any = cohort.train_sweep(request, axes, seeds=2)
    runs = found[1]
    assert [one.folder.path.name for one in runs] == [
        f"profile-{name}-seed-{seed}" for name in ("conservative", "aggressive") for seed in (3, 4)
    ]
    assert {one.config.kart for one in runs} == {"kz2"}
    assert [one.config.seed for one in runs] == [3, 4, 3, 4]


@pytest.mark.parametrize(
    ("text", "flags", "sentence"),
    [
        (
            "kart = ['ok', 'kz2']",
            "",
            "kart has several values, but runs side by side share one program; allowed",
        ),
        ("timesteps = [1, 2]", "", "timesteps has several values"),
        (
            "gamma = 0.9",
            "",
            "asks for one run; give a list of at least two values to one of seed, profile, "
            "learning_r",
        ),
        (
            "gamma = [0.9, 0.99]",
            "--resume-from some",
            ": --resume-from goes on with one run; leave it out, or",
        ),
        (
            "gamma = [0.9, 0.99]",
            "--gamma 0.5",
            "gamma is given there and by --gamma; give it in one place",
        ),
        ("seed = [0, 1]", "--seeds 2", "seed is given there and by --seeds; give it in one place"),
        ("gamma = [0.9, 2.0]", "", "--gamma is 2.0; it must be from 0 to 1"),
        (
            "gamma = [0.9, 0.99]\nresume_from = 'x'",
            "",
            ": --resume-from goes on with one run; leave it out, or",
        ),
    ],
)
def test_a_sweep_that_is_no_single_program_is_refused_and_leaves_nothing(
    tmp_path, capsys, text, flags, sentence
):
    path = tmp_path / "numbers.toml"
    path.write_text(text)
    assert (
        cli.main(
            ["train", "--sweep", str(path), *flags.split(), "--runs-dir", str(tmp_path / "runs")]
        )
        == 2
    )
    said = capsys.readouterr().err
    assert said.startswith(f"kart: {path}") and sentence in said and said.count("\n") == 1
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())


def test_the_command_trains_a_sweep_with_seeds_and_tells_all(tmp_path, monkeypatch, capsys):
    path, told = tmp_path / "numbers.toml", []
    path.write_text("learning_rate = [1e-3, 3e-3]\ngamma = 0.97\nseed = [4, 5]\n")
    monkeypatch.setattr(
        "kart_jax.cli.train.film_driver", lambda result, config: {"of": result.folder.path.name}
    )
    monkeypatch.setattr("kart_jax.cli.train.emit_json", told.append)
    monkeypatch.setattr(update, "update", chex.assert_max_traces(update.update, n=1))
    flags = FLAGS.replace("--learning-rate 1e-3", f"--sweep {path}").replace(
        "--seeds 3 --seed 5", ""
    )
    flags = flags.replace("--timesteps 3072", "--timesteps 1024").replace(
        "--save-name three", "--save-name grid"
    )
    assert cli.main([*flags.split(), "--runs-dir", str(tmp_path)]) == 0
    names = [f"learning_rate-{rate}-seed-{seed}" for rate in (0.001, 0.003) for seed in (4, 5)]
    assert [Path(one["folder"]).name for one in told[0]["runs"]] == names
    assert told[0]["film"]["of"] in names and all(one["steps"] == 1024 for one in told[0]["runs"])
    shown = capsys.readouterr().err
    assert all(f"\n{name}: done: 1,024 steps" in shown for name in names)
    assert (
        "learning_rate-0.001: mean" in shown and "learning_rate-0.003: standard deviation" in shown
    )
    for rate in (0.001, 0.003):
        events = read_events(tmp_path / "grid" / "tensorboard" / f"learning_rate-{rate}")
        # The fourth of eight updates: three eighths of the way down to a tenth of the step size.
        assert events["train/learning_rate/mean"][512] == pytest.approx(
            rate * (1 - 0.9 * 3 / 8), rel=1e-5
        )
        assert events["train/entropy/std"][1024] > 0.0


@pytest.mark.parametrize("seeds", [0, -5, 1025])
def test_impossible_numbers_of_seeds_of_a_sweep_are_refused(tmp_path, seeds):
    config = dataclasses.replace(SMALL, learning_rate=None, runs_dir=str(tmp_path))
    with pytest.raises(InputError, match=f"--seeds is {seeds}; allowed are 1 to 1024"):
        cohort.train_sweep(config, {"learning_rate": (1e-3, 2e-3)}, seeds)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("axes", "sentence"),
    [
        (
            {"value_clip": (None, 0.2)},
            "value_clip is left out in some runs; those are another program",
        ),
        ({"lr": (1e-3, 2e-3)}, "lr is no field that can be varied; choose among track_name"),
        ({"gamma": ()}, r"gamma is \(\); it must be a list of at least one value"),
        ({"gamma": 0.9}, "gamma is 0.9; it must be a list of at least one value"),
        ({"save_name": ("x", "y")}, "save_name is no field that can be varied"),
        (
            {"gamma": [0.9] * 40, "ent_coef": [0.1] * 40},
            "asks for 1600 runs; at most 1024 are allowed",
        ),
    ],
)
def test_values_that_are_no_sweep_are_refused_in_python_too(tmp_path, axes, sentence):
    with pytest.raises(InputError, match=f"^the sweep: {sentence}"):
        cohort.train_sweep(dataclasses.replace(SMALL, runs_dir=str(tmp_path)), axes)
    assert not list(tmp_path.iterdir())


def test_the_exam_outweighs_what_training_counted(tmp_path):
    def examined(name, rate, laps):
        progress = Progress(recent_laps=[[laps, 50.0]], recent_episodes=[[1.0, 100.0, 1.0]])
        folder = RunFolder(tmp_path / name)
        folder.path.mkdir()
        checkpoint_scores.write(folder.path, {1000: (rate, 40.0)})
        return RunResult(folder, 1000, progress, False, None)

    steady, lucky = examined("steady", 0.9, 1.0), examined("lucky", 0.2, 9.0)
    assert comparison.best([lucky, steady]) is steady


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ("--seeds 0", "--seeds is 0; allowed are 1 to 1024"),
        ("--seeds 2 --resume-from some", "--seeds is 2: --resume-from goes on with one run"),
    ],
)
def test_impossible_seeds_are_refused(tmp_path, capsys, flags, sentence):
    assert cli.main(["train", *flags.split(), "--runs-dir", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"kart: {sentence}")
    assert not list(tmp_path.iterdir())


def test_seeds_beyond_all_numbers_are_refused_and_leave_nothing(tmp_path):
    with pytest.raises(InputError, match="4294967296"):
        cohort.train_seeds(dataclasses.replace(SMALL, seed=2**32 - 1, runs_dir=str(tmp_path)), 2)
    assert not list(tmp_path.iterdir())
