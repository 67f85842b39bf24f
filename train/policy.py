"""The trained driver of a run, for whoever wants to watch, record or examine it."""

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
from flax import nnx, struct

from train import checkpoint, distribution, return_scale, run_folder, state
from train.checkpoint import Driver
from train.config import Settings
from train.networks import ActorCritic, Observation


@struct.dataclass
class Policy:
    """A trained driver, deterministic unless asked to `explore`.

    A pytree, so that it may be an argument of a jitted function.
    """

    params: nnx.State
    graph: nnx.GraphDef[ActorCritic] = struct.field(pytree_node=False)

    def __call__(self, observation: Observation) -> jax.Array:
        """Most likely action before the squashing, squashed: batch of observations (B, ...) -> (B, 2) in [-1, 1]."""
        mean, _, _ = nnx.merge(self.graph, self.params)(observation)
        return distribution.squash(mean)

    def explore(self, observation: Observation, key: jax.Array) -> jax.Array:
        """An action drawn as in training; shapes as in `__call__`, `key` for the whole batch."""
        mean, log_std, _ = nnx.merge(self.graph, self.params)(observation)
        return distribution.squash(distribution.sample(jax.random.normal(key, mean.shape), mean, log_std))


def load_policy(
    run: str, runs_dir: str = "runs", warn: Callable[[str], None] = warnings.warn
) -> tuple[Policy, Settings]:
    """Read the trained driver of a run.

    Args:
        run: run folder, run name under `runs_dir`, or one checkpoint of a run. Of a whole run the
            best checkpoint is taken: by the exam at its end, then most clean laps per update, then best mean return.
        runs_dir: where runs are.
        warn: told of each damaged checkpoint that is passed over.

    Returns:
        The policy and the settings of the run. InputError when there is no such run or no good checkpoint.
    """
    folder = run_folder.find(run, Path(runs_dir))
    settings = run_folder.settings_of(folder)
    return read(checkpoint.best_first(run_folder.checkpoint_place(run, Path(runs_dir))), settings, warn), settings


def read(paths: list[Path], settings: Settings, warn: Callable[[str], None] = warnings.warn) -> Policy:
    """The driver of the first good checkpoint of `paths`; `warn` and errors as in `load_policy`."""
    graph, params = jax.eval_shape(partial(state.build_network, settings), jax.random.key(0))
    driver = checkpoint.restore_driver(paths, Driver(params, return_scale.start()), warn)
    return Policy(params=driver.params, graph=graph)
