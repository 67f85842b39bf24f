"""The `checkpoints` folder of a run: which checkpoints it holds, and which of them are meant."""

from pathlib import Path

from kart_jax.errors import InputError

LATEST = 2**63  # environment steps that no run reaches


def by_steps(directory: Path) -> dict[int, Path]:
    """Return the checkpoints by their environment steps; unfinished ones have other names."""
    if not directory.is_dir():
        return {}
    return {
        int(path.name): path
        for path in directory.iterdir()
        if path.name.isdigit() and path.is_dir()
    }


def is_checkpoint(place: Path) -> bool:
    """Return whether a path is that of one checkpoint."""
    return place.name.isdigit() and place.parent.name == "checkpoints"


def find(place: Path) -> list[Path]:
    """Return the checkpoints to try, best choice first.

    Args:
        place: a run folder, its `checkpoints`, or one checkpoint.

    Returns:
        That checkpoint (or the latest) and the older ones of the same run behind it, newest first.
        InputError when there is none.
    """
    if is_checkpoint(place):
        directory = place.parent
        latest = int(place.name)
    else:
        directory = place if place.name == "checkpoints" else place / "checkpoints"
        latest = LATEST

    found = by_steps(directory)
    if latest != LATEST and latest not in found:
        raise InputError(
            f"{place}: there is no such checkpoint; {directory} holds {sorted(found) or 'none'}"
        )

    chosen = [found[step] for step in sorted(found, reverse=True) if step <= latest]
    if not chosen:
        raise InputError(
            f"{place}: holds no checkpoint; give a run folder, or one folder in its checkpoints"
        )
    return chosen
