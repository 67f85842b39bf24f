"""The state of a training run on the device: what a checkpoint holds and a resumed run needs."""

import dataclasses
from typing import Any

import jax
from flax import nnx, struct
from jax.sharding import PartitionSpec

from kart_jax.devices import KARTS
from train.networks import actor_critic
from train.ppo.return_scale import ReturnScale


class TrainState(struct.PyTreeNode):
    """B karts, their driver and everything that changes from update to update."""

    params: nnx.State  # of the network, float32
    opt_state: Any  # Adam's moments of the parameters that learn
    scale: ReturnScale  # of the rewards
    env_state: Any  # (B, ...) state of the environments
    observation: actor_critic.Observation  # (B, ...) what the karts see now
    discounted_return: jax.Array  # (B,) of the episode under way, raw reward
    key: jax.Array  # () typed key of the run; each update folds its number in
    update: jax.Array  # () int32, updates done; environment steps would overflow 32 bits


PER_KART = ("env_state", "observation", "discounted_return")  # fields that are split over devices


def partition_specs(runs: int = 1) -> TrainState:
    """Return how a state lies on a mesh: karts are split, all else is on every device.

    With `runs` > 1 it is a stack of states: every leaf has a leading axis of runs, which is not
    split.
    """
    split = PartitionSpec(KARTS) if runs == 1 else PartitionSpec(None, KARTS)
    specs: dict[str, Any] = {
        field.name: split if field.name in PER_KART else PartitionSpec()
        for field in dataclasses.fields(TrainState)
    }
    return TrainState(**specs)
