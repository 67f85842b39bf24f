"""The view against a slow float64 reference: brute-force feet, wall polylines, supersampling."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from render_reference import PLAIN, Reference, circuit, picture, place, poses

from kart_jax.render.scene import pack
from kart_jax.render.types import Pose, default_appearance
from kart_jax.render.view import render
from kart_jax.track import field, stack
from kart_jax.track.types import SampleColumn

WIDE = dataclasses.replace(PLAIN, height=54, width=96, fov=math.radians(110.0))
NARROW = dataclasses.replace(PLAIN, height=54, width=96, fov=math.radians(60.0))
NEAR = 20.0  # grey levels that count as equal
# Set after the first results (worst pose 2.31 and 95.6 %). What remains is concentrated in a few
# rows around the horizon, where barrier blocks are smaller than a pixel; that these blocks are the
# cause has not been isolated.
MEAN = 2.5  # grey levels
SHARE = 0.95
# Pixels nearly four times as fine show that the view softens the squares of the start line; set
# after the first results, too (worst of all three circuits 3.59 and 93.4 % there, 2.11 and 96.1 %
# elsewhere).
NARROW_MEAN = 3.8
NARROW_SHARE = 0.93
APPEARANCE = default_appearance().replace(grain=jnp.float32(0.0))


@pytest.fixture(scope="module")
def world():
    lines = [circuit(seed) for seed in (1, 2, 3)]
    tracks = [field.build(line) for line in lines]
    return lines, tracks, pack(stack.stack(tracks))


DRAW = jax.jit(render, static_argnums=4)


def draw(scene, track, pose, appearance, config=PLAIN, steer=(0.0, 0.0)):
    eye = Pose(*(jnp.float32(v) for v in (*pose, *steer)))
    return np.asarray(DRAW(scene, jnp.int32(track), eye, appearance, config), float)


def agreement(a, b):
    """Mean error in grey levels and share of pixels within `NEAR` levels in every channel."""
    error = np.abs(a - b)
    return error.mean(), (error.max(axis=-1) < NEAR).mean()


@pytest.mark.parametrize(
    ("track", "config", "most", "least"),
    [
        *((track, PLAIN, MEAN, SHARE) for track in (0, 1, 2)),
        pytest.param(0, WIDE, MEAN, SHARE, marks=pytest.mark.slow),
        pytest.param(1, NARROW, NARROW_MEAN, NARROW_SHARE, marks=pytest.mark.slow),
    ],
    ids=["0", "1", "2", "wide", "narrow"],
)
def test_view_matches_the_reference(world, track, config, most, least):
    """Few pixels differ on the road, off it, rolled and pitched."""
    lines, tracks, scene = world
    ref = Reference(lines[track], tracks[track])
    for pose in poses(lines[track], track):
        drawn = draw(scene, track, pose, APPEARANCE, config)
        mean, share = agreement(drawn, picture(ref, pose, APPEARANCE, config))
        assert mean < most and share > least, (pose, mean, share)


def test_the_tolerance_refuses_a_shift_of_30_cm(world):
    """A camera 1 degree aside or 10 cm lower is worse than the right one, too."""
    lines, tracks, scene = world
    pose = place(lines[0], 40.0, 1.0, 0.0, 0.0, 0.0)
    truth = picture(Reference(lines[0], tracks[0]), pose, APPEARANCE)

    def error(pose, appearance=APPEARANCE):
        return agreement(draw(scene, 0, pose, appearance), truth)[0]

    right = error(pose)
    aside = error(place(lines[0], 40.0, 1.3, 0.0, 0.0, 0.0))
    turned = error(place(lines[0], 40.0, 1.0, math.radians(1.0), 0.0, 0.0))
    low = error(pose, APPEARANCE.replace(camera_height=APPEARANCE.camera_height - 0.10))
    assert right < MEAN < aside
    assert min(turned, low) > 1.15 * right, (right, turned, low)


def test_kerbs_are_drawn_as_wide_as_the_appearance_says(world):
    """A kerb of twice the width matches the reference of that width, and not that of the other."""
    lines, tracks, scene = world
    ref = Reference(lines[0], tracks[0])
    kerb = tracks[0].samples[0, : lines[0].count, SampleColumn.KERB_LEFT]
    pose = place(lines[0], int(np.argmax(kerb)) * lines[0].spacing - 6.0, 2.0, 0.2, 0.0, 0.0)

    widths = [APPEARANCE.replace(kerb_width=jnp.float32(width)) for width in (0.8, 1.6)]
    drawn = [draw(scene, 0, pose, appearance) for appearance in widths]
    truth = [picture(ref, pose, appearance) for appearance in widths]
    for own, other in ((0, 1), (1, 0)):
        mean, share = agreement(drawn[own], truth[own])
        assert mean < MEAN and share > SHARE
        assert agreement(drawn[own], truth[other])[0] > 1.5 * mean
