"""The picture that one driver sees: a pure function from circuits and a pose to uint8 pixels."""

import itertools
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from kart_jax.render import camera as cameras
from kart_jax.render import cockpit, raycast, shade
from kart_jax.render.camera import Camera
from kart_jax.render.scene import Plane, Scene, first_word, pack, plane
from kart_jax.render.types import Appearance, Pose, ViewConfig
from kart_jax.track.types import Tracks
from kart_jax.xla.arithmetic import hashed, pack_rgb
from kart_jax.xla.stage import stored


class Stage(struct.PyTreeNode):
    """All that one kart's picture is drawn from."""

    scene: Scene
    here: Plane
    camera: Camera
    look: Appearance
    wall: chex.Array  # (A,) uint32, `raycast.find_wall`
    cells: (
        chex.Array
    )  # (pixels from ground_row on,) int32, `scene.first_word` of what each one shows
    sides: chex.Array  # (pixels from sky_rows on,) int32, `raycast.direction_index`
    kart: chex.Array | None  # (rows, width) uint32, `cockpit.paint`
    noise: chex.Array  # (height * width,) grey levels


def render(
    scene: Scene | Tracks,
    track: chex.Array,
    camera_pose: Pose,
    appearance: Appearance,
    config: ViewConfig,
) -> chex.Array:
    """The view of one kart; `vmap` over track, pose and appearance for many.

    Args:
        scene: `scene.pack(tracks)`, made once; a `Tracks` of concrete arrays is packed here, which
            is slow.
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
    cells, sides = _look_ups(scene, here, camera, config)
    stage = Stage(
        scene=scene,
        here=here,
        camera=camera,
        look=look,
        wall=raycast.find_wall(scene, here, camera, config),
        cells=cells,
        sides=sides,
        kart=cockpit.paint(scene, camera_pose.steering_wheel, look, config)
        if config.cockpit
        else None,
        noise=hashed(pixels, look.seed) * look.noise,
    )
    bounds = sorted({0, config.sky_rows, config.ground_row, config.cockpit_row, config.height})
    # Several rows of the picture to a row of the frame: XLA makes faster loops of long rows.
    fold = math.gcd(*bounds)

    def paint() -> chex.Array:
        frame = jnp.zeros((config.height // fold, fold * config.width), jnp.uint32)
        for top, bottom in itertools.pairwise(bounds):
            band = _band(stage, config, top, bottom).reshape(-1, fold * config.width)
            frame = frame.at[top // fold : bottom // fold].set(band)
        return frame

    frame = stored(scene.first[0], paint)
    return frame.reshape(config.height, config.width)


def _lit(appearance: Appearance) -> Appearance:
    """Every colour times the light."""
    return jax.tree.map(lambda leaf: leaf * appearance.light if leaf.ndim else leaf, appearance)


def _pixels(config: ViewConfig, top: int, bottom: int) -> tuple[chex.Array, chex.Array]:
    """Rows and columns (P,) of the pixels of rows `top` to `bottom`, counted from the picture's
    middle."""
    pixel = np.arange(top * config.width, bottom * config.width)
    i = jnp.asarray(pixel // config.width + (0.5 - 0.5 * config.height), jnp.float32)
    return i, jnp.asarray(pixel % config.width + (0.5 - 0.5 * config.width), jnp.float32)


def _look_ups(
    scene: Scene, here: Plane, camera: Camera, config: ViewConfig
) -> tuple[chex.Array, chex.Array]:
    """Where the pixels' look-ups go, see `Stage`; stored for the reason that `scene.first_word`
    gives."""

    def find() -> tuple[chex.Array, chex.Array]:
        below = raycast.cast(camera, *_pixels(config, config.ground_row, config.height))
        _, x, y = raycast.ground_point(camera, below)
        rays = raycast.cast(camera, *_pixels(config, config.sky_rows, config.height))
        return first_word(scene, here, camera.x, camera.y, x, y), raycast.direction_index(
            rays.q, config
        )

    return stored(scene.first[0], find)


def _band(stage: Stage, config: ViewConfig, top: int, bottom: int) -> chex.Array:
    """Rows `top` to `bottom`, end to end, as packed words: only what can be seen there is
    computed."""
    camera, look = stage.camera, stage.look
    rays = raycast.cast(camera, *_pixels(config, top, bottom))

    def part(table: chex.Array, first: int) -> chex.Array:
        """The band's part of a table that begins with row `first`."""
        return table[(top - first) * config.width : (bottom - first) * config.width]

    if bottom <= config.sky_rows:
        colour = shade.sky_colour(rays.slope, look)
    else:
        word = raycast.read(stage.wall, part(stage.sides, config.sky_rows))
        colour = shade.split(look.sky_bottom)
        if top >= config.ground_row:
            cells = part(stage.cells, config.ground_row)
            colour = shade.ground_colour(stage.scene, stage.here, camera, rays, cells, look, config)
        if top < config.cockpit_row:
            colour = shade.sky_over(colour, rays, word, look, config)
        colour = shade.wall_over(colour, rays, word, look, camera.z, config)
    if stage.kart is not None and top >= config.cockpit_row:
        drawn = jax.lax.bitcast_convert_type(stage.kart.reshape(-1), jnp.int32)
        colour = cockpit.over(colour, part(drawn, config.cockpit_row))
    return pack_rgb(*(c + part(stage.noise, 0) for c in colour))
