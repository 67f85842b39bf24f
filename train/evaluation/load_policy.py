"""The trained driver of a run, for whoever wants to watch, record or examine it."""

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax

from train.networks.policy import Policy
from train.ppo import return_scale
from train.run import checkpoint, network, run_folder
from train.run.checkpoint import DriverPart
from train.run.config import RunConfig


def load_policy(
    run: str, runs_dir: str = "runs", warn: Callable[[str], None] = warnings.warn
) -> tuple[Policy, RunConfig]:
    """Read the trained driver of a run.

    Args:
        run: run folder, run name under `runs_dir`, or one checkpoint of a run. Of a whole run the
            best checkpoint is taken: by the exam at its end, then most clean laps per update, then
            best mean return.
        runs_dir: where runs are.
        warn: told of each damaged checkpoint that is passed over.

    Returns:
        The policy and the config of the run. InputError when there is no such run or no good
        checkpoint.
    """
    folder = run_folder.find(run, Path(runs_dir))
    config = run_folder.read_config(folder)
    paths = checkpoint.best_first(run_folder.checkpoint_place(run, Path(runs_dir)))
    return read(paths, config, warn), config


def read(
    paths: list[Path], config: RunConfig, warn: Callable[[str], None] = warnings.warn
) -> Policy:
    """Read the driver of the first good one of `paths`; `warn` and errors as in `load_policy`."""
    graph, params = jax.eval_shape(
        partial(network.build_network, config.network), jax.random.key(0)
    )
    like = DriverPart(params, return_scale.initial_scale())
    driver = checkpoint.restore_driver(paths, like, warn)
    return Policy(params=driver.params, graph=graph)
