"""Frames per second of the view alone, over resolutions and numbers of karts.

    python -m benchmarks.render
    python -m benchmarks.render --size 84x84 720x1280 --karts 1 64 --packed

The view draws any number of eyes on one circuit in one compiled call, on one device.
"""

import argparse
import re
from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from kart_jax.render.scene import Scene, pack
from kart_jax.render.types import Appearance, Pose, ViewConfig, default_appearance
from kart_jax.render.view import render, render_packed
from kart_jax.track import query
from kart_jax.track.derive import load_tracks
from kart_jax.xla.stage import compiler_options

from .measure import flags, machine, report, table, timing
from .measure.benchmark import Benchmark, Plot
from .measure.table import Row

MAX_PIXELS = 10_000_000  # of one call by default: 1024 karts at 84x84 are 7 million
COLUMNS = (
    table.text("size", "size", 9),
    table.number("karts", "karts"),
    table.number("frames/s", "frames_per_second", "{:,.1f}"),
    table.extent("lowest .. highest", "frames_per_second", "{:,.1f}"),
    table.number("megapixels/s", "pixels_per_second", "{:,.1f}", 1e-6),
)


def make_flags() -> flags.Flags:
    """Return the command line."""
    parser = flags.shared(__doc__)
    flags.add_timing(parser)
    flags.add_track(parser)
    parser.add_argument(
        "--size", type=size, nargs="+", help="HEIGHTxWIDTH (default 42x42 to 720x1280)"
    )
    parser.add_argument(
        "--karts", type=flags.at_least(1), nargs="+", help="eyes of one call (default 1 64 1024)"
    )
    parser.add_argument(
        "--packed", action="store_true", help="draw the packed words that the environment uses"
    )
    return parser


def size(words: str) -> tuple[int, int]:
    """Turn "84x84" into (height, width)."""
    found = re.fullmatch(r"([1-9]\d{0,3})x([1-9]\d{0,3})", words)
    if found is None:
        raise argparse.ArgumentTypeError(f"is {words!r}; it must be HEIGHTxWIDTH, such as 84x84")
    return int(found[1]), int(found[2])


def scatter_poses(track: str, count: int) -> tuple[Scene, Pose]:
    """Return a packed scene and `count` karts on it, up to 4 m beside the centre line."""
    tracks = load_tracks(track)
    rng = np.random.default_rng(0)
    s = jnp.asarray(rng.uniform(0.0, float(tracks.length[0]), count), jnp.float32)
    n = jnp.asarray(rng.uniform(-4.0, 4.0, count), jnp.float32)
    x, y, yaw = query.pose_at(tracks, jnp.zeros(count, jnp.int32), s, n)

    roll, pitch, turned = jnp.asarray(rng.normal(0.0, 0.02, (3, count)), jnp.float32)
    pose = Pose(
        x=x,
        y=y,
        yaw=yaw,
        roll=roll,
        pitch=pitch,
        steering_wheel=10.0 * turned,
        road_wheel=8.0 * turned,
    )
    return pack(tracks), pose


def measure_view(arguments: argparse.Namespace) -> Iterator[Row]:
    """Time every resolution with every number of karts."""
    sizes = arguments.size or [(84, 84), (720, 1280)]
    if arguments.size is None and not arguments.quick:
        sizes = [(42, 42), (84, 84), (168, 168), (240, 320), (480, 640), (720, 1280)]

    for height, width in sizes:
        for karts in arguments.karts or ([1, 64] if arguments.quick else [1, 64, 1024]):
            if arguments.karts is None and karts > 1 and karts * height * width > MAX_PIXELS:
                continue
            about = {"size": f"{height}x{width}", "height": height, "width": width, "karts": karts}
            yield about | measure_size(arguments, karts, ViewConfig(height=height, width=width))


def measure_size(arguments: argparse.Namespace, karts: int, config: ViewConfig) -> Row:
    """Time one resolution with one number of karts."""
    draw = partial(render_packed if arguments.packed else render, config=config)

    @partial(jax.jit, compiler_options=compiler_options())
    def draw_all(scene: Scene, poses: Pose, appearance: Appearance) -> jax.Array:
        return jax.vmap(lambda pose: draw(scene, jnp.int32(0), pose, appearance))(poses)

    try:
        scene, poses = scatter_poses(arguments.track, karts)
        call = partial(draw_all, scene, poses, default_appearance())
        took = timing.time_call(call, jax.block_until_ready, arguments.repeats, arguments.seconds)
    except jax.errors.JaxRuntimeError as error:
        if not machine.out_of_memory(error):
            raise
        return {"note": "out of memory"}
    return {
        "frames_per_second": timing.rate(took, karts),
        "pixels_per_second": timing.rate(took, karts * config.height * config.width),
    }


BENCHMARK = Benchmark(
    "render",
    COLUMNS,
    measure_view,
    Plot("karts", "frames_per_second", "frames/s", ("size",)),
)

if __name__ == "__main__":
    report.run(BENCHMARK, make_flags())
