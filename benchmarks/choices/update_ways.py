"""The choices of whole programs, an update or a step: flags of `kart train`, and what the compiler
is told.

For each the way in use comes first, then those that it was chosen over, as in `ways`.
"""

import dataclasses
import inspect
from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import learner
import machine
import update_parts
import world
from learner import Learner
from ways import Way, sizes

from kart_jax.devices import kart_mesh
from kart_jax.xla.stage import compiler_options
from train.ppo.update import chunk
from train.run.config import TrainConfig

# What XLA may be told on a CPU, by what it means. jaxlib 0.11 and later have no older loops.
CPU_FLAGS: dict[str, dict[str, Any]] = {
    "vectors of 512 bits": {"xla_cpu_prefer_vector_width": 512},
    "vectors of 256 bits": {"xla_cpu_prefer_vector_width": 256},
    "XLA's older loops": {"xla_cpu_use_fusion_emitters": False},
    "LLVM's level 1": {"xla_backend_optimization_level": 1},
}


def precision(config: TrainConfig) -> Iterator[Way]:
    """The network's forward and backward passes of an update."""
    used = config.precision or "float32"
    for name in (used, *({"float32", "bfloat16"} - {used})):
        run = learner.start(dataclasses.replace(config, precision=name))
        ppo = run.settings.ppo
        yield Way(
            f"network in {name}",
            update_parts.backward(run),
            ppo.epochs * ppo.minibatches * ppo.minibatch_size,
        )


def minibatch_size(config: TrainConfig) -> Iterator[Way]:
    """The network's forward and backward passes of an epoch."""
    used = sizes(config)
    for size in (used.minibatch, used.minibatch // 4, used.minibatch * 4):
        if size and used.samples % size == 0:
            run = learner.start(dataclasses.replace(config, minibatch_size=size, epochs=1))
            yield Way(f"minibatches of {size}", update_parts.backward(run), used.samples)


def donation(config: TrainConfig) -> Iterator[Way]:
    """A compiled chunk of updates, whose memory is the compiler's own account."""
    for name, given in (("state given away", (4,)), ("state kept", ())):
        run = learner.start(config)
        program = jax.jit(inspect.unwrap(chunk), static_argnums=(0, 2, 5), donate_argnums=given)
        compiled = program.lower(
            run.graph, run.env, run.settings.ppo.shape, run.hyper, run.state, run.mesh
        ).compile()
        yield Way(name, partial(_go_on, run, compiled), run.steps, machine.memory_of(compiled))


def _go_on(run: Learner, compiled: jax.stages.Compiled) -> Any:
    """One chunk further."""
    run.state, told = compiled(run.env, run.hyper, run.state)
    return run.state, told


def random_numbers(config: TrainConfig) -> Iterator[Way]:
    """Updates from telemetry alone, where drawing numbers has its largest share."""
    for generator in ("threefry2x32", "rbg", "unsafe_rbg"):
        with jax.default_prng_impl(generator):
            run = learner.start(dataclasses.replace(config, telemetry_only=True, frame_stack=None))
        yield Way(generator, update_parts.update(run), run.steps)


def update_flags(config: TrainConfig) -> Iterator[Way]:
    """A chunk of updates, compiled as it is in use and with other flags of XLA."""
    run = learner.start(config)
    lowered = chunk.lower(
        run.graph, run.env, run.settings.ppo.shape, run.hyper, run.state, run.mesh
    )
    for name, compiled in _programs(lowered, {}):
        yield Way(name, partial(_go_on, run, compiled), run.steps)


def view_flags(config: TrainConfig) -> Iterator[Way]:
    """A step of the environment with the view, compiled as it is in use and with other flags of
    XLA."""
    settings = learner.settle(config)
    if settings.telemetry_only:
        return
    karts = world.make(
        settings.tracks[0], settings.ppo.vector_envs, settings.frame_stack, kart_mesh(1)
    )
    for name, compiled in _programs(world.lower(karts, "vision"), compiler_options()):
        yield Way(name, world.stepper(karts, compiled), settings.ppo.vector_envs)


def _programs(
    lowered: jax.stages.Lowered, in_use: dict[str, Any]
) -> Iterator[tuple[str, jax.stages.Compiled]]:
    """A program as it is in use, and with each of `CPU_FLAGS` added that this XLA knows."""
    yield "as it is", lowered.compile()
    if jax.default_backend() != "cpu":
        return
    for name, flags in CPU_FLAGS.items():
        if flags.items() <= in_use.items():
            continue
        try:
            compiled = lowered.compile(in_use | flags)
        except jax.errors.JaxRuntimeError as error:
            if "No such compile option" not in str(error):
                raise
            continue
        yield name, compiled
