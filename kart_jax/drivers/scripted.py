"""The scripted driver: test pilot, baseline of the learned driver, and opponent. Pure JAX.

`prepare` plans once per stack of circuits and kart; a `ScriptedDriver` follows the plan and carries
nothing. The same numbers serve every circuit and every class; what differs between karts is
measured on the simulator.
"""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from kart_jax.drivers import line as racing_line
from kart_jax.drivers import measure, profile
from kart_jax.drivers import path as paths
from kart_jax.drivers.path import Path
from kart_jax.drivers.profile import GGVDiagram
from kart_jax.drivers.types import Gains, Plan
from kart_jax.errors import InputError
from kart_jax.physics.params import KartParams
from kart_jax.track.types import Tracks

LINES = ("optimal", "given")
EDGE_MARGIN = 0.45  # m, kept between the outer edge of the wheels and the edge of the asphalt
GRIP_FRACTION = 0.965  # of the lateral limit that the speed profile counts on
BRAKE_FRACTION = 0.92  # of the braking limit
# Part of the braking left in a corner at the lateral limit that is not used: turning in is no
# steady state.
TRAIL_BRAKING_RESERVE = 0.25


class LapPlan(struct.PyTreeNode):
    """Path and speed for one circuit on M nodes; a `Plan` has those of all circuits."""

    path: Path  # every field (M,)
    speed: chex.Array  # (M,) m/s
    acceleration: chex.Array  # (M,) m/s², along the path
    lap_time: chex.Array  # () s


def prepare(
    tracks: Tracks, params: KartParams, line: str = "optimal", gains: Gains | None = None
) -> Plan:
    """Plan path and speed on every circuit of a stack for one kart.

    Args:
        tracks: the stack of T circuits, concrete.
        params: the kart (unbatched); `jax.vmap` over karts works.
        line: "optimal" for the minimum-curvature line inside the widths, "given" for the centre
            line itself (circuits recorded as driven lines).
        gains: of the driver; default those of the test pilot.

    Returns:
        A `Plan` for a `ScriptedDriver`: seconds of compiling, then some tenths of one per stack.

    Raises:
        InputError: unknown `line`.
    """
    if line not in LINES:
        raise InputError(
            f"driver: line is {line!r}; allowed are {', '.join(LINES)}; choose one of them"
        )

    ggv, handling = _measure_kart(params)
    kept = 1.0 - TRAIL_BRAKING_RESERVE * jnp.linspace(0.0, 1.0, ggv.brake_share.shape[-1])
    ggv = ggv.replace(brake_share=ggv.brake_share * kept[None])
    laps = _plan_stack(tracks, params, ggv, line)

    # Arrays of one type, whoever gives them: another driver's gains are no other program.
    gains = gains or Gains()
    arrays = {name: jnp.asarray(gain, float) for name, gain in vars(gains).items()}
    return Plan(
        path=laps.path,
        speed=laps.speed,
        acceleration=laps.acceleration,
        lap_time=laps.lap_time,
        ggv=ggv,
        handling=handling,
        gains=Gains(**arrays),
    )


def measured_limits(params: KartParams) -> GGVDiagram:
    """Return the measured limits of a kart, nothing kept back."""
    return _measure_kart(params)[0]


_measure_kart = jax.jit(measure.measure_kart)


def _plan_stack(tracks: Tracks, params: KartParams, ggv: GGVDiagram, line: str) -> LapPlan:
    """Plan each circuit on nodes that suit its length; fields (T, ...), nodes of the longest."""
    nodes = np.array([paths.node_count(int(count)) for count in np.asarray(tracks.count)])
    parts = []
    order = []
    for count in np.unique(nodes):
        which = np.flatnonzero(nodes == count)
        laps = _plan_laps(tracks, which, params, ggv, int(count), line)
        refine = functools.partial(paths.refine, times=int(nodes.max() // count))
        path, speed, acceleration = jax.tree.map(refine, (laps.path, laps.speed, laps.acceleration))
        parts.append(laps.replace(path=path, speed=speed, acceleration=acceleration))
        order.append(which)

    back = np.argsort(np.concatenate(order))
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves)[back], *parts)


@functools.partial(jax.jit, static_argnames=("nodes", "line"))
def _plan_laps(
    tracks: Tracks, which: chex.Array, params: KartParams, ggv: GGVDiagram, nodes: int, line: str
) -> LapPlan:
    """Plan a lap on each of the circuits `which` (G,) of the stack; fields (G, ...)."""
    cautious = ggv.replace(lateral=GRIP_FRACTION * ggv.lateral, brake=BRAKE_FRACTION * ggv.brake)
    margin = params.rear_width / 2 + EDGE_MARGIN
    plan_one = functools.partial(plan_lap, nodes=nodes, line=line)
    return jax.vmap(plan_one, in_axes=(None, 0, None, None))(tracks, which, cautious, margin)


def plan_lap(
    tracks: Tracks, track: chex.Array, ggv: GGVDiagram, margin: chex.Array, nodes: int, line: str
) -> LapPlan:
    """Plan a lap of circuit `track`, `margin` () m from the edges, within the limits `ggv`."""
    corridor = paths.find_corridor(tracks, track, margin, nodes)
    if line == "optimal":
        offset = racing_line.minimise(corridor)
    else:
        offset = jnp.zeros_like(corridor.curvature)

    path = paths.build(offset, corridor)
    speed = profile.speeds(path, corridor.step, ggv)
    return LapPlan(
        path=path,
        speed=speed,
        acceleration=profile.accelerations(speed, path, corridor.step),
        lap_time=profile.lap_time(speed, path, corridor.step),
    )
