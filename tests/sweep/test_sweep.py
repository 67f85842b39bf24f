"""Sweeps and requests as plain data: every combination once, readable names, one sentence for every
mistake."""

import dataclasses
import json

import pytest

from kart_jax.errors import InputError
from train.run.request import TrainConfig
from train.sweep import combinations, plain_data

BASE = TrainConfig(save_name="grid", timesteps=1000)


def written(tmp_path, text):
    path = tmp_path / "sweep.toml"
    path.write_text(text)
    return str(path)


def test_lists_are_combined_and_the_rest_holds_for_all(tmp_path):
    path = written(tmp_path, 'learning_rate = [3e-4, 1]\nkart = "ok"\nseed = [0, 7]\n')
    runs = combinations.expand(BASE, combinations.read(path), path)
    assert [(run.learning_rate, run.seed) for run in runs] == [
        (3e-4, 0),
        (3e-4, 7),
        (1.0, 0),
        (1.0, 7),
    ]
    assert isinstance(runs[2].learning_rate, float)
    assert {run.kart for run in runs} == {"ok"} and {run.timesteps for run in runs} == {1000}
    assert [run.save_name for run in runs] == [
        "grid-learning_rate-0.0003-seed-0",
        "grid-learning_rate-0.0003-seed-7",
        "grid-learning_rate-1.0-seed-0",
        "grid-learning_rate-1.0-seed-7",
    ]


def test_a_list_of_circuits_is_one_run_each_and_a_list_in_it_is_one_run_of_all(tmp_path):
    path = written(tmp_path, 'track_name = ["circuit.png", ["a/b.csv", "generated:0-3"]]')
    runs = combinations.expand(BASE, combinations.read(path), path)
    assert [run.track_name for run in runs] == [("circuit.png",), ("a/b.csv", "generated:0-3")]
    assert [run.save_name for run in runs] == [
        "grid-track_name-circuit",
        "grid-track_name-b+generated_0-3",
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "learning_rat = [1]",
            "the field learning_rat is unknown; allowed are track_name, timesteps",
        ),
        ("learning_rat = [1]", "did you mean learning_rate?"),
        ("runs_dir = 'x'", "the field runs_dir is unknown"),
        ("seed = [0, 1.5]", "seed is 1.5; it must be a whole number; correct it"),
        ("seed = true", "seed is true; it must be a whole number; correct it"),
        (
            "learning_rate = 'fast'",
            'learning_rate is "fast"; it must be a finite number; correct it',
        ),
        ("learning_rate = [nan]", "learning_rate is NaN; it must be a finite number; correct it"),
        ("telemetry_only = 1", "telemetry_only is 1; it must be true or false"),
        ("kart = 'f1'", 'kart is "f1"; it must be one of '),
        ("track_name = [[1]]", "track_name is [1]; it must be a list of strings"),
        ("seed = 1979-05-27", 'seed is "1979-05-27"; it must be a whole number'),
        ("seed = []", "seed is an empty list; give at least one value or remove it"),
        ("seed = [0, 1, 0]", "seed holds 0 twice; remove one"),
        ("save_name = ['a']", "save_name cannot be varied"),
        ("timesteps = [5]", "timesteps is given there and by --timesteps; give it in one place"),
        ("minibatch_size = [64, 100]", "--minibatch-size is 100; it must divide the"),
        ("frame_stack = [0]", "--frame-stack is 0; it must be from 1 to 64"),
        ("seed = [0", "is no TOML"),
        ("", "sets no field; give at least one"),
        (f"seed = {list(range(101))}", "asks for 101 runs; at most 100 are allowed"),
        (
            "track_name = ['a/ring.png', 'b/ring.png']",
            "two runs would be called grid-track_name-ring",
        ),
    ],
)
def test_a_mistake_in_the_file_gets_one_sentence_that_begins_with_its_path(
    tmp_path, text, sentence
):
    path = written(tmp_path, text)
    with pytest.raises(InputError) as caught:
        combinations.expand(BASE, combinations.read(path), path)
    said = str(caught.value)
    assert said.startswith(f"{path}: ") and sentence in said and "\n" not in said


def test_a_file_that_is_missing_or_no_text_gets_one_sentence(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.toml: cannot be read \(No such file"):
        combinations.read("nowhere.toml")
    (tmp_path / "x.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="is no TOML"):
        combinations.read(str(tmp_path / "x.toml"))


def test_a_request_survives_the_way_through_json():
    config = TrainConfig(
        track_name=("circuit.png", "spa.png"),
        timesteps=5,
        learning_rate=1e-3,
        kart="kz2",
        telemetry_only=False,
        profile="aggressive",
        save_name="x",
        resume_from="y",
    )
    plain = json.loads(json.dumps(plain_data.to_plain(config)))
    assert plain["telemetry_only"] is False and "seed" not in plain and "runs_dir" not in plain
    assert plain_data.from_plain(plain, "the request") == config
    with pytest.raises(InputError, match="the request: the field json is unknown"):
        plain_data.from_plain({"json": True}, "the request")


def test_every_field_of_a_request_can_travel():
    left_out = {field.name for field in dataclasses.fields(TrainConfig)} - set(plain_data.HINTS)
    assert left_out == set(plain_data.LOCAL)
