"""The whole state of a training run on the device: what a checkpoint holds and a resumed run
needs."""

from functools import partial

import jax
from flax import nnx

from train.networks import actor_critic, convolution, resnet
from train.networks.config import BackboneName, PrecisionName
from train.run.config import Settings


def build_network(
    settings: Settings, key: jax.Array, weights: resnet.Weights | None = None
) -> tuple[nnx.GraphDef[actor_critic.ActorCritic], nnx.State]:
    """The network of these settings in the form that suits the backend: static graph and fresh
    parameters.

    `weights` are those of a pretrained backbone; without them it is all zeros, to be filled from a
    checkpoint.
    """
    return _draw(
        key,
        weights,
        channels=0 if settings.telemetry_only else 3 * settings.frame_stack,
        form=convolution.convolution_form(jax.default_backend()),
        backbone=settings.backbone,
        trainable=settings.backbone_trainable,
        initial_std=settings.ppo.initial_std,
        initial_throttle=settings.ppo.initial_throttle,
        precision=settings.precision,
    )


@partial(
    jax.jit,
    static_argnames=(
        "channels",
        "form",
        "backbone",
        "trainable",
        "initial_std",
        "initial_throttle",
        "precision",
    ),
)
def _draw(
    key: jax.Array,
    weights: resnet.Weights | None,
    *,
    channels: int,
    form: convolution.ConvolutionForm,
    backbone: BackboneName,
    trainable: int,
    initial_std: float,
    initial_throttle: float,
    precision: PrecisionName,
) -> tuple[nnx.GraphDef[actor_critic.ActorCritic], nnx.State]:
    """`networks.build` as one program, which JAX's cache on the disk keeps: layer by layer it takes
    5 s to compile."""
    encoder = partial(actor_critic.VisionEncoder, precision=precision)
    if backbone == "resnet18":
        encoder = partial(resnet.ResNet18, trainable=trainable, weights=weights)
    return actor_critic.build(
        key, channels, form, initial_std, initial_throttle, encoder, precision
    )
