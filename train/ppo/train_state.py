"""The whole state of a training run on the device: what a checkpoint holds and a resumed run
needs."""

from typing import Any

import jax
from flax import nnx, struct
from jax.sharding import PartitionSpec

from kart_jax.devices import KARTS
from train.networks import actor_critic
from train.ppo import return_scale


class TrainState(struct.PyTreeNode):
    """B karts, their driver and everything that changes from update to update."""

    params: nnx.State  # of the network, float32
    optimiser: Any  # Adam's moments of the parameters that learn
    scale: return_scale.ReturnScale  # of the rewards
    env_state: Any  # (B, ...) state of the environments
    observation: actor_critic.Observation  # (B, ...) what the karts see now
    discounted: jax.Array  # (B,) discounted return under way, raw reward
    key: jax.Array  # () typed key of the run; each update folds its number in
    update: jax.Array  # () int32, updates done; environment steps would overflow 32 bits


OF_KARTS = ("env_state", "observation", "discounted")  # the fields that are split over devices


def layout(runs: int = 1) -> TrainState:
    """How a state lies on the devices of a mesh: the karts are split, everything else is on each of
    them.

    With `runs` > 1 it is a stack of states: every leaf has a leading axis of runs, which is not
    split.
    """
    split = PartitionSpec(KARTS) if runs == 1 else PartitionSpec(None, KARTS)
    fields: dict[str, Any] = {
        name: split if name in OF_KARTS else PartitionSpec()
        for name in TrainState.__dataclass_fields__
    }
    return TrainState(**fields)
