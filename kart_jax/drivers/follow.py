"""Follow a path at a speed: steering by feedback of place and course, pedals from the profile.

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
from kart_jax.drivers import measure, path, profile
from kart_jax.drivers.types import Plan
from kart_jax.physics.params import KartParams
from kart_jax.physics.types import Controls, KartState
from kart_jax.track import query
from kart_jax.track.types import Tracks

MIN_SPEED = 2.0  # m/s, forward, below which angles of motion are those at this speed


class TrackingError(struct.PyTreeNode):
    """Where one kart is relative to its path, and how it moves."""

    s: chex.Array  # () m, centre-line arc length
    offset: chex.Array  # () m, from the path, left positive
    course: chex.Array  # () rad, direction of motion relative to the path
    speed: chex.Array  # () m/s, of the centre of gravity
    yaw_rate: chex.Array  # () rad/s
    progress_rate: chex.Array  # () metres of centre line per metre of path


def tracking_error(
    plan: Plan, tracks: Tracks, track: chex.Array, state: KartState
) -> TrackingError:
    """Locate one kart on circuit `track` and compare it with its path."""
    point = query.locate(tracks, track, state.x, state.y)
    path_angle = path.interpolate(plan.path.angle, tracks, track, point.s)
    heading = jnp.arctan2(point.ty, point.tx) + path_angle
    drift = jnp.arctan2(state.vy, jnp.maximum(state.vx, 0.5))
    stretch = path.interpolate(plan.path.stretch, tracks, track, point.s)

    return TrackingError(
        s=point.s,
        offset=point.n - path.interpolate(plan.path.offset, tracks, track, point.s),
        course=geometry.wrap_angle(state.yaw + drift - heading),
        speed=geometry.safe_norm(state.vx, state.vy, 1e-3),
        yaw_rate=state.yaw_rate,
        progress_rate=1.0 / stretch,
    )


def target_curvature(
    plan: Plan, tracks: Tracks, track: chex.Array, error: TrackingError
) -> chex.Array:
    """Return the curvature () 1/m of the motion that removes the errors, within the tyres' grip."""
    gains = plan.gains
    look_ahead = jnp.maximum(gains.look_ahead_time * error.speed, gains.min_look_ahead)
    distance = error.speed * gains.steer_preview

    # Curvature of the path, offset and course when the steering takes effect.
    ahead = error.s + distance * error.progress_rate
    halfway = error.s + 0.5 * distance * error.progress_rate
    planned = path.interpolate(plan.path.curvature, tracks, track, ahead)
    between = path.interpolate(plan.path.curvature, tracks, track, halfway)
    course = error.course + gains.steer_preview * (error.yaw_rate - between * error.speed)
    offset = error.offset + distance * jnp.sin(0.5 * (error.course + course))
    max_offset = gains.rejoin_angle * look_ahead
    offset = jnp.clip(offset, -max_offset, max_offset)

    curvature = planned - 2.0 * offset / look_ahead**2 - 2.0 * course / look_ahead

    grip = profile.at_speed(plan.ggv.lateral, plan.ggv, error.speed)
    max_curvature = grip / jnp.maximum(error.speed, 1.0) ** 2
    return jnp.clip(curvature, -max_curvature, max_curvature)


def steer_angle(
    plan: Plan, state: KartState, params: KartParams, speed: chex.Array, curvature: chex.Array
) -> chex.Array:
    """Return the mean road-wheel angle () rad for a curvature () 1/m of the motion."""
    forward = jnp.maximum(state.vx, MIN_SPEED)
    drift = jnp.arctan2(state.vy, forward)
    lateral = curvature * speed**2
    front_slip = profile.in_corner(plan.handling.front_slip, plan.ggv, speed, lateral)
    slip = jnp.sign(lateral) * front_slip
    yaw_feedback = plan.gains.yaw_gain * params.wheelbase * (curvature - state.yaw_rate / forward)
    return drift + params.front_distance * curvature + slip + yaw_feedback


def target_acceleration(
    plan: Plan, tracks: Tracks, track: chex.Array, error: TrackingError
) -> chex.Array:
    """Return the acceleration () m/s² along the path that keeps the profile's speed.

    Far from the path or pointing away from it the driver slows down towards `rejoin_speed`.
    """
    gains = plan.gains
    ahead = error.s + error.speed * gains.pedal_preview * error.progress_rate
    planned = path.interpolate(plan.acceleration, tracks, track, ahead)
    speed = path.interpolate(plan.speed, tracks, track, error.s)

    astray = jnp.maximum(jnp.abs(error.offset) - 1.0, 2.0 * jnp.abs(error.course) - 0.6)
    slow = jnp.minimum(speed, jnp.maximum(gains.rejoin_speed, speed * (1.0 - astray)))
    speed = jnp.where(astray > 0, slow, speed)
    return planned + gains.speed_gain * (speed - error.speed)


def pedals(
    plan: Plan, state: KartState, params: KartParams, speed: chex.Array, target: chex.Array
) -> tuple[chex.Array, chex.Array]:
    """Return throttle and brake () 0..1 for a target acceleration () m/s²."""
    ggv = plan.ggv
    drive, coast, brake = (
        profile.at_speed(table, ggv, speed) for table in (ggv.drive, ggv.coast, ggv.brake)
    )
    drive_loss, scrub, brake_share = (
        profile.in_corner(table, ggv, speed, state.load_transfer_accel_y)
        for table in (ggv.drive_loss, ggv.scrub, ggv.brake_share)
    )

    hardest_braking = -brake * jnp.maximum(brake_share, plan.gains.min_brake_share)
    target = jnp.clip(target, hardest_braking, drive - drive_loss)
    throttle = jnp.clip((target - coast + scrub) / jnp.maximum(drive - coast, 0.1), 0.0, 1.0)
    brake_force = (coast - scrub - target) * params.mass
    brake_pedal = jnp.clip(brake_force / measure.full_brake_force(params), 0.0, 1.0)

    slide, spin, lock = pedal_easing(plan, state, params)
    return throttle * slide * spin, brake_pedal * slide * lock


def pedal_easing(
    plan: Plan, state: KartState, params: KartParams
) -> tuple[chex.Array, chex.Array, chex.Array]:
    """Return the parts () 0..1 of the pedals that a slide, spinning and locked wheels leave."""
    gains = plan.gains
    peak = plan.handling.peak_rear_slip
    forward = jnp.maximum(state.vx, MIN_SPEED)
    slip_angle = jnp.arctan2(state.vy - params.rear_distance * state.yaw_rate, forward)
    slip_ratio = (state.axle_spin * params.rear_tyre.radius - state.vx) / forward

    sideways = jnp.abs(slip_angle) / peak
    rolling = slip_ratio / peak
    slide = _ease(sideways, gains.slide_release, gains.slide_easing)
    spin = _ease(rolling, gains.spin_release, gains.spin_easing)
    lock = _ease(-rolling, gains.spin_release, gains.spin_easing)
    return slide, spin, lock


def _ease(value: chex.Array, release: chex.Numeric, width: chex.Numeric) -> chex.Array:
    """Return 0 above `release`, 1 below the band of this width under it, linear between."""
    return jnp.clip((release - value) / width, 0.0, 1.0)


def control(
    plan: Plan, tracks: Tracks, track: chex.Array, state: KartState, params: KartParams
) -> Controls:
    """Return the controls of one kart that follows its plan; see the module docstring.

    Args:
        plan: from `scripted.prepare`.
        tracks: the stack of circuits the plan was made for.
        track: () int32, index of the circuit.
        state: the kart.
        params: the kart's parameters.
    """
    error = tracking_error(plan, tracks, track, state)

    curvature = target_curvature(plan, tracks, track, error)
    angle = steer_angle(plan, state, params, error.speed, curvature)

    acceleration = target_acceleration(plan, tracks, track, error)
    throttle, brake = pedals(plan, state, params, error.speed, acceleration)

    return Controls(
        steering=jnp.clip(angle / params.max_steer, -1.0, 1.0), throttle=throttle, brake=brake
    )
