"""The physics step: robust for any state, energy, barriers, gradients, batches."""

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest

from kart_jax.physics import chassis, contact, drivetrain, steering, surface
from kart_jax.physics.params import CLASSES, AirParams, GroundParams, preset
from kart_jax.physics.state import is_finite, rolling
from kart_jax.physics.step import step
from kart_jax.physics.types import Controls, Surface, Walls

DT = 0.005  # s
BATCH = 2048


def energy(state, k):
    """Kinetic energy (J) of kart, wheels and engine."""
    body = k.mass * (state.vx**2 + state.vy**2) + k.yaw_inertia * state.yaw_rate**2
    front = k.front_inertia * jnp.sum(state.front_wheel_spin**2)
    spin = k.axle_inertia * state.axle_spin**2 + front
    return 0.5 * (body + spin + k.engine_inertia * state.engine_speed**2)


def patchy(grip, k):
    """Asphalt, and grass under the wheels with less than 0.7 of its grip."""
    grass = GroundParams().rolling_grass
    return Surface(grip=grip, rolling=jnp.where(grip < 0.7, grass, k.rolling_resistance))


@pytest.fixture(scope="module")
def many():
    """A compiled run of BATCH karts for 40 steps beside a wall at x = wall.

    Returns the end, how deep a corner went, the energies (41,) J and the most work (40,) J that the
    engine and its idle governor can have done in each step, and finiteness.
    """

    def one(state, controls, grip, k, wall):
        points = contact.body_points(k)
        surroundings = GroundParams()
        ground = patchy(grip, k)

        def advance(carry, _):
            before, deepest = carry
            px = before.x + jnp.cos(before.yaw) * points[:, 0] - jnp.sin(before.yaw) * points[:, 1]
            normal = jnp.stack([-jnp.ones(4), jnp.zeros(4)], -1)
            walls = Walls(wall - px, normal, surroundings.restitution, surroundings.wall_friction)
            moved = step(before, controls, k, ground, AirParams(), DT)
            after = contact.resolve(moved, walls, k)
            deepest = jnp.maximum(deepest, jnp.max(px) - wall)

            pedal = 0.5 * (before.throttle + after.throttle)
            torque, _ = drivetrain.engine_torque(
                pedal, before.engine_speed, before.shift_time_left, k
            )
            fastest = jnp.maximum(before.engine_speed, after.engine_speed)
            work = DT * jnp.maximum(torque, 0.0) * fastest
            return (after, deepest), (energy(after, k), jnp.maximum(work, 0.0))

        (end, deepest), (trail, work) = jax.lax.scan(advance, (state, -1e3), None, length=40)
        return end, deepest, jnp.concatenate([energy(state, k)[None], trail]), work, is_finite(end)

    return jax.jit(jax.vmap(one, in_axes=(0, 0, 0, None, 0)))


def draw(key, k):
    """BATCH random states (spins, reverse, standstill, lifted wheels), controls and grounds."""
    keys = iter(jax.random.split(key, 20))

    def uniform(low, high, shape=()):
        return jax.random.uniform(next(keys), (BATCH, *shape), minval=low, maxval=high)

    state = jax.vmap(lambda v: rolling(k, 0.0, 0.0, 0.0, v))(jnp.zeros(BATCH))
    still = uniform(0, 1) < 0.1

    def moving(value):
        return jnp.where(still, 0.0, value)

    state = state.replace(
        yaw=uniform(-3.2, 3.2),
        vx=moving(uniform(-15, 40)),
        vy=moving(uniform(-20, 20)),
        yaw_rate=moving(uniform(-8, 8)),
        axle_spin=moving(uniform(-100, 300)),
        front_wheel_spin=uniform(-100, 300, (2,)),
        load_transfer_accel_x=uniform(-30, 30),
        load_transfer_accel_y=uniform(-40, 40),
        steer=uniform(-0.43, 0.43),
        throttle=uniform(0, 1),
        brake=uniform(0, 1),
        engine_speed=uniform(0, 1500),
    )
    controls = Controls(uniform(-1, 1), uniform(0, 1), uniform(0, 1))

    one_wheel = jnp.where(uniform(0, 1, (4,)) < 0.3, 0.45, 1.0)
    all_wheels = jnp.where(uniform(0, 1) < 0.2, 0.45, 1.0)
    grip = one_wheel * all_wheels[:, None]
    return state, controls, jnp.maximum(grip, 0.4)


def test_random_states_stay_finite_and_make_no_energy(many):
    """100,000 draws in seven classes; the engine's work bounds the energy gained in each step."""
    draws = 0
    for i in range(49):
        k = preset(CLASSES[i % 7])
        state, controls, grip = draw(jax.random.key(i), k)
        _, _, trail, work, finite = many(state, controls, grip, k, jnp.full(BATCH, 1e3))
        assert bool(finite.all())
        gained = np.diff(trail, axis=1) - work
        rounding = 0.02 + 1e-6 * np.asarray(trail[:, :-1])  # J, float32
        assert (gained < rounding).all()
        draws += BATCH
    assert draws >= 100_000


def test_a_hundred_kilometres_per_second_are_braked_by_the_air():
    """The speed up to which `step` is finite; beyond, its explicit air drag overshoots."""

    @jax.jit
    def drive(k):
        ground, air = surface.asphalt(k), AirParams()
        start = rolling(k, 0.0, 0.0, 0.0, 1e5)
        return jax.lax.fori_loop(
            0, 1000, lambda _, s: step(s, Controls(0.3, 1.0, 0.0), k, ground, air, DT), start
        )

    for name in CLASSES:
        state = drive(preset(name))
        assert is_finite(state) and np.hypot(state.vx, state.vy) < 1e3


def sliding(state, k):
    """Velocity (4, 2) m/s of each tread over the ground, along and across its wheel."""
    frames = steering.wheel_frames(*steering.wheel_angles(state.steer, k))
    motions = chassis.wheel_motions(state, frames, k)
    slides = [
        jnp.stack([axle_tyre.radius * motion.omega - motion.v_x, -motion.v_y])
        for axle_tyre, motion in zip(k.tyres, motions, strict=True)
    ]
    return jnp.stack(slides)


@pytest.mark.parametrize("broken", ["tyre_force", "axle_spin", "steer"])
def test_a_kart_whose_forces_are_no_numbers_coasts(broken):
    """Pose and velocity stay numbers, so that nobody meets a nan; the rest shows what happened."""
    kart = preset("kz2")
    state = rolling(kart, 0.0, 0.0, 0.0, 20.0)
    state = state.replace(**{broken: jnp.full_like(getattr(state, broken), jnp.nan)})
    hands = Controls(steering=jnp.zeros(()), throttle=jnp.ones(()), brake=jnp.zeros(()))
    drive = jax.jit(lambda state: step(state, hands, kart, surface.asphalt(kart), AirParams(), DT))
    for _ in range(10):
        state = drive(state)
    assert not is_finite(state)
    np.testing.assert_allclose([state.vx, state.vy, state.yaw_rate], [20.0, 0.0, 0.0], atol=1e-4)
    np.testing.assert_allclose([state.x, state.y, state.yaw], [200.0 * DT, 0.0, 0.0], atol=1e-4)


def test_tyres_dissipate_and_give_back_no_more_than_their_carcass_holds():
    """Row 14: P_tyre = F . v_s of every tyre over 28,000 random states, 40 steps each.

    A steady tyre force always opposes the slide. A relaxed one lags behind it by
    `relaxation_length`, like a carcass of stiffness C / l in series with the contact patch, so
    where the slide turns round it gives back what was stored: F² l / (2 C), 5 J at 700 N and C = 7
    kN. Over time a tyre takes in more than it gives back; the states begin with forces of zero, so
    nothing is stored at first. Measured: least step -1.4 J, least sum -0.2 J, 1e-5 of the work
    given back.
    """

    def one(state, controls, grip, k):
        ground = patchy(grip, k)

        def advance(carry, _):
            state, slid = carry
            state = step(state, controls, k, ground, AirParams(), DT)
            slides = sliding(state, k)
            # The force belongs to the middle of the step.
            return (state, slides), DT * jnp.sum(state.tyre_force * 0.5 * (slid + slides), axis=-1)

        return jax.lax.scan(advance, (state, sliding(state, k)), length=40)[1]

    run = jax.jit(jax.vmap(one, in_axes=(0, 0, 0, None)))
    for i in range(14):
        k = preset(CLASSES[i % 7])
        work = np.asarray(run(*draw(jax.random.key(i), k), k))  # (BATCH, 40, 4) J
        assert work.shape == (BATCH, 40, 4)
        assert work.min() > -5.0
        assert np.cumsum(work, axis=1).min() > -0.5
        assert -work[work < 0].sum() < 5e-5 * work.sum()


def test_mirrored_karts_in_float32():
    """Row 13 as the simulator runs it: 10 s of slalom at 1.4 g, within 1e-3 m, rad or m/s."""
    k = preset("senior_max")

    def run(side):
        def advance(s, i):
            time = DT * i
            controls = Controls(
                steering=side * 0.15 * jnp.sin(1.3 * time),
                throttle=0.5 + 0.5 * jnp.sin(0.9 * time),
                brake=0.25 * jnp.maximum(jnp.sin(0.9 * time + 2.0), 0.0) ** 2,
            )
            return step(s, controls, k, ground, AirParams(), DT), None

        return jax.lax.scan(advance, rolling(k, 0.0, 0.0, 0.0, 14.0), jnp.arange(2000))[0]

    ground = surface.asphalt(k)
    both = jax.jit(jax.vmap(run))(jnp.array([1.0, -1.0]))
    assert both.x.dtype == jnp.float32
    assert abs(float(both.y[0])) > 20.0 and abs(float(both.yaw[0])) > 0.1
    for name in ("x", "vx", "axle_spin"):
        value = getattr(both, name)
        assert float(value[0]) == pytest.approx(float(value[1]), abs=1e-3), name
    for name in ("y", "yaw", "vy", "yaw_rate"):
        value = getattr(both, name)
        assert float(value[0]) == pytest.approx(-float(value[1]), abs=1e-3), name


def test_wall_at_thirty_metres_per_second(many):
    """Any attitude into a wall: caught within a few steps' travel, never faster afterwards."""
    k = preset("kz2")
    state, controls, grip = draw(jax.random.key(7), k)
    yaw = jnp.linspace(-3.1, 3.1, BATCH)
    state = state.replace(
        yaw=yaw,
        vx=30.0 * jnp.cos(yaw),
        vy=-30.0 * jnp.sin(yaw),
        yaw_rate=jnp.zeros(BATCH),
        axle_spin=30.0 * jnp.cos(yaw) / 0.1377,
        throttle=jnp.zeros(BATCH),
    )
    controls = controls.replace(throttle=jnp.zeros(BATCH))

    end, deepest, trail, _, finite = many(state, controls, grip, k, jnp.full(BATCH, 2.5))
    assert bool(finite.all())
    assert float(deepest.max()) < 0.5
    assert float(end.x.max()) < 2.5
    start = jax.vmap(energy, in_axes=(0, None))(state, k)
    assert float((trail.max(axis=1) / start).max()) < 1.001
    # A corner hit swings the centre of gravity on, at a sixth of the speed at most.
    away = jnp.cos(end.yaw) * end.vx - jnp.sin(end.yaw) * end.vy
    assert float(away.max()) < 5.0


def test_batch_invariance_and_determinism(many):
    k = preset("ok")
    state, controls, grip = draw(jax.random.key(3), k)
    wall = jnp.full(BATCH, 10.0)
    first = many(state, controls, grip, k, wall)[0]
    again = many(state, controls, grip, k, wall)[0]
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(a, b)

    part = jax.tree.map(lambda v: v[5:8], (state, controls, grip))
    few = many(*part, k, wall[5:8])[0]
    for name in ("vx", "vy", "yaw_rate", "x", "y", "yaw"):
        np.testing.assert_allclose(
            getattr(few, name), getattr(first, name)[5:8], rtol=1e-6, atol=1e-6, err_msg=name
        )


@pytest.mark.slow
def test_gradient_against_finite_differences():
    """Row 17: 0.5 s of cornering, every parameter, float64, central differences, 1e-3."""
    with jax.enable_x64(True):
        k = preset("senior_max")
        flat, rebuild = jax.flatten_util.ravel_pytree(k)

        def travel(numbers):
            p = rebuild(numbers)
            ground, air = surface.asphalt(p), AirParams()

            def advance(s, i):
                controls = Controls(
                    0.25 * jnp.sin(0.05 * i), 0.6 + 0.0 * i, 0.2 * jnp.sin(0.05 * i) ** 2
                )
                return step(s, controls, p, ground, air, DT), None

            start = rolling(k, 0.0, 0.0, 0.0, 14.0)
            end = jax.lax.scan(advance, start, jnp.arange(100.0))[0]
            return end.x + 2.0 * end.y + 0.5 * end.vx + end.yaw

        size = 1e-5 * jnp.maximum(jnp.abs(flat), 1e-3)
        lanes = jnp.concatenate([flat[None], flat + jnp.diag(size), flat - jnp.diag(size)])
        ends, slopes = jax.jit(jax.vmap(jax.value_and_grad(travel)))(lanes)
        n = flat.size
        slope = slopes[0]
        differences = (ends[1 : n + 1] - ends[n + 1 :]) / (2.0 * size)

        # Compared as the change of the result per relative change of the parameter.
        scale = jnp.abs(flat)
        np.testing.assert_allclose(slope * scale, differences * scale, rtol=1e-3, atol=1e-6)
        assert int((jnp.abs(slope) > 0).sum()) > 40
