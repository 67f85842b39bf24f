"""`kart track`: list, check, preview, new, import, generate, sync."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from kart_jax.cli.flags import parse
from kart_jax.cli.output import emit_json, table, whole
from kart_jax.errors import InputError

if TYPE_CHECKING:
    from kart_jax.track.derive import Circuit
    from kart_jax.track.line import Line

MOST_DRAWN = 10_000


@dataclasses.dataclass(frozen=True)
class ListConfig:
    """List the tracks that are known by name: those in ./tracks and the shipped ones, with their
    measures."""

    json: bool = False
    """Print the figures as JSON."""


@dataclasses.dataclass(frozen=True)
class CheckConfig:
    """Read tracks, measure them, or say in one sentence what is wrong with the picture or its
    entry."""

    tracks: tyro.conf.Positional[tuple[str, ...]] = ()
    """Names, or paths of PNG or centre-line CSV files; default all known names."""
    json: bool = False
    """Print the figures as JSON."""


@dataclasses.dataclass(frozen=True)
class PreviewConfig:
    """Draw a track with centre line, gates, sectors and curvature, as the simulator understands
    it."""

    track: tyro.conf.Positional[str]
    """Name, or path of a PNG or a centre-line CSV."""
    out: str | None = None
    """Write the drawing to this .png file; default <track>-preview.png here."""


@dataclasses.dataclass(frozen=True)
class NewConfig:
    """Start a track of your own: a picture to paint over (black = track, white = off) and its
    entry."""

    name: tyro.conf.Positional[str]
    """Name of the track: letters, digits, _ and -."""
    folder: str = "tracks"
    """Folder of the picture and its checkpoints.json."""
    metres_per_pixel: float = 0.25
    """Side of a pixel in metres, 0.02 to 10."""
    replace: bool = False
    """Overwrite a track of this name."""


@dataclasses.dataclass(frozen=True)
class ImportConfig:
    """Make a track from a centre line: a CSV with the columns x_m, y_m, w_tr_right_m,
    w_tr_left_m."""

    file: tyro.conf.Positional[str]
    """The CSV file, in driving order, first point on the start line."""
    name: str | None = None
    """Name of the track; default the name of the file."""
    folder: str = "tracks"
    """Folder of the picture and its checkpoints.json."""
    metres_per_pixel: float | None = None
    """Side of a pixel in metres, 0.02 to 10; default 0.25, or 1 for laps of more than 2.5 km."""
    replace: bool = False
    """Overwrite a track of this name."""


@dataclasses.dataclass(frozen=True)
class GenerateConfig:
    """Draw random kart circuits with real proportions; the same seed gives the same circuit."""

    seed: int = 0
    """Seed of the first circuit."""
    count: int = 1
    """How many circuits, with consecutive seeds, 1 to 10000."""
    name: str = "generated"
    """Name of the tracks; the seed is added: generated_7."""
    folder: str = "tracks"
    """Folder of the pictures and their checkpoints.json."""
    metres_per_pixel: float = 0.25
    """Side of a pixel in metres, 0.02 to 10."""
    replace: bool = False
    """Overwrite tracks of these names."""
    json: bool = False
    """Print the figures as JSON."""

    def __post_init__(self) -> None:
        """Refuse senseless numbers."""
        if not 1 <= self.count <= MOST_DRAWN:
            raise InputError(f"--count is {self.count}; allowed are 1 to {MOST_DRAWN}")
        from kart_jax.track.generate import LARGEST_SEED

        if not 0 <= self.seed <= LARGEST_SEED + 1 - self.count:
            raise InputError(
                f"--seed is {self.seed}; allowed are 0 to {LARGEST_SEED + 1 - self.count} with "
                f"--count {self.count}"
            )


@dataclasses.dataclass(frozen=True)
class SyncConfig:
    """Upload tracks to the Volume on Modal, where a deployed function finds them by name.

    `modal run -m train.modal_app` uploads the tracks that it names by itself.
    """

    tracks: tyro.conf.Positional[tuple[str, ...]] = ()
    """Names, or paths of PNG or centre-line CSV files; default all known names."""
    json: bool = False
    """Print the figures as JSON."""


def figures_of(circuit: "Circuit") -> dict[str, Any]:
    """Measures of a circuit; lengths in m."""
    from kart_jax.track.generate import measure

    found = measure(circuit.line)
    return {
        "name": circuit.name,
        "title": circuit.title,
        "length": found.length,
        "narrowest": found.width,
        "tightest_radius": found.tightest,
        "longest_straight": found.straight,
        "corners": found.corners,
        "gates": len(circuit.gates),
        "sectors": [float(s) for s in circuit.sectors],
    }


def measure_table(figures: list[dict[str, Any]]) -> str:
    """Measures of circuits as text."""
    head = [
        "track",
        "length m",
        "narrowest m",
        "tightest radius m",
        "longest straight m",
        "corners",
        "gates",
        "title",
    ]
    keys = ("length", "narrowest", "tightest_radius", "longest_straight")
    digits = (0, 1, 1, 0)
    rows = [
        [
            f["name"],
            *(f"{f[k]:.{d}f}" for k, d in zip(keys, digits, strict=True)),
            *(str(f["corners"]), str(f["gates"]), f["title"]),
        ]
        for f in figures
    ]
    return table(head, rows, words=(0, len(head) - 1))


def run_list(words: Sequence[str]) -> None:
    """Run `kart track list`."""
    config = parse(ListConfig, "track list", words, "kart track list\nkart track list --json")
    from kart_jax.track import catalogue

    _print_measures(catalogue.names(), config.json)


def run_check(words: Sequence[str]) -> None:
    """Run `kart track check`."""
    config = parse(
        CheckConfig,
        "track check",
        words,
        "kart track check my_track.png\nkart track check spa monza --json",
    )
    from kart_jax.track import catalogue

    _print_measures(config.tracks or catalogue.names(), config.json)


def _print_measures(names: Sequence[str], as_json: bool) -> None:
    """Read and measure tracks; the first bad one ends it."""
    from kart_jax.track import derive

    figures = [figures_of(derive.circuit(name)) for name in names]
    if as_json:
        emit_json({"tracks": figures})
    elif figures:
        print(measure_table(figures))
    else:
        print("no track is known here; make one with kart track new NAME")


def run_preview(words: Sequence[str]) -> None:
    """Run `kart track preview`."""
    examples = "kart track preview circuit\nkart track preview tracks/my_track.png --out look.png"
    config = parse(PreviewConfig, "track preview", words, examples)
    from kart_jax.track import catalogue, derive, preview

    out = f"{Path(config.track).stem}-preview.png" if config.out is None else config.out
    catalogue.check_not_written(config.track, out)
    preview.write(derive.circuit(config.track), out)
    print(f"wrote {out}")


def run_new(words: Sequence[str]) -> None:
    """Run `kart track new`."""
    config = parse(
        NewConfig,
        "track new",
        words,
        "kart track new my_track\nkart track new my_track --folder drawings",
    )
    from kart_jax.track import layouts

    picture = layouts.new(config.name, config.folder, config.metres_per_pixel, config.replace)
    print(
        f"wrote {picture} and its entry in {picture.parent / 'checkpoints.json'}\n"
        "paint over the picture (black = track, white = off, one closed loop), correct start, "
        "gates and direction in\n"
        "the entry (gates and sectors may be removed: then they are placed evenly), then: kart "
        f"track check {picture}"
    )


def run_import(words: Sequence[str]) -> None:
    """Run `kart track import`."""
    examples = "kart track import genk.csv\nkart track import genk.csv --name genk --folder tracks"
    config = parse(ImportConfig, "track import", words, examples)
    from kart_jax.track import importers

    name = Path(config.file).stem if config.name is None else config.name
    picture = importers.import_csv(
        config.file, name, config.folder, config.metres_per_pixel, replace=config.replace
    )
    print(f"wrote {picture} and its entry in {picture.parent / 'checkpoints.json'}")


def run_generate(words: Sequence[str]) -> None:
    """Run `kart track generate`."""
    examples = (
        "kart track generate --seed 7\nkart track generate --seed 100 --count 20 --folder drawn"
    )
    config = parse(GenerateConfig, "track generate", words, examples)
    from kart_jax.track import draw
    from kart_jax.track.generate import generate, measure

    seeds = range(config.seed, config.seed + config.count)
    found: list[dict[str, Any]] = []

    def lines() -> Iterator["Line"]:
        for seed in seeds:
            line = generate(seed)
            found.append(dataclasses.asdict(measure(line)))
            yield line

    names = [f"{config.name}_{seed}" for seed in seeds]
    pictures = draw.save_many(
        names, lines(), config.folder, config.metres_per_pixel, replace=config.replace
    )
    if config.json:
        rows = zip(seeds, pictures, found, strict=True)
        emit_json(
            {
                "tracks": [
                    {"seed": seed, "picture": str(path), **figures} for seed, path, figures in rows
                ]
            }
        )
        return
    for path, figures in zip(pictures, found, strict=True):
        print(f"wrote {path}: {figures['length']:.0f} m")
    if config.count > 1:
        print(whole(config.count, "track"))


def run_sync(words: Sequence[str]) -> None:
    """Run `kart track sync`."""
    config = parse(
        SyncConfig, "track sync", words, "kart track sync\nkart track sync my_track lines/genk.csv"
    )
    from kart_jax.track import catalogue
    from train.cloud import volume

    volume.require_token()
    with volume.told_plainly():
        there = volume.send_tracks(volume.open_volume(), config.tracks or catalogue.names())
    if config.json:
        emit_json({"tracks": [{"track": name, "name": found} for name, found in there.items()]})
        return
    for name, found in there.items():
        print(f"uploaded {name}: --track-name {found}")
