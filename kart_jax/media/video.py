"""Write frames as MP4 (H.264) or GIF, one frame at a time, and never half a file."""

import itertools
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from kart_jax.errors import InputError
from kart_jax.files import replacing

FORMATS = (".mp4", ".gif")
GIF_COLOURS = 128  # of at most 256: the file is a third smaller and the view looks the same


def check_path(path: str | Path) -> Path:
    """Return the path if its ending is one of `FORMATS`; called before a drive is simulated.

    Raises:
        InputError: another ending.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise InputError(
            f"{path}: the ending is {path.suffix or 'missing'}; allowed are {' and '.join(FORMATS)}"
        )
    return path


def write_mp4(
    path: str | Path, frames: Iterable[np.ndarray], rate: float, quality: int = 21
) -> int:
    """Encode frames as H.264 in an MP4 that browsers play.

    Args:
        path: ends in .mp4.
        frames: (H, W, 3) uint8 each, all of one even height and width.
        rate: frames per second.
        quality: constant rate factor, 0 (lossless) to 51; 18 looks perfect, 28 is small.

    Returns:
        The number of frames written.

    Raises:
        InputError: there is no frame, or the path cannot be written.
    """
    first, frames = _peek(path, frames)
    height, width = first.shape[:2]
    with replacing(path) as part, tempfile.TemporaryFile() as complaints:
        command = _ffmpeg_command(part, width, height, rate, quality)
        encoder = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=complaints)
        assert encoder.stdin is not None  # PIPE was asked for
        count = 0
        try:
            with encoder.stdin as pipe:
                for frame in frames:
                    pipe.write(np.ascontiguousarray(frame).data)
                    count += 1
        except BrokenPipeError:
            pass  # the encoder has stopped and says why below
        finally:
            failed = encoder.wait()

        if failed:
            complaints.seek(0)
            lines = complaints.read().decode(errors="replace").strip().splitlines()
            raise InputError(
                f"{path}: ffmpeg stopped with: {lines[-1] if lines else failed}; check the disk "
                "and the path"
            )
    return count


def _ffmpeg_command(part: Path, width: int, height: int, rate: float, quality: int) -> list[str]:
    """Return the call of ffmpeg, which comes with imageio-ffmpeg, that reads raw frames."""
    import imageio_ffmpeg

    general = "-y -loglevel error"
    frames = f"-f rawvideo -pix_fmt rgb24 -s {width}x{height} -r {rate:.6f} -i -"
    coding = f"-c:v libx264 -crf {quality} -preset fast -pix_fmt yuv420p -movflags +faststart"
    options = f"{general} {frames} {coding} -f mp4".split()
    return [imageio_ffmpeg.get_ffmpeg_exe(), *options, str(part)]


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
            part,
            format="GIF",
            save_all=True,
            append_images=pictures[1:],
            duration=round(1000 / rate),
            loop=0,
        )
    return len(pictures)


def _peek(
    path: str | Path, frames: Iterable[np.ndarray]
) -> tuple[np.ndarray, Iterator[np.ndarray]]:
    """Return the first frame, and all frames including it."""
    rest = iter(frames)
    first = next(rest, None)
    if first is None:
        raise InputError(f"{path}: there is no frame to write; record at least one step")
    return first, itertools.chain([first], rest)
