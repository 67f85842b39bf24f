"""Rows 1, 2 and 11: wheel loads at rest, their transfer, the lift of the inside rear wheel."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from kart_jax.physics import load, steering
from kart_jax.physics.params import GRAVITY, KartParams, preset

from .check import Check, near
from .drive import G


def statics() -> list[Check]:
    """Rows 1 and 2: loads at rest, load transfer."""
    k = preset("senior_max")
    w = float(k.mass * GRAVITY)
    straight = jnp.zeros(())
    at = lambda ax, ay: np.array(
        load.wheel_loads(jnp.asarray(ax), jnp.asarray(ay), straight, straight, k)
    )  # noqa: E731
    rest, slow, turn, hard = at(0.0, 0.0), at(-5.0, 0.0), at(0.0, 8.0), at(-6.0, 20.0)
    moment = 0.5 * (k.front_track * (turn[1] - turn[0]) + k.rear_track * (turn[3] - turn[2]))
    return [
        near(1, "sum of wheel loads / mg, at rest", rest.sum() / w, 1.0, 1e-6),
        near(1, "sum of wheel loads / mg, inside rear lifted under braking", hard.sum() / w, 1.0, 1e-6),
        near(1, "front share", rest[:2].sum() / w, 0.43, 1e-6),
        near(2, "longitudinal transfer / (m a h / L)", (slow[:2].sum() - rest[:2].sum())
             / float(k.mass * 5.0 * k.cg_height / k.wheelbase), 1.0, 1e-4),
        near(2, "roll moment of the wheel loads / (m a h)", moment / float(k.mass * 8.0 * k.cg_height), 1.0, 1e-4),
        near(2, "front wheels' part of it / q_f", 0.5 * float(k.front_track) * (turn[1] - turn[0])
             / float(front_part(k) * k.mass * 8.0 * k.cg_height), 1.0, 1e-4),
    ]  # fmt: skip


def stiffnesses(kart: KartParams) -> tuple[float, float, float]:
    """Roll stiffness (N m/rad) of the front tyres, of the rear tyres (k t² / 2) and of the
    frame."""
    front = float(kart.front_tyre.vertical_stiffness * kart.front_track**2) / 2
    rear = float(kart.rear_tyre.vertical_stiffness * kart.rear_track**2) / 2
    return front, rear, float(kart.torsional_stiffness)


def front_part(kart: KartParams) -> float:
    """q_f, the part of the roll moment M that the front tyres carry, by hand.

    lambda M enters the frame in front, the rest behind. Left apart, the ends would roll by lambda M
    / K_f and (1 - lambda) M / K_r; the frame passes on the difference times the stiffness of all
    three springs in series.
    """
    front, rear, frame = stiffnesses(kart)
    own = float(kart.front_roll_fraction)
    series = 1.0 / (1.0 / front + 1.0 / rear + 1.0 / frame)  # N m/rad
    return own + series * ((1.0 - own) / rear - own / front)


def jacked(kart: KartParams, angle: float) -> float:
    """Load (N) that steering takes from the inside rear wheel on a left-hand lock, by hand.

    The front wheels' heights z = ±d sin(caster) sin(delta) + d sin(kingpin) (1 - cos(delta)) twist
    the frame by (z_left - z_right) / t_f; tyres and frame in series turn the twist into a moment,
    which acts on the rear track.
    """
    split = float(kart.ackermann_2) * angle**2 + float(kart.ackermann_6) * angle**6
    cast, pin, scrub = (
        math.sin(float(kart.caster)),
        math.sin(float(kart.kingpin_inclination)),
        float(kart.scrub_radius),
    )
    left = scrub * (cast * math.sin(angle + split) + pin * (1.0 - math.cos(angle + split)))
    right = scrub * (-cast * math.sin(angle - split) + pin * (1.0 - math.cos(angle - split)))
    front, rear, frame = stiffnesses(kart)
    twist = (left - right) / float(kart.front_track)  # left front pushed down: left rear lifted
    return twist / (1.0 / front + 1.0 / rear + 1.0 / frame) / float(kart.rear_track)


def lift_threshold(kart: KartParams, angle: float) -> tuple[float, float]:
    """Lateral acceleration (m/s²) at which the inside rear leaves the ground, found and by formula.

    Formula: a = (W_r / 2 - dF_jack) t_r / (q_r m h). The clamp's softness leaves 1.25 % of the axle
    load exactly there.
    """
    left, right = steering.wheel_angles(jnp.asarray(angle), kart)
    sweep = jnp.linspace(0.0, 60.0, 60001)
    inside = jax.vmap(lambda a: load.wheel_loads(jnp.asarray(0.0), a, left, right, kart)[2])(sweep)
    rear = (1.0 - kart.front_weight_fraction) * kart.mass * GRAVITY
    found = sweep[jnp.argmax(inside <= 0.125 * load.SOFTNESS * rear)]
    moment = (1.0 - front_part(kart)) * float(kart.mass * kart.cg_height)  # N m per m/s²
    return float(found), (float(rear) / 2 - jacked(kart, angle)) * float(kart.rear_track) / moment


def lifts() -> list[Check]:
    """Row 11: where the inside rear lifts, and how set-up moves it."""
    k, lock = preset("senior_max"), math.radians(14.0)
    found, formula = lift_threshold(k, lock)
    fast = lift_threshold(k, math.radians(4.0))[0]
    moved = {
        "more caster": k.replace(caster=k.caster + 0.05),
        "higher centre of gravity": k.replace(cg_height=k.cg_height + 0.02),
        # As set up on a kart: on the stub axles track and scrub radius grow together.
        "front wheels 20 mm further out, scrub radius too": k.replace(
            front_track=k.front_track + 0.04, scrub_radius=k.scrub_radius + 0.02
        ),
        "narrower rear": k.replace(rear_track=k.rear_track - 0.04),
    }
    alone, by_hand = lift_threshold(k.replace(front_track=k.front_track + 0.04), lock)
    lower = 0.5, 0.999  # that the lift comes at less
    return [
        near(11, "inside-rear lift at 14° / formula", found / formula, 1.0, 0.05),
        Check(11, "inside-rear lift at 14°, g", found / G, 1.3, 1.9),
        Check(11, "inside-rear lift at 4°, g", fast / G, 1.0, 9.0),
        *(Check(11, f"lift at 14°, {n} / as set up", lift_threshold(p, lock)[0] / found, *lower)
          for n, p in moved.items()),
        near(11, "lift at 14°, front track + 40 mm alone / as set up (frozen)", alone / found, 1.0138, 0.005, lower),
        near(11, "the same by formula (frozen)", by_hand / formula, 1.0138, 0.005, lower),
    ]  # fmt: skip
