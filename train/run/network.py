"""The network of a run, in the form that suits the backend."""

from functools import partial

import jax
from flax import nnx

from train.networks import actor_critic, convolution, resnet
from train.networks.config import NetworkConfig


def build_network(
    config: NetworkConfig, key: jax.Array, weights: resnet.Weights | None = None
) -> tuple[nnx.GraphDef[actor_critic.ActorCritic], nnx.State]:
    """Build the static graph and fresh parameters of a network.

    `weights` are those of a pretrained backbone; without them it is all zeros, to be filled from a
    checkpoint.
    """
    return _draw(key, weights, config, convolution.convolution_form(jax.default_backend()))


@partial(jax.jit, static_argnames=("config", "form"))
def _draw(
    key: jax.Array,
    weights: resnet.Weights | None,
    config: NetworkConfig,
    form: convolution.ConvolutionForm,
) -> tuple[nnx.GraphDef[actor_critic.ActorCritic], nnx.State]:
    """Build the network in one program, which JAX's cache on the disk keeps.

    Layer by layer it takes 5 s to compile.
    """
    encoder = partial(actor_critic.VisionEncoder, precision=config.precision)
    if config.backbone == "resnet18":
        encoder = partial(resnet.ResNet18, trainable=config.backbone_trainable, weights=weights)

    return actor_critic.build(
        key,
        0 if config.telemetry_only else 3 * config.frame_stack,
        form,
        config.initial_std,
        config.initial_throttle,
        encoder,
        config.precision,
    )
