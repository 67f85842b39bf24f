"""What training on thousands of karts needs of a device's memory, as the compiled program says."""

import dataclasses

import jax
import pytest

from kart_jax.devices import kart_mesh
from train.networks import convolution
from train.ppo import update
from train.ppo.hyperparameters import Hyperparameters
from train.run import placement
from train.run.environment import make_env
from train.run.request import TrainConfig
from train.run.resolve import resolve

FRAME = 84 * 84 * 3  # bytes


@pytest.mark.slow
def test_16384_karts_of_64_steps_with_four_frames_fit_in_40_gigabytes(monkeypatch):
    monkeypatch.setattr(convolution, "convolution_form", lambda backend: "lax")  # as on a GPU
    request = TrainConfig(
        vector_envs=16_384, rollout_steps=64, frame_stack=4, track_name=("beginner_track",)
    )
    settings = resolve(request, "gpu")
    settings = dataclasses.replace(
        settings, ppo=dataclasses.replace(settings.ppo, updates_per_chunk=1)
    )

    env = make_env(settings)
    mesh = kart_mesh(1)
    graphs = []

    def begin():
        graph, begun = placement.initial_state(env, settings, mesh)
        graphs.append(graph)
        return begun

    begun = jax.eval_shape(begin)
    hyper = Hyperparameters.from_config(settings.ppo, settings.updates)
    program = update.chunk.lower(graphs[0], env, settings.ppo.shape, hyper, begun, mesh).compile()

    memory = program.memory_analysis()
    needed = memory.argument_size_in_bytes + memory.temp_size_in_bytes + memory.output_size_in_bytes
    needed -= memory.alias_size_in_bytes  # the state is given and returned in the same place
    print(f"{needed / 1e9:.1f} GB, of it temporary {memory.temp_size_in_bytes / 1e9:.1f} GB")
    # 22.2 GB: each frame once; four times that as the network sees them.
    stored = 16_384 * 64 * FRAME
    assert stored < needed < 40e9
