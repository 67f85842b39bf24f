"""Each number of a run is declared once, and flags, checks, defaults and rules follow from that."""

import dataclasses
import importlib
import inspect
import json
import math
import pkgutil
import re
from typing import Annotated

import pytest
from flax import struct

import train
from kart_jax.cli.flags import parse
from kart_jax.cli.train import CommandConfig
from kart_jax.errors import InputError
from train import declaration
from train.declaration import Role, leaves
from train.networks.config import NetworkConfig
from train.ppo.config import PPOConfig, UpdateShape
from train.ppo.hyperparameters import Hyperparameters
from train.run import prepare, request
from train.run.config import RunConfig
from train.run.defaults import MACHINES, PROFILES, default_words
from train.run.request import PER_RUN, TrainConfig
from train.run.resolve import resolve


def modules():
    """Every module of `train`, but the app, which builds images."""
    for found in pkgutil.walk_packages(train.__path__, "train."):
        if found.name != "train.modal_app":
            yield importlib.import_module(found.name)


def test_no_number_of_a_run_is_a_field_of_two_classes():
    """States and metrics on the device have names of their own accord, `Hyperparameters` follows
    `PPOConfig`, see below, and `GivenLeaves` is made of `RunConfig`."""
    names = {leaf.field for leaf in leaves(RunConfig).values()}
    owners = {name: set() for name in names}
    for module in modules():
        for cls in vars(module).values():
            if not (inspect.isclass(cls) and dataclasses.is_dataclass(cls)):
                continue
            ours = cls.__module__.startswith("train.")
            if ours and cls is not request.GivenLeaves and not issubclass(cls, struct.PyTreeNode):
                for name in names & set(inspect.get_annotations(cls)):
                    owners[name].add(cls.__name__)
    assert {name: found for name, found in owners.items() if len(found) != 1} == {}


def test_what_a_compiled_update_is_told_are_the_numbers_of_ppo_that_decide_no_shape():
    own = {field.name for field in dataclasses.fields(PPOConfig)}
    shapes = {field.name for field in dataclasses.fields(UpdateShape)}
    traced = {field.name for field in dataclasses.fields(Hyperparameters)} - {"updates"}
    assert traced == own - shapes
    assert traced == set(declaration.with_role(PPOConfig, Role.PER_RUN))


def test_the_flags_are_the_leaves_that_have_one_and_a_few_of_the_request():
    names = [field.name for field in dataclasses.fields(TrainConfig)]
    own = ["save_name", "resume_from", "backbone_weights", "devices", "runs_dir", "json"]
    assert names == [*request.ASKED, *own]
    unasked = {"final_learning_rate", "updates_per_chunk", "shards", "initial_std"}
    assert set(leaves(RunConfig)) - set(names) == unasked | {"initial_throttle"}
    assert TrainConfig(gamma=0.9).given == {"gamma": 0.9}
    assert TrainConfig(telemetry_only=False).given == {"telemetry_only": False}


def test_every_leaf_and_every_own_field_of_a_request_is_documented():
    assert all(declaration.docs(RunConfig).values())
    assert set(declaration.docs(RunConfig)) == set(leaves(RunConfig))
    assert request.GivenLeaves.__doc__ is not None
    for name in request.ASKED:
        assert f"\n    {name}: " in request.GivenLeaves.__doc__, name


def help_of(flag, capsys):
    """The help of a flag of `kart train`, on one line."""
    with pytest.raises(SystemExit):
        parse(CommandConfig, "train", ["--help"], "kart train")
    text = re.sub(r"[│\s]+", " ", capsys.readouterr().out)
    return re.split(r" --[a-z-]+ (?:[A-Z{\[]|\w+ |$)", text.partition(f" {flag} ")[2])[0]


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--track-name", "several share one run. Not given: circuit.png."),
        ("--vector-envs", "Karts driven at once. Not given: 16 on a CPU, 2048 on a GPU."),
        ("--epochs", "Not given: 4 on a CPU (6 with --telemetry-only), 2 on a GPU."),
        ("--frame-stack", "Not given: 1 on a CPU, 4 on a GPU (1 with --telemetry-only)."),
        ("--learning-rate", "Not given: 0.0005, 0.001 with --profile aggressive."),
        ("--checkpoint-freq", "Not given: a tenth of the run."),
        ("--gae-lambda", "Not given: 0.95."),
        ("--value-clip", "none = as far as it likes. Not given: none."),
        ("--randomize", "Not given: false."),
    ],
)
def test_the_help_of_a_flag_tells_its_meaning_and_its_default(flag, words, capsys):
    assert words in help_of(flag, capsys)


def test_the_help_names_what_a_sweep_may_vary(capsys):
    assert f"no other program: {', '.join(PER_RUN)}." in help_of("--sweep", capsys)


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
@pytest.mark.parametrize("telemetry_only", [False, True])
def test_the_default_that_the_help_tells_is_the_one_that_is_taken(backend, telemetry_only):
    config = declaration.flatten(resolve(TrainConfig(telemetry_only=telemetry_only), backend))
    for name in set(request.ASKED) - {"telemetry_only", "checkpoint_freq"}:
        words = default_words(leaves(RunConfig)[name])
        if name in MACHINES[True, False]:
            place = {"cpu": "a CPU", "gpu": "a GPU"}[backend]
            (mine,) = re.findall(rf"(\S+) on {place}(?: \((\S+) with --telemetry-only\))?", words)
            words = mine[1] if telemetry_only and mine[1] else mine[0]
        elif name in PROFILES["conservative"]:
            words = words.partition(",")[0]
        value = config[name]
        assert words == {"str": value, "tuple": "circuit.png", "NoneType": "none"}.get(
            type(value).__name__, json.dumps(value)
        ), name


def test_the_tables_of_defaults_hold_leaves():
    for row in (*PROFILES.values(), *MACHINES.values()):
        assert set(row) <= set(leaves(RunConfig))
    undeclared = {n for n, leaf in leaves(RunConfig).items() if leaf.default is dataclasses.MISSING}
    for row in MACHINES.values():
        assert undeclared <= {*row, *PROFILES["conservative"]}


def test_a_flag_wins_over_the_saved_run_and_that_over_profile_machine_and_declaration():
    # gamma is declared, epochs of the machine, ent_coef of the profile.
    fresh = resolve(TrainConfig(), "cpu").ppo
    assert (fresh.gamma, fresh.epochs, fresh.ent_coef) == (0.99, 4, 0.0005)
    saved = resolve(TrainConfig(gamma=0.9, epochs=3, ent_coef=0.25), "cpu")
    kept = resolve(TrainConfig(), "gpu", saved).ppo
    assert (kept.gamma, kept.epochs, kept.ent_coef) == (0.9, 3, 0.25)
    flags = TrainConfig(gamma=0.8, epochs=2, ent_coef=0.5, profile="aggressive")
    given = resolve(flags, "cpu", saved).ppo
    assert (given.gamma, given.epochs, given.ent_coef) == (0.8, 2, 0.5)
    # A profile that is asked for wins over the saved run, the saved run's own does not come back.
    bold = resolve(TrainConfig(profile="aggressive"), "cpu", saved).ppo
    assert (bold.gamma, bold.epochs, bold.ent_coef) == (0.9, 3, 0.005)


def test_a_computed_default_follows_from_the_numbers_of_the_run():
    assert resolve(TrainConfig(timesteps=12_345), "cpu").checkpoint_freq == 1234
    assert resolve(TrainConfig(timesteps=3), "cpu").checkpoint_freq == 1
    saved = resolve(TrainConfig(timesteps=1000), "cpu")
    assert resolve(TrainConfig(timesteps=5000), "cpu", saved).checkpoint_freq == 100


CHANGES = {
    "track_name": ("spa.png",),
    "timesteps": 10_000,
    "checkpoint_freq": 7,
    "kart": "kz2",
    "seed": 9,
    "randomize": True,
    "profile": "aggressive",
    "frame_stack": 2,
    "telemetry_only": True,
    "precision": "bfloat16",
    "vector_envs": 32,
    "rollout_steps": 64,
    "epochs": 1,
    "minibatch_size": 128,
    "learning_rate": 0.1,
    "ent_coef": 0.1,
    "gamma": 0.5,
    "gae_lambda": 0.5,
    "clip_ratio": 0.5,
    "value_clip": 0.5,
    "value_coef": 0.1,
    "max_grad_norm": 0.1,
    "target_kl": 0.1,
}
NEW_RUN = {"track_name", "kart", "seed", "randomize", "vector_envs", "rollout_steps"}


@pytest.mark.parametrize("name", CHANGES)
def test_a_run_goes_on_with_what_its_state_does_not_depend_on(name):
    saved = resolve(TrainConfig(), "cpu")
    config = resolve(TrainConfig(**{name: CHANGES[name]}), "cpu", saved)
    assert config != saved
    assert prepare.new_run_leaves(config, saved) == ([name] if name in NEW_RUN else [])


def test_every_leaf_that_makes_a_new_run_is_known_here():
    others = {"backbone_trainable", "updates_per_chunk"}  # of a ResNet-18; of the machine
    assert set(declaration.with_role(RunConfig, Role.NEW_RUN)) == NEW_RUN | others


def test_configs_lie_flat_and_stand_up_again():
    config = resolve(TrainConfig(track_name=("a", "b"), value_clip=0.5), "gpu")
    flat = declaration.flatten(config)
    assert flat["track_name"] == ("a", "b") and flat["value_clip"] == 0.5
    assert list(flat) == list(leaves(RunConfig))
    assert declaration.build(RunConfig, flat) == config
    assert isinstance(config.network, NetworkConfig)


@dataclasses.dataclass(frozen=True)
class Engine:
    power: float = 9000.0


@dataclasses.dataclass(frozen=True)
class TwoPowers:
    power: float = 1.0
    engine: Engine = Engine()


@dataclasses.dataclass(frozen=True)
class TwoEngines:
    front: Engine = Engine()
    rear: Engine = Engine()


@dataclasses.dataclass(frozen=True)
class NamedAlike:
    power: float = 1.0
    strength: Annotated[float, declaration.Name("power")] = 2.0


@pytest.mark.parametrize("config", [TwoPowers, TwoEngines, NamedAlike])
def test_two_leaves_of_one_name_are_refused(config):
    sentence = f"{config.__name__} has two leaves named power; give one of them a `Name`"
    with pytest.raises(TypeError, match=sentence):
        leaves(config)
    with pytest.raises(TypeError, match=sentence):
        declaration.flatten(config())


@dataclasses.dataclass(frozen=True)
class Bounded:
    whole: Annotated[int, declaration.within(1, 10**9)] = 1
    share: Annotated[float, declaration.within(0, 1)] = 0.0
    inside: Annotated[float, declaration.between(0, 1)] = 0.5
    least: Annotated[int, declaration.at_least(1)] = 1
    positive: Annotated[float | None, declaration.POSITIVE] = None


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"whole": 0}, "--whole is 0; it must be from 1 to 1000000000"),
        ({"whole": 10**9 + 1}, "--whole is 1000000001; it must be from 1 to 1000000000"),
        ({"share": 1.5}, "--share is 1.5; it must be from 0 to 1"),
        ({"share": math.nan}, "--share is nan; it must be from 0 to 1"),
        ({"inside": 1.0}, "--inside is 1.0; it must be between 0 and 1"),
        ({"inside": 0.0}, "--inside is 0.0; it must be between 0 and 1"),
        ({"least": 0}, "--least is 0; it must be at least 1"),
        ({"positive": 0.0}, "--positive is 0.0; it must be above 0, up to 1e+38"),
        ({"positive": math.inf}, "--positive is inf; it must be above 0, up to 1e+38"),
    ],
)
def test_a_value_out_of_its_bounds_is_refused_in_a_sentence_of_the_declaration(fields, sentence):
    declaration.check(Bounded())
    declaration.check(Bounded(whole=10**9, share=1.0, least=10**20, positive=1e38))
    with pytest.raises(InputError, match="^" + re.escape(sentence) + "$"):
        declaration.check(Bounded(**fields))
