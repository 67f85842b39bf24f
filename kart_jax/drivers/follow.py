"""Follow a path at a speed: steering from curvature and the errors of place and course, pedals from
the profile.

Steering. With e the offset from the path (left positive), c the course (direction of motion, not of
the nose, so that a drift angle is no error) relative to the path, v the speed and l = max(l_0, T v)
the look-ahead,

    k = k_path(s + v t) - 2 e / l² - 2 c / l

makes e'' = -2 e / l² - 2 e' / l along the path: damping ratio 1/sqrt(2) (a pure pursuit at distance
l has the same first term: Coulter 1992). e and c are those expected t seconds ahead. The wheels
then point where the front axle will move, beta + a k with the present drift angle beta, plus the
slip angle that makes the side force (the handling table), plus a part of the error of the yaw rate.
A race kart at its limit is held up by its rear tyres and needs less lock the faster it corners, so
a table of steer angles would have two answers; the slip angle has one, and adding the measured
drift is what steers against a slide.

Pedals. a = a_profile(s + v t) + g (v_profile - v), cut to what the tyres leave beside cornering,
and turned into pedal by the straight-line limits. Both pedals are eased when the rear axle slides
or its wheels spin or lock.
"""

import chex
import jax.numpy as jnp
from flax import struct

from kart_jax import geometry
from kart_jax.drivers import path, profile
from kart_jax.drivers.types import Plan
from kart_jax.physics.params import KartParams
from kart_jax.physics.types import Controls, KartState
from kart_jax.track import query
from kart_jax.track.types import Tracks

LOOK_TIME = 0.35  # s, look-ahead of the place and course feedback
LOOK_LEAST = 3.0  # m
STEER_PREVIEW = 0.10  # s, from a steering command to the yaw rate it brings
PEDAL_PREVIEW = 0.06  # s, from a pedal command to the force it brings
YAW_GAIN = 0.25  # of the steer angle that would cure the error of the yaw rate geometrically
SPEED_GAIN = 3.0  # 1/s, acceleration per speed error
LOST = 0.5  # largest offset that is fed back, in look-aheads: the angle (rad) at which the driver rejoins
REJOIN_SPEED = 6.0  # m/s, when far from the path or pointing away from it
LEAST_ROOM = 0.25  # part of the braking limit that is used even at full cornering, when too fast
CUT = (
    0.9,
    1.6,
)  # rear slip over its useful range, from where the pedals are eased to where they are released
SPIN = (1.5, 3.0)  # the same for the longitudinal slip of the rear wheels


class Error(struct.PyTreeNode):
    """Where the kart is relative to its path; all ()."""

    s: chex.Array  # m, centre-line arc length
    offset: chex.Array  # m, from the path, left positive
    course: chex.Array  # rad, direction of motion relative to the path
    speed: chex.Array  # m/s, of the centre of gravity
    yaw_rate: chex.Array  # rad/s
    rate: chex.Array  # metres of centre line per metre of path


def locate(plan: Plan, tracks: Tracks, track: chex.Array, state: KartState) -> Error:
    """Errors of place and course of one kart on circuit `track`."""
    point = query.locate(tracks, track, state.x, state.y)
    heading = jnp.arctan2(point.ty, point.tx) + path.along(plan.path.angle, tracks, track, point.s)
    drift = jnp.arctan2(state.vy, jnp.maximum(state.vx, 0.5))
    offset = point.n - path.along(plan.path.offset, tracks, track, point.s)
    rate = 1.0 / path.along(plan.path.stretch, tracks, track, point.s)
    course = geometry.wrap_angle(state.yaw + drift - heading)
    return Error(
        point.s, offset, course, geometry.safe_norm(state.vx, state.vy, 1e-3), state.yaw_rate, rate
    )


def _fade(value: chex.Array, band: tuple[float, float]) -> chex.Array:
    """1 below the band, 0 above it, linear between."""
    return jnp.clip((band[1] - value) / (band[1] - band[0]), 0.0, 1.0)


def wanted_curvature(plan: Plan, tracks: Tracks, track: chex.Array, error: Error) -> chex.Array:
    """Curvature () 1/m of the motion that follows the path and removes the errors, within the
    tyres' grip."""
    look = jnp.maximum(LOOK_TIME * error.speed, LOOK_LEAST)
    way = error.speed * STEER_PREVIEW
    bend = path.along(plan.path.curvature, tracks, track, error.s + way * error.rate)
    between = path.along(plan.path.curvature, tracks, track, error.s + 0.5 * way * error.rate)
    course = error.course + STEER_PREVIEW * (error.yaw_rate - between * error.speed)
    offset = error.offset + way * jnp.sin(0.5 * (error.course + course))
    offset = jnp.clip(offset, -LOST * look, LOST * look)
    curvature = bend - 2.0 * offset / look**2 - 2.0 * course / look
    grip = profile.at_speed(plan.limits.lateral, plan.limits, error.speed)
    most = grip / jnp.maximum(error.speed, 1.0) ** 2
    return jnp.clip(curvature, -most, most)


def steer(
    plan: Plan, state: KartState, params: KartParams, speed: chex.Array, curvature: chex.Array
) -> chex.Array:
    """Mean road-wheel angle () rad for a wanted curvature () 1/m."""
    forward = jnp.maximum(state.vx, 2.0)
    drift = jnp.arctan2(state.vy, forward)
    lateral = curvature * speed**2
    slip = jnp.sign(lateral) * profile.in_bend(plan.handling.slip, plan.limits, speed, lateral)
    turn = YAW_GAIN * params.wheelbase * (curvature - state.yaw_rate / forward)
    return drift + params.front_distance * curvature + slip + turn


def wanted_acceleration(plan: Plan, tracks: Tracks, track: chex.Array, error: Error) -> chex.Array:
    """Acceleration () m/s² along the path that keeps the profile's speed, slower when far from the
    path."""
    ahead = error.s + error.speed * PEDAL_PREVIEW * error.rate
    target = path.along(plan.speed, tracks, track, error.s)
    planned = path.along(plan.acceleration, tracks, track, ahead)
    astray = jnp.maximum(jnp.abs(error.offset) - 1.0, 2.0 * jnp.abs(error.course) - 0.6)
    target = jnp.where(
        astray > 0, jnp.minimum(target, jnp.maximum(REJOIN_SPEED, target * (1.0 - astray))), target
    )
    return planned + SPEED_GAIN * (target - error.speed)


def pedals(
    plan: Plan, state: KartState, params: KartParams, speed: chex.Array, wanted: chex.Array
) -> tuple[chex.Array, chex.Array]:
    """Throttle and brake () 0..1 for a wanted acceleration () m/s²."""
    limits = plan.limits
    drive, coast, brake = (
        profile.at_speed(t, limits, speed) for t in (limits.drive, limits.coast, limits.brake)
    )
    loss, scrub, room = (
        profile.in_bend(t, limits, speed, state.load_transfer_accel_y)
        for t in (limits.drive_loss, limits.scrub, limits.brake_share)
    )
    wanted = jnp.clip(wanted, -brake * jnp.maximum(room, LEAST_ROOM), drive - loss)
    throttle = jnp.clip((wanted - coast + scrub) / jnp.maximum(drive - coast, 0.1), 0.0, 1.0)
    full = (
        2.0 * params.front_brake / params.front_tyre.radius
        + params.rear_brake / params.rear_tyre.radius
    )
    brake = jnp.clip((coast - scrub - wanted) * params.mass / full, 0.0, 1.0)
    forward = jnp.maximum(state.vx, 2.0)
    sideways = (
        jnp.abs(jnp.arctan2(state.vy - params.rear_distance * state.yaw_rate, forward))
        / plan.handling.rear_slip
    )
    rolling = (
        (state.axle_spin * params.rear_tyre.radius - state.vx) / forward / plan.handling.rear_slip
    )
    calm = _fade(sideways, CUT)
    return throttle * calm * _fade(rolling, SPIN), brake * calm * _fade(-rolling, SPIN)


def control(
    plan: Plan, tracks: Tracks, track: chex.Array, state: KartState, params: KartParams
) -> Controls:
    """Controls of one kart that follows its plan; see the module docstring.

    Args:
        plan: from `scripted.prepare`.
        tracks, track: the stack of circuits the plan was made for and the circuit's index () int32.
        state: the kart.
        params: the kart's parameters.
    """
    error = locate(plan, tracks, track, state)
    curvature = wanted_curvature(plan, tracks, track, error)
    angle = steer(plan, state, params, error.speed, curvature)
    wanted = wanted_acceleration(plan, tracks, track, error)
    throttle, brake = pedals(plan, state, params, error.speed, wanted)
    return Controls(jnp.clip(angle / params.max_steer, -1.0, 1.0), throttle, brake)
