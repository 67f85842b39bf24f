"""Make the pictures of the README from a finished run, or from its seeds.

    python docs/pictures.py runs/circuit-1

Views of a shipped track, the preview of a track, the learning curve, and the end of the lap that
the film of the run, or of its best seed, ends with. They take the place of those in docs/images.
"""

import argparse
import csv
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from kart_jax.media.film import save_film
from kart_jax.physics.classes import STEERING_RATIO
from kart_jax.render.scene import pack
from kart_jax.render.types import Pose, ViewConfig, default_appearance
from kart_jax.render.view import render
from kart_jax.telemetry.export import read_log
from kart_jax.telemetry.laps import Lap, best_lap, split_laps
from kart_jax.telemetry.log import Log
from kart_jax.track import query
from kart_jax.track.derive import load_circuit, load_tracks
from kart_jax.track.preview import write_preview

IMAGES = Path(__file__).parent / "images"
TRACK = "windmill_park"
FILM_SECONDS = 12.0
FILM_HEIGHT = 216  # rows
# name -> place, metres before it, offset to the left in m, steering wheel in rad
VIEWS = {
    "view_start": ("start line", 14.0, 1.0, 0.0),
    "view_hairpin": ("tightest bend", 24.0, -2.0, 0.0),
    "view_kerb": ("tightest bend", 15.0, 2.6, 0.25),
}


def draw_views() -> None:
    """Draw three views at 640x360."""
    tracks = load_tracks(TRACK)
    scene = pack(tracks)
    config = ViewConfig(height=360, width=640)
    draw = jax.jit(lambda pose: render(scene, jnp.int32(0), pose, default_appearance(), config))

    line = load_circuit(TRACK).line
    tightest = int(np.argmax(np.abs(line.curvature)))
    # Bends to the right are shown with everything mirrored.
    side = float(np.sign(line.curvature[tightest]))
    places = {"start line": 0.0, "tightest bend": tightest * line.spacing}

    for name, (place, before, offset, wheel) in VIEWS.items():
        s = jnp.float32(places[place] - before)
        x, y, heading = query.pose_at(tracks, jnp.int32(0), s, jnp.float32(side * offset))
        pose = Pose(
            x=x,
            y=y,
            yaw=heading,
            roll=jnp.zeros(()),
            pitch=jnp.zeros(()),
            steering_wheel=jnp.float32(side * wheel),
            road_wheel=jnp.float32(side * wheel / STEERING_RATIO),
        )
        Image.fromarray(np.asarray(draw(pose))).save(IMAGES / f"{name}.png", optimize=True)


def draw_film(run: Path) -> None:
    """Film the last `FILM_SECONDS` of the best clean lap on the first circuit of a run."""
    telemetry, log, lap = read_best_lap(run)
    if lap is None:
        raise SystemExit(f"{telemetry}: holds no clean lap to show")
    shown = log.rows(max(0, lap.end_row - round(FILM_SECONDS * log.rate)), lap.end_row)
    save_film(
        IMAGES / "lap.gif",
        shown,
        load_tracks(telemetry.stem),
        0,
        height=FILM_HEIGHT,
        width=FILM_HEIGHT * 16 // 9,
        title=run.name,
    )


def read_best_lap(run: Path) -> tuple[Path, Log, Lap | None]:
    """Read the telemetry of the first circuit that a run was filmed on, and its best clean lap."""
    telemetry = min((run / "telemetry").glob("*.csv"))
    log = read_log(telemetry)
    return telemetry, log, best_lap(split_laps(log))


def find_seeds(run: Path) -> list[Path]:
    """Find the runs of several seeds or of a sweep in a folder, or the one run that it is."""
    return sorted(path.parent for path in run.glob("*/metrics.csv")) or [run]


def find_best(run: Path) -> Path:
    """Find the run whose first film shows the quickest clean lap."""

    def lap_time(one: Path) -> float:
        lap = read_best_lap(one)[2]
        return math.inf if lap is None else lap.time

    filmed = [one for one in find_seeds(run) if any((one / "telemetry").glob("*.csv"))]
    return min(filmed, key=lap_time)


def draw_learning_curve(run: Path, name: str) -> None:
    """Draw return against steps, lap times against steps and minutes; a colour for each seed."""
    figure = Figure(figsize=(12, 3.4), layout="constrained")
    returns, by_step, by_minute = figure.subplots(1, 3)

    for number, one in enumerate(find_seeds(run)):
        columns = read_metrics(one / "metrics.csv")
        steps = columns["step"] / 1000
        minutes = columns["train/seconds"] / 60
        colour = f"C{number}"
        returns.plot(steps, columns["rollout/ep_rew_mean"], color=colour, label=one.name)
        best_so_far = np.fmin.accumulate(columns["rollout/lap_time_best"])
        mean = columns["rollout/lap_time_mean"]
        for axes, along in ((by_step, steps), (by_minute, minutes)):
            axes.plot(along, mean, ".", markersize=3, color=colour)
            axes.plot(along, best_so_far, color=colour)

    returns.set(xlabel="1,000 environment steps", ylabel="mean return of the last episodes")
    returns.legend()
    by_step.set(
        xlabel="1,000 environment steps", ylabel="lap time in s: best so far, and mean (dots)"
    )
    by_minute.set(xlabel="minutes", ylabel="lap time in s")
    for axes in (returns, by_step, by_minute):
        axes.grid(alpha=0.3)
    FigureCanvasAgg(figure).print_figure(IMAGES / name, dpi=100)


def read_metrics(path: Path) -> dict[str, np.ndarray]:
    """Read the columns of a run's metrics; nan where a cell is empty."""
    with path.open() as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name] or math.nan) for row in rows]) for name in rows[0]}


def main() -> None:
    """Make all pictures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="folder of a finished run, or of its seeds")
    parser.add_argument(
        "--curve",
        metavar="FILE",
        help="draw only the learning curve, under this name in docs/images",
    )
    given = parser.parse_args()
    run = given.run

    IMAGES.mkdir(exist_ok=True)
    if given.curve is not None:
        draw_learning_curve(run, given.curve)
        return
    draw_film(find_best(run))  # first, because a run without a clean lap has none
    draw_learning_curve(run, "learning_curve.png")
    draw_views()
    write_preview(load_circuit(TRACK), IMAGES / "preview.png")


if __name__ == "__main__":
    main()
