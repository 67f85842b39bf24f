"""Make the pictures of the README from a finished run, or from its seeds: `python docs/pictures.py
runs/circuit-1`.

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

from kart_jax.media import film
from kart_jax.physics.classes import STEERING_RATIO
from kart_jax.render.scene import pack
from kart_jax.render.types import Pose, ViewConfig, default_appearance
from kart_jax.render.view import render
from kart_jax.telemetry import export, laps
from kart_jax.track import derive, preview, query

IMAGES = Path(__file__).parent / "images"
TRACK = "windmill_park"
FILM_SECONDS = 12.0
FILM_HEIGHT = 216  # rows
# name -> mark, metres before it, offset to the left in m, steering wheel in rad
VIEWS = {
    "view_start": ("start line", 14.0, 1.0, 0.0),
    "view_hairpin": ("tightest bend", 24.0, -2.0, 0.0),
    "view_kerb": ("tightest bend", 15.0, 2.6, 0.25),
}


def draw_views() -> None:
    """Three views at 640x360."""
    tracks = derive.load_tracks(TRACK)
    scene, look, config = pack(tracks), default_appearance(), ViewConfig(height=360, width=640)
    draw = jax.jit(lambda pose: render(scene, jnp.int32(0), pose, look, config))
    line = derive.load_circuit(TRACK).line
    tightest = int(np.argmax(np.abs(line.curvature)))
    side = float(
        np.sign(line.curvature[tightest])
    )  # bends to the right are shown with everything mirrored
    marks = {"start line": 0.0, "tightest bend": tightest * line.spacing}
    for name, (mark, before, offset, wheel) in VIEWS.items():
        s, n = jnp.float32(marks[mark] - before), jnp.float32(side * offset)
        x, y, heading = query.pose_at(tracks, jnp.int32(0), s, n)
        level = jnp.zeros(())
        picture = draw(
            Pose(
                x=x,
                y=y,
                yaw=heading,
                roll=level,
                pitch=level,
                steering_wheel=jnp.float32(side * wheel),
                road_wheel=jnp.float32(side * wheel / STEERING_RATIO),
            )
        )
        Image.fromarray(np.asarray(picture)).save(IMAGES / f"{name}.png", optimize=True)


def draw_film(run: Path) -> None:
    """The last `FILM_SECONDS` of the best clean lap of the first circuit that the run was filmed
    on."""
    telemetry = min((run / "telemetry").glob("*.csv"))
    log = export.read_log(telemetry)
    lap = laps.best_lap(laps.split_laps(log))
    if lap is None:
        raise SystemExit(f"{telemetry}: holds no clean lap to show")
    shown = log.rows(max(0, lap.end_row - round(FILM_SECONDS * log.rate)), lap.end_row)
    tracks = derive.load_tracks(telemetry.stem)
    film.save_film(
        IMAGES / "lap.gif",
        shown,
        tracks,
        0,
        height=FILM_HEIGHT,
        width=FILM_HEIGHT * 16 // 9,
        title=run.name,
    )


def seeds(run: Path) -> list[Path]:
    """The runs of several seeds or of a sweep in a folder, or the one run that it is."""
    return sorted(path.parent for path in run.glob("*/metrics.csv")) or [run]


def best(run: Path) -> Path:
    """The run whose first film shows the quickest clean lap."""

    def lap_time(one: Path) -> float:
        lap = laps.best_lap(laps.split_laps(export.read_log(min((one / "telemetry").glob("*.csv")))))
        return math.inf if lap is None else lap.time

    return min((one for one in seeds(run) if any((one / "telemetry").glob("*.csv"))), key=lap_time)


def draw_learning_curve(run: Path, name: str) -> None:
    """Return against steps, lap times against steps and against minutes; one colour for each
    seed."""
    figure = Figure(figsize=(12, 3.4), layout="constrained")
    returned, by_step, by_minute = figure.subplots(1, 3)
    for number, one in enumerate(seeds(run)):
        with (one / "metrics.csv").open() as file:
            rows = list(csv.DictReader(file))

        def column(name: str, rows: list[dict[str, str]] = rows) -> np.ndarray:
            return np.array([float(row[name] or math.nan) for row in rows])

        steps, minutes, colour = column("step") / 1000, column("train/seconds") / 60, f"C{number}"
        returned.plot(steps, column("rollout/ep_rew_mean"), color=colour, label=one.name)
        best_so_far = np.fmin.accumulate(column("rollout/lap_time_best"))
        for axes, along in ((by_step, steps), (by_minute, minutes)):
            axes.plot(along, column("rollout/lap_time_mean"), ".", markersize=3, color=colour)
            axes.plot(along, best_so_far, color=colour)
    returned.set(xlabel="1,000 environment steps", ylabel="mean return of the last episodes")
    returned.legend()
    by_step.set(
        xlabel="1,000 environment steps", ylabel="lap time in s: best so far, and mean (dots)"
    )
    by_minute.set(xlabel="minutes", ylabel="lap time in s")
    for axes in (returned, by_step, by_minute):
        axes.grid(alpha=0.3)
    FigureCanvasAgg(figure).print_figure(IMAGES / name, dpi=100)


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
    draw_film(best(run))  # first, because a run without a clean lap has none
    draw_learning_curve(run, "learning_curve.png")
    draw_views()
    preview.write_preview(derive.load_circuit(TRACK), IMAGES / "preview.png")


if __name__ == "__main__":
    main()
