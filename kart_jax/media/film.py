"""Turn a log back into pictures: the driver's view, rendered anew at video size, under the
dashboard.

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
from kart_jax.render.scene import Scene, pack
from kart_jax.render.types import Appearance, Pose, ViewConfig, default_appearance
from kart_jax.render.view import render
from kart_jax.telemetry.log import Log
from kart_jax.track.types import Tracks
from kart_jax.xla.stage import compiler_options

BATCH = 8  # frames rendered in one call: enough to keep the device busy, little memory
GIF_RATE = 12.5  # frames per second


def poses(log: Log) -> Pose:
    """The camera pose of every row: fields (rows,) in m and rad."""
    radians = {
        name: jnp.asarray(np.radians(log[name]))
        for name in ("heading", "roll", "pitch", "steering")
    }
    return Pose(
        x=jnp.asarray(log["x"]),
        y=jnp.asarray(log["y"]),
        yaw=radians["heading"],
        roll=radians["roll"],
        pitch=radians["pitch"],
        steering_wheel=radians["steering"],
    )


def views(
    log: Log, tracks: Tracks, track: int, config: ViewConfig, appearance: Appearance | None = None
) -> Iterator[np.ndarray]:
    """The driver's view for every row of the log.

    Args:
        log: telemetry of one kart.
        tracks: the stack of circuits.
        track: which of them.
        config: size and field of view.
        appearance: colours and camera; None = the default.

    Yields:
        (H, W, 3) uint8, one per row.
    """
    look = default_appearance() if appearance is None else appearance
    scene = pack(tracks)
    draw = jax.jit(partial(_render_batch, config=config), compiler_options=compiler_options())
    every = poses(log)
    for first in range(0, len(log), BATCH):
        index = jnp.minimum(jnp.arange(first, first + BATCH), len(log) - 1)
        pictures = draw(
            scene,
            jnp.asarray(track, jnp.int32),
            jax.tree.map(lambda leaf: leaf[index], every),
            look,
        )  # noqa: B023
        yield from np.asarray(pictures)[: len(log) - first]


def _render_batch(
    scene: Scene, track: jax.Array, batch: Pose, look: Appearance, config: ViewConfig
) -> jax.Array:
    """Render (B,) poses: (B, H, W, 3) uint8."""
    return jax.vmap(lambda pose: render(scene, track, pose, look, config))(batch)


def frames(
    log: Log, tracks: Tracks, track: int, height: int = 720, width: int = 1280, title: str = ""
) -> Iterator[np.ndarray]:
    """View and dashboard of every row: (height, width, 3) uint8 each."""
    board = Dashboard(log, tracks, track, height, width, title)
    config = ViewConfig(height=height, width=width)
    for row, view in enumerate(views(log, tracks, track, config)):
        yield board.draw(view, row)


def save(
    path: str | Path,
    log: Log,
    tracks: Tracks,
    track: int,
    height: int = 720,
    width: int = 1280,
    title: str = "",
) -> int:
    """Film a log; the ending of the path chooses MP4 or GIF. A GIF is small and shows every second
    row or so.

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
    if path.suffix.lower() == ".mp4":
        return write_mp4(path, frames(log, tracks, track, height, width, title), log.rate)
    every = max(1, round(log.rate / GIF_RATE))
    thin = Log(log.names, log.values[::every], log.source)
    return write_gif(
        path, frames(thin, tracks, track, height, width, title), thin.rate, min(width, 480)
    )
