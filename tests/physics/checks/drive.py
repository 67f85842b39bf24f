"""Driving the real `step`: many karts at once through given controls, with speed and curvature
control."""

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from kart_jax.physics.params import AirParams, KartParams
from kart_jax.physics.signals import signals
from kart_jax.physics.state import rolling
from kart_jax.physics.step import step
from kart_jax.physics.surface import asphalt
from kart_jax.physics.types import Controls, KartState

LANES, STEPS, DT, G = 14, 2400, 0.005, 9.81
Plan = float | Sequence[float] | np.ndarray


@jax.jit
def _drive(params, start, plan, dt):
    """All lanes through STEPS steps: given controls plus speed and curvature control. Returns
    states and signals."""
    air = AirParams()

    def lane(kart, state, plan):
        ground = asphalt(kart)

        def one(carry, now):
            state, integral = carry
            error = now["curvature"] * state.vx - state.yaw_rate
            lead = kart.wheelbase / jnp.maximum(state.vx, 1.0)
            on = jnp.where(now["follow"] > 0.0, 1.0, 0.0)
            integral = on * jnp.clip(integral + 6.0 * dt * lead * error, -0.4, 0.4)
            wanted = now["curvature"] * kart.wheelbase + 0.5 * lead * error + integral
            steer = now["steering"] + on * wanted / kart.max_steer
            throttle = now["throttle"] + now["hold"] * (now["speed"] - state.vx)
            state = step(state, Controls(steer, throttle, now["brake"]), kart, ground, air, dt)
            return (state, integral), (state, signals(state, kart))

        return jax.lax.scan(one, (state, jnp.zeros_like(state.vx)), plan)[1]

    return jax.vmap(lane, in_axes=(0, 0, 1), out_axes=1)(params, start, plan)


def drive(
    karts: Sequence[KartParams],
    speeds,
    dt: float = DT,
    start: KartState | None = None,
    **plan: Plan,
):
    """Drive up to LANES karts; plan entries broadcast to (STEPS, lanes). Arrays come back as
    (STEPS, lanes, ...)."""
    n = len(karts)
    pad = lambda seq: list(seq) + [seq[-1]] * (LANES - n)  # noqa: E731
    params = jax.tree.map(
        lambda *leaves: jnp.stack([jnp.asarray(leaf, float) for leaf in leaves]), *pad(karts)
    )
    speeds = jnp.asarray(pad(list(np.broadcast_to(speeds, n))), float)
    if start is None:
        start = jax.vmap(lambda p, v: rolling(p, 0.0, 0.0, 0.0, v))(params, speeds)
    table = {}
    for name in ("steering", "throttle", "brake", "speed", "hold", "curvature", "follow"):
        value = np.asarray(plan.get(name, 0.0), float)
        if value.ndim and value.shape[-1] == n:
            value = np.concatenate([value, np.repeat(value[..., -1:], LANES - n, -1)], -1)
        table[name] = jnp.asarray(np.broadcast_to(value, (STEPS, LANES)).copy())
    states, seen = _drive(params, start, table, jnp.asarray(dt, float))
    return jax.tree.map(np.asarray, states), jax.tree.map(np.asarray, seen)


def finish(
    karts: Sequence[KartParams],
    speed: float,
    dt: float,
    count: int,
    controls: Callable[[np.ndarray], dict],
) -> KartState:
    """State (lanes,) after `count` steps of controls(time), which are sampled in the middle of each
    step."""
    state, states = None, None
    for part in range(0, count, STEPS):
        time = (part + np.arange(STEPS)[:, None] + 0.5) * dt
        states, _ = drive(karts, speed, dt, state, **controls(time))
        state = jax.tree.map(lambda v: jnp.asarray(v[-1]), states)
    last = (count - 1) % STEPS
    return jax.tree.map(lambda v: v[last, : len(karts)], states)


def first(condition: np.ndarray, dt: float = DT) -> float:
    """Time (s) at which a condition (STEPS,) first holds; nan if never."""
    return (np.argmax(condition) + 1) * dt if condition.any() else math.nan


def cruiser(kart: KartParams) -> KartParams:
    """The kart with a strong lag-free motor straight on the axle, so that speed can be held at any
    slip."""
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


def stiff(kart: KartParams) -> KartParams:
    """The kart with ten times the longitudinal slip stiffness: tyre slip taken out of a power
    balance."""
    return kart.replace(
        rear_tyre=kart.rear_tyre.replace(stiffness_x=10.0 * kart.rear_tyre.stiffness_x)
    )
