"""The picture that one driver sees: a pure function from circuits and a pose to uint8 pixels."""

import itertools
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from kart_jax.render import cockpit, raycast, shade
from kart_jax.render.colour import channels
from kart_jax.render.ground import first_word
from kart_jax.render.paint import over
from kart_jax.render.scene import Scene, pack
from kart_jax.render.types import Appearance, Pose, ViewConfig
from kart_jax.render.viewpoint import Viewpoint, viewpoint
from kart_jax.track.types import Tracks
from kart_jax.xla.arithmetic import hashed, pack_rgb
from kart_jax.xla.stage import stored


class Sight(struct.PyTreeNode):
    """All that one kart's picture is put together from."""

    viewpoint: Viewpoint
    wall: chex.Array  # (A,) uint32, `raycast.find_wall`
    cells: chex.Array  # (pixels from ground_row on,) int32, `first_word` of what each one shows
    sides: chex.Array  # (pixels from sky_rows on,) int32, `raycast.direction_index`
    kart: chex.Array | None  # (rows from cockpit_row on, width) uint32, `cockpit.paint`
    noise: chex.Array  # (height * width,) grey levels


def render(
    scene: Scene | Tracks,
    track: chex.Array,
    pose: Pose,
    appearance: Appearance,
    config: ViewConfig,
) -> chex.Array:
    """Draw the view of one kart; `vmap` over track, pose and appearance for many.

    Args:
        scene: `scene.pack(tracks)`, made once; a `Tracks` of concrete arrays is packed here, which
            is slow.
        track: () int32, which circuit.
        pose: the kart's pose, fields ().
        appearance: how the world and the kart look.
        config: size and optics.

    Returns:
        (height, width, 3) uint8, sRGB, row 0 at the top.
    """
    if isinstance(scene, Tracks):
        scene = pack(scene)
    packed = render_packed(scene, track, pose, appearance, config)
    return (packed[..., None] >> jnp.asarray([0, 8, 16], jnp.uint32)).astype(jnp.uint8)


def render_packed(
    scene: Scene, track: chex.Array, pose: Pose, appearance: Appearance, config: ViewConfig
) -> chex.Array:
    """Draw as `render` does, into (height, width) uint32.

    Red is in bits 0-7, green in 8-15, blue in 16-23. A frame stack can be kept in such words
    without ever taking the channels apart.
    """
    sight = _look_around(scene, track, pose, appearance, config)
    bounds = sorted({0, config.sky_rows, config.ground_row, config.cockpit_row, config.height})
    # Several rows of the picture to a row of the frame: XLA makes faster loops of long rows.
    fold = math.gcd(*bounds)

    def paint() -> chex.Array:
        frame = jnp.zeros((config.height // fold, fold * config.width), jnp.uint32)
        for top, bottom in itertools.pairwise(bounds):
            band = _band(sight, config, top, bottom).reshape(-1, fold * config.width)
            frame = frame.at[top // fold : bottom // fold].set(band)
        return frame

    frame = stored(scene.first[0], paint)
    return frame.reshape(config.height, config.width)


def _look_around(
    scene: Scene, track: chex.Array, pose: Pose, appearance: Appearance, config: ViewConfig
) -> Sight:
    """Find all that the picture is put together from."""
    eye = viewpoint(scene, track, pose, appearance, config)
    pixels = jnp.arange(config.height * config.width, dtype=jnp.int32)
    cells, sides = _look_ups(eye, config)
    return Sight(
        viewpoint=eye,
        wall=raycast.find_wall(eye, config),
        cells=cells,
        sides=sides,
        kart=cockpit.paint(scene, pose, eye.appearance, config) if config.cockpit else None,
        noise=hashed(pixels, appearance.seed) * appearance.noise,
    )


def _pixels(config: ViewConfig, top: int, bottom: int) -> tuple[chex.Array, chex.Array]:
    """Return rows and columns (P,), from the picture's middle, of pixels in rows top to bottom."""
    pixel = np.arange(top * config.width, bottom * config.width)
    i = pixel // config.width + (0.5 - 0.5 * config.height)
    j = pixel % config.width + (0.5 - 0.5 * config.width)
    return jnp.asarray(i, jnp.float32), jnp.asarray(j, jnp.float32)


def _look_ups(eye: Viewpoint, config: ViewConfig) -> tuple[chex.Array, chex.Array]:
    """Find where the pixels' look-ups go: `cells` and `sides` of `Sight`.

    They are stored for the reason that `ground.first_word` gives.
    """

    def find() -> tuple[chex.Array, chex.Array]:
        below = raycast.cast(eye.camera, *_pixels(config, config.ground_row, config.height))
        _, points = raycast.ground_points(eye.camera, below)
        rays = raycast.cast(eye.camera, *_pixels(config, config.sky_rows, config.height))
        cells = first_word(eye.scene, eye.grid, points)
        return cells, raycast.direction_index(rays.q, config)

    return stored(eye.scene.first[0], find)


def _band(sight: Sight, config: ViewConfig, top: int, bottom: int) -> chex.Array:
    """Draw rows `top` to `bottom`, end to end, as packed words.

    Only what can be seen there is computed.
    """
    eye = sight.viewpoint
    appearance = eye.appearance
    rays = raycast.cast(eye.camera, *_pixels(config, top, bottom))

    def part(table: chex.Array, first: int) -> chex.Array:
        """Return the band's part of a table that begins with row `first`."""
        return table[(top - first) * config.width : (bottom - first) * config.width]

    if bottom <= config.sky_rows:
        colour = shade.sky_colour(rays.slope, appearance)
    else:
        word = raycast.read(sight.wall, part(sight.sides, config.sky_rows))
        colour = channels(appearance.sky_bottom)
        if top >= config.ground_row:
            cells = part(sight.cells, config.ground_row)
            colour = shade.ground_colour(eye, rays, cells, config)
        if top < config.cockpit_row:
            colour = shade.sky_over(colour, rays, word, appearance, config)
        colour = shade.wall_over(colour, rays, word, eye, config)

    if sight.kart is not None and top >= config.cockpit_row:
        drawn = jax.lax.bitcast_convert_type(sight.kart.reshape(-1), jnp.int32)
        colour = over(colour, part(drawn, config.cockpit_row))

    return pack_rgb(*(c + part(sight.noise, 0) for c in colour))
