"""One physics step of one kart: the recipe. What it runs into is met afterwards, see `contact`."""

import chex
import jax.numpy as jnp

from kart_jax.physics import chassis, drivetrain, load, steering, tyre
from kart_jax.physics.params import AirParams, KartParams
from kart_jax.physics.types import Controls, KartState, Surface
from kart_jax.physics.wheels import WHEELS, WheelForce


def step(
    state: KartState,
    controls: Controls,
    params: KartParams,
    surface: Surface,
    air: AirParams,
    dt: float,
) -> KartState:
    """Advance one kart by dt seconds (5 ms by default; docs/physics.md has the convergence).

    Leapfrog: slips and loads are those at the start of the step, the tyre forces that relax towards
    them belong to its middle, and so do the pedals' torques and the heading at which the velocity
    is integrated. Finite from every speed up to 100 km/s; somewhere above, the air drag of one step
    is more than the speed that it acts on.
    """
    # The driver's limbs, and where they have turned the wheels.
    steer, pedals = steering.actuate(state, controls, params, dt)
    left, right = steering.wheel_angles(state.steer, params)
    frames = steering.wheel_frames(left, right)

    # Load on each wheel, from the acceleration as the frame feels it.
    loads = load.wheel_loads(
        state.load_transfer_accel_x, state.load_transfer_accel_y, left, right, params
    )

    # How each contact patch slides, and the force per sliding speed that its tyre answers with.
    motions = chassis.wheel_motions(state, frames, params)
    stiffness = tuple(
        tyre.slip_stiffness(motions[i], loads[i], surface.grip[i], params.tyres[i], params)
        for i in WHEELS
    )

    # The relaxed tyres as the spin equations see them, set against the velocity to come.
    relaxation = tyre.relaxation(state, params, dt)
    coming = chassis.coming_velocities(state, motions, frames, dt)
    traction = tuple(
        tyre.longitudinal_force(state.tyre_force[i, 0], stiffness[i], coming[i], relaxation)
        for i in WHEELS
    )

    # Spin of front wheels, axle and engine, implicit in these forces.
    mean_pedals = steering.mean_pedals(state, pedals)
    spins, engine_speed = drivetrain.spins(state, mean_pedals, traction, params, dt)
    gear, shift_time_left = drivetrain.shift(
        spins[2], state.gear, state.shift_time_left, params, dt
    )

    # Tyre forces at the new spin; what the chassis feels is what the wheels felt.
    tyre_forces = tuple(
        WheelForce(
            x=traction[i].at(spins[i], params.tyres[i].radius),
            y=tyre.lateral_force(state.tyre_force[i, 1], stiffness[i], motions[i].v_y, relaxation),
        )
        for i in WHEELS
    )

    # Newton and Euler.
    forces = chassis.with_rolling_drag(tyre_forces, motions, loads, surface)
    accel_x, accel_y, accel_yaw = chassis.accelerations(
        state.vx, state.vy, forces, frames, params, air
    )
    push_x, push_y, push_yaw = guard(accel_x, accel_y, accel_yaw)
    moved = chassis.integrate(state, push_x, push_y, push_yaw, dt)
    felt_x, felt_y = load.transfer_accelerations(state, accel_x, accel_y, params, dt)

    return moved.replace(
        axle_spin=spins[2],
        front_wheel_spin=jnp.stack(spins[:2]),
        tyre_force=jnp.stack([jnp.stack([force.x, force.y]) for force in tyre_forces]),
        accel_x=accel_x,
        accel_y=accel_y,
        load_transfer_accel_x=felt_x,
        load_transfer_accel_y=felt_y,
        steer=steer,
        throttle=pedals.throttle,
        brake=pedals.brake,
        engine_speed=engine_speed,
        gear=gear,
        shift_time_left=shift_time_left,
    )


def guard(
    accel_x: chex.Array, accel_y: chex.Array, accel_yaw: chex.Array
) -> tuple[chex.Array, chex.Array, chex.Array]:
    """Return the accelerations (), or zeros unless all are finite.

    A kart whose forces are no longer numbers coasts: its pose and velocity stay finite. Its other
    fields show what happened, and whoever steps it puts it back (`race.step`).
    """
    finite = jnp.isfinite(accel_x + accel_y + accel_yaw)
    return (
        jnp.where(finite, accel_x, 0.0),
        jnp.where(finite, accel_y, 0.0),
        jnp.where(finite, accel_yaw, 0.0),
    )
