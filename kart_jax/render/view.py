"""The picture that one driver sees: a pure function from circuits and a pose to uint8 pixels."""

import itertools
import math
from dataclasses import replace

import chex
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from kart_jax.render import camera as cameras
from kart_jax.render import cockpit, raycast, shade
from kart_jax.render.arithmetic import hashed, pack_rgb
from kart_jax.render.camera import Camera
from kart_jax.render.scene import Plane, Scene, pack, plane, stored
from kart_jax.render.types import Appearance, Pose, ViewConfig
from kart_jax.track.types import Tracks


@struct.dataclass
class Stage:
    """All that one kart's picture is drawn from."""

    scene: Scene
    here: Plane
    camera: Camera
    look: Appearance
    wall: chex.Array  # (A,) uint32, `raycast.find_wall`
    kart: chex.Array | None  # (rows, width) uint32, `cockpit.paint`
    noise: chex.Array  # (height * width,) grey levels
    zero: chex.Array  # () float32, see `scene.stored`


def render(
    scene: Scene | Tracks, track: chex.Array, camera_pose: Pose, appearance: Appearance, config: ViewConfig
) -> chex.Array:
    """The view of one kart; `vmap` over track, pose and appearance for many.

    Args:
        scene: `scene.pack(tracks)`, made once; a `Tracks` of concrete arrays is packed here, which is slow.
        track: () int32, which circuit.
        camera_pose: the kart's pose, fields ().
        appearance: the look of the world.
        config: size and optics.

    Returns:
        (height, width, 3) uint8, sRGB, row 0 at the top.
    """
    if isinstance(scene, Tracks):
        scene = pack(scene)
    packed = render_packed(scene, track, camera_pose, appearance, config)
    return (packed[..., None] >> jnp.asarray([0, 8, 16], jnp.uint32)).astype(jnp.uint8)


def render_packed(
    scene: Scene, track: chex.Array, camera_pose: Pose, appearance: Appearance, config: ViewConfig
) -> chex.Array:
    """As `render`, but (height, width) uint32 with red in bits 0-7, green in 8-15, blue in 16-23.

    A frame stack can be kept in such words without ever taking the channels apart.
    """
    here = plane(scene, track)
    look = _lit(appearance)
    camera = cameras.place(camera_pose, look, config)
    pixels = jnp.arange(config.height * config.width, dtype=jnp.int32)
    stage = Stage(
        scene=scene,
        here=here,
        camera=camera,
        look=look,
        wall=raycast.find_wall(scene, here, camera, config),
        kart=cockpit.paint(scene, camera_pose.steering_wheel, look, config) if config.cockpit else None,
        noise=hashed(pixels, look.seed) * look.noise,
        zero=jnp.zeros((), jnp.float32),
    )
    bounds = sorted({0, config.sky_rows, config.ground_row, config.cockpit_row, config.height})
    # Several rows of the picture to a row of the frame: XLA makes faster loops of long rows.
    fold = math.gcd(*bounds)

    def paint(frame: chex.Array, zero: chex.Array) -> chex.Array:
        moved = replace(stage, camera=jax.tree.map(lambda leaf: leaf + zero, camera), zero=zero)
        for top, bottom in itertools.pairwise(bounds):
            band = _band(moved, config, top, bottom).reshape(-1, fold * config.width)
            frame = frame.at[top // fold : bottom // fold].set(band)
        return frame

    frame = stored(scene, paint, jnp.zeros((config.height // fold, fold * config.width), jnp.uint32))
    return frame.reshape(config.height, config.width)


def _lit(appearance: Appearance) -> Appearance:
    """Every colour times the light."""
    return jax.tree.map(lambda leaf: leaf * appearance.light if leaf.ndim else leaf, appearance)


def _band(stage: Stage, config: ViewConfig, top: int, bottom: int) -> chex.Array:
    """Rows `top` to `bottom`, end to end, as packed words: only what can be seen there is computed."""
    pixel = np.arange(top * config.width, bottom * config.width, dtype=np.int32)
    i = jnp.asarray(pixel // config.width + (0.5 - 0.5 * config.height), jnp.float32)
    j = jnp.asarray(pixel % config.width + (0.5 - 0.5 * config.width), jnp.float32)
    camera, look = stage.camera, stage.look
    rays = raycast.cast(camera, i, j)
    if bottom <= config.sky_rows:
        colour = shade.sky_colour(rays.slope, look)
    else:
        word = raycast.read(stage.wall, raycast.direction_index(rays.q, config))
        colour = shade.split(look.sky_bottom)
        if top >= config.ground_row:
            colour = shade.ground_colour(stage.scene, stage.here, camera, rays, look, config)
        if top < config.cockpit_row:
            colour = shade.sky_over(colour, rays, word, look, config)
        colour = shade.wall_over(colour, rays, word, look, camera.z, config)
    if stage.kart is not None and top >= config.cockpit_row:
        drawn = jax.lax.bitcast_convert_type(stage.kart.reshape(-1), jnp.int32) + stage.zero.astype(jnp.int32)
        colour = cockpit.over(colour, drawn[(top - config.cockpit_row) * config.width :])
    noise = stage.noise[pixel[0] : pixel[-1] + 1]
    return pack_rgb(*(c + noise for c in colour))
