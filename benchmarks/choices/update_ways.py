"""The choices of whole programs, an update or a step: flags of `kart train`, and XLA's own.

For each the way in use comes first, then those that it was chosen over.
"""

import dataclasses
import inspect
from collections.abc import Iterator
from functools import partial
from typing import Any

import jax

from kart_jax.devices import kart_mesh
from kart_jax.xla.stage import compiler_options
from train.ppo.update import chunk
from train.run.request import TrainConfig

from ..measure import fleet, learner, machine
from . import update_parts
from .way import Way, sizes_of

# What XLA may be told on a CPU, by what it means. jaxlib 0.11 and later have no older loops.
CPU_FLAGS: dict[str, dict[str, Any]] = {
    "vectors of 512 bits": {"xla_cpu_prefer_vector_width": 512},
    "vectors of 256 bits": {"xla_cpu_prefer_vector_width": 256},
    "XLA's older loops": {"xla_cpu_use_fusion_emitters": False},
    "LLVM's level 1": {"xla_backend_optimization_level": 1},
}


def precision(request: TrainConfig) -> Iterator[Way]:
    """Yield the network's forward and backward passes of an update in each kind of numbers."""
    used = request.precision or "float32"
    for name in (used, *({"float32", "bfloat16"} - {used})):
        run = learner.set_up(dataclasses.replace(request, precision=name))
        ppo = run.config.ppo
        samples = ppo.epochs * ppo.minibatches * ppo.minibatch_size
        yield Way(f"network in {name}", update_parts.backward(run), samples)


def minibatch_size(request: TrainConfig) -> Iterator[Way]:
    """Yield the network's forward and backward passes of an epoch with smaller and larger steps."""
    used = sizes_of(request)
    for size in (used.minibatch, used.minibatch // 4, used.minibatch * 4):
        if size and used.samples % size == 0:
            run = learner.set_up(dataclasses.replace(request, minibatch_size=size, epochs=1))
            yield Way(f"minibatches of {size}", update_parts.backward(run), used.samples)


def donation(request: TrainConfig) -> Iterator[Way]:
    """Yield a chunk of updates with and without the state's memory, by the compiler's account."""
    for name, donated in (("state given away", (4,)), ("state kept", ())):
        run = learner.set_up(request)
        program = jax.jit(inspect.unwrap(chunk), static_argnums=(0, 2, 5), donate_argnums=donated)
        compiled = program.lower(
            run.graph, run.env, run.config.ppo.shape, run.hyperparameters, run.state, run.mesh
        ).compile()
        yield Way(name, partial(run.update_by, compiled), run.steps, machine.memory_of(compiled))


def random_numbers(request: TrainConfig) -> Iterator[Way]:
    """Yield updates from telemetry alone, where drawing numbers has its largest share."""
    for generator in ("threefry2x32", "rbg", "unsafe_rbg"):
        with jax.default_prng_impl(generator):
            run = learner.set_up(
                dataclasses.replace(request, telemetry_only=True, frame_stack=None)
            )
        yield Way(generator, run.update, run.steps)


def update_flags(request: TrainConfig) -> Iterator[Way]:
    """Yield a chunk of updates, compiled as it is in use and with other flags of XLA."""
    run = learner.set_up(request)
    for name, compiled in _compile(run.lower(), {}):
        yield Way(name, partial(run.update_by, compiled), run.steps)


def view_flags(request: TrainConfig) -> Iterator[Way]:
    """Yield a step with the view, compiled as it is in use and with other flags of XLA."""
    config = learner.fix(request)
    if config.network.telemetry_only:
        return
    count = config.ppo.vector_envs
    karts = fleet.make(config.tracks[0], count, config.network.frame_stack, kart_mesh(1))
    for name, compiled in _compile(fleet.lower(karts, "vision"), compiler_options()):
        yield Way(name, fleet.stepper(karts, compiled), count)


def _compile(
    lowered: jax.stages.Lowered, in_use: dict[str, Any]
) -> Iterator[tuple[str, jax.stages.Compiled]]:
    """Compile a program as it is in use, and with each of `CPU_FLAGS` added that this XLA knows."""
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
