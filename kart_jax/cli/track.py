"""`kart track`: list, check, preview, new, import, generate, sync."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from kart_jax.cli.flags import parse
from kart_jax.cli.output import count_of, emit_json
from kart_jax.cli.track_measures import print_measures
from kart_jax.errors import InputError

if TYPE_CHECKING:
    from kart_jax.track.line import CentreLine

MAX_DRAWN = 10_000  # circuits of one command


@dataclasses.dataclass(frozen=True)
class ListConfig:
    """List the tracks known by name, in ./tracks and the shipped ones, with their measures."""

    json: bool = False
    """Print the figures as JSON."""


@dataclasses.dataclass(frozen=True)
class CheckConfig:
    """Read tracks, measure them, or say in one sentence what is wrong with picture or entry."""

    tracks: tyro.conf.Positional[tuple[str, ...]] = ()
    """Names, or paths of PNG or centre-line CSV files; default all known names."""
    json: bool = False
    """Print the figures as JSON."""


@dataclasses.dataclass(frozen=True)
class PreviewConfig:
    """Draw centre line, gates, sectors and curvature of a track, as the simulator sees them."""

    track: tyro.conf.Positional[str]
    """Name, or path of a PNG or a centre-line CSV."""
    out: str | None = None
    """Write the drawing to this .png file; default <track>-preview.png here."""


@dataclasses.dataclass(frozen=True)
class NewConfig:
    """Start a track of your own: a picture to paint over, and its entry.

    In the picture black is track and white is off.
    """

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
    """Make a track from a centre line.

    It is a CSV with the columns x_m, y_m, w_tr_right_m, w_tr_left_m.
    """

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
        if not 1 <= self.count <= MAX_DRAWN:
            raise InputError(f"--count is {self.count}; allowed are 1 to {MAX_DRAWN}")
        from kart_jax.track.generate import MAX_SEED

        if not 0 <= self.seed <= MAX_SEED + 1 - self.count:
            raise InputError(
                f"--seed is {self.seed}; allowed are 0 to {MAX_SEED + 1 - self.count} with "
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


def run_list(words: Sequence[str]) -> None:
    """Run `kart track list`."""
    examples = "kart track list\nkart track list --json"
    config = parse(ListConfig, "track list", words, examples)
    from kart_jax.track import catalogue

    print_measures(catalogue.track_names(), config.json)


def run_check(words: Sequence[str]) -> None:
    """Run `kart track check`."""
    examples = "kart track check my_track.png\nkart track check spa monza --json"
    config = parse(CheckConfig, "track check", words, examples)
    from kart_jax.track import catalogue

    print_measures(config.tracks or catalogue.track_names(), config.json)


def run_preview(words: Sequence[str]) -> None:
    """Run `kart track preview`."""
    examples = "kart track preview circuit\nkart track preview tracks/my_track.png --out look.png"
    config = parse(PreviewConfig, "track preview", words, examples)
    from kart_jax.track import catalogue, derive, preview

    out = f"{Path(config.track).stem}-preview.png" if config.out is None else config.out
    catalogue.check_not_written(config.track, out)
    preview.write_preview(derive.load_circuit(config.track), out)
    print(f"wrote {out}")


def run_new(words: Sequence[str]) -> None:
    """Run `kart track new`."""
    examples = "kart track new my_track\nkart track new my_track --folder drawings"
    config = parse(NewConfig, "track new", words, examples)
    from kart_jax.track import layouts

    picture = layouts.new_track(config.name, config.folder, config.metres_per_pixel, config.replace)
    print(
        f"wrote {picture} and its entry in {picture.parent / 'checkpoints.json'}\n"
        "paint over the picture (black = track, white = off, one closed loop), correct start, "
        "gates and direction in\n"
        "the entry (gates and sectors may be removed: then they are placed evenly), then: "
        f"kart track check {picture}"
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
    from kart_jax.track.generate import generate_circuit, measure_circuit

    seeds = range(config.seed, config.seed + config.count)
    found: list[dict[str, Any]] = []

    def lines() -> Iterator["CentreLine"]:
        for seed in seeds:
            line = generate_circuit(seed)
            found.append(dataclasses.asdict(measure_circuit(line)))
            yield line

    names = [f"{config.name}_{seed}" for seed in seeds]
    pictures = draw.save_tracks(
        names, lines(), config.folder, config.metres_per_pixel, replace=config.replace
    )
    if config.json:
        rows = [
            {"seed": seed, "picture": str(path), **figures}
            for seed, path, figures in zip(seeds, pictures, found, strict=True)
        ]
        emit_json({"tracks": rows})
        return

    for path, figures in zip(pictures, found, strict=True):
        print(f"wrote {path}: {figures['length']:.0f} m")
    if config.count > 1:
        print(count_of(config.count, "track"))


def run_sync(words: Sequence[str]) -> None:
    """Run `kart track sync`."""
    examples = "kart track sync\nkart track sync my_track lines/genk.csv"
    config = parse(SyncConfig, "track sync", words, examples)
    from kart_jax.track import catalogue
    from train.cloud import volume

    volume.require_token()
    with volume.told_plainly():
        there = volume.send_tracks(volume.open_volume(), config.tracks or catalogue.track_names())
    if config.json:
        emit_json({"tracks": [{"track": name, "name": found} for name, found in there.items()]})
        return
    for name, found in there.items():
        print(f"uploaded {name}: --track-name {found}")
