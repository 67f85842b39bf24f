"""The actor-critic network: pixels and telemetry in, action mean and value out.

    vision   (84, 84, C)  conv 8x8/4 -> 32, conv 4x4/2 -> 64, conv 3x3/1 -> 64, flatten 3136
    telemetry (9,)        64 -> 64
    both     3200 -> 512; actor 512 -> 256 -> 2; critic 512 -> 256 -> 1; ReLU throughout

It is a Flax NNX module, used in functional form. Without vision the 64 telemetry features feed the
two heads (64 -> 256 -> 2 and 1): there is nothing to fuse. Another encoder may stand in for the
three convolutions, such as `resnet.ResNet18`; what of it is `Frozen` does not learn. The parameters
are float32 whatever the network computes in; with `bfloat16` every product but those of the two
output layers has factors and results in bfloat16, which holds the bytes of a picture exactly.
"""

from collections.abc import Callable
from functools import partial
from typing import Protocol

import jax
import jax.numpy as jnp
from flax import nnx

from train.networks.config import PrecisionName
from train.networks.convolution import HIDDEN_SCALE, Convolution, ConvolutionForm

Observation = dict[str, jax.Array]


def dense(
    inputs: int,
    outputs: int,
    rngs: nnx.Rngs,
    scale: float = HIDDEN_SCALE,
    precision: PrecisionName = "float32",
) -> nnx.Linear:
    """Draw a fully connected layer: orthogonal kernel of gain `scale`, zero bias, both float32."""
    draw = jax.nn.initializers.orthogonal(scale)
    return nnx.Linear(inputs, outputs, kernel_init=draw, dtype=jnp.dtype(precision), rngs=rngs)


class Frozen(nnx.Variable):
    """A number of the network that does not learn: no gradient, no optimiser state, no update."""


def split_frozen(params: nnx.State) -> tuple[nnx.State, nnx.State]:
    """Split the parameters into those that learn and the `Frozen` ones.

    `nnx.merge_state` joins them again.
    """
    trainable, frozen = nnx.split_state(params, nnx.Param, Frozen)
    return trainable, frozen


class Encoder(Protocol):
    """What may look at the view for the network."""

    features: int
    frozen: bool  # nothing in it learns

    def __call__(self, frames: jax.Array, /) -> jax.Array:
        """Encode (B, 84, 84, C) uint8 -> (B, features) of any floating type, not negative."""
        ...


class VisionEncoder(nnx.Module):
    """The three convolutions of the module docstring."""

    features = 7 * 7 * 64
    frozen = False

    def __init__(
        self,
        channels: int,
        form: ConvolutionForm,
        rngs: nnx.Rngs,
        precision: PrecisionName = "float32",
    ):
        """Draw three convolutions; `channels` is 3 per stacked frame."""
        convolution = partial(Convolution, form=form, rngs=rngs, precision=precision)
        self.first = convolution(channels, 32, size=8, stride=4, input_scale=1.0 / 255.0)
        self.second = convolution(32, 64, size=4, stride=2)
        self.third = convolution(64, 64, size=3, stride=1)

    def __call__(self, frames: jax.Array, /) -> jax.Array:
        """Encode (B, 84, 84, C) uint8 -> (B, 3136) of its precision, not negative."""
        features = nnx.relu(self.first(frames))
        features = nnx.relu(self.second(features))
        features = nnx.relu(self.third(features))
        return features.reshape(features.shape[0], -1)


class ActorCritic(nnx.Module):
    """Policy and value of a batch of observations; see the module docstring for the layers."""

    def __init__(
        self,
        vision: Encoder | None,
        initial_std: float,
        initial_throttle: float,
        rngs: nnx.Rngs,
        precision: PrecisionName = "float32",
    ):
        """Draw the layers.

        Args:
            vision: looks at the view; None = telemetry only.
            initial_std: standard deviation of the untrained policy before the squashing.
            initial_throttle: its mean throttle before the squashing.
            rngs: with a `params` stream.
            precision: of everything behind `vision` but the outputs, which are float32.
        """
        layer = partial(dense, rngs=rngs, precision=precision)
        self.vision = vision
        self.telemetry_first = layer(9, 64)
        self.telemetry_second = layer(64, 64)

        self.fusion = (
            None
            if vision is None
            else self._balanced(layer(vision.features + 64, 512), vision.features)
        )

        trunk = 64 if vision is None else 512
        self.actor_hidden = layer(trunk, 256)
        # The small gain makes the untrained policy nearly the same whatever it sees.
        self.actor_out = dense(256, 2, rngs, scale=0.01)
        self.critic_hidden = layer(trunk, 256)
        self.critic_out = dense(256, 1, rngs, scale=1.0)
        self.actor_out.bias = nnx.Param(jnp.asarray([0.0, initial_throttle], jnp.float32))
        self.log_std = nnx.Param(jnp.full((2,), jnp.log(initial_std), jnp.float32))

    @staticmethod
    def _balanced(fusion: nnx.Linear, visual: int) -> nnx.Linear:
        """Scale the fusion layer so that 64 telemetry features weigh as much as `visual` others.

        With one gain for all rows the telemetry would be 64 of 3200 terms, 2 % of the sum.
        """
        gain = (visual / 64.0) ** 0.5
        fusion.kernel = nnx.Param(fusion.kernel[...].at[visual:].multiply(gain))
        return fusion

    def encode_frozen(self, observation: Observation) -> Observation:
        """Return what of an observation is worth keeping to learn from.

        It is the observation as it is, or, where the whole encoder is frozen, its features in place
        of the view: it always makes the same of a picture, which so goes through it only once.
        """
        if self.vision is None or not self.vision.frozen:
            return observation
        return {
            "telemetry": observation["telemetry"],
            "features": self.vision(observation["vision"]),
        }

    def __call__(self, observation: Observation) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Evaluate a batch.

        Args:
            observation: "telemetry" (B, 9) float32 and, unless telemetry only, "vision" (B, 84, 84,
                C) uint8; or what `encode_frozen` made of it.

        Returns:
            Mean (B, 2) and log standard deviation (2,) of the action before squashing, and value
            (B,).
        """
        features = nnx.relu(self.telemetry_first(observation["telemetry"]))
        features = nnx.relu(self.telemetry_second(features))

        if self.vision is not None and self.fusion is not None:
            if "features" in observation:
                visual = observation["features"]
            else:
                visual = self.vision(observation["vision"])
            features = nnx.relu(self.fusion(jnp.concatenate([visual, features], axis=-1)))

        mean = self.actor_out(nnx.relu(self.actor_hidden(features)))
        value = self.critic_out(nnx.relu(self.critic_hidden(features)))
        return mean, self.log_std[...], value[..., 0]


def build(
    key: jax.Array,
    channels: int,
    form: ConvolutionForm,
    initial_std: float,
    initial_throttle: float,
    encoder: Callable[[int, ConvolutionForm, nnx.Rngs], Encoder] = VisionEncoder,
    precision: PrecisionName = "float32",
) -> tuple[nnx.GraphDef[ActorCritic], nnx.State]:
    """Draw a network and split it once into its static graph and its numbers.

    Args:
        key: for every layer that is drawn.
        channels: of the vision input, 3 per stacked frame; 0 = telemetry only.
        form: of the convolutions.
        initial_std, initial_throttle: see `ActorCritic`.
        encoder: makes the vision path from channels, form and random streams.
        precision: see `ActorCritic`; an encoder has its own.
    """
    rngs = nnx.Rngs(params=key)
    vision = encoder(channels, form, rngs) if channels else None
    model = ActorCritic(vision, initial_std, initial_throttle, rngs, precision)
    graph, params = nnx.split(model, (nnx.Param, Frozen))
    return graph, params
