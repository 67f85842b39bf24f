"""The folder of a run and what is where in it.

It holds `config.json`, `tracks/`, `checkpoints/`, `tensorboard/`, `metrics.csv`, `exam.json`,
`videos/` and `telemetry/`.
"""

import dataclasses
import itertools
from pathlib import Path

from kart_jax.errors import InputError
from train.run.config import RunConfig
from train.run.config_file import load_config
from train.run.request import TrainConfig


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """Paths of one run."""

    path: Path
    """The folder itself."""

    @property
    def config(self) -> Path:
        """Numbers of the run, JSON."""
        return self.path / "config.json"

    @property
    def tracks(self) -> Path:
        """Copies of its circuits, see `run_tracks`."""
        return self.path / "tracks"

    @property
    def checkpoints(self) -> Path:
        """Orbax checkpoints, one folder per saved step."""
        return self.path / "checkpoints"

    @property
    def tensorboard(self) -> Path:
        """Event files."""
        return self.path / "tensorboard"

    @property
    def metrics(self) -> Path:
        """One row per update, CSV."""
        return self.path / "metrics.csv"

    @property
    def videos(self) -> Path:
        """Films of the trained driver."""
        return self.path / "videos"

    @property
    def telemetry(self) -> Path:
        """Recordings of the trained driver."""
        return self.path / "telemetry"

    def create(self, config: RunConfig) -> None:
        """Make the folders and write the config."""
        for folder in (
            self.tracks,
            self.checkpoints,
            self.tensorboard,
            self.videos,
            self.telemetry,
        ):
            folder.mkdir(parents=True, exist_ok=True)
        config.save(self.config)


def _places(name: str, runs_dir: Path) -> tuple[RunFolder, Path]:
    """Return the run that a user names and the folder meant in it; see `find`."""
    for place in (Path(name), runs_dir / name):
        for folder in (place, place.parent, place.parent.parent):
            if place.is_dir() and (folder / "config.json").is_file():
                return RunFolder(folder), place
    raise InputError(
        f"{name}: is no training run; give a folder under {runs_dir} that holds a config.json"
    )


def find(name: str, runs_dir: Path) -> RunFolder:
    """Find the run that a user names: its folder, its name under `runs_dir`, or a checkpoint in it.

    InputError when there is none.
    """
    return _places(name, runs_dir)[0]


def checkpoint_place(name: str, runs_dir: Path) -> Path:
    """Return where to look for the checkpoint that a user names; errors as in `find`."""
    return _places(name, runs_dir)[1]


def choose(request: TrainConfig, config: RunConfig) -> RunFolder:
    """Make the folder of a new run; of two processes that ask at once, each gets its own.

    A given name that is taken is refused: two runs in one folder would mix their curves. Without a
    name the first free `<track>-<number>` is used, so that `make train` works a second time.
    """
    runs = Path(request.runs_dir)
    if request.save_name is not None:
        folder = runs / request.save_name
        if not _claim(folder):
            raise InputError(
                f"--save-name is {request.save_name}, but {folder} exists; choose another name, "
                f"or continue that run with --resume-from {request.save_name}"
            )
        return RunFolder(folder)

    # A generator's name holds a colon, which some file systems and TensorBoard's --logdir do not
    # take.
    stem = Path(config.tracks[0]).stem.replace(":", "-")
    numbered = (runs / f"{stem}-{number}" for number in itertools.count(1))
    return RunFolder(next(folder for folder in numbered if _claim(folder)))


def _claim(folder: Path) -> bool:
    """Make a folder; False if it exists, InputError if it cannot be made."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir()
    except OSError as error:
        if isinstance(error, FileExistsError) and folder.exists():
            return False
        raise InputError(
            f"{folder}: cannot be made ({error.strerror}); give another --runs-dir"
        ) from error
    return True


def read_config(folder: RunFolder) -> RunConfig:
    """Read the config of an existing run; InputError when it cannot be read."""
    return load_config(folder.config)
