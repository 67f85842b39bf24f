"""One control step of a race: K karts through several physics steps, with surface, barriers and
timing.

The kart is two metres long and its circuit is known at its reference point, so its wheels and
bodywork are projected onto the local circle of that point's sample: one row is read per kart and
physics step.
"""

from dataclasses import replace

import chex
import jax
import jax.numpy as jnp

from kart_jax import geometry
from kart_jax.physics import chassis, contact, surface
from kart_jax.physics import step as physics
from kart_jax.physics.params import KartParams
from kart_jax.physics.types import Controls, KartState, Walls
from kart_jax.race import timing
from kart_jax.race.types import RaceState
from kart_jax.track import query
from kart_jax.track.types import TrackPoint, Tracks

TRACK_LIMIT = 0.15  # m, a wheel this far past the edge is still on the white line


def step(
    state: RaceState,
    controls: Controls,
    tracks: Tracks,
    params: KartParams,
    dt: float,
    substeps: int,
    track_limit: chex.Numeric = TRACK_LIMIT,
) -> RaceState:
    """Advance a race by `substeps` physics steps of `dt` seconds.

    Args:
        state: the race.
        controls: fields (K,), held over the step.
        tracks: the stack of circuits; `state.track` names the race's own.
        params: shared by the K karts, or every leaf with a leading axis (K,).
        dt: s, length of a physics step.
        substeps: physics steps.
        track_limit: m, how far past the asphalt edge the innermost wheel may be and the kart still
            is on the track.
    """
    own = 0 if jnp.ndim(params.mass) else None
    advance = jax.vmap(_advance_kart, in_axes=(0, 0, 0, 0, None, None, own, None, None, None))

    def substep(carry, _):
        karts, clock, s, kept, wall, tick = carry
        karts, clock, s, on_track, distance = advance(
            karts, clock, s, controls, tracks, state.track, params, tick, dt, track_limit
        )
        return (karts, clock, s, kept & on_track, jnp.minimum(wall, distance), tick + 1), None

    kept, wall = jnp.ones_like(state.on_track), jnp.full_like(state.wall_distance, jnp.inf)
    carry = (state.karts, state.timing, state.place.s, kept, wall, state.tick)
    (karts, clock, s, kept, wall, tick), _ = jax.lax.scan(substep, carry, None, length=substeps)
    return replace(
        state,
        karts=karts,
        timing=clock,
        # Between its physics steps a race needs no more of its place than s.
        place=query.locate(tracks, state.track, karts.x, karts.y).replace(s=s),
        on_track=kept,
        wall_distance=wall,
        tick=tick,
        time=tick * jnp.asarray(dt, state.time.dtype),
    )


def _advance_kart(
    kart: KartState, clock, before, controls, tracks, track, params, tick, dt, track_limit
):
    """One physics step of one kart at arc length `before`.

    Returns:
        kart, timing, arc length () m, on_track () bool, wall distance () m.
    """
    index = query.sample_at(tracks, track, before)
    points = jnp.concatenate([wheel_points(params), contact.body_points(params)])
    projected = _project_body(points, kart, tracks, track, index)
    wheels = jax.tree.map(lambda field: field[:4], projected)
    bodywork = jax.tree.map(lambda field: field[4:], projected)
    ground = surface.blend(params, wheels.edge, wheels.kerb)
    walls = _walls(bodywork)
    moved = physics.step(kart, controls, params, ground, walls, dt)
    after = query.locate(tracks, track, moved.x, moved.y).s
    on_track = jnp.min(wheels.edge) <= track_limit
    clock = timing.update(clock, tracks, track, before, after, on_track, tick, dt)
    return moved, clock, after, on_track, jnp.min(walls.distance)


def wheel_points(params: KartParams) -> chex.Array:
    """Contact patches (4, 2) m in the body frame: front-left, front-right, rear-left,
    rear-right."""
    xs, ys = chassis.wheel_positions(params)
    return jnp.stack([jnp.stack(xs), jnp.stack(ys)], axis=-1)


def past_edge(
    kart: KartState, params: KartParams, tracks: Tracks, track: chex.Array, s: chex.Array
) -> chex.Array:
    """How far () m the outermost contact patch of a kart at arc length `s` () m is past the edge;
    negative inside."""
    return jnp.max(
        _project_body(
            wheel_points(params), kart, tracks, track, query.sample_at(tracks, track, s)
        ).edge
    )


def _project_body(points: chex.Array, kart: KartState, tracks: Tracks, track, index) -> TrackPoint:
    """Where points (P, 2) of the body frame lie on the circuit, by the circle of sample `index`;
    fields (P,)."""
    dx, dy = geometry.rotate(points[:, 0], points[:, 1], kart.yaw)
    return query.project(tracks, track, index, kart.x + dx, kart.y + dy)


def _walls(point: TrackPoint) -> Walls:
    """Distance to the nearer barrier and the normal from it to the track; the barrier runs along
    the centre line."""
    side = jnp.where(point.n > 0, 1.0, -1.0)
    return Walls(
        distance=point.barrier, normal=jnp.stack([side * point.ty, -side * point.tx], axis=-1)
    )
