"""What a kart can do: lateral, driving and braking acceleration against speed, for speed profiles.

Only the exponent is set by hand. The lateral limit comes from `step` itself: at each speed of the grid a kart, held at
that speed by an idealised motor, is steered into an ever tighter arc until it follows no more, so the solid
axle, load transfer and inside-rear lift are in it. Drive and braking are the closed-form balance of the same
tyre, load and engine equations.
"""

import chex
import jax
import jax.numpy as jnp
from flax import struct

from kart_jax.physics import drivetrain, load, tyre
from kart_jax.physics.contact import POINTS
from kart_jax.physics.drivetrain import RPM
from kart_jax.physics.params import KartParams
from kart_jax.physics.state import rolling
from kart_jax.physics.step import step
from kart_jax.physics.surface import asphalt
from kart_jax.physics.types import Controls, Walls

SPEEDS = 16  # grid of the envelope
STEPS = 1200  # physics steps of the try at each speed
RISE = 5.0  # m/s² per s, how fast the wanted lateral acceleration rises
DT = 0.005  # s
EXPONENT = 1.7  # combined-slip envelope (a_x / limit)^p + (a_y / limit)^p <= 1; prior from reference 2.3, not derived


@struct.dataclass
class Envelope:
    """Limits on dry asphalt over a grid of N speeds."""

    speed: chex.Array  # (N,) m/s, ascending from 1 m/s
    lateral: chex.Array  # (N,) m/s², most steady lateral acceleration
    drive: chex.Array  # (N,) m/s², full throttle, straight; negative above the top speed
    brake: chex.Array  # (N,) m/s², best straight-line deceleration, positive
    exponent: chex.Array  # () of the combined envelope


def open_field(dtype: jnp.dtype | type = float) -> Walls:
    """No barrier near."""
    return Walls(distance=jnp.full((POINTS,), 1e3, dtype), normal=jnp.zeros((POINTS, 2), dtype))


def envelope(params: KartParams) -> Envelope:
    """Limits of one kart (see `Envelope`); traceable, some tenths of a second of work."""
    speed = jnp.linspace(1.0, 50.0, SPEEDS)
    return Envelope(
        speed=speed,
        lateral=jax.vmap(lambda v: lateral_limit(v, params))(speed),
        drive=jax.vmap(lambda v: drive_limit(v, params))(speed),
        brake=jax.vmap(lambda v: brake_limit(v, params))(speed),
        exponent=jnp.asarray(EXPONENT),
    )


def cruiser(params: KartParams) -> KartParams:
    """The kart with a strong lag-free motor straight on the axle, so that speed can be held at any slip."""
    return params.replace(
        torque=jnp.full_like(params.torque, 300.0),
        gear_ratio=jnp.ones_like(params.gear_ratio),
        gears=1.0,
        efficiency=1.0,
        engine_drag=0.0,
        engine_inertia=1e-3,
        clutch_start=-1e6,
        clutch_full=-1e5,
        clutch_torque=3000.0,
        throttle_lag=1e-3,
        shift_up=1e9,
        shift_down=-1e9,
    )


def lateral_limit(speed: chex.Array, params: KartParams) -> chex.Array:
    """Most lateral acceleration (m/s²) that the kart holds at about `speed` (m/s), by driving it there.

    The wanted lateral acceleration rises slowly; a yaw-rate controller (integral on top of L kappa) steers for it and
    the motor holds the speed. What the kart reaches before it stops following or spins is the limit.
    """
    kart, ground, walls = cruiser(params), asphalt(params), open_field()

    def drive(carry: tuple, i: chex.Array) -> tuple[tuple, None]:
        state, integral, best, alive = carry
        wanted = RISE * DT * i / jnp.maximum(state.vx, 1.0)
        error = wanted - state.yaw_rate
        lead = params.wheelbase / jnp.maximum(state.vx, 1.0)
        integral = jnp.clip(integral + 6.0 * DT * lead * error, -0.2, params.max_steer)
        steering = (lead * (wanted + 0.5 * error) + integral) / params.max_steer
        throttle = jnp.clip(0.4 * (speed - state.vx), 0.0, 1.0)
        controls = Controls(steering=steering, throttle=throttle, brake=jnp.zeros_like(throttle))
        state = step(state, controls, kart, ground, walls, DT)
        # A slide (beyond 17°) or a kart slowed down by its own scrub ends the try.
        alive = alive & (jnp.abs(state.vy) < 0.3 * state.vx) & (state.vx > 0.85 * speed)
        reached = jnp.minimum(state.load_y, state.vx * state.yaw_rate)
        best = jnp.where(alive, jnp.maximum(best, reached), best)
        return (state, integral, best, alive), None

    zero = jnp.zeros_like(speed)
    start = (rolling(kart, zero, zero, zero, speed), zero, zero, speed > 0.0)
    return jax.lax.scan(drive, start, jnp.arange(STEPS))[0][2]


def _resistance(speed: chex.Array, params: KartParams) -> chex.Array:
    """Air drag and rolling resistance (N)."""
    air = 0.5 * params.air_density * params.drag_area * speed * speed
    return air + params.rolling_asphalt * params.mass * params.gravity


def _stall_speed(params: KartParams) -> chex.Array:
    """Engine speed (1/min) at which a slipping clutch holds the full-throttle engine: capacity = torque."""
    low, high = params.clutch_start, params.clutch_full

    def halve(_: int, bracket: tuple[chex.Array, chex.Array]) -> tuple[chex.Array, chex.Array]:
        low, high = bracket
        middle = 0.5 * (low + high)
        capacity = params.clutch_torque * (middle - params.clutch_start) / (params.clutch_full - params.clutch_start)
        holds = capacity > params.efficiency * drivetrain.full_torque(middle, params)
        return jnp.where(holds, low, middle), jnp.where(holds, middle, high)

    return jax.lax.fori_loop(0, 30, halve, (low, high))[1]


def drive_limit(speed: chex.Array, params: KartParams) -> chex.Array:
    """Full-throttle acceleration (m/s²) on the straight: the lesser of engine and rear-tyre traction, less drag.

    a = (F - F_drag) / m_eff, m_eff = m + (I_axle + G² I_engine) / r_r² + 2 I_front / r_f².
    """
    rear, front = params.rear_tyre, params.front_tyre
    axle = speed / rear.radius
    stall = _stall_speed(params)
    best = jnp.full_like(speed, -jnp.inf)
    for i in range(params.gear_ratio.shape[-1]):
        ratio = params.gear_ratio[i]
        rpm = axle * ratio * RPM
        torque = params.efficiency * drivetrain.full_torque(jnp.maximum(rpm, stall), params)
        spun = (params.axle_inertia + jnp.where(rpm > stall, ratio**2 * params.engine_inertia, 0.0)) / rear.radius**2
        inertia = params.mass + spun + 2.0 * params.front_inertia / front.radius**2
        accel = (torque * ratio / rear.radius - _resistance(speed, params)) / inertia
        in_reach = (rpm <= params.shift_up) | (i + 1 >= params.gears)
        best = jnp.where(in_reach & (i < params.gears), jnp.maximum(best, accel), best)

    def pull(_: int, traction: chex.Array) -> chex.Array:
        half = 0.5 * load.axle_loads(traction, params)[1]
        force = 2.0 * half * rear.friction_ratio * tyre.friction(half, jnp.ones_like(half), rear)
        return (force - _resistance(speed, params)) / params.mass

    return jnp.minimum(best, jax.lax.fori_loop(0, 8, pull, jnp.zeros_like(speed)))


def brake_limit(speed: chex.Array, params: KartParams) -> chex.Array:
    """Best straight-line deceleration (m/s², positive): braked axles at peak friction, drag helping.

    An axle with less brake torque than grip gives its torque.
    """

    def slow(_: int, decel: chex.Array) -> chex.Array:
        front_load, rear_load = (0.5 * axle for axle in load.axle_loads(-decel, params))
        one = jnp.ones_like(speed)
        front = front_load * params.front_tyre.friction_ratio * tyre.friction(front_load, one, params.front_tyre)
        rear = rear_load * params.rear_tyre.friction_ratio * tyre.friction(rear_load, one, params.rear_tyre)
        front = 2.0 * jnp.minimum(front, params.front_brake / params.front_tyre.radius)
        rear = jnp.minimum(2.0 * rear, params.rear_brake / params.rear_tyre.radius)
        return (front + rear + _resistance(speed, params)) / params.mass

    return jax.lax.fori_loop(0, 8, slow, jnp.zeros_like(speed))
