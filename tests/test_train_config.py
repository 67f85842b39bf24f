"""Requests, settings and run folders: what is chosen, what is refused, and in which words."""

import dataclasses
import inspect
import json

import pytest
import tyro

from kart_jax.errors import InputError
from train import run_folder
from train.config import PPOConfig, Settings, TrainConfig, load_settings
from train.profiles import resolve


def test_defaults_adapt_to_the_machine():
    cpu, gpu = resolve(TrainConfig(), "cpu"), resolve(TrainConfig(), "gpu")
    assert cpu.tracks == gpu.tracks == ("circuit.png",)
    assert cpu.ppo.vector_envs <= 64
    assert cpu.frame_stack == 1
    assert gpu.ppo.vector_envs >= 2048
    assert gpu.frame_stack == 4


def test_profiles_differ_in_step_size_and_entropy_and_flags_win():
    careful, bold = (
        resolve(TrainConfig(profile="conservative"), "cpu"),
        resolve(TrainConfig(profile="aggressive"), "cpu"),
    )
    assert bold.ppo.learning_rate > careful.ppo.learning_rate
    assert bold.ppo.ent_coef > careful.ppo.ent_coef
    assert resolve(TrainConfig(profile="aggressive", learning_rate=7e-5), "cpu").ppo.learning_rate == 7e-5


def test_command_line_flags_keep_their_names():
    words = (
        "--track-name a.png b.png --timesteps 100 --vector-envs 8 --save-name x --learning-rate 1e-3 --ent-coef 0.1 "
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
    asked = TrainConfig(track_name=("spa",), gamma=0.97, vector_envs=8, minibatch_size=64, timesteps=999, seed=5)
    saved = resolve(asked, "cpu")
    assert resolve(TrainConfig(), "gpu", saved) == saved
    changed = resolve(TrainConfig(track_name=("circuit.png",), ent_coef=0.5), "cpu", saved)
    assert changed == dataclasses.replace(
        saved, tracks=("circuit.png",), ppo=dataclasses.replace(saved.ppo, ent_coef=0.5)
    )


def test_timesteps_are_rounded_up_to_whole_chunks():
    settings = resolve(TrainConfig(vector_envs=4, rollout_steps=8, minibatch_size=8, timesteps=65), "cpu")
    settings = dataclasses.replace(settings, ppo=dataclasses.replace(settings.ppo, updates_per_chunk=2))
    assert (settings.steps_per_chunk, settings.chunks, settings.updates) == (64, 2, 4)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"vector_envs": 0}, "--vector-envs is 0; it must be at least 1"),
        ({"timesteps": -5}, "--timesteps is -5; it must be at least 1"),
        ({"learning_rate": 0.0}, "--learning-rate is 0.0; it must be above 0"),
        ({"ent_coef": -1.0}, "--ent-coef is -1.0; it must be 0 or more"),
        ({"gamma": 1.5}, "--gamma is 1.5; it must be from 0 to 1"),
        ({"minibatch_size": 500}, "--minibatch-size is 500; it must divide"),
        ({"seed": -1}, "--seed is -1"),
        ({"save_name": "a/b"}, "--save-name is 'a/b'"),
        ({"track_name": ()}, "--track-name is empty"),
    ],
)
def test_impossible_requests_are_refused_by_flag(fields, words):
    with pytest.raises(InputError, match="^" + words.replace("(", r"\(")):
        resolve(TrainConfig(**fields), "cpu")


def test_settings_survive_the_file(tmp_path):
    settings = resolve(TrainConfig(track_name=("a", "b")), "gpu")
    settings.save(tmp_path / "config.json")
    assert load_settings(tmp_path / "config.json") == settings


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: json.dumps({**json.loads(text), "wings": 2}),
        lambda text: json.dumps({**json.loads(text), "seed": "x"}),
        lambda text: json.dumps({**json.loads(text), "ppo": {}}),
    ],
)
def test_a_damaged_config_is_refused_with_its_path(tmp_path, damage):
    path = tmp_path / "config.json"
    resolve(TrainConfig(), "cpu").save(path)
    path.write_text(damage(path.read_text()))
    with pytest.raises(InputError, match=str(path)):
        load_settings(path)


def test_a_taken_name_is_refused_and_no_name_is_numbered(tmp_path):
    settings = resolve(TrainConfig(), "cpu")
    config = TrainConfig(runs_dir=str(tmp_path))
    first = run_folder.choose(config, settings)
    first.create(settings)
    second = run_folder.choose(config, settings)
    assert (first.path.name, second.path.name) == ("circuit-1", "circuit-2")
    with pytest.raises(InputError, match="--resume-from circuit-1"):
        run_folder.choose(dataclasses.replace(config, save_name="circuit-1"), settings)


def test_what_is_no_run_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("absent", "empty"):
        with pytest.raises(InputError, match=f"{name}: is no training run"):
            run_folder.find(name, tmp_path)


def test_every_field_is_documented():
    for cls in (TrainConfig, PPOConfig, Settings):
        lines = inspect.getsource(cls).splitlines()
        for field in dataclasses.fields(cls):
            row = next(i for i, line in enumerate(lines) if line.startswith(f"    {field.name}:"))
            assert lines[row + 1].strip().startswith('"""'), f"{cls.__name__}.{field.name}"
