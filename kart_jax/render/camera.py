"""The driver's eye: rays that are fixed in the chassis, turned with it into the world.

The chassis frame (x forward, y left, z up, origin on the ground under the centre of gravity) is
turned by R = Rz(yaw) Ry(pitch) Rx(roll); with ISO 8855 axes a positive pitch lowers the nose and a
positive roll the right side. The eye sits at R (-setback, 0, height). A pixel (row i, column j) of
a picture with f = (W / 2) / tan(fov / 2) looks along

    d = R Ry(camera_pitch) (1, -(j + 1/2 - W/2) / f, -(i + 1/2 - H/2) / f),

which is affine in i and j.
"""

import chex
import jax.numpy as jnp
import numpy as np
from flax import struct

from kart_jax.render.types import Appearance, Pose, ViewConfig

MIN_EYE_HEIGHT = 0.05  # m

Direction = tuple[chex.Array, ...]  # x, y, z of rays (...) in the chassis frame, 1 ahead of the eye


class Camera(struct.PyTreeNode):
    """One kart's eye.

    The ray's component along an axis is `axis[0] + j * axis[1] + i * axis[2]`: that of the
    picture's middle, its change per column, and its change per row.
    """

    x: chex.Array  # () m, world, eye
    y: chex.Array  # () m
    z: chex.Array  # () m above the ground
    cos_yaw: chex.Array  # ()
    sin_yaw: chex.Array  # ()
    ahead: chex.Array  # (3,) along the heading
    left: chex.Array  # (3,) across the heading
    up: chex.Array  # (3,)
    east: chex.Array  # (3,) along world x
    north: chex.Array  # (3,) along world y


def turn_pitch(v: chex.Array, angle: chex.Array) -> chex.Array:
    """Return Ry(angle) v for vectors (..., 3): positive lowers what is ahead."""
    c, s = jnp.cos(angle), jnp.sin(angle)
    return jnp.stack(
        [c * v[..., 0] + s * v[..., 2], v[..., 1], c * v[..., 2] - s * v[..., 0]], axis=-1
    )


def turn_roll(v: chex.Array, angle: chex.Array) -> chex.Array:
    """Return Rx(angle) v for vectors (..., 3): positive lowers what is on the right."""
    c, s = jnp.cos(angle), jnp.sin(angle)
    return jnp.stack(
        [v[..., 0], c * v[..., 1] - s * v[..., 2], c * v[..., 2] + s * v[..., 1]], axis=-1
    )


def chassis_rays(appearance: Appearance, config: ViewConfig) -> chex.Array:
    """Return the three ray vectors (3, 3) forward, right, down in the chassis frame."""
    pixel = 1.0 / config.focal
    rays = jnp.asarray([[1.0, 0.0, 0.0], [0.0, -pixel, 0.0], [0.0, 0.0, -pixel]], jnp.float32)
    return turn_pitch(rays, appearance.camera_pitch)


def cockpit_rays(appearance: Appearance, config: ViewConfig) -> Direction:
    """Return the rays of the pixels (rows from `cockpit_row` on, width) in the chassis frame."""
    i, j = np.meshgrid(
        np.arange(config.cockpit_row, config.height) + 0.5 - 0.5 * config.height,
        np.arange(config.width) + 0.5 - 0.5 * config.width,
        indexing="ij",
    )
    rays = chassis_rays(appearance, config)
    i, j = jnp.asarray(i, jnp.float32), jnp.asarray(j, jnp.float32)
    return tuple(rays[0, k] + j * rays[1, k] + i * rays[2, k] for k in range(3))


def place(pose: Pose, appearance: Appearance, config: ViewConfig) -> Camera:
    """Place the eye of one kart in the world."""
    rays = turn_pitch(turn_roll(chassis_rays(appearance, config), pose.roll), pose.pitch)
    seat = jnp.stack(
        [
            -appearance.camera_setback,
            jnp.zeros_like(appearance.camera_height),
            appearance.camera_height,
        ]
    )
    eye = turn_pitch(turn_roll(seat, pose.roll), pose.pitch)

    c, s = jnp.cos(pose.yaw), jnp.sin(pose.yaw)
    return Camera(
        x=pose.x + c * eye[0] - s * eye[1],
        y=pose.y + s * eye[0] + c * eye[1],
        z=jnp.maximum(eye[2], MIN_EYE_HEIGHT),
        cos_yaw=c,
        sin_yaw=s,
        ahead=rays[:, 0],
        left=rays[:, 1],
        up=rays[:, 2],
        east=c * rays[:, 0] - s * rays[:, 1],
        north=s * rays[:, 0] + c * rays[:, 1],
    )
