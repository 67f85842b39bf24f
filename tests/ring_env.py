"""A tiny environment with the protocol of `KartEnv`, so that training is tested in seconds and
without rendering.

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

LENGTH, HALF_WIDTH, BEND, DT = 24.0, 1.5, 0.25, 0.2


class RingState(struct.PyTreeNode):
    s: Any  # () m since the start of the lap
    n: Any  # () m from the middle
    heading: Any  # () rad against the ring's
    step: Any  # () int32
    total: Any  # () return of the episode
    lap_steps: Any  # () int32 since the start of the lap


class RingInfo(struct.PyTreeNode):
    final_observation: Any
    episode_return: Any
    episode_length: Any
    lap_time: Any
    lap_completed: Any
    reward_terms: Any
    off_track: Any
    cause: Any
    track: Any


class RingEnv(struct.PyTreeNode):
    default_params: Any = None
    config: EnvConfig = struct.field(
        pytree_node=False, default=EnvConfig(frame_stack=1, vision=False)
    )

    def observe(self, state):
        speedless = jnp.zeros(6)
        telemetry = jnp.concatenate(
            [speedless, jnp.stack([state.n, jnp.float32(BEND), state.heading])]
        )
        if not self.config.vision:
            return {"telemetry": telemetry}
        columns = jnp.arange(84) - 42.0 - 20.0 * state.n - 40.0 * state.heading
        picture = jnp.broadcast_to(
            (128 + jnp.clip(4 * columns, -120, 120))[None, :, None], (84, 84, 3)
        )
        return {"telemetry": telemetry, "vision": picture.astype(jnp.uint8)}

    def begin(self, key):
        n, heading = jax.random.uniform(key, (2,), minval=-0.5, maxval=0.5)
        zero, start = jnp.zeros(()), jnp.zeros((), jnp.int32)
        return RingState(s=zero, n=n, heading=heading, step=start, total=zero, lap_steps=start)

    def reset(self, key, params):
        state = self.begin(key)
        return self.observe(state), state

    def step(self, key, state, action, params):
        steering, pedal = action
        way = (2.0 + 2.0 * pedal) * DT
        heading = state.heading + way * (0.5 * steering - BEND)
        s, n = state.s + way * jnp.cos(heading), state.n + way * jnp.sin(heading)
        off = jnp.abs(n) > HALF_WIDTH
        late = (state.step + 1 >= 80) & ~off
        lap = s >= LENGTH
        terms = (
            jnp.zeros(len(TERMS)).at[0].set(s - state.s).at[1].set(1.0 * lap).at[6].set(-5.0 * off)
        )
        reward = jnp.sum(terms)
        lap_steps = state.lap_steps + 1
        driven = RingState(
            s - LENGTH * lap, n, heading, state.step + 1, state.total + reward, lap_steps * ~lap
        )
        info = RingInfo(
            final_observation=self.observe(driven),
            episode_return=driven.total,
            episode_length=driven.step,
            lap_time=jnp.where(lap, lap_steps * DT, jnp.nan),
            lap_completed=lap,
            reward_terms=terms,
            off_track=off,
            cause=jnp.where(
                off, Cause.OFF_TRACK, jnp.where(late, Cause.TIME_LIMIT, Cause.NONE)
            ).astype(jnp.int32),
            track=jnp.int32(0),
        )
        following = jax.tree.map(lambda a, b: jnp.where(off | late, a, b), self.begin(key), driven)
        return self.observe(following), following, reward, off, late, info
