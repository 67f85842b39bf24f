"""A training run for benchmarks, set up as `kart train` does it, but without a folder."""

import argparse
import dataclasses
import json
import typing
from collections.abc import Sequence
from typing import Any

import jax
from jax.sharding import Mesh

from kart_jax.env.kart import KartEnv
from kart_jax.errors import InputError
from train.declaration import MAX_FLOAT
from train.ppo.hyperparameters import Hyperparameters
from train.ppo.metrics import UpdateMetrics
from train.ppo.train_state import TrainState
from train.ppo.update import Graph, chunk
from train.run import placement
from train.run.config import RunConfig
from train.run.config_file import holds, named
from train.run.environment import make_env
from train.run.request import TrainConfig
from train.run.resolve import resolve

from . import flags


@dataclasses.dataclass
class Learner:
    """A run before its first update."""

    config: RunConfig
    mesh: Mesh
    env: KartEnv
    graph: Graph
    hyperparameters: Hyperparameters
    state: TrainState

    @property
    def steps(self) -> int:
        """Environment steps of one compiled chunk."""
        return self.config.steps_per_chunk

    def lower(self) -> jax.stages.Lowered:
        """Trace the chunk of updates."""
        return chunk.lower(
            self.graph,
            self.env,
            self.config.ppo.shape,
            self.hyperparameters,
            self.state,
            self.mesh,
        )

    def update(self) -> tuple[TrainState, UpdateMetrics]:
        """Run the chunk of updates; the run's state is used up and replaced."""
        self.state, metrics = chunk(
            self.graph,
            self.env,
            self.config.ppo.shape,
            self.hyperparameters,
            self.state,
            self.mesh,
        )
        return self.state, metrics

    def update_by(self, compiled: jax.stages.Compiled) -> Any:
        """Do as `update`, with a program that was compiled from `lower` or likewise."""
        self.state, metrics = compiled(self.env, self.hyperparameters, self.state)
        return self.state, metrics


def add_flags(parser: flags.Flags) -> None:
    """Add the flags that choose a run."""
    whole = flags.at_least(1)
    parser.add_argument(
        "--karts", type=whole, nargs="+", help="karts driven at once (default that of `kart train`)"
    )
    parser.add_argument(
        "--frame-stack", type=whole, nargs="+", help="pictures per observation (default likewise)"
    )
    flags.add_track(parser)
    flags.add_run_fields(parser)


def requests(arguments: argparse.Namespace) -> list[TrainConfig]:
    """Return the runs that the flags of `add_flags` ask for."""
    return [
        request(arguments.track, karts, frame_stack, arguments.set)
        for karts in arguments.karts or [None]
        for frame_stack in arguments.frame_stack or [None]
    ]


def request(
    track: str, karts: int | None, frame_stack: int | None, fields: Sequence[str]
) -> TrainConfig:
    """Ask for one run; None = as `kart train` chooses, `fields` as `--set` has them."""
    given = dict(map(read_field, fields))
    config = TrainConfig(track_name=(track,), vector_envs=karts, frame_stack=frame_stack)
    return dataclasses.replace(config, **given)


def read_field(words: str) -> tuple[str, Any]:
    """Turn "epochs=2" into the field of `TrainConfig` and its value."""
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


def fix(request: TrainConfig) -> RunConfig:
    """Fix every number of a run.

    Every update takes all its gradient steps, however far the policy moves.
    """
    config = resolve(request, jax.default_backend(), None, jax.local_device_count())
    ppo = dataclasses.replace(config.ppo, target_kl=MAX_FLOAT)
    return dataclasses.replace(config, ppo=ppo)


def set_up(request: TrainConfig) -> Learner:
    """Set up a run."""
    config = fix(request)
    mesh = placement.choose_mesh(request.devices, config.ppo.shards)
    env = placement.replicate(make_env(config), mesh)
    graph, state = placement.initial_state(env, config, mesh)
    hyperparameters = Hyperparameters.from_config(config.ppo, config.updates)
    return Learner(config, mesh, env, graph, placement.replicate(hyperparameters, mesh), state)


def describe(config: RunConfig) -> dict[str, Any]:
    """Return what of a run stands in a row."""
    ppo = config.ppo
    fields = ("rollout_steps", "epochs", "minibatch_size", "updates_per_chunk")
    return {
        "karts": ppo.vector_envs,
        "frame_stack": 0 if config.network.telemetry_only else config.network.frame_stack,
        **{field: getattr(ppo, field) for field in fields},
    }
