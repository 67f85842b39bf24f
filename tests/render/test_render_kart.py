"""The own kart in the picture: its lock and its body are drawn as they are, and drawn whole."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from render_reference import Reference, circuit, place, with_kart, world_samples
from test_render_reference import agreement, draw

from kart_jax.physics.params import CLASSES, preset
from kart_jax.render import cockpit, front_wheel
from kart_jax.render.body import appearance_of
from kart_jax.render.cockpit import Box
from kart_jax.render.scene import pack
from kart_jax.render.types import Body, Pose, ViewConfig, default_appearance, default_body
from kart_jax.track import field, stack

APPEARANCE = default_appearance().replace(grain=jnp.float32(0.0))
CONFIG = ViewConfig()
LARGE = ViewConfig(height=180, width=320)
LOCK = 0.43  # rad, of the front wheels of every class
# Set after the first results (worst kart 1.09 and 98.7 %; the nearest other kart is 2.6 away).
MEAN = 1.3  # grey levels
SHARE = 0.98


@pytest.fixture(scope="module")
def world():
    line = circuit(4)
    track = field.build(line)
    return line, Reference(line, track), pack(stack.stack([track]))


def with_body(**changes):
    """Return the appearance of a kart whose body differs from the standard one by these metres."""
    body = {name: getattr(default_body(), name) + change for name, change in changes.items()}
    return APPEARANCE.replace(body=default_body().replace(**body))


# Name -> appearance, and the angles of the steering wheel and of the front wheels.
KARTS = {
    "standard": (APPEARANCE, (0.0, 0.0)),
    "turned": (APPEARANCE, (-1.3 * LOCK, -LOCK)),
    "another ratio": (APPEARANCE, (0.9, 0.3)),
    "another lock": (APPEARANCE, (0.0, 0.58)),
    "shorter and narrower": (
        with_body(front_axle=-0.055, half_track=-0.05, nose=-0.10, half_width=-0.08),
        (0.3, 0.25),
    ),
    "larger wheels": (with_body(tyre_radius=0.006, front_axle=0.02, half_track=0.02), (0.0, 0.0)),
    "longer nose": (with_body(nose=0.15, half_width=0.10), (0.0, 0.0)),
}


@pytest.fixture(scope="module")
def truths(world):
    """The lower half of the reference picture of each kart, at one place."""
    line, ref, _ = world
    pose = place(line, 60.0, 0.5, 0.0, 0.01, -0.01)
    samples = world_samples(ref, pose, APPEARANCE, CONFIG)
    return {
        name: with_kart(samples, appearance, CONFIG, steer)[CONFIG.cockpit_row :]
        for name, (appearance, steer) in KARTS.items()
    }


@pytest.mark.parametrize("name", KARTS)
def test_the_kart_matches_the_reference(world, truths, name):
    """Each is nearest to its own picture: that of any other kart differs in far more pixels."""
    line, _, scene = world
    appearance, steer = KARTS[name]
    pose = place(line, 60.0, 0.5, 0.0, 0.01, -0.01)
    drawn = draw(scene, 0, pose, appearance, CONFIG, steer)[CONFIG.cockpit_row :]
    mean, share = agreement(drawn, truths[name])
    assert mean < MEAN and share > SHARE, (mean, share)
    for other, truth in truths.items():
        if other != name:
            assert agreement(drawn, truth)[0] > 1.5 * mean, (other, mean)


def test_front_wheels_turn_with_their_own_angle_only(world):
    """The steering wheel turns only itself, and front wheels stop at `MAX_DRAWN_STEER`."""
    line, _, scene = world
    pose = place(line, 60.0, 0.5, 0.0, 0.0, 0.0)
    still, held, turned, more, most = (
        draw(scene, 0, pose, APPEARANCE, CONFIG, steer)
        for steer in ((0.0, 0.0), (0.5, 0.0), (0.0, 0.4), (0.0, 0.6), (0.0, 0.9))
    )
    middle = slice(CONFIG.width // 3, -CONFIG.width // 3)
    aside = np.ones(CONFIG.width, bool)
    aside[middle] = False
    assert np.array_equal(still[:, aside], held[:, aside]) and not np.array_equal(still, held)
    assert np.array_equal(still[:, middle], turned[:, middle])
    assert not np.array_equal(still[:, aside], turned[:, aside])
    assert not np.array_equal(turned, more) and np.array_equal(more, most)


def test_wheels_and_hands_are_drawn_whole_on_any_lock(world, monkeypatch):
    """From every eye and for every body that is allowed, no part is cut off by its box.

    Each is what it is alone in a box as large as the picture.
    """
    limit = front_wheel.MAX_DRAWN_STEER
    ranges = itertools.product(
        front_wheel.FRONT_AXLE, front_wheel.HALF_TRACK, front_wheel.TYRE_RADIUS
    )
    bodies = [(0.62, 0.56, 0.127), (0.566, 0.51, 0.127), *ranges]
    steers = (-limit, -LOCK, 0.0, LOCK, limit)
    eyes = list(itertools.product(steers, (0.77, 0.93), (9.0, 15.0), bodies))
    table = np.array([(*eye[:3], *eye[3]) for eye in eyes], np.float32)
    parts = cockpit._moving

    def painted(shown):
        monkeypatch.setattr(
            cockpit, "_moving", lambda *given: [parts(*given)[index] for index in shown]
        )

        def one(steer, height, pitch, axle, track, radius):
            zero = jnp.zeros(())
            pose = Pose(zero, zero, zero, zero, zero, steering_wheel=1.3 * steer, road_wheel=steer)
            body = default_body().replace(front_axle=axle, half_track=track, tyre_radius=radius)
            appearance = APPEARANCE.replace(
                camera_height=height, camera_pitch=jnp.radians(pitch), body=body
            )
            return cockpit.paint(world[2], pose, appearance, LARGE)

        words = np.asarray(jax.jit(jax.vmap(one))(*table.T))
        return np.stack([words >> k & 255 for k in (0, 8, 16)], -1).astype(int)

    bare, drawn = painted([]), painted([0, 1, 2])
    whole = Box(0, LARGE.height - LARGE.cockpit_row, 0, LARGE.width)
    monkeypatch.setattr(cockpit, "_box", lambda outline, config: whole)
    for index in range(3):
        alone = painted([index])
        seen = np.abs(alone - bare).max(-1) > 8
        assert seen.mean() > 0.005
        assert np.abs(drawn - alone)[seen].max() <= 2


@pytest.mark.parametrize("name", CLASSES)
def test_the_body_of_every_class_is_drawn_without_a_bound(name):
    """`front_wheel.bounded` leaves it as it is, to the bit, under jit as without."""
    appearance = appearance_of(APPEARANCE, preset(name), 0.8)
    compiled = jax.jit(appearance_of)(APPEARANCE, preset(name), 0.8)
    drawn = front_wheel.bounded(appearance.body)
    assert drawn == appearance.body == compiled.body
    if name != "mini_max":
        assert drawn == default_body()


def test_a_mini_kart_is_drawn_shorter_and_narrower():
    """By the differences of `classes.py`: 95 mm in the wheelbase and 100 mm in the front track."""
    kart = preset("mini_max")
    body = appearance_of(APPEARANCE, kart, 0.8).body
    shorter = (1.0 - 0.43) * (0.95 - 1.045)
    expected = Body(
        front_axle=0.62 + shorter,
        half_track=0.56 - 0.05,
        tyre_radius=0.127,
        nose=1.30 + shorter,
        half_width=0.48,
    )
    for drawn, by_hand in zip(jax.tree.leaves(body), jax.tree.leaves(expected), strict=True):
        assert math.isclose(drawn, by_hand, rel_tol=1e-6)


def test_appearance_of_forgets_the_kart_before():
    """It may be applied again, and changes nothing but the body and the kerbs."""
    mini = appearance_of(APPEARANCE, preset("mini_max"), 1.2)
    again = appearance_of(mini, preset("senior_max"), jnp.float32(0.8))
    assert mini.kerb_width == jnp.float32(1.2)
    assert again.body == APPEARANCE.body
    for before, after in zip(jax.tree.leaves(APPEARANCE), jax.tree.leaves(again), strict=True):
        assert np.array_equal(before, after) and before.dtype == after.dtype
