"""The scripted driver: test pilot, baseline of the learned driver, and later an opponent. Pure JAX.

`prepare` plans once per stack of circuits and kart; `control` is called at every control step and
keeps no memory. The same numbers serve every circuit and every class; what differs between karts is
measured on the simulator.
"""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np

from kart_jax.drivers import line as racing
from kart_jax.drivers import measure, path, profile
from kart_jax.drivers.follow import control
from kart_jax.drivers.path import Path
from kart_jax.drivers.profile import Limits
from kart_jax.drivers.types import Plan
from kart_jax.errors import InputError
from kart_jax.physics.params import KartParams
from kart_jax.track.types import Tracks

__all__ = ["LINES", "control", "prepare"]

LINES = ("optimal", "given")
SPARE = 0.45  # m, kept between the outer edge of the wheels and the edge of the asphalt
USE = 0.965  # of the lateral limit that the speed profile counts on
USE_BRAKE = 0.92  # of the braking limit
TRAIL = 0.25  # of the braking left in a bend at the lateral limit that is not used: turning in is no steady state


def lap(
    tracks: Tracks, track: chex.Array, limits: Limits, margin: chex.Array, nodes: int, line: str
) -> tuple[Path, chex.Array, chex.Array, chex.Array]:
    """Path (M,), speed (M,) m/s, acceleration (M,) m/s² and lap time () s on one circuit."""
    lane = path.corridor(tracks, track, margin, nodes)
    offset = racing.minimise(lane) if line == "optimal" else jnp.zeros_like(lane.curvature)
    way = path.build(offset, lane)
    speed = profile.speeds(way, lane.step, limits)
    return (
        way,
        speed,
        profile.accelerations(speed, way, lane.step),
        profile.lap_time(speed, way, lane.step),
    )


@functools.partial(jax.jit, static_argnames=("nodes", "line"))
def _laps(
    tracks: Tracks, which: chex.Array, params: KartParams, limits: Limits, nodes: int, line: str
) -> tuple[Path, chex.Array, chex.Array, chex.Array]:
    """`lap` on the circuits `which` (G,) of the stack; every field (G, ...)."""
    cautious = limits.replace(lateral=USE * limits.lateral, brake=USE_BRAKE * limits.brake)
    margin = params.rear_width / 2 + SPARE
    one = functools.partial(lap, nodes=nodes, line=line)
    return jax.vmap(one, in_axes=(None, 0, None, None))(tracks, which, cautious, margin)


_measure = jax.jit(measure.measure)


def full_limits(params: KartParams) -> Limits:
    """The measured limits of a kart, nothing kept back."""
    return _measure(params)[0]


def prepare(tracks: Tracks, params: KartParams, line: str = "optimal") -> Plan:
    """Plan path and speed on every circuit of a stack for one kart.

    Args:
        tracks: the stack of T circuits, concrete.
        params: the kart (unbatched); `jax.vmap` over karts works.
        line: "optimal" for the minimum-curvature line inside the widths, "given" for the centre
            line itself (circuits recorded as driven lines).

    Returns:
        A `Plan` for `control`. Seconds of compiling, then some tenths of a second per stack.

    Raises:
        InputError: unknown `line`.
    """
    if line not in LINES:
        raise InputError(
            f"driver: line is {line!r}; allowed are {', '.join(LINES)}; choose one of them"
        )
    limits, handling = _measure(params)
    trail = 1.0 - TRAIL * jnp.linspace(0.0, 1.0, limits.brake_share.shape[-1])
    limits = limits.replace(brake_share=limits.brake_share * trail[None])
    # Each circuit is planned on nodes that suit its length, then all get as many as the longest.
    nodes = np.array([path.node_count(int(count)) for count in np.asarray(tracks.count)])
    parts, order = [], []
    for count in np.unique(nodes):
        which = np.flatnonzero(nodes == count)
        way, speed, acceleration, time = _laps(tracks, which, params, limits, int(count), line)
        finer = functools.partial(path.refine, times=int(nodes.max() // count))
        parts.append((*jax.tree.map(finer, (way, speed, acceleration)), time))
        order.append(which)
    back = np.argsort(np.concatenate(order))
    plans = jax.tree.map(lambda *leaves: jnp.concatenate(leaves)[back], *parts)
    return Plan(*plans, limits=limits, handling=handling)
