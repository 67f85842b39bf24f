"""What a learned driver sees of a race that is not the one of its environment."""

import jax
import jax.numpy as jnp
import numpy as np

from kart_jax.env.config import EnvConfig
from kart_jax.env.make import make
from kart_jax.race.start import StartPose, start_race
from train.evaluation.learned_driver import LearnedDriver


def seen_in_the_bend(env, **changed):
    """Return the pictures that the driver keeps of a race with other parameters."""
    params = env.default_params.race.replace(**changed)
    zero = jnp.zeros(1)
    bend = StartPose(s=zero + 60.0, n=zero, heading_error=zero, speed=zero)  # it begins there
    race = start_race(env.tracks, jnp.int32(0), bend, params.kart)

    still = jax.tree_util.Partial(lambda observation: jnp.zeros((1, 2)))
    driver = LearnedDriver(still, env, env.default_params)
    eyes = driver.initial_state(race, env.tracks, params)
    _, eyes = driver.act(jax.random.key(0), race, eyes, env.tracks, params)
    return np.asarray(eyes.frames)


def test_the_kerbs_it_sees_are_as_wide_as_those_of_the_race(oval):
    env = make(oval, karts=1, config=EnvConfig(frame_stack=2))
    ground = env.default_params.ground
    narrow = ground.replace(kerb_width=0.1 * ground.kerb_width)
    assert (seen_in_the_bend(env, ground=narrow) != seen_in_the_bend(env)).any()
