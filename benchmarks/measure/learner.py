"""A training run for benchmarks: as `kart train` sets it up, without a folder; an update takes all
its epochs."""

import argparse
import dataclasses
import json
import typing
from collections.abc import Sequence
from typing import Any

import jax
import report
from jax.sharding import Mesh

from kart_jax.env.core import KartEnv
from kart_jax.errors import InputError
from train.ppo.config import LARGEST
from train.ppo.hyperparameters import Hyperparameters
from train.ppo.train_state import TrainState
from train.ppo.update import Graph
from train.run import placement, prepare
from train.run.config import Settings, TrainConfig
from train.run.config_file import holds, named
from train.run.defaults import resolve


@dataclasses.dataclass
class Learner:
    """A run before its first update."""

    settings: Settings
    mesh: Mesh
    env: KartEnv
    graph: Graph
    hyper: Hyperparameters
    state: TrainState

    @property
    def steps(self) -> int:
        """Environment steps of one compiled chunk."""
        return self.settings.steps_per_chunk


def add_flags(parser: report.Flags) -> None:
    """Flags that choose a run."""
    whole = report.at_least(1)
    parser.add_argument(
        "--karts", type=whole, nargs="+", help="karts driven at once (default that of `kart train`)"
    )
    parser.add_argument(
        "--frame-stack", type=whole, nargs="+", help="pictures per observation (default likewise)"
    )
    parser.add_argument(
        "--track", default="circuit", help="shipped name, PNG, CSV or generated:N (default circuit)"
    )
    parser.add_argument(
        "--set",
        nargs="+",
        default=[],
        metavar="FIELD=VALUE",
        help="other flags of `kart train`, as rollout_steps=64 minibatch_size=8192 "
        "telemetry_only=true",
    )


def requests(arguments: argparse.Namespace) -> list[TrainConfig]:
    """The runs that the flags of `add_flags` ask for."""
    return [
        request(arguments.track, karts, frame_stack, arguments.set)
        for karts in arguments.karts or [None]
        for frame_stack in arguments.frame_stack or [None]
    ]


def request(
    track: str, karts: int | None, frame_stack: int | None, fields: Sequence[str]
) -> TrainConfig:
    """One run; None = as `kart train` chooses, `fields` as `--set` has them."""
    given = dict(map(assignment, fields))
    return dataclasses.replace(
        TrainConfig(track_name=(track,), vector_envs=karts, frame_stack=frame_stack), **given
    )


def assignment(words: str) -> tuple[str, Any]:
    """From "epochs=2" to the field of `TrainConfig` and its value."""
    name, equals, given = words.partition("=")
    name = name.replace("-", "_")
    hints = typing.get_type_hints(TrainConfig)
    if name not in hints or not equals:
        raise InputError(
            f"--set has {words}; write FIELD=VALUE with a flag of kart train: {', '.join(hints)}"
        )
    try:
        value = json.loads(given)
    except ValueError:
        value = given
    if not holds(hints[name], value):
        raise InputError(f"--set {name} is {given}; it must be {named(hints[name])}")
    return name, tuple(value) if isinstance(value, list) else value


def settle(config: TrainConfig) -> Settings:
    """The numbers of a run; every update takes all its gradient steps, however far the policy
    moves."""
    settings = resolve(config, jax.default_backend(), None, jax.local_device_count())
    return dataclasses.replace(settings, ppo=dataclasses.replace(settings.ppo, target_kl=LARGEST))


def start(config: TrainConfig) -> Learner:
    """Set up a run."""
    settings = settle(config)
    mesh = prepare.choose_mesh(config, settings)
    env = placement.replicate(prepare.make_env(settings), mesh)
    graph, state = placement.start(env, settings, mesh)
    hyper = placement.replicate(Hyperparameters.from_config(settings.ppo, settings.updates), mesh)
    return Learner(settings, mesh, env, graph, hyper, state)


def describe(settings: Settings) -> dict[str, Any]:
    """What of a run stands in a row."""
    ppo = settings.ppo
    fields = ("rollout_steps", "epochs", "minibatch_size", "updates_per_chunk")
    return {
        "karts": ppo.vector_envs,
        "frame_stack": 0 if settings.telemetry_only else settings.frame_stack,
        **{field: getattr(ppo, field) for field in fields},
    }
