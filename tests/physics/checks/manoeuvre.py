"""Drive the real `step`: many karts at once through given controls, or along given arcs."""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from kart_jax.physics.params import GRAVITY, AirParams, KartParams
from kart_jax.physics.signals import signals
from kart_jax.physics.state import rolling
from kart_jax.physics.step import step
from kart_jax.physics.surface import asphalt
from kart_jax.physics.types import Controls, KartState, Signals

KARTS = 14  # that drive at once; fewer are filled up, so that one compiled program serves all
STEPS = 2400
DT = 0.005  # s per step
G = GRAVITY
STEER_INTEGRAL_LIMIT = 0.4  # rad
# What a plan may hold: the controls, and what speed and curvature control aim at.
CONTROLS = ("steering", "throttle", "brake")
TARGETS = (
    "speed",  # m/s
    "speed_gain",  # throttle per m/s that is missing; 0 = the speed is not held
    "curvature",  # 1/m
    "follow",  # 1 = steer along the curvature
)

Values = float | Sequence[float] | np.ndarray  # broadcast to (steps, karts)
States: TypeAlias = Any  # `KartState` of NumPy arrays (steps, karts, ...)


def run_manoeuvre(
    karts: Sequence[KartParams],
    speeds: Values,
    dt: float = DT,
    start: KartState | None = None,
    **plan: Values,
) -> tuple[States, Signals]:
    """Drive up to `KARTS` karts for `STEPS` steps.

    Args:
        karts: who drives.
        speeds: m/s at which they begin.
        dt: s per step.
        start: states (KARTS, ...) instead of those that roll at `speeds`.
        **plan: of `CONTROLS` and `TARGETS`; entries broadcast to (STEPS, karts).

    Returns:
        States and signals as NumPy arrays (STEPS, KARTS, ...).
    """
    count = len(karts)
    padded = [*karts, *[karts[-1]] * (KARTS - count)]
    params = jax.tree.map(
        lambda *leaves: jnp.stack([jnp.asarray(leaf, float) for leaf in leaves]), *padded
    )

    if start is None:
        rolled = list(np.broadcast_to(speeds, count))
        padded_speeds = jnp.asarray([*rolled, *[rolled[-1]] * (KARTS - count)], float)
        start = jax.vmap(lambda kart, v: rolling(kart, 0.0, 0.0, 0.0, v))(params, padded_speeds)

    table = {name: _fill(plan.get(name, 0.0), count) for name in (*CONTROLS, *TARGETS)}
    driven = _drive(params, start, table, jnp.asarray(dt, float))
    return jax.tree.map(np.asarray, driven)


def _fill(values: Values, count: int) -> jax.Array:
    """Broadcast the values of `count` karts to (STEPS, KARTS), the last kart's to the rest."""
    value = np.asarray(values, float)
    if value.ndim and value.shape[-1] == count:
        rest = np.repeat(value[..., -1:], KARTS - count, -1)
        value = np.concatenate([value, rest], -1)
    return jnp.asarray(np.broadcast_to(value, (STEPS, KARTS)).copy())


@jax.jit
def _drive(
    params: KartParams, start: KartState, plan: dict[str, jax.Array], dt: jax.Array
) -> tuple[KartState, Signals]:
    """Drive all karts through a plan: given controls plus speed and curvature control."""
    air = AirParams()

    def drive_kart(kart: KartParams, state: KartState, plan: dict[str, jax.Array]) -> Any:
        ground = asphalt(kart)

        def one(carry: Any, now: dict[str, jax.Array]) -> Any:
            state, integral = carry
            error = now["curvature"] * state.vx - state.yaw_rate
            lead = kart.wheelbase / jnp.maximum(state.vx, 1.0)
            on = jnp.where(now["follow"] > 0.0, 1.0, 0.0)
            integral = on * jnp.clip(
                integral + 6.0 * dt * lead * error, -STEER_INTEGRAL_LIMIT, STEER_INTEGRAL_LIMIT
            )
            target = now["curvature"] * kart.wheelbase + 0.5 * lead * error + integral

            controls = Controls(
                steering=now["steering"] + on * target / kart.max_steer,
                throttle=now["throttle"] + now["speed_gain"] * (now["speed"] - state.vx),
                brake=now["brake"],
            )
            state = step(state, controls, kart, ground, air, dt)
            return (state, integral), (state, signals(state, kart))

        return jax.lax.scan(one, (state, jnp.zeros_like(state.vx)), plan)[1]

    return jax.vmap(drive_kart, in_axes=(0, 0, 1), out_axes=1)(params, start, plan)


def state_after(
    karts: Sequence[KartParams],
    speed: float,
    dt: float,
    count: int,
    controls: Callable[[np.ndarray], dict[str, np.ndarray]],
) -> States:
    """Return the states (karts,) after `count` steps of controls(time).

    The controls are sampled in the middle of each step.
    """
    state: KartState | None = None
    states: States = None

    for begin in range(0, count, STEPS):
        time = (begin + np.arange(STEPS)[:, None] + 0.5) * dt
        states, _ = run_manoeuvre(karts, speed, dt, state, **controls(time))
        state = jax.tree.map(lambda v: jnp.asarray(v[-1]), states)

    last = (count - 1) % STEPS
    return jax.tree.map(lambda v: v[last, : len(karts)], states)


def first_time(condition: np.ndarray, dt: float = DT) -> float:
    """Return the time (s) at which a condition (STEPS,) first holds; nan if never."""
    return (np.argmax(condition) + 1) * dt if condition.any() else math.nan


def with_ideal_motor(kart: KartParams) -> KartParams:
    """Give a kart a strong motor without lag on the axle, so that speed is held at any slip."""
    return kart.replace(
        torque=jnp.full_like(kart.torque, 300.0),
        gear_ratio=jnp.ones_like(kart.gear_ratio),
        gear_count=1.0,
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


def with_stiff_tyres(kart: KartParams) -> KartParams:
    """Give a kart ten times the longitudinal slip stiffness: no slip in a balance of power."""
    rear_tyre = kart.rear_tyre.replace(stiffness_x=10.0 * kart.rear_tyre.stiffness_x)
    return kart.replace(rear_tyre=rear_tyre)
