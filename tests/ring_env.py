"""A tiny environment with the protocol of `KartEnv`: training is tested in seconds, unrendered.

A point drives round a ring of 24 m; steering turns its heading against the bend, the pedal sets its
speed. Off the ring is the end, 80 steps are the time limit, and a lap is a way of one ring length.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from kart_jax.env.config import EnvConfig
from kart_jax.env.reward import TERMS
from kart_jax.env.types import Cause

LENGTH = 24.0  # m
HALF_WIDTH = 1.5  # m
BEND = 0.25  # 1/m
DT = 0.2  # s


class RingState(struct.PyTreeNode):
    """One point on its way."""

    s: Any  # () m since the start of the lap
    n: Any  # () m from the middle
    heading_error: Any  # () rad against the ring's
    step: Any  # () int32 of the episode
    episode_return: Any  # ()
    lap_steps: Any  # () int32 since the start of the lap


class RingInfo(struct.PyTreeNode):
    """What `kart_jax.env.types.StepInfo` tells, as far as training reads it."""

    final_observation: Any  # of the state that the step reached
    episode_return: Any  # ()
    episode_length: Any  # () int32 steps
    lap_time: Any  # () s, nan otherwise
    lap_completed: Any  # () bool
    reward_terms: Any  # (R,)
    off_track: Any  # () bool
    cause: Any  # () int32 of `Cause`
    track: Any  # () int32


class RingEnv(struct.PyTreeNode):
    """The ring."""

    default_params: Any = None
    config: EnvConfig = struct.field(
        pytree_node=False, default=EnvConfig(frame_stack=1, vision=False)
    )

    def observe(self, state):
        speedless = jnp.zeros(6)
        place = jnp.stack([state.n, jnp.float32(BEND), state.heading_error])
        telemetry = jnp.concatenate([speedless, place])
        if not self.config.vision:
            return {"telemetry": telemetry}

        columns = jnp.arange(84) - 42.0 - 20.0 * state.n - 40.0 * state.heading_error
        row = 128 + jnp.clip(4 * columns, -120, 120)
        frame = jnp.broadcast_to(row[None, :, None], (84, 84, 3))
        return {"telemetry": telemetry, "vision": frame.astype(jnp.uint8)}

    def initial_state(self, key):
        n, heading_error = jax.random.uniform(key, (2,), minval=-0.5, maxval=0.5)
        zero = jnp.zeros(())
        none = jnp.zeros((), jnp.int32)
        return RingState(
            s=zero,
            n=n,
            heading_error=heading_error,
            step=none,
            episode_return=zero,
            lap_steps=none,
        )

    def reset(self, key, params):
        state = self.initial_state(key)
        return self.observe(state), state

    def step(self, key, state, action, params):
        steering, pedal = action

        distance = (2.0 + 2.0 * pedal) * DT
        heading_error = state.heading_error + distance * (0.5 * steering - BEND)
        s = state.s + distance * jnp.cos(heading_error)
        n = state.n + distance * jnp.sin(heading_error)

        terminated = jnp.abs(n) > HALF_WIDTH
        truncated = (state.step + 1 >= 80) & ~terminated
        lap = s >= LENGTH
        terms = jnp.zeros(len(TERMS))
        terms = terms.at[0].set(s - state.s).at[1].set(1.0 * lap).at[6].set(-5.0 * terminated)
        reward = jnp.sum(terms)

        lap_steps = state.lap_steps + 1
        reached = RingState(
            s=s - LENGTH * lap,
            n=n,
            heading_error=heading_error,
            step=state.step + 1,
            episode_return=state.episode_return + reward,
            lap_steps=lap_steps * ~lap,
        )
        late = jnp.where(truncated, Cause.TIME_LIMIT, Cause.NONE)
        info = RingInfo(
            final_observation=self.observe(reached),
            episode_return=reached.episode_return,
            episode_length=reached.step,
            lap_time=jnp.where(lap, lap_steps * DT, jnp.nan),
            lap_completed=lap,
            reward_terms=terms,
            off_track=terminated,
            cause=jnp.where(terminated, Cause.OFF_TRACK, late).astype(jnp.int32),
            track=jnp.int32(0),
        )

        ended = terminated | truncated
        following = jax.tree.map(
            lambda fresh, old: jnp.where(ended, fresh, old), self.initial_state(key), reached
        )
        return self.observe(following), following, reward, terminated, truncated, info
