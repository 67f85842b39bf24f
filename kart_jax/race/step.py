"""One control step of a race: the recipe."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
from flax import struct

from kart_jax.physics import contact
from kart_jax.physics import step as physics
from kart_jax.physics.state import is_finite
from kart_jax.physics.types import Controls, KartState
from kart_jax.race import surroundings, timing
from kart_jax.race.params import RaceParams
from kart_jax.race.rates import Rates
from kart_jax.race.timing import Passage
from kart_jax.race.types import RaceState, Timing
from kart_jax.track import query
from kart_jax.track.types import Tracks


class Moving(struct.PyTreeNode):
    """What of a race changes from physics step to physics step; fields (K, ...) but `tick`."""

    karts: KartState
    timing: Timing
    s: chex.Array  # m, arc length: between its physics steps a race needs no more of its place
    on_track: chex.Array  # bool, since the control step began
    wall_distance: chex.Array  # m, least since the control step began
    tick: chex.Array  # () int32


def step(
    state: RaceState, controls: Controls, tracks: Tracks, params: RaceParams, rates: Rates
) -> RaceState:
    """Advance a race by one control step.

    A kart that is no longer a number at its end stands where it was before it, and is reported.
    While the step lasts, such a kart coasts (see `physics.step.guard`): where it is and how fast it
    goes are numbers if they were at first.

    Args:
        state: the race.
        controls: fields (K,), held over the step.
        tracks: the stack of circuits; `state.track` names the race's own.
        params: of the race.
        rates: how long the step is, and how many physics steps it has.
    """
    moving = Moving(
        karts=state.karts,
        timing=state.timing,
        s=state.track_point.s,
        on_track=jnp.ones_like(state.on_track),
        wall_distance=jnp.full_like(state.wall_distance, jnp.inf),
        tick=state.tick,
    )

    def substep(moving: Moving, _: None) -> tuple[Moving, None]:
        return physics_step(moving, controls, tracks, state.track, params, rates.physics_dt), None

    moving, _ = jax.lax.scan(substep, moving, None, length=rates.substeps)

    place = query.locate(tracks, state.track, moving.karts.x, moving.karts.y)
    moved = state.replace(
        karts=moving.karts,
        timing=moving.timing,
        track_point=place.replace(s=moving.s),
        on_track=moving.on_track,
        wall_distance=moving.wall_distance,
        tick=moving.tick,
        time=moving.tick * jnp.asarray(rates.physics_dt, state.time.dtype),
    )
    finite = jax.vmap(is_finite)(moving.karts)
    return moved.where_karts(finite, state).replace(finite=finite)


def physics_step(
    moving: Moving,
    controls: Controls,
    tracks: Tracks,
    track: chex.Array,
    params: RaceParams,
    dt: float,
) -> Moving:
    """Advance K karts by one physics step of `dt` seconds."""
    # What lies around each kart.
    find = partial(surroundings.find, tracks=tracks, track=track, ground=params.ground)
    around = jax.vmap(lambda kart, s, own: find(kart, s, params=own))(
        moving.karts, moving.s, params.kart
    )

    # Each kart by itself.
    drive = partial(physics.step, air=params.air, dt=dt)
    moved = jax.vmap(lambda kart, held, own, ground: drive(kart, held, own, surface=ground))(
        moving.karts, controls, params.kart, around.surface
    )

    # What a kart runs into. Karts that touch will come here; barriers come last, so that nobody is
    # pushed through one.
    moved = jax.vmap(contact.resolve)(moved, around.walls, params.kart)

    # Where each kart is now, and what its lap makes of it.
    after = query.locate(tracks, track, moved.x, moved.y).s
    on_track = around.innermost_edge <= params.rules.track_limit
    passage = Passage(before=moving.s, after=after, on_track=on_track)
    update = partial(timing.update, tracks=tracks, track=track, tick=moving.tick, dt=dt)

    return Moving(
        karts=moved,
        timing=jax.vmap(update)(moving.timing, passage),
        s=after,
        on_track=moving.on_track & on_track,
        wall_distance=jnp.minimum(moving.wall_distance, jnp.min(around.walls.distance, axis=-1)),
        tick=moving.tick + 1,
    )
