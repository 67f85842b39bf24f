"""The picture that one driver sees: a pure function from circuits and a pose to uint8 pixels."""

import itertools
from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
import numpy as np

from kart_jax.render import camera as cameras
from kart_jax.render import cockpit, raycast, shade
from kart_jax.render.camera import Camera
from kart_jax.render.raycast import Wall
from kart_jax.render.scene import Plane, Scene, ground, pack, plane
from kart_jax.render.types import Appearance, Pose, ViewConfig
from kart_jax.track.types import Tracks


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
    wall = raycast.find_wall(scene, here, camera, config)
    bounds = sorted({0, config.sky_rows, config.cockpit_row, config.height})

    def painter(top: int, bottom: int) -> Callable[[chex.Array], chex.Array]:
        def paint(frame: chex.Array) -> chex.Array:
            return frame.at[top:bottom].set(_band(scene, here, camera, wall, camera_pose, look, config, top, bottom))

        return paint

    painters = [painter(top, bottom) for top, bottom in itertools.pairwise(bounds)]
    # A loop over the bands, because a loop's result is stored: XLA would otherwise shade each pixel again for every
    # word or channel that the caller makes of it.
    frame = jnp.zeros((config.height, config.width), jnp.uint32)
    return jax.lax.fori_loop(0, len(painters), lambda k, frame: jax.lax.switch(k, painters, frame), frame)


def _lit(appearance: Appearance) -> Appearance:
    """Every colour times the light."""
    return jax.tree.map(lambda leaf: leaf * appearance.light if leaf.ndim else leaf, appearance)


def _band(
    scene: Scene,
    here: Plane,
    camera: Camera,
    wall: Wall,
    pose: Pose,
    look: Appearance,
    config: ViewConfig,
    top: int,
    bottom: int,
) -> chex.Array:
    """Rows `top` to `bottom` as packed words: only what can be seen there is computed."""
    pixel = np.arange(top * config.width, bottom * config.width, dtype=np.int32)
    i = jnp.asarray(pixel // config.width + (0.5 - 0.5 * config.height), jnp.float32)
    j = jnp.asarray(pixel % config.width + (0.5 - 0.5 * config.width), jnp.float32)
    rays = raycast.cast(camera, i, j)
    if bottom <= config.sky_rows:
        colour = shade.sky_colour(rays.slope, look)
    else:
        floor = shade.ground_colour(rays, ground(scene, here, rays.x, rays.y), here, look)
        colour = shade.backdrop(rays, wall, floor, look, camera.z, config)
    if top >= config.cockpit_row:
        colour = cockpit.draw(colour, i, j, pose.steering_wheel, look, config)
    speck = shade.hashed(jnp.asarray(pixel), look.seed) * look.noise
    red, green, blue = (jnp.clip(c + (speck + 0.5), 0.0, 255.0).astype(jnp.uint32) for c in colour)
    return (red | (green << 8) | (blue << 16)).reshape(bottom - top, config.width)
