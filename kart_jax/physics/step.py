"""One physics step of one kart: the recipe."""

import chex
import jax.numpy as jnp

from kart_jax.physics import chassis, contact, drivetrain, load, steering, tyre
from kart_jax.physics.drivetrain import Grip
from kart_jax.physics.params import KartParams
from kart_jax.physics.types import Controls, KartState, Surface, Walls


def step(
    state: KartState,
    controls: Controls,
    params: KartParams,
    surface: Surface,
    walls: Walls,
    dt: float,
) -> KartState:
    """Advance one kart by dt seconds (5 ms by default; see docs/physics.md for the convergence
    measured).

    Leapfrog: slips and loads are those at the start of the step, the tyre forces that relax towards
    them belong to its middle, and so do the pedals' torques and the heading at which the velocity
    is integrated. Finite from every speed up to 100 km/s; somewhere above, the air drag of one step
    is more than the speed that it acts on.
    """
    # The driver's limbs.
    steer, throttle, brake = steering.move(state, controls, params, dt)
    gas, pressure = 0.5 * (state.throttle + throttle), 0.5 * (state.brake + brake)
    left, right = steering.wheel_angles(state.steer, params)
    cosine, sine = steering.wheel_directions(left, right)

    # Load on each wheel, from the acceleration as the frame feels it.
    loads = load.wheel_loads(
        state.load_transfer_accel_x, state.load_transfer_accel_y, left, right, params
    )

    # How each contact patch slides, and the force per sliding speed that its tyre answers with.
    along, across = chassis.wheel_velocities(
        state.vx, state.vy, state.yaw_rate, cosine, sine, params
    )
    spins = (state.front_wheel_spin[0], state.front_wheel_spin[1], state.axle_spin, state.axle_spin)
    slopes = _secants(along, across, spins, loads, surface, params)

    # Spin of front wheels, axle and engine, implicit in the tyre forces; it is set against the
    # velocity to come.
    gain = dt * (state.accel_x + state.yaw_rate * state.vy)
    speed = jnp.sqrt(state.vx**2 + state.vy**2 + 1e-12)
    share = tyre.relaxation(speed, params, dt)
    ahead = tuple(v + c * gain for v, c in zip(along, cosine, strict=True))
    grips = _grips(state.tyre_force, slopes, ahead, share)
    front_left = drivetrain.front_spin(spins[0], grips[0], pressure, params, dt)
    front_right = drivetrain.front_spin(spins[1], grips[1], pressure, params, dt)
    axle, engine = drivetrain.rear_spin(
        spins[2],
        state.engine_speed,
        state.gear,
        state.shift_time_left,
        gas,
        pressure,
        grips[2],
        grips[3],
        params,
        dt,
    )
    gear, shift_time_left = drivetrain.shift(axle, state.gear, state.shift_time_left, params, dt)

    # Tyre forces at the new spin; what the chassis feels is what the wheels felt.
    radius = (params.front_tyre.radius,) * 2 + (params.rear_tyre.radius,) * 2
    turned = (front_left, front_right, axle, axle)
    pull = tuple(g.hold + g.slope * r * w for g, r, w in zip(grips, radius, turned, strict=True))
    hold = tuple(
        (1.0 - share) * state.tyre_force[i, 1] - share * slopes[i][1] * across[i] for i in range(4)
    )

    # Newton and Euler.
    ground = tuple(
        pull[i] + chassis.rolling_drag(along[i], loads[i], surface.rolling[i]) for i in range(4)
    )
    accel_x, accel_y, accel_yaw = chassis.accelerations(
        state.vx, state.vy, ground, hold, cosine, sine, params
    )
    moved = chassis.integrate(state, accel_x, accel_y, accel_yaw, dt)

    # Barriers.
    moved = contact.resolve(moved, walls, params)

    return moved.replace(
        axle_spin=axle,
        front_wheel_spin=jnp.stack([front_left, front_right]),
        tyre_force=jnp.stack([jnp.stack([pull[i], hold[i]]) for i in range(4)]),
        accel_x=accel_x,
        accel_y=accel_y,
        load_transfer_accel_x=steering.follow(
            state.load_transfer_accel_x, accel_x, params.load_lag, dt
        ),
        load_transfer_accel_y=steering.follow(
            state.load_transfer_accel_y, accel_y, params.load_lag, dt
        ),
        steer=steer,
        throttle=throttle,
        brake=brake,
        engine_speed=engine,
        gear=gear,
        shift_time_left=shift_time_left,
    )


def _secants(
    along: chassis.PerWheel,
    across: chassis.PerWheel,
    spins: chassis.PerWheel,
    loads: chassis.PerWheel,
    surface: Surface,
    params: KartParams,
) -> tuple[tuple[chex.Array, chex.Array], ...]:
    """`tyre.secant` of the four wheels."""
    tyres = (params.front_tyre, params.front_tyre, params.rear_tyre, params.rear_tyre)
    return tuple(
        tyre.secant(along[i], across[i], spins[i], loads[i], surface.grip[i], tyres[i], params)
        for i in range(4)
    )


def _grips(
    forces: chex.Array,
    slopes: tuple[tuple[chex.Array, chex.Array], ...],
    ahead: chassis.PerWheel,
    share: chex.Array,
) -> tuple[Grip, ...]:
    """What each relaxed tyre offers the spin equation: F⁺ = (1 - share) F + share S_x (r omega⁺ -
    v_x)."""
    return tuple(
        Grip(
            hold=(1.0 - share) * forces[i, 0] - share * slopes[i][0] * ahead[i],
            slope=share * slopes[i][0],
        )
        for i in range(4)
    )
