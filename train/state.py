"""The whole state of a training run on the device: what a checkpoint holds and a resumed run needs."""

from collections.abc import Sequence
from functools import partial
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from flax import nnx, struct
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from kart_jax.env.batch import KARTS, reset_batch
from kart_jax.env.core import KartEnv
from train import hosts, networks, ppo, resnet, return_scale
from train.config import BackboneName, PrecisionName, Settings


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


T = TypeVar("T")
OF_KARTS = ("env_state", "observation", "discounted")  # the fields that are split over devices


def layout(runs: int = 1) -> TrainState:
    """How a state lies on the devices of a mesh: the karts are split, everything else is on each of them.

    With `runs` > 1 it is a stack of states: every leaf has a leading axis of runs, which is not split.
    """
    split = PartitionSpec(KARTS) if runs == 1 else PartitionSpec(None, KARTS)
    fields: dict[str, Any] = {
        name: split if name in OF_KARTS else PartitionSpec() for name in TrainState.__dataclass_fields__
    }
    return TrainState(**fields)


def build_network(
    settings: Settings, key: jax.Array, weights: resnet.Weights | None = None
) -> tuple[nnx.GraphDef[networks.ActorCritic], nnx.State]:
    """The network of these settings in the form that suits the backend: static graph and fresh parameters.

    `weights` are those of a pretrained backbone; without them it is all zeros, to be filled from a checkpoint.
    """
    return _draw(
        key,
        weights,
        channels=0 if settings.telemetry_only else 3 * settings.frame_stack,
        form=networks.convolution_form(jax.default_backend()),
        backbone=settings.backbone,
        trainable=settings.backbone_trainable,
        initial_std=settings.ppo.initial_std,
        initial_throttle=settings.ppo.initial_throttle,
        precision=settings.precision,
    )


@partial(
    jax.jit,
    static_argnames=("channels", "form", "backbone", "trainable", "initial_std", "initial_throttle", "precision"),
)
def _draw(
    key: jax.Array,
    weights: resnet.Weights | None,
    *,
    channels: int,
    form: networks.ConvolutionForm,
    backbone: BackboneName,
    trainable: int,
    initial_std: float,
    initial_throttle: float,
    precision: PrecisionName,
) -> tuple[nnx.GraphDef[networks.ActorCritic], nnx.State]:
    """`networks.build` as one program, which JAX's cache on the disk keeps: layer by layer it takes 5 s to compile."""
    encoder = partial(networks.VisionEncoder, precision=precision)
    if backbone == "resnet18":
        encoder = partial(resnet.ResNet18, trainable=trainable, weights=weights)
    return networks.build(key, channels, form, initial_std, initial_throttle, encoder, precision)


def start(
    env: KartEnv, settings: Settings, mesh: Mesh, weights: resnet.Weights | None = None
) -> tuple[nnx.GraphDef[networks.ActorCritic], TrainState]:
    """A run before its first update: static graph of the network, and the state of network and karts on the mesh.

    `weights` as in `build_network`.
    """
    network_key, reset_key, run_key = jax.random.split(jax.random.key(settings.seed), 3)
    graph, params = build_network(settings, network_key, weights)
    karts = settings.ppo.vector_envs
    reset = jax.jit(reset_batch, static_argnames=("count", "mesh"))
    observation, env_state = reset(env, reset_key, env.default_params, count=karts, mesh=mesh)
    state = TrainState(
        params=params,
        optimiser=ppo.optimiser(settings.ppo.max_grad_norm).init(networks.divide(params)[0]),
        scale=return_scale.start(),
        env_state=env_state,
        observation=observation,
        discounted=jnp.zeros((karts,)),
        key=run_key,
        update=jnp.int32(0),
    )
    return graph, spread(state, mesh)


def stack(states: Sequence[TrainState], mesh: Mesh) -> TrainState:
    """States of several runs as one, spread over the mesh."""
    return spread(jax.tree.map(lambda *leaves: jnp.stack(leaves), *states), mesh, len(states))


def spread(state: TrainState, mesh: Mesh, runs: int = 1) -> TrainState:
    """Put a state, or a stack of `runs` states, on the devices of a mesh, as `layout` says."""
    places = jax.tree.map(
        partial(NamedSharding, mesh), layout(runs), is_leaf=lambda leaf: isinstance(leaf, PartitionSpec)
    )
    return hosts.placed(state, places)


def replicate(tree: T, mesh: Mesh) -> T:
    """Put a tree of arrays on every device of a mesh."""
    placed: T = hosts.placed(tree, NamedSharding(mesh, PartitionSpec()))
    return placed
