"""Ends drives by the rules of an episode, for whoever drives without an environment."""

import chex
import jax
import jax.numpy as jnp
from flax import struct

from kart_jax.env import terminate
from kart_jax.env.params import EpisodeLimits
from kart_jax.env.types import Timers
from kart_jax.race.types import RaceState


class Watched(struct.PyTreeNode):
    """What the referee carries from step to step."""

    timers: Timers  # (K,) of the faults
    length: chex.Array  # () int32, control steps


class FaultReferee(struct.PyTreeNode):
    """Ends a drive at its first fault, or when its time is up; see `terminate`."""

    limits: EpisodeLimits

    def start(self, race: RaceState) -> Watched:
        """Return timers at zero."""
        return Watched(timers=Timers.start(race.size), length=jnp.zeros((), jnp.int32))

    def judge(self, carried: Watched, race: RaceState, dt: float) -> tuple[Watched, chex.Array]:
        """Look at a race after a control step of `dt` s; returns whose drive is over (K,) bool."""
        length = carried.length + 1

        def one(timers, kart, place, on_track, finite):
            timers = terminate.count_faults(timers, kart, place, on_track, self.limits, dt)
            terminated, truncated, _ = terminate.find_end(timers, finite, length * dt, self.limits)
            return timers, terminated | truncated

        timers, over = jax.vmap(one)(
            carried.timers, race.karts, race.track_point, race.on_track, race.finite
        )
        return Watched(timers=timers, length=length), over
