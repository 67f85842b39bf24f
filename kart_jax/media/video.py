"""Write frames as MP4 (H.264) or GIF, one frame at a time, and never half a file."""

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from kart_jax.errors import InputError
from kart_jax.files import replacing

STYLES = (".mp4", ".gif")
GIF_COLOURS = 128  # a GIF has at most 256; with 128 the file is a third smaller and the view looks the same


def check_path(path: str | Path) -> Path:
    """The path as given when its ending is one of `STYLES`; called before a drive is simulated for nothing.

    Raises:
        InputError: another ending.
    """
    path = Path(path)
    if path.suffix.lower() not in STYLES:
        raise InputError(f"{path}: the ending is {path.suffix or 'missing'}; allowed are {' and '.join(STYLES)}")
    return path


def write_mp4(path: str | Path, frames: Iterable[np.ndarray], rate: float, quality: float = 7.0) -> int:
    """Encode frames as H.264 in an MP4 that browsers play.

    Args:
        path: ends in .mp4.
        frames: (H, W, 3) uint8 each, all of one even height and width.
        rate: frames per second.
        quality: 0 (smallest file) to 10 (best).

    Returns:
        The number of frames written.

    Raises:
        InputError: there is no frame, or the path cannot be written.
    """
    import imageio_ffmpeg

    first, frames = _peek(path, frames)
    height, width = first.shape[:2]
    with replacing(path) as part:
        encoder = imageio_ffmpeg.write_frames(
            str(part),
            (width, height),
            fps=rate,
            quality=quality,
            macro_block_size=2,  # what yuv420p needs; the default of 16 would stretch the picture
            codec="libx264",
            output_params=["-f", "mp4", "-movflags", "+faststart"],
        )
        encoder.send(None)
        count = 0
        try:
            for frame in frames:
                encoder.send(np.ascontiguousarray(frame))
                count += 1
        finally:
            encoder.close()
    return count


def write_gif(path: str | Path, frames: Iterable[np.ndarray], rate: float, width: int = 480) -> int:
    """Write an endless GIF.

    Args:
        path: ends in .gif.
        frames: (H, W, 3) uint8 each.
        rate: frames per second; a GIF counts in 1/100 s, so 12.5, 20, 25 and 50 are kept exactly.
        width: pixels; frames are reduced to it.

    Returns:
        The number of frames written.
    """
    first, frames = _peek(path, frames)
    height = round(first.shape[0] * width / first.shape[1])
    small = (Image.fromarray(f).resize((width, height), Image.Resampling.LANCZOS) for f in frames)
    pictures = [image.quantize(GIF_COLOURS, dither=Image.Dither.NONE) for image in small]
    with replacing(path) as part:
        pictures[0].save(
            part, format="GIF", save_all=True, append_images=pictures[1:], duration=round(1000 / rate), loop=0
        )
    return len(pictures)


def _peek(path: str | Path, frames: Iterable[np.ndarray]) -> tuple[np.ndarray, Iterator[np.ndarray]]:
    """The first frame, and all frames including it."""
    rest = iter(frames)
    first = next(rest, None)
    if first is None:
        raise InputError(f"{path}: there is no frame to write; record at least one step")
    return first, itertools.chain([first], rest)
