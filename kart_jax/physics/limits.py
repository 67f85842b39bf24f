"""What a kart can do: lateral, driving and braking acceleration against speed, for speed profiles.

Nothing here is set by hand. The lateral limit comes from `step` itself: a fan of karts with fixed steering
holds each speed with an idealised motor until they settle; the most that a settled kart does is the limit, so
the solid axle, load transfer and inside-rear lift are in it. Drive and braking are the closed-form balance of
the same tyre, load and engine equations.
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
from kart_jax.physics.types import Controls, KartState, Walls

SPEEDS = 16  # grid of the envelope
STEERS = 24  # steering angles tried at each speed
SETTLE = 500  # physics steps given to settle
DT = 0.005  # s
EXPONENT = 1.7  # combined-slip envelope (a_x / limit)^p + (a_y / limit)^p <= 1; reference 2.3, checked in the tests


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


def _cruiser(params: KartParams) -> KartParams:
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


def settle(speed: chex.Array, steering: chex.Array, params: KartParams, steps: int = SETTLE) -> KartState:
    """A kart (state at the end) that has held `steering` (-1..1) and about `speed` (m/s) for `steps` steps."""
    kart, ground, walls = _cruiser(params), asphalt(params), open_field()

    def hold(state: KartState, i: chex.Array) -> tuple[KartState, None]:
        ramp = jnp.minimum(1.0, 2.0 * i / steps)
        throttle = jnp.clip(0.4 * (speed - state.vx), 0.0, 1.0)
        controls = Controls(steering=ramp * steering, throttle=throttle, brake=jnp.zeros_like(throttle))
        return step(state, controls, kart, ground, walls, DT), None

    start = rolling(kart, 0.0, 0.0, 0.0, speed)
    return jax.lax.scan(hold, start, jnp.arange(steps))[0]


def lateral_limit(speed: chex.Array, params: KartParams) -> chex.Array:
    """Most lateral acceleration (m/s²) of a settled kart at about `speed` (m/s).

    Karts that spin or still swing (yaw acceleration) do not count.
    """
    # At a speed no more lock is needed than takes the front tyres past their peak on the tightest arc in reach.
    arc = jnp.minimum(params.max_steer, 0.30 + 25.0 * params.wheelbase / (speed * speed))
    steering = jnp.linspace(0.05, 1.0, STEERS) * arc / params.max_steer
    ends = jax.vmap(lambda s: settle(speed, s, params))(steering)
    steady = (jnp.abs(ends.vy) < 0.30 * ends.vx) & (jnp.abs(ends.load_y - ends.vx * ends.yaw_rate) < 0.5)
    return jnp.max(jnp.where(steady, ends.vx * ends.yaw_rate, 0.0))


def _resistance(speed: chex.Array, params: KartParams) -> chex.Array:
    """Air drag and rolling resistance (N)."""
    air = 0.5 * params.air_density * params.drag_area * speed * speed
    return air + params.rolling_asphalt * params.mass * params.gravity


def _stall_speed(params: KartParams) -> chex.Array:
    """Engine speed (1/min) at which a slipping clutch holds the full-throttle engine: capacity = torque."""
    low, high = params.clutch_start, params.clutch_full
    for _ in range(30):
        middle = 0.5 * (low + high)
        capacity = params.clutch_torque * (middle - params.clutch_start) / (params.clutch_full - params.clutch_start)
        holds = capacity > params.efficiency * drivetrain.full_torque(middle, params)
        low, high = jnp.where(holds, low, middle), jnp.where(holds, middle, high)
    return high


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
    traction = jnp.zeros_like(speed)
    for _ in range(8):
        half = 0.5 * load.axle_loads(traction, params)[1]
        force = 2.0 * half * tyre.friction(half, jnp.ones_like(half), rear)
        traction = (force - _resistance(speed, params)) / params.mass
    return jnp.minimum(best, traction)


def brake_limit(speed: chex.Array, params: KartParams) -> chex.Array:
    """Best straight-line deceleration (m/s², positive): braked axles at peak friction, drag helping.

    An axle with less brake torque than grip gives its torque.
    """
    decel = jnp.zeros_like(speed)
    for _ in range(8):
        front_load, rear_load = (0.5 * axle for axle in load.axle_loads(-decel, params))
        one = jnp.ones_like(speed)
        front = front_load * tyre.friction(front_load, one, params.front_tyre)
        rear = rear_load * tyre.friction(rear_load, one, params.rear_tyre)
        front = 2.0 * jnp.minimum(front, params.front_brake / params.front_tyre.radius)
        rear = jnp.minimum(2.0 * rear, params.rear_brake / params.rear_tyre.radius)
        decel = (front + rear + _resistance(speed, params)) / params.mass
    return decel
