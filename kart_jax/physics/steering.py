"""From the driver's hands and feet to road-wheel angles and pedals."""

import chex
import jax.numpy as jnp

from kart_jax.physics.lag import first_order_lag
from kart_jax.physics.params import KartParams
from kart_jax.physics.types import Controls, KartState, Pedals
from kart_jax.physics.wheels import PerWheel, WheelFrame
from kart_jax.xla.sines import cos_sin_small


def actuate(
    state: KartState, controls: Controls, params: KartParams, dt: float
) -> tuple[chex.Array, Pedals]:
    """Move the driver's limbs for dt: first-order lags, and a limit on the steering rate.

    Returns:
        Mean road-wheel angle (rad) and pedals at the end of the step.
    """
    target_steer = jnp.clip(controls.steering, -1.0, 1.0) * params.max_steer
    target_throttle = jnp.clip(controls.throttle, 0.0, 1.0)
    target_brake = jnp.clip(controls.brake, 0.0, 1.0)

    change = first_order_lag(state.steer, target_steer, params.steer_lag, dt) - state.steer
    max_change = params.steer_rate * dt
    steer = state.steer + jnp.clip(change, -max_change, max_change)

    throttle = first_order_lag(state.throttle, target_throttle, params.throttle_lag, dt)
    brake = first_order_lag(state.brake, target_brake, params.brake_lag, dt)
    return steer, Pedals(throttle, brake)


def mean_pedals(state: KartState, pedals: Pedals) -> Pedals:
    """Return the pedals in the middle of a step that leaves them at `pedals`."""
    return Pedals(
        throttle=0.5 * (state.throttle + pedals.throttle),
        brake=0.5 * (state.brake + pedals.brake),
    )


def wheel_angles(steer: chex.Array, params: KartParams) -> tuple[chex.Array, chex.Array]:
    """Return left and right road-wheel angle (rad): delta ± (p2 delta² + p6 delta⁶).

    delta is their mean. The inside wheel takes more lock than pure Ackermann asks. Fitted to the
    measured linkage of the ETH gokart, delta = 0.939 s ± 0.303 s² - 0.624 s³ over |s| <= 0.6 (s =
    column), within 0.4°.
    """
    square = steer * steer
    split = square * (params.ackermann_2 + params.ackermann_6 * square * square)
    return steer + split, steer - split


def wheel_frames(left: chex.Array, right: chex.Array) -> PerWheel[WheelFrame]:
    """Return the headings of the four wheels from the angles (rad) of the front ones.

    The rear wheels point ahead.
    """
    ahead = WheelFrame(jnp.ones_like(left), jnp.zeros_like(left))
    return (
        WheelFrame(*cos_sin_small(left)),
        WheelFrame(*cos_sin_small(right)),
        ahead,
        ahead,
    )
