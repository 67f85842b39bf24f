"""Record telemetry on the device: one row of channels per kart and control step, stacked by
`lax.scan`.

`frame` is called inside the scan over control steps and its result is the scan's output, so a
recording of thousands of karts is one (steps, karts, channels) array that leaves the device once:

    def body(races, step):
        races = jax.vmap(race_step, ...)(races, ...)
        return races, jax.vmap(record.frame, (0, None, None, None))(races, step, tracks, params)

    _, values = jax.lax.scan(body, races, jnp.arange(steps))
"""

import chex
import jax

from kart_jax.physics.params import KartParams
from kart_jax.physics.signals import signals
from kart_jax.race.types import RaceState
from kart_jax.telemetry import channels
from kart_jax.track.types import Tracks


def frame(race: RaceState, step: chex.Array, tracks: Tracks, params: KartParams) -> chex.Array:
    """Read all channels of one race's K karts; `jax.vmap` over races is the caller's.

    Args:
        race: one race after its step.
        step: () int32, control steps since the recording began.
        tracks: the stack of circuits.
        params: the karts' parameters, shared by all K.

    Returns:
        (K, C) float32 in the order of `channels.CHANNELS`.
    """

    def one(kart, timing, point, on_track):
        return channels.read_all(
            channels.Sample(
                step=step,
                time=race.time,
                state=kart,
                signals=signals(kart, params),
                timing=timing,
                point=point,
                on_track=on_track,
                params=params,
                tracks=tracks,
                track=race.track,
            )
        )

    return jax.vmap(one)(race.karts, race.timing, race.place, race.on_track)
