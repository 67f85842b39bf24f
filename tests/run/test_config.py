"""Requests, configs and run folders: what is chosen, what is refused, and in which words."""

import concurrent.futures
import dataclasses
import json
import math
import re
from pathlib import Path

import pytest
import tyro

from kart_jax.errors import InputError
from train.run import metrics_log, run_folder
from train.run.config_file import load_config
from train.run.request import TrainConfig
from train.run.resolve import resolve


def test_defaults_adapt_to_the_machine():
    cpu, gpu = resolve(TrainConfig(), "cpu"), resolve(TrainConfig(), "gpu")
    assert cpu.tracks == gpu.tracks == ("circuit.png",)
    assert cpu.ppo.vector_envs <= 64
    assert cpu.network.frame_stack == 1
    assert gpu.ppo.vector_envs >= 2048
    assert gpu.network.frame_stack == 4


def test_profiles_differ_in_step_size_and_entropy_and_flags_win():
    careful, bold = (
        resolve(TrainConfig(profile="conservative"), "cpu"),
        resolve(TrainConfig(profile="aggressive"), "cpu"),
    )
    assert bold.ppo.learning_rate > careful.ppo.learning_rate
    assert bold.ppo.ent_coef > careful.ppo.ent_coef
    assert (
        resolve(TrainConfig(profile="aggressive", learning_rate=7e-5), "cpu").ppo.learning_rate
        == 7e-5
    )


def test_numbers_of_the_algorithm_can_be_given_and_are_kept():
    given = {
        "gae_lambda": 0.9,
        "clip_ratio": 0.1,
        "value_clip": 0.3,
        "value_coef": 1.0,
        "max_grad_norm": 1.0,
    }
    ppo = resolve(TrainConfig(**given, target_kl=0.01), "cpu").ppo
    assert {name: getattr(ppo, name) for name in given} == given and ppo.target_kl == 0.01
    assert resolve(TrainConfig(), "cpu").ppo.value_clip is None
    saved = resolve(TrainConfig(value_clip=0.3), "cpu")
    assert resolve(TrainConfig(gamma=0.9), "cpu", saved).ppo.value_clip == 0.3
    with pytest.raises(InputError, match=r"--clip-ratio is 2\.0; it must be"):
        resolve(TrainConfig(clip_ratio=2.0), "cpu")
    with pytest.raises(InputError, match=r"--value-clip is 0\.0; it must be above 0"):
        resolve(TrainConfig(value_clip=0.0), "cpu")


def test_command_line_flags_keep_their_names():
    words = (
        "--track-name a.png b.png --timesteps 100 --vector-envs 8 --save-name x --learning-rate "
        "1e-3 --ent-coef 0.1 "
        "--resume-from y --checkpoint-freq 50 --profile aggressive"
    )
    config = tyro.cli(TrainConfig, args=words.split())
    assert config == TrainConfig(
        track_name=("a.png", "b.png"),
        timesteps=100,
        vector_envs=8,
        save_name="x",
        learning_rate=1e-3,
        ent_coef=0.1,
        resume_from="y",
        checkpoint_freq=50,
        profile="aggressive",
    )


def test_a_resumed_run_keeps_what_no_flag_changes():
    asked = TrainConfig(
        track_name=("spa",), gamma=0.97, vector_envs=8, minibatch_size=64, timesteps=999, seed=5
    )
    saved = resolve(asked, "cpu")
    assert resolve(TrainConfig(), "gpu", saved) == saved
    changed = resolve(TrainConfig(track_name=("circuit.png",), ent_coef=0.5), "cpu", saved)
    assert changed == dataclasses.replace(
        saved, tracks=("circuit.png",), ppo=dataclasses.replace(saved.ppo, ent_coef=0.5)
    )


def test_timesteps_are_rounded_up_to_whole_chunks():
    settings = resolve(
        TrainConfig(vector_envs=4, rollout_steps=8, minibatch_size=8, timesteps=65), "cpu"
    )
    settings = dataclasses.replace(
        settings, ppo=dataclasses.replace(settings.ppo, updates_per_chunk=2)
    )
    assert (settings.steps_per_chunk, settings.chunks, settings.updates) == (64, 2, 4)


PRETRAINED = TrainConfig(backbone="resnet18", backbone_weights="resnet18.pth", backbone_trainable=2)


def test_a_pretrained_backbone_is_kept_by_the_runs_that_go_on_from_it(tmp_path):
    saved = resolve(PRETRAINED, "cpu")
    assert (saved.network.backbone, saved.network.backbone_trainable) == ("resnet18", 2)
    saved.save(tmp_path / "config.json")
    assert load_config(tmp_path / "config.json") == saved
    assert resolve(TrainConfig(), "cpu", saved) == saved
    assert resolve(TrainConfig(backbone_trainable=0), "cpu", saved).network.backbone_trainable == 0


def test_a_field_that_a_config_lacks_has_its_declared_default(tmp_path):
    path = tmp_path / "config.json"
    config = resolve(TrainConfig(seed=3), "cpu")
    config.save(path)
    whole = json.loads(path.read_text())
    del whole["network"]["backbone"], whole["ppo"]["gamma"], whole["ppo"]["shards"], whole["kart"]
    path.write_text(json.dumps(whole))
    assert load_config(path) == config


@pytest.mark.parametrize(
    ("fields", "saved", "words"),
    [
        (
            {"backbone": "resnet18"},
            None,
            "--backbone is resnet18, but there are no weights for it; add",
        ),
        (
            {"backbone_weights": "x.pth"},
            None,
            "--backbone-weights is x.pth, but nature starts from none; add",
        ),
        (
            {"backbone_weights": "x.pth"},
            PRETRAINED,
            "--backbone-weights is x.pth, but the run to go on from brings",
        ),
        (
            {"backbone": "nature"},
            PRETRAINED,
            "--backbone is nature, but the run to go on from has resnet18; leave",
        ),
        (
            {"backbone": "resnet18", "backbone_weights": "x"},
            TrainConfig(),
            "--backbone is resnet18, but the run to",
        ),
        (
            {"backbone_trainable": 1},
            None,
            "--backbone-trainable is 1; it must be 0 with --backbone nature",
        ),
        (
            {"backbone_trainable": 5},
            PRETRAINED,
            "--backbone-trainable is 5; it must be from 0 to 4",
        ),
        (
            {"backbone_trainable": -1},
            PRETRAINED,
            "--backbone-trainable is -1; it must be from 0 to 4",
        ),
        (
            {"telemetry_only": True},
            PRETRAINED,
            "--backbone is resnet18; it must be left out with --telemetry-only",
        ),
    ],
)
def test_a_backbone_that_does_not_fit_is_refused(fields, saved, words):
    before = None if saved is None else resolve(saved, "cpu")
    with pytest.raises(InputError, match="^" + re.escape(words)):
        resolve(TrainConfig(**fields), "cpu", before)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"vector_envs": 0}, "--vector-envs is 0; it must be from 1 to 1000000000"),
        ({"timesteps": -5}, "--timesteps is -5; it must be at least 1"),
        (
            {"timesteps": 10**18},
            "--timesteps is 1000000000000000000; it must be at most 2048000000000, 1000000000 upd",
        ),
        ({"learning_rate": 0.0}, "--learning-rate is 0.0; it must be above 0, up to 1e[+]38"),
        ({"learning_rate": math.inf}, "--learning-rate is inf; it must be above 0, up to 1e[+]38"),
        ({"learning_rate": math.nan}, "--learning-rate is nan; it must be above 0, up to 1e[+]38"),
        ({"ent_coef": -1.0}, "--ent-coef is -1.0; it must be from 0 to 1e[+]38"),
        ({"ent_coef": math.nan}, "--ent-coef is nan; it must be from 0 to 1e[+]38"),
        ({"ent_coef": math.inf}, "--ent-coef is inf; it must be from 0 to 1e[+]38"),
        ({"gamma": 1.5}, "--gamma is 1.5; it must be from 0 to 1"),
        ({"minibatch_size": 500}, "--minibatch-size is 500; it must divide"),
        ({"seed": -1}, "--seed is -1"),
        ({"save_name": "a/b"}, "--save-name is 'a/b'"),
        ({"save_name": "a\nb"}, r"--save-name is 'a\\nb'"),
        ({"runs_dir": ""}, "--runs-dir is empty"),
        ({"track_name": ()}, "--track-name is empty"),
    ],
)
def test_impossible_requests_are_refused_by_flag(fields, words):
    with pytest.raises(InputError, match="^" + words.replace("(", r"\(")):
        resolve(TrainConfig(**fields), "cpu")


def test_a_config_survives_the_file(tmp_path):
    settings = resolve(TrainConfig(track_name=("a", "b")), "gpu")
    settings.save(tmp_path / "config.json")
    assert load_config(tmp_path / "config.json") == settings


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: "[" * 200_000,
        lambda text: "9" * 10_000,
        lambda text: json.dumps({**json.loads(text), "wings": 2}),
    ],
)
def test_a_damaged_config_is_refused_with_its_path(tmp_path, damage):
    path = tmp_path / "config.json"
    resolve(TrainConfig(), "cpu").save(path)
    path.write_text(damage(path.read_text()))
    with pytest.raises(InputError, match=str(path)):
        load_config(path)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("tracks", [1, 2], "tracks is [1, 2]; it must be a list of strings"),
        ("tracks", "circuit", 'tracks is "circuit"; it must be a list of strings'),
        ("tracks", [], "--track-name is empty"),
        ("profile", "x", 'profile is "x"; it must be one of conservative, aggressive'),
        ("kart", "f1", 'kart is "f1"; it must be one of rental_gx270, mini_max'),
        ("kart", ["ok"], 'kart is ["ok"]; it must be one of'),
        ("seed", "x", 'seed is "x"; it must be a whole number'),
        ("seed", True, "seed is true; it must be a whole number"),
        ("seed", -1, "--seed is -1"),
        ("timesteps", 1.5, "timesteps is 1.5; it must be a whole number"),
        ("ppo", 3, "ppo is 3; it must be an object"),
        ("ppo", {}, "field ent_coef is missing or unknown"),
        ("network", [], "network is []; it must be an object"),
        ("network", {}, "field frame_stack is missing or unknown"),
        ("frame_stack", 1, "field frame_stack is missing or unknown"),
    ],
)
def test_a_damaged_field_is_named_with_its_file(tmp_path, field, value, words):
    path = tmp_path / "config.json"
    resolve(TrainConfig(), "cpu").save(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    with pytest.raises(InputError, match="^" + re.escape(f"{path}: {words}")):
        load_config(path)


@pytest.mark.parametrize(
    ("part", "field", "value", "words"),
    [
        ("ppo", "learning_rate", math.nan, "learning_rate is NaN; it must be a finite number"),
        ("ppo", "value_clip", "x", 'value_clip is "x"; it must be a finite number or null'),
        ("ppo", "gamma", 2, "--gamma is 2"),
        ("ppo", "vector_envs", 10**12, "--vector-envs is 1000000000000; it must be from 1 to 10"),
        ("ppo", "minibatch_size", 7, "--minibatch-size is 7; it must divide"),
        ("network", "backbone", "vgg", 'backbone is "vgg"; it must be one of nature, resnet18'),
        ("network", "backbone_trainable", 3, "--backbone-trainable is 3; it must be 0 with"),
        ("network", "telemetry_only", 1, "telemetry_only is 1; it must be true or false"),
        ("network", "frame_stack", 0, "--frame-stack is 0; it must be from 1 to 64"),
        ("network", "frame_stack", 10**6, "--frame-stack is 1000000; it must be from 1 to 64"),
        ("network", "eyes", 2, "field eyes is missing or unknown"),
    ],
)
def test_a_damaged_number_of_a_part_is_named_with_its_file(tmp_path, part, field, value, words):
    path = tmp_path / "config.json"
    resolve(TrainConfig(), "cpu").save(path)
    whole = json.loads(path.read_text())
    path.write_text(json.dumps({**whole, part: {**whole[part], field: value}}))
    with pytest.raises(InputError, match="^" + re.escape(f"{path}: {words}")):
        load_config(path)


def test_a_config_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "config.json"
    resolve(TrainConfig(), "cpu").save(path)
    before = path.read_text()

    def fail_half_way(part, text, **_):
        with part.open("w") as file:
            file.write(text[: len(text) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", fail_half_way)
    with pytest.raises(InputError, match="No space left on device"):
        resolve(TrainConfig(seed=5), "cpu").save(path)
    assert path.read_text() == before and [p.name for p in tmp_path.iterdir()] == ["config.json"]


def test_a_taken_name_is_refused_and_no_name_is_numbered(tmp_path):
    settings = resolve(TrainConfig(), "cpu")
    config = TrainConfig(runs_dir=str(tmp_path))
    first = run_folder.choose(config, settings)
    first.create(settings)
    second = run_folder.choose(config, settings)
    assert (first.path.name, second.path.name) == ("circuit-1", "circuit-2")
    with pytest.raises(InputError, match="--resume-from circuit-1"):
        run_folder.choose(dataclasses.replace(config, save_name="circuit-1"), settings)


def test_runs_that_begin_at_once_get_folders_of_their_own(tmp_path):
    settings, config = resolve(TrainConfig(), "cpu"), TrainConfig(runs_dir=str(tmp_path))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        chosen = list(pool.map(lambda _: run_folder.choose(config, settings).path.name, range(24)))
    assert sorted(chosen) == sorted(f"circuit-{i}" for i in range(1, 25))


def test_a_folder_that_cannot_be_made_gets_one_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"cannot be made .*; give another --runs-dir"):
        run_folder.choose(
            TrainConfig(runs_dir=str(tmp_path / "file")), resolve(TrainConfig(), "cpu")
        )


def test_the_table_is_cut_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "metrics.csv"
    path.write_text("step,x\n1,0.5\n2,0.25\n3,0.1")

    def fail(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fail)
        with pytest.raises(InputError, match="No space left on device"):
            metrics_log.drop_rows_after(path, 2)
    assert path.read_text() == "step,x\n1,0.5\n2,0.25\n3,0.1"
    metrics_log.drop_rows_after(path, 2)
    assert path.read_text().split() == ["step,x", "1,0.5", "2,0.25"]
    assert [p.name for p in tmp_path.iterdir()] == ["metrics.csv"]


def test_what_is_no_run_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("absent", "empty"):
        with pytest.raises(InputError, match=f"{name}: is no training run"):
            run_folder.find(name, tmp_path)
