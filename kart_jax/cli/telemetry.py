"""`kart telemetry plot` and `kart telemetry laps`: read a telemetry file."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from kart_jax.cli.flags import parse
from kart_jax.cli.output import emit_json
from kart_jax.errors import InputError

if TYPE_CHECKING:
    from kart_jax.telemetry.log import Log

PLOT_EXAMPLES = """
kart telemetry plot run.csv
kart telemetry plot run.csv --lap 2 --out lap2.pdf
"""
LAPS_EXAMPLES = """
kart telemetry laps run.csv
kart telemetry laps runs/circuit-1/telemetry/circuit.csv --json
"""


@dataclasses.dataclass(frozen=True)
class PlotConfig:
    """Draw one lap of a telemetry file on a page.

    It shows the map coloured by speed, speed, controls, g-g diagram and splits.
    """

    file: tyro.conf.Positional[str]
    """Telemetry: a .csv, or an .npz of several karts."""
    out: str | None = None
    """Write the page to this .png, .pdf or .svg file; default the name of the file with .png."""
    lap: int | None = None
    """Which complete lap, from 1; default the best valid one."""
    kart: int = 0
    """Which kart of an .npz, from 0."""
    json: bool = False
    """Print the figures of the lap as JSON."""


@dataclasses.dataclass(frozen=True)
class LapsConfig:
    """Print the lap and sector times of a telemetry file."""

    file: tyro.conf.Positional[str]
    """Telemetry: a .csv, or an .npz of several karts."""
    kart: int = 0
    """Which kart of an .npz, from 0."""
    json: bool = False
    """Print the figures as JSON."""


def run_plot(words: Sequence[str]) -> None:
    """Run `kart telemetry plot`."""
    config = parse(PlotConfig, "telemetry plot", words, PLOT_EXAMPLES)
    from kart_jax.cli.drive_output import PLOT_ENDINGS, check_file, summarise_lap
    from kart_jax.media import plots
    from kart_jax.telemetry import export
    from kart_jax.telemetry.laps import choose_lap, format_time

    check_file("--out", config.out, PLOT_ENDINGS)
    log = export.read_log(config.file, config.kart)
    out = str(Path(config.file).with_suffix(".png")) if config.out is None else config.out
    chosen = choose_lap(log, config.lap)
    lap = chosen.lap
    check_filled(chosen.rows)
    plots.save_figure(plots.lap_figure(log, config.lap), out)
    if config.json:
        figures = None if lap is None else summarise_lap(lap)
        emit_json({"file": config.file, "plot": out, "lap": figures})
    else:
        shown = "no complete lap" if lap is None else f"lap {lap.number}, {format_time(lap.time)}"
        print(f"wrote {out}: {shown}")


def check_filled(rows: "Log") -> None:
    """Refuse rows of which the page would stay empty."""
    import numpy as np

    for name in ("time", "x", "y", "speed"):
        if np.isnan(rows[name]).all():
            raise InputError(
                f"{rows.source}: the channel {name} holds no number; record it, or choose another "
                "--lap"
            )


def run_laps(words: Sequence[str]) -> None:
    """Run `kart telemetry laps`."""
    config = parse(LapsConfig, "telemetry laps", words, LAPS_EXAMPLES)
    from kart_jax.cli.drive_output import lap_table, summarise_lap
    from kart_jax.telemetry import export, laps

    found = laps.split_laps(export.read_log(config.file, config.kart))
    if config.json:
        best = laps.best_lap(found)
        figures = [summarise_lap(lap) for lap in found]
        best_time = None if best is None else best.time
        emit_json({"file": config.file, "laps": figures, "best_lap": best_time})
    else:
        print(lap_table(found))
