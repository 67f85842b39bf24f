"""One kart on an endless plane of dry asphalt: no circuit, no barriers, no rules.

Here one studies the kart itself: its states and signals under a plan, and their gradients.
"""

from collections.abc import Callable
from typing import Any

import jax

from kart_jax.physics import surface
from kart_jax.physics.params import AirParams, KartParams
from kart_jax.physics.signals import signals
from kart_jax.physics.step import step
from kart_jax.physics.types import Controls, KartState, Signals


def as_given(_: KartState, now: Controls) -> Controls:
    """Return the controls of the plan, whatever the kart does."""
    return now


def drive_plane(
    start: KartState,
    plan: Any,
    params: KartParams,
    law: Callable[[KartState, Any], Controls] = as_given,
    dt: float = 0.04,
    substeps: int = 8,
) -> tuple[KartState, Signals]:
    """Drive one kart for T control steps; `jax.vmap` over karts and `jax.jit` are the caller's.

    Differentiable in `start`, `plan` and `params`.

    Args:
        start: the kart before the first step, fields ().
        plan: a pytree whose leaves have a leading axis (T,): `Controls`, or what else the law
            reads.
        params: the kart.
        law: state and one row of the plan -> controls, which are held for a control step.
        dt: s, a control step.
        substeps: physics steps in it; 5 ms each are what the model was validated with.

    Returns:
        State and signals after each control step, fields (T, ...).
    """
    ground, air = surface.asphalt(params), AirParams()

    def control_step(state: KartState, now: Any) -> tuple[KartState, tuple[KartState, Signals]]:
        controls = law(state, now)

        def physics_step(state: KartState, _: None) -> tuple[KartState, None]:
            return step(state, controls, params, ground, air, dt / substeps), None

        state, _ = jax.lax.scan(physics_step, state, None, length=substeps)
        return state, (state, signals(state, params))

    _, driven = jax.lax.scan(control_step, start, plan)
    return driven
