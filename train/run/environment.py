"""The environment that a run trains in."""

import dataclasses

import jax.numpy as jnp

from kart_jax.env.config import EnvConfig
from kart_jax.env.kart import KartEnv
from kart_jax.env.make import make
from train.run.config import RunConfig

EPISODE_LAPS = 3
SLOW_PACE = 12.0  # m/s, what a learner manages at first


def make_env(config: RunConfig) -> KartEnv:
    """Make the environment of a run.

    An episode is long enough for three slow laps of the longest circuit.
    """
    env_config = EnvConfig(
        frame_stack=config.network.frame_stack,
        vision=not config.network.telemetry_only,
        randomize=config.randomize,
    )
    env = make(config.tracks, kart=config.kart, config=env_config)

    params = env.default_params
    seconds = jnp.maximum(
        params.limits.episode_time, EPISODE_LAPS * jnp.max(env.tracks.length) / SLOW_PACE
    )
    limits = dataclasses.replace(params.limits, episode_time=seconds)
    return env.with_default_params(dataclasses.replace(params, limits=limits))
