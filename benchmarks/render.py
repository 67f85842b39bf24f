"""Frames per second of the view alone, over resolutions and numbers of karts.

    python benchmarks/render.py
    python benchmarks/render.py --size 84x84 720x1280 --karts 1 64 --packed

The view draws any number of eyes on one circuit in one compiled call, on one device.
"""

import argparse
import re
from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import machine
import numpy as np
import report
import timing
from report import Row

from kart_jax.render.scene import Scene, pack
from kart_jax.render.types import Appearance, Pose, ViewConfig, default_appearance
from kart_jax.render.view import render, render_packed
from kart_jax.track import query
from kart_jax.track.derive import load
from kart_jax.xla.stage import compiler_options

MOST_PIXELS = 10_000_000  # of one call by default: 1024 karts at 84x84 are 7 million
COLUMNS = (
    report.text("size", "size", 9),
    report.number("karts", "karts"),
    report.number("frames/s", "frames_per_second", "{:,.1f}"),
    report.extent("lowest .. highest", "frames_per_second", "{:,.1f}"),
    report.number("megapixels/s", "pixels_per_second", "{:,.1f}", 1e-6),
)


def flags() -> report.Flags:
    """The command line."""
    parser = report.flags(__doc__)
    report.add_timing(parser)
    parser.add_argument(
        "--track", default="circuit", help="shipped name, PNG, CSV or generated:N (default circuit)"
    )
    parser.add_argument(
        "--size", type=size, nargs="+", help="HEIGHTxWIDTH (default 42x42 to 720x1280)"
    )
    parser.add_argument(
        "--karts", type=report.at_least(1), nargs="+", help="eyes of one call (default 1 64 1024)"
    )
    parser.add_argument(
        "--packed", action="store_true", help="draw the packed words that the environment uses"
    )
    return parser


def size(words: str) -> tuple[int, int]:
    """From "84x84" to (height, width)."""
    found = re.fullmatch(r"([1-9]\d{0,3})x([1-9]\d{0,3})", words)
    if found is None:
        raise argparse.ArgumentTypeError(f"is {words!r}; it must be HEIGHTxWIDTH, such as 84x84")
    return int(found[1]), int(found[2])


def poses(track: str, count: int) -> tuple[Scene, Pose]:
    """A packed scene and `count` karts spread over the circuit, up to 4 m beside its centre
    line."""
    tracks = load(track)
    rng = np.random.default_rng(0)
    s = jnp.asarray(rng.uniform(0.0, float(tracks.length[0]), count), jnp.float32)
    n = jnp.asarray(rng.uniform(-4.0, 4.0, count), jnp.float32)
    x, y, yaw = query.pose_at(tracks, jnp.zeros(count, jnp.int32), s, n)
    tilt = jnp.asarray(rng.normal(0.0, 0.02, (3, count)), jnp.float32)
    return pack(tracks), Pose(
        x=x, y=y, yaw=yaw, roll=tilt[0], pitch=tilt[1], steering_wheel=10.0 * tilt[2]
    )


def measure(arguments: argparse.Namespace) -> Iterator[Row]:
    """Time every resolution with every number of karts."""
    sizes = arguments.size or [(84, 84), (720, 1280)]
    if arguments.size is None and not arguments.quick:
        sizes = [(42, 42), (84, 84), (168, 168), (240, 320), (480, 640), (720, 1280)]
    for height, width in sizes:
        for karts in arguments.karts or ([1, 64] if arguments.quick else [1, 64, 1024]):
            if arguments.karts is None and karts > 1 and karts * height * width > MOST_PIXELS:
                continue
            about = {"size": f"{height}x{width}", "height": height, "width": width, "karts": karts}
            yield about | figures(arguments, karts, ViewConfig(height=height, width=width))


def figures(arguments: argparse.Namespace, karts: int, config: ViewConfig) -> Row:
    """Time one resolution with one number of karts."""
    draw = render_packed if arguments.packed else render

    @partial(jax.jit, compiler_options=compiler_options())
    def frames(scene: Scene, eyes: Pose, look: Appearance) -> jax.Array:
        return jax.vmap(lambda eye: partial(draw, config=config)(scene, jnp.int32(0), eye, look))(
            eyes
        )

    try:
        scene, eyes = poses(arguments.track, karts)
        call = partial(frames, scene, eyes, default_appearance())
        took = timing.seconds(call, jax.block_until_ready, arguments.repeats, arguments.seconds)
    except jax.errors.JaxRuntimeError as error:
        if not machine.out_of_memory(error):
            raise
        return {"note": "out of memory"}
    pixels = karts * config.height * config.width
    return {
        "frames_per_second": timing.rate(took, karts),
        "pixels_per_second": timing.rate(took, pixels),
    }


BENCHMARK = report.Benchmark(
    "render", COLUMNS, measure, report.Plot("karts", "frames_per_second", "frames/s", ("size",))
)

if __name__ == "__main__":
    report.run(BENCHMARK, flags())
