"""Frames per second of the view: resolutions and batch sizes, with compile time. Run with --help."""

import argparse
import json
import statistics
import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from kart_jax.render.scene import Scene, pack
from kart_jax.render.types import Appearance, Pose, ViewConfig, default_appearance
from kart_jax.render.view import render, render_packed
from kart_jax.track import query
from kart_jax.track.load import load


def poses(track: str, count: int) -> tuple[Scene, Pose]:
    """A packed scene and `count` karts spread over the circuit, up to 4 m beside its centre line."""
    tracks = load(track)
    rng = np.random.default_rng(0)
    s = jnp.asarray(rng.uniform(0.0, float(tracks.length[0]), count), jnp.float32)
    n = jnp.asarray(rng.uniform(-4.0, 4.0, count), jnp.float32)
    x, y, yaw = query.pose_at(tracks, jnp.zeros(count, jnp.int32), s, n)
    tilt = jnp.asarray(rng.normal(0.0, 0.02, (3, count)), jnp.float32)
    return pack(tracks), Pose(x=x, y=y, yaw=yaw, roll=tilt[0], pitch=tilt[1], steering_wheel=10.0 * tilt[2])


def measure(track: str, batch: int, config: ViewConfig, packed: bool, repeats: int) -> dict:
    """Time one configuration: compile, warm up, then `repeats` synchronised calls."""
    scene, eyes = poses(track, batch)
    draw = render_packed if packed else render

    def frames(scene: Scene, eyes: Pose, look: Appearance) -> jax.Array:
        return jax.vmap(lambda eye: partial(draw, config=config)(scene, jnp.int32(0), eye, look))(eyes)

    look = default_appearance()
    begin = time.perf_counter()
    compiled = jax.jit(frames).lower(scene, eyes, look).compile()
    compile_time = time.perf_counter() - begin
    jax.block_until_ready(compiled(scene, eyes, look))
    rates, cpu = [], []
    for _ in range(repeats):
        begin, begin_cpu = time.perf_counter(), time.process_time()
        jax.block_until_ready(compiled(scene, eyes, look))
        rates.append(batch / (time.perf_counter() - begin))
        cpu.append((time.process_time() - begin_cpu) / batch * 1e6)
    return {
        "height": config.height,
        "width": config.width,
        "batch": batch,
        "packed": packed,
        "frames_per_second_median": statistics.median(rates),
        "frames_per_second_min": min(rates),
        "frames_per_second_max": max(rates),
        "host_core_microseconds_per_frame": min(cpu),
        "compile_seconds": compile_time,
        "device": jax.devices()[0].device_kind,
    }


def main() -> None:
    """Print one JSON line per configuration."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--track-name", default="circuit", help="shipped name, PNG or CSV")
    parser.add_argument("--size", default=["84x84"], nargs="+", help="HEIGHTxWIDTH, one or more (default 84x84)")
    parser.add_argument("--batch", default=[64, 1024], nargs="+", type=int, help="karts, one or more")
    parser.add_argument("--packed", action="store_true", help="time the packed words that the environment uses")
    parser.add_argument("--repeats", default=9, type=int, help="timed calls (default 9)")
    arguments = parser.parse_args()
    for size in arguments.size:
        height, width = (int(part) for part in size.split("x"))
        for batch in arguments.batch:
            config = ViewConfig(height=height, width=width)
            print(
                json.dumps(measure(arguments.track_name, batch, config, arguments.packed, arguments.repeats)),
                flush=True,
            )


if __name__ == "__main__":
    main()
