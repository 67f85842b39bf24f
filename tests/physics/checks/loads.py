"""Rows 1, 2 and 11: wheel loads at rest, their transfer, the lift of the inside rear wheel."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from kart_jax.physics import load, steering
from kart_jax.physics.params import GRAVITY, KartParams, preset

from .check import Check, near
from .manoeuvre import G


def statics() -> list[Check]:
    """Check rows 1 and 2: loads at rest, load transfer."""
    kart = preset("senior_max")
    weight = float(kart.mass * GRAVITY)
    straight = jnp.zeros(())

    def loads_at(accel_x: float, accel_y: float) -> np.ndarray:
        loads = load.wheel_loads(
            jnp.asarray(accel_x), jnp.asarray(accel_y), straight, straight, kart
        )
        return np.array(loads)

    rest = loads_at(0.0, 0.0)
    slowing = loads_at(-5.0, 0.0)
    turning = loads_at(0.0, 8.0)
    lifted = loads_at(-6.0, 20.0)

    to_front = slowing[:2].sum() - rest[:2].sum()
    transfer = float(kart.mass * 5.0 * kart.cg_height / kart.wheelbase)
    front_moment = kart.front_track * (turning[1] - turning[0])
    moment = 0.5 * (front_moment + kart.rear_track * (turning[3] - turning[2]))
    roll_moment = float(kart.mass * 8.0 * kart.cg_height)
    on_front = 0.5 * float(kart.front_track) * (turning[1] - turning[0])
    on_front_by_hand = float(front_part(kart) * kart.mass * 8.0 * kart.cg_height)

    of_weight = "sum of wheel loads / mg"
    return [
        near(1, f"{of_weight}, at rest", rest.sum() / weight, 1.0, 1e-6),
        near(
            1,
            f"{of_weight}, inside rear lifted under braking",
            lifted.sum() / weight,
            1.0,
            1e-6,
        ),
        near(1, "front share", rest[:2].sum() / weight, 0.43, 1e-6),
        near(2, "longitudinal transfer / (m a h / L)", to_front / transfer, 1.0, 1e-4),
        near(2, "roll moment of the wheel loads / (m a h)", moment / roll_moment, 1.0, 1e-4),
        near(2, "front wheels' part of it / q_f", on_front / on_front_by_hand, 1.0, 1e-4),
    ]


def roll_stiffnesses(kart: KartParams) -> tuple[float, float, float]:
    """Return the roll stiffness (N m/rad) of front tyres, rear tyres (k t² / 2) and frame."""
    front = float(kart.front_tyre.vertical_stiffness * kart.front_track**2) / 2
    rear = float(kart.rear_tyre.vertical_stiffness * kart.rear_track**2) / 2
    return front, rear, float(kart.torsional_stiffness)


def front_part(kart: KartParams) -> float:
    """Return q_f, the part of the roll moment M that the front tyres carry, by hand.

    lambda M enters the frame in front, the rest behind. Left apart, the ends would roll by lambda M
    / K_f and (1 - lambda) M / K_r; the frame passes on the difference times the stiffness of all
    three springs in series.
    """
    front, rear, frame = roll_stiffnesses(kart)
    own = float(kart.front_roll_fraction)
    series = 1.0 / (1.0 / front + 1.0 / rear + 1.0 / frame)  # N m/rad
    return own + series * ((1.0 - own) / rear - own / front)


def jacked_load(kart: KartParams, angle: float) -> float:
    """Return the load (N) that steering takes from the inside rear wheel on a left-hand lock.

    By hand: the front wheels' heights z = ±d sin(caster) sin(delta) + d sin(kingpin)
    (1 - cos(delta)) twist the frame by (z_left - z_right) / t_f; tyres and frame in series turn the
    twist into a moment, which acts on the rear track.
    """
    split = float(kart.ackermann_2) * angle**2 + float(kart.ackermann_6) * angle**6
    caster = math.sin(float(kart.caster))
    kingpin = math.sin(float(kart.kingpin_inclination))
    scrub = float(kart.scrub_radius)

    inner = angle + split
    outer = angle - split
    left = scrub * (caster * math.sin(inner) + kingpin * (1.0 - math.cos(inner)))
    right = scrub * (-caster * math.sin(outer) + kingpin * (1.0 - math.cos(outer)))
    twist = (left - right) / float(kart.front_track)  # left front pushed down: left rear lifted

    front, rear, frame = roll_stiffnesses(kart)
    return twist / (1.0 / front + 1.0 / rear + 1.0 / frame) / float(kart.rear_track)


def lift_threshold(kart: KartParams, angle: float) -> tuple[float, float]:
    """Find the lateral acceleration (m/s²) at which the inside rear leaves the ground.

    Returns:
        As found, and by formula: a = (W_r / 2 - dF_jack) t_r / (q_r m h). The clamp's softness
        leaves 1.25 % of the axle load exactly there.
    """
    left, right = steering.wheel_angles(jnp.asarray(angle), kart)
    sweep = jnp.linspace(0.0, 60.0, 60001)
    inside = jax.vmap(lambda a: load.wheel_loads(jnp.asarray(0.0), a, left, right, kart)[2])(sweep)
    rear = (1.0 - kart.front_weight_fraction) * kart.mass * GRAVITY
    found = sweep[jnp.argmax(inside <= 0.125 * load.SOFTNESS * rear)]

    moment = (1.0 - front_part(kart)) * float(kart.mass * kart.cg_height)  # N m per m/s²
    left_on = float(rear) / 2 - jacked_load(kart, angle)
    return float(found), left_on * float(kart.rear_track) / moment


def lifts() -> list[Check]:
    """Check row 11: where the inside rear lifts, and how set-up moves it."""
    kart = preset("senior_max")
    lock = math.radians(14.0)
    found, formula = lift_threshold(kart, lock)
    fast = lift_threshold(kart, math.radians(4.0))[0]
    changed = {
        "more caster": kart.replace(caster=kart.caster + 0.05),
        "higher centre of gravity": kart.replace(cg_height=kart.cg_height + 0.02),
        # As set up on a kart: on the stub axles track and scrub radius grow together.
        "front wheels 20 mm further out, scrub radius too": kart.replace(
            front_track=kart.front_track + 0.04, scrub_radius=kart.scrub_radius + 0.02
        ),
        "narrower rear": kart.replace(rear_track=kart.rear_track - 0.04),
    }
    wider = kart.replace(front_track=kart.front_track + 0.04)
    alone, by_hand = lift_threshold(wider, lock)
    earlier = (0.5, 0.999)  # that the lift comes at less

    set_up = [
        Check(
            11,
            f"lift at 14°, {name} / as set up",
            lift_threshold(one, lock)[0] / found,
            *earlier,
        )
        for name, one in changed.items()
    ]
    track_alone = "lift at 14°, front track + 40 mm alone / as set up (frozen)"
    return [
        near(11, "inside-rear lift at 14° / formula", found / formula, 1.0, 0.05),
        Check(11, "inside-rear lift at 14°, g", found / G, 1.3, 1.9),
        Check(11, "inside-rear lift at 4°, g", fast / G, 1.0, 9.0),
        *set_up,
        near(11, track_alone, alone / found, 1.0138, 0.005, earlier),
        near(11, "the same by formula (frozen)", by_hand / formula, 1.0138, 0.005, earlier),
    ]
