"""The whole state of a training run on the device: what a checkpoint holds and a resumed run needs."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx, struct

from kart_jax.env.batch import reset_batch
from kart_jax.env.core import KartEnv
from train import networks, ppo, resnet, return_scale
from train.config import Settings


@struct.dataclass
class TrainState:
    """B karts, their driver and everything that changes from update to update."""

    params: nnx.State  # of the network, float32
    optimiser: Any  # Adam's moments of the parameters that learn
    scale: return_scale.ReturnScale  # of the rewards
    env_state: Any  # (B, ...) state of the environments
    observation: networks.Observation  # (B, ...) what the karts see now
    discounted: jax.Array  # (B,) discounted return under way, raw reward
    key: jax.Array  # () typed key of the run; each update folds its number in
    update: jax.Array  # () int32, updates done; environment steps would overflow 32 bits


def build_network(
    settings: Settings, key: jax.Array, weights: resnet.Weights | None = None
) -> tuple[nnx.GraphDef[networks.ActorCritic], nnx.State]:
    """The network of these settings in the form that suits the backend: static graph and fresh parameters.

    `weights` are those of a pretrained backbone; without them it is all zeros, to be filled from a checkpoint.
    """
    channels = 0 if settings.telemetry_only else 3 * settings.frame_stack
    form = networks.convolution_form(jax.default_backend())
    encoder = networks.VisionEncoder
    if settings.backbone == "resnet18":
        encoder = partial(resnet.ResNet18, trainable=settings.backbone_trainable, weights=weights)
    return networks.build(key, channels, form, settings.ppo.initial_std, settings.ppo.initial_throttle, encoder)


def start(
    env: KartEnv, settings: Settings, weights: resnet.Weights | None = None
) -> tuple[nnx.GraphDef[networks.ActorCritic], TrainState]:
    """A run before its first update: static graph of the network, and the state of network and karts.

    `weights` as in `build_network`.
    """
    network_key, reset_key, run_key = jax.random.split(jax.random.key(settings.seed), 3)
    graph, params = build_network(settings, network_key, weights)
    karts = settings.ppo.vector_envs
    observation, env_state = jax.jit(reset_batch, static_argnums=3)(env, reset_key, env.default_params, karts)
    state = TrainState(
        params=params,
        optimiser=ppo.optimiser(settings.ppo).init(networks.divide(params)[0]),
        scale=return_scale.start(),
        env_state=env_state,
        observation=observation,
        discounted=jnp.zeros((karts,)),
        key=run_key,
        update=jnp.int32(0),
    )
    return graph, state
