"""Print what a command found: tables for people, one JSON object for programs."""

import json
import math
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any


def emit_json(figures: dict[str, Any]) -> None:
    """Print figures as one JSON object; a number that does not exist is null."""
    print(json.dumps(_to_plain(figures), indent=2, allow_nan=False))


@contextmanager
def quiet_stdout(wanted: bool) -> Iterator[None]:
    """Send to standard error, while `wanted`, what others write to standard output.

    C++ libraries are meant, too: the JSON object that follows is then alone there.
    """
    if not wanted:
        yield
        return
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _to_plain(value: Any) -> Any:
    """Return figures with nan and infinities as None and array scalars as Python numbers."""
    if isinstance(value, dict):
        return {str(key): _to_plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_to_plain(one) for one in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def table(head: Sequence[str], rows: Sequence[Sequence[str]], words: Sequence[int] = (0,)) -> str:
    """Set text in columns, two spaces between.

    Args:
        head: of each column.
        rows: cells, as many as `head` has.
        words: numbers of the columns that stand to the left; the others stand to the right.
    """
    cells = [list(head), *map(list, rows)]
    widths = [max(len(row[k]) for row in cells) for k in range(len(head))]
    lines = []
    for row in cells:
        fitted = [
            c.ljust(w) if k in words else c.rjust(w)
            for k, (c, w) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(fitted).rstrip())
    return "\n".join(lines)


def count_of(count: int, thing: str) -> str:
    """Return a number with its noun: 1 lap, 2 laps."""
    return f"{count} {thing}" + ("" if count == 1 else "s")
