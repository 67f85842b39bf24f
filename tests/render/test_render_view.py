"""What the view must do: follow small motions, stay sound at extreme poses, agree under vmap."""

import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from render_reference import circuit, place

from kart_jax.errors import InputError
from kart_jax.render.scene import pack
from kart_jax.render.types import Pose, ViewConfig, default_appearance
from kart_jax.render.view import render, render_packed
from kart_jax.track import field, stack

APPEARANCE = default_appearance()
CONFIG = ViewConfig()


@pytest.fixture(scope="module")
def world():
    lines = [circuit(seed) for seed in (4, 5)]
    return lines, pack(stack.stack([field.build(line) for line in lines]))


@pytest.fixture(scope="module")
def draw(world):
    """Draw a list of (x, y, yaw, roll, pitch[, steering wheel, front wheels]) poses.

    They are drawn in batches of one fixed size, traced once for all.
    """
    batch = 8
    once = chex.assert_max_traces(render, n=1)
    batched = jax.jit(jax.vmap(once, in_axes=(None, 0, 0, None, None)), static_argnums=4)

    def pictures(poses, track=0, appearance=APPEARANCE):
        table = np.array([(*pose, 0.0, 0.0)[:7] for pose in poses], np.float32)
        padded = np.concatenate([table, np.repeat(table[:1], -len(table) % batch, axis=0)])
        track = np.full(batch, track, np.int32)
        out = [
            batched(world[1], track, Pose(*part.T), appearance, CONFIG)
            for part in padded.reshape(-1, batch, 7)
        ]
        return np.concatenate(out)[: len(table)]

    return pictures


def distance(a, b):
    return np.abs(a.astype(float) - b.astype(float)).mean()


def test_small_turns_change_the_picture_monotonically(world, draw):
    """Each half degree of heading moves the picture further from where it began."""
    steps = [place(world[0][0], 60.0, 0.5, math.radians(0.5 * k), 0, 0) for k in range(6)]
    frames = draw(steps)
    change = [distance(frames[0], frame) for frame in frames]
    assert change[1] > 0.3 and np.all(np.diff(change) > 0.1), change


def test_small_moves_aside_change_the_picture_monotonically(world, draw):
    """Each 0.2 m across the track moves the picture further from where it began."""
    frames = draw([place(world[0][0], 60.0, -1.0 + 0.2 * k, 0, 0, 0) for k in range(6)])
    change = [distance(frames[0], frame) for frame in frames]
    assert change[1] > 0.2 and np.all(np.diff(change) > 0.05), change


def test_the_picture_runs_smoothly_over_the_start_line(world, draw):
    """Crossing s = 0 by 0.1 m changes the picture no more than driving on elsewhere does."""
    line = world[0][0]
    frames = draw(
        [place(line, s, 0.0, 0, 0, 0) for s in (line.length - 12.05, line.length - 11.95)]
    )
    near = draw([place(line, s, 0.0, 0, 0, 0) for s in (30.0, 30.1)])
    assert distance(*frames) < 2.0 * distance(*near) + 0.5


def test_extreme_poses_are_drawn(world, draw):
    """Far away, behind the barrier, tipped over, at a wall: whole pictures with sky above."""
    line = world[0][0]
    poses = [
        (1e4, -1e4, 1.0, 0, 0),
        (-3000.0, 10.0, -9.0, 0, 0),
        place(line, 20.0, 11.0, 1.5, 0, 0),
        place(line, 20.0, 9.9, 1.57, 0, 0),
        place(line, 20.0, 0.0, 0, 1.2, -0.4),
        place(line, 20.0, 0.0, 0, -0.5, 0.8),
        (*place(line, 0.0, 0.0, 100.0, 0, 0), 20.0, 20.0),
    ]
    frames = draw(poses)
    assert frames.dtype == np.uint8 and frames.shape == (7, 84, 84, 3)
    assert np.all(frames.reshape(7, -1).std(axis=1) > 5)
    assert np.all(frames[:4, 0, :, 2] > frames[:4, 0, :, 0])  # sky is bluer than red


def test_a_wall_hides_the_track_behind_it(world, draw):
    """Facing the barrier from 0.5 m, all below the horizon is barrier, grass or own kart."""
    line = world[0][0]
    appearance = APPEARANCE.replace(
        asphalt=jnp.asarray([255.0, 0.0, 255.0]), rubber=jnp.asarray([255.0, 0.0, 255.0])
    )
    s = 60.0
    facing, along = draw(
        [place(line, s, 9.0, math.pi / 2, 0, 0), place(line, s, 0.0, 0, 0, 0)],
        appearance=appearance,
    )

    def magenta(frame):
        rgb = frame.astype(int)
        return ((rgb[..., 0] - rgb[..., 1] > 60) & (rgb[..., 2] - rgb[..., 1] > 60)).mean()

    assert magenta(along) > 0.15 and magenta(facing) == 0.0


def test_the_steering_wheel_turns_and_mirrors(world, draw):
    """Only the lower half changes with the wheel, and more for a larger angle."""
    pose = place(world[0][0], 60.0, 0.0, 0, 0, 0)
    still, little, much = draw([(*pose, wheel, wheel / 1.3) for wheel in (0.0, 0.1, 0.6)])
    assert np.array_equal(still[: CONFIG.cockpit_row], much[: CONFIG.cockpit_row])
    assert 0 < distance(still, little) < distance(still, much)


@pytest.mark.slow
def test_one_kart_is_drawn_as_in_a_batch_and_on_its_own_track(world, draw):
    """The picture does not depend on the neighbours, nor a track on those of its stack."""
    lines, scene = world
    pose = place(lines[1], 33.0, 1.0, 0.1, 0.02, -0.01)
    eye = Pose(
        *(jnp.float32(v) for v in pose),
        steering_wheel=jnp.float32(0.0),
        road_wheel=jnp.float32(0.0),
    )
    single = np.asarray(
        jax.jit(render, static_argnums=4)(scene, jnp.int32(1), eye, APPEARANCE, CONFIG)
    ).astype(int)
    batched = draw([pose, place(lines[0], 5.0, 0, 0, 0, 0)], track=1)[0].astype(int)
    alone = np.asarray(render(field.build(lines[1]), jnp.int32(0), eye, APPEARANCE, CONFIG)).astype(
        int
    )

    words = np.asarray(render_packed(scene, jnp.int32(1), eye, APPEARANCE, CONFIG))
    unpacked = np.stack([words >> k & 255 for k in (0, 8, 16)], -1).astype(int)
    # Different compilations may round the last bit differently at the edge of a cell.
    for other in (batched, alone, unpacked):
        assert (np.abs(single - other) > 1).mean() < 2e-3


def test_appearance_is_traced_and_every_field_shows(world, draw):
    """One compilation serves all, as `draw` sees to, and each field changes the picture."""
    pose = place(world[0][0], world[0][0].length - 3.0, 2.0, 0.3, 0, 0)
    plain = draw([pose])[0]
    noisy = APPEARANCE.replace(noise=jnp.float32(6.0))
    fields = [name for name in APPEARANCE.__dataclass_fields__ if name not in ("body", "seed")]

    def changed(name):
        value = getattr(APPEARANCE, name)
        if name in ("noise", "grain"):
            return APPEARANCE.replace(**{name: jnp.float32(12.0)})
        return APPEARANCE.replace(**{name: value + (30.0 if value.ndim else 0.2)})

    for name in fields:
        assert distance(plain, draw([pose], appearance=changed(name))[0]) > 0.001, name
    for name in APPEARANCE.body.__dataclass_fields__:
        body = APPEARANCE.body.replace(**{name: getattr(APPEARANCE.body, name) - 0.05})
        assert distance(plain, draw([pose], appearance=APPEARANCE.replace(body=body))[0]) > 0.001
    first, second = (noisy.replace(seed=jnp.int32(seed)) for seed in (0, 1))
    assert distance(draw([pose], appearance=first)[0], draw([pose], appearance=second)[0]) > 0.001


@pytest.mark.parametrize(
    "values", [{"height": 0}, {"width": 84.5}, {"fov": 4.0}, {"sky": 2.0}, {"sky": 0.2}]
)
def test_absurd_configs_are_refused(values):
    with pytest.raises(InputError, match=r"ViewConfig: \w+ is .*; allowed is"):
        ViewConfig(**values)
