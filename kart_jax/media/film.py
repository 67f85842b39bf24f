"""Turn a log back into pictures: the driver's view at video size, under the dashboard.

A log holds the pose of the kart in every row, so any recorded drive can be filmed later, at any
resolution, without simulating again.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from kart_jax.media.dashboard import Dashboard
from kart_jax.media.video import check_path, write_gif, write_mp4
from kart_jax.physics.classes import STEERING_RATIO
from kart_jax.render.scene import Scene, pack
from kart_jax.render.types import Appearance, Pose, ViewConfig, default_appearance
from kart_jax.render.view import render
from kart_jax.telemetry.log import Log
from kart_jax.track.types import Tracks
from kart_jax.xla.stage import compiler_options

BATCH = 8  # frames rendered in one call: enough to keep the device busy, little memory
GIF_RATE = 12.5  # frames per second
GIF_WIDTH = 480  # pixels


def poses_of(log: Log) -> Pose:
    """Return the camera pose of every row: fields (rows,) in m and rad.

    A log names no kart: its front wheels are turned by the steering ratio that all classes share,
    so those of a kart with another `KartParams.steering_ratio` stand at a wrong angle.
    """

    def angle(name: str) -> jax.Array:
        return jnp.asarray(np.radians(log[name]))

    steering_wheel = angle("steering")
    return Pose(
        x=jnp.asarray(log["x"]),
        y=jnp.asarray(log["y"]),
        yaw=angle("heading"),
        roll=angle("roll"),
        pitch=angle("pitch"),
        steering_wheel=steering_wheel,
        road_wheel=(1.0 / STEERING_RATIO) * steering_wheel,
    )


def render_views(
    log: Log, tracks: Tracks, track: int, config: ViewConfig, appearance: Appearance | None = None
) -> Iterator[np.ndarray]:
    """Render the driver's view for every row of the log.

    Args:
        log: telemetry of one kart.
        tracks: the stack of circuits.
        track: which of them.
        config: size and field of view.
        appearance: colours and camera; None = the default.

    Yields:
        (H, W, 3) uint8, one per row.
    """
    appearance = default_appearance() if appearance is None else appearance
    scene = pack(tracks)
    index = jnp.asarray(track, jnp.int32)
    poses = poses_of(log)
    render_batch = jax.jit(
        partial(_render_batch, config=config), compiler_options=compiler_options()
    )

    for first in range(0, len(log), BATCH):
        rows = jnp.minimum(jnp.arange(first, first + BATCH), len(log) - 1)
        batch = jax.tree.map(partial(jnp.take, indices=rows, axis=0), poses)
        pictures = render_batch(scene, index, batch, appearance)
        yield from np.asarray(pictures)[: len(log) - first]


def _render_batch(
    scene: Scene, track: jax.Array, batch: Pose, appearance: Appearance, config: ViewConfig
) -> jax.Array:
    """Render (B,) poses: (B, H, W, 3) uint8."""
    return jax.vmap(lambda pose: render(scene, track, pose, appearance, config))(batch)


def draw_frames(
    log: Log, tracks: Tracks, track: int, height: int = 720, width: int = 1280, title: str = ""
) -> Iterator[np.ndarray]:
    """Draw view and dashboard of every row: (height, width, 3) uint8 each."""
    dashboard = Dashboard(log, tracks, track, height, width, title)
    config = ViewConfig(height=height, width=width)
    for row, view in enumerate(render_views(log, tracks, track, config)):
        yield dashboard.draw_frame(view, row)


def save_film(
    path: str | Path,
    log: Log,
    tracks: Tracks,
    track: int,
    height: int = 720,
    width: int = 1280,
    title: str = "",
) -> int:
    """Film a log; the ending of the path chooses MP4 or GIF.

    A GIF is small: at most `GIF_WIDTH` pixels wide, with about `GIF_RATE` frames per second. The
    front wheels are right for every kart class; see `poses_of` for other karts.

    Args:
        path: ends in .mp4 or .gif.
        log: telemetry of one kart, equally spaced rows.
        tracks: the stack of circuits.
        track: which of them.
        height: pixels, even.
        width: pixels, even.
        title: shown above the lap timer.

    Returns:
        The number of frames written.

    Raises:
        InputError: the ending is neither, a channel is missing, or the path cannot be written.
    """
    path = check_path(path)
    gif = path.suffix.lower() == ".gif"
    shown = log.every(max(1, round(log.rate / GIF_RATE))) if gif else log
    frames = draw_frames(shown, tracks, track, height, width, title)
    if gif:
        return write_gif(path, frames, shown.rate, min(width, GIF_WIDTH))
    return write_mp4(path, frames, shown.rate)
