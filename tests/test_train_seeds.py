"""Several seeds side by side: each is the run that it would be alone, and their spread is told."""

import dataclasses
import json
import re
from pathlib import Path

import chex
import jax
import pytest
from ring_runs import SMALL, read_events, rows, run

from kart_jax import cli
from kart_jax.cli.train import seed_table
from kart_jax.errors import InputError
from train import loop, seeds
from train.config import TrainConfig
from train.progress import Progress
from train.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("on_ring")
FLAGS = (
    "train --telemetry-only --vector-envs 8 --rollout-steps 16 --minibatch-size 64 --epochs 2 "
    "--timesteps 3072 --checkpoint-freq 1024 --learning-rate 1e-3 --save-name three --seeds 3 --seed 5 --json"
)


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """Three seeds by the command; (its JSON, what it told, the folder)."""
    from ring_env import RingEnv

    runs = tmp_path_factory.mktemp("seeds")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "make_env", lambda settings: RingEnv())
        patch.setattr("kart_jax.cli.train.film_driver", lambda result, config: {"of": result.folder.path.name})
        patch.setattr(
            "kart_jax.cli.train.emit_json", lambda figures: (runs / "told.json").write_text(json.dumps(figures))
        )
        assert cli.main([*FLAGS.split(), "--runs-dir", str(runs)]) == 0
    return json.loads((runs / "told.json").read_text()), runs / "three"


def test_each_seed_is_the_run_it_would_be_alone(three, tmp_path):
    figures, folder = three
    assert [one["folder"] for one in figures["seeds"]] == [str(folder / f"seed-{seed}") for seed in (5, 6, 7)]
    alone, result, _ = run(dataclasses.replace(SMALL, seed=6, runs_dir=str(tmp_path)))
    assert result.steps == 3072
    found, notes = loop.prepare(TrainConfig(resume_from="seed-6", runs_dir=str(folder)))
    assert notes == [] and found.steps == 3072
    # Three networks in one matrix product sum in another order than one.
    chex.assert_trees_all_close(
        jax.device_get(found.state.params), jax.device_get(alone.state.params), rtol=2e-2, atol=2e-3
    )


def test_the_spread_over_the_seeds_is_told(three):
    figures, folder = three
    table = [rows(loop.RunFolder(folder / f"seed-{seed}")) for seed in (5, 6, 7)]
    assert len({row["train/entropy"] for row in (part[-1] for part in table)}) == 3
    events = read_events(folder / "tensorboard")
    losses = [float(part[-1]["train/value_loss"]) for part in table]
    mean = sum(losses) / 3
    deviation = (sum((loss - mean) ** 2 for loss in losses) / 2) ** 0.5
    assert events["train/value_loss/mean"][3072] == pytest.approx(mean, rel=1e-5)
    assert events["train/value_loss/std"][3072] == pytest.approx(deviation, rel=1e-4)
    assert figures["film"]["of"] in ("seed-5", "seed-6", "seed-7")


def test_the_mean_leaves_out_what_a_seed_does_not_have_yet():
    told = seeds.summarise([{"lap": 40.0, "none": float("nan")}, {"lap": float("nan"), "none": float("nan")}])
    assert told == {"lap": (40.0, 0.0)}


def reached(seed, failure=None, **progress):
    """What is left of the run of a seed."""
    return loop.RunResult(RunFolder(Path(f"runs/many/seed-{seed}")), 1000, Progress(**progress), False, failure)


def test_the_table_of_seeds_tells_each_their_mean_and_deviation():
    episodes = [[[1.0, 90.0, 1.0]], [[2.0, 400.0, 1.0]], []]  # returns of 90, of 200 on average, of none yet
    results = [
        reached(3, laps=10, first_lap_steps=1000, best_lap=40.0, recent_episodes=episodes[0]),
        reached(4, laps=14, first_lap_steps=3000, best_lap=41.0, recent_episodes=episodes[1]),
        reached(5, laps=0, recent_episodes=episodes[2]),
    ]
    head, *body = (re.split(" {2,}", line.strip()) for line in seed_table(results).splitlines())
    assert head == ["laps", "first lap, steps", "best lap, s", "mean return"]
    assert body == [
        ["seed-3", "10", "1,000", "40.000", "90"],
        ["seed-4", "14", "3,000", "41.000", "200"],
        ["seed-5", "0", "-", "-", "-"],
        ["mean", "8", "2,000", "40.500", "145"],
        # sqrt((2² + 6² + 8²) / 2) = 7.2; of two values a and b, |a - b| / sqrt(2).
        ["standard deviation", "7", "1,414", "0.707", "78"],
    ]
    alone = seed_table(results[:1]).splitlines()
    assert alone[-1].split() == ["standard", "deviation", *"----"]


def test_the_best_seed_is_whole_before_it_scores():
    poor = reached(0, recent_laps=[[1.0, 50.0]], recent_episodes=[[1.0, 900.0, 1.0]])
    good = reached(1, recent_laps=[[3.0, 150.0]], recent_episodes=[[1.0, 100.0, 1.0]])
    fair = reached(2, recent_laps=[[3.0, 150.0]], recent_episodes=[[1.0, 50.0, 1.0]])
    lost = reached(3, "it diverged", recent_laps=[[9.0, 350.0]], recent_episodes=[[1.0, 999.0, 1.0]])
    worse = reached(4, "it diverged", recent_laps=[[8.0, 350.0]], recent_episodes=[[1.0, 999.0, 1.0]])
    for results in ([poor, good, fair, lost], [lost, fair, good, poor]):
        assert seeds.best(results) is good  # laps first, then the return
    assert seeds.best([lost, poor]) is seeds.best([poor, lost]) is poor
    assert seeds.best([worse, lost]) is seeds.best([lost, worse]) is lost
    assert seeds.best([reached(5), poor]) is poor  # one without an episode yet


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ("--seeds 0", "--seeds is 0; allowed are 1 to 1024"),
        ("--seeds 2 --resume-from some", "--seeds is 2, but --resume-from goes on with one run"),
    ],
)
def test_impossible_seeds_are_refused(tmp_path, capsys, flags, sentence):
    assert cli.main(["train", *flags.split(), "--runs-dir", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"kart: {sentence}")
    assert not list(tmp_path.iterdir())


def test_seeds_beyond_all_numbers_are_refused_and_leave_nothing(tmp_path):
    with pytest.raises(InputError, match="4294967296"):
        seeds.train(dataclasses.replace(SMALL, seed=2**32 - 1, runs_dir=str(tmp_path)), 2)
    assert not list(tmp_path.iterdir())
