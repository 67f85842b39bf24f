"""`kart modal`: runs that were trained on Modal."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import tyro

from kart_jax.cli.flags import parse
from kart_jax.cli.output import emit_json

EXAMPLES = """
kart modal pull karting_v1
kart modal pull karting_v1 --replace
"""


@dataclasses.dataclass(frozen=True)
class PullConfig:
    """Bring a run home from the Volume on Modal, also while it is being trained."""

    run: tyro.conf.Positional[str]
    """Name of the run there."""
    runs_dir: str = "runs"
    """Folder that holds the runs here."""
    replace: bool = False
    """Take the place of a folder of this name, for instance of an earlier state of the run."""
    json: bool = False
    """Print the figures as JSON."""


def run_pull(words: Sequence[str]) -> None:
    """Run `kart modal pull`."""
    config = parse(PullConfig, "modal pull", words, EXAMPLES)
    from train.cloud import volume

    volume.require_token()
    with volume.told_plainly():
        path = volume.pull(volume.open_volume(), config.run, Path(config.runs_dir), config.replace)

    sizes = [file.stat().st_size for file in path.rglob("*") if file.is_file()]
    if config.json:
        emit_json({"folder": str(path), "files": len(sizes), "bytes": sum(sizes)})
    else:
        print(f"wrote {path}: {len(sizes)} files, {sum(sizes) / 1e6:.1f} MB")
