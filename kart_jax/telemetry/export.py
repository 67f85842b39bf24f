"""Write telemetry as CSV (one kart) or compressed npz (many karts), and read both back.

The CSV has one header line with the channel names and nothing else around the table, so that
`pandas.read_csv(path).plot(x="step", y=["speed", "lateral_g", "steering"])` works; nan is an empty
cell, and every number is the shortest decimal that reads back to the same float32. Files are
written beside their place and moved there when complete: a reader never meets half a file.
"""

import csv
import io
import math
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from kart_jax.errors import InputError
from kart_jax.files import replacing
from kart_jax.race.channels import BY_NAME, NAMES
from kart_jax.telemetry.log import Log

MAX_FLOAT32 = 3.4028235e38
MAX_BYTES = 2_000_000_000  # more does not fit a laptop's memory once parsed
# What NumPy raises for a file that is no npz, or one with other arrays.
BAD_NPZ = (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


def write_csv(path: str | Path, log: Log) -> None:
    """Write one kart's log as CSV."""
    whole = [name in BY_NAME and BY_NAME[name].whole for name in log.names]
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="") as text:
        text.write(",".join(log.names) + "\n")
        for row in log.values.astype(np.float32):
            text.write(",".join(map(_format_cell, row, whole)) + "\n")


def _format_cell(value: np.float32, whole: bool) -> str:
    """Return one cell: nothing for nan, a count without decimals, else the shortest decimal."""
    if np.isnan(value):
        return ""
    return str(int(value)) if whole else np.format_float_positional(value, trim="-")


def read_csv(path: str | Path) -> Log:
    """Read a CSV with a header line; columns may be any, in any order.

    Raises:
        InputError: one sentence with file, line and value.
    """
    rows = csv.reader(io.StringIO(_read_text(Path(path))))
    try:
        return _parse_table(path, rows)
    except csv.Error as error:
        raise InputError(
            f"{path}: line {rows.line_num} is not CSV ({error}); record the file anew"
        ) from None


def _parse_table(path: str | Path, rows: Any) -> Log:
    """Return the log of a CSV reader's rows."""
    names = tuple(name.strip() for name in next(rows, []))
    if not names or any(not name or _is_number(name) for name in names):
        raise InputError(
            f"{path}: line 1 is not a header; it must name the channels, as in step,time,speed"
        )
    if len(set(names)) < len(names):
        raise InputError(f"{path}: line 1 names a channel twice; keep one column of each name")
    values = [_parse_row(path, rows.line_num, names, row) for row in rows if row]
    if not values:
        raise InputError(f"{path}: holds no rows below the header; record at least one step")
    if np.isnan(values).all():
        raise InputError(f"{path}: holds no number below the header; record at least one step")
    return Log(names, np.asarray(values, np.float32), str(path))


def _read_text(path: Path) -> str:
    """Return the text of the file, or say why it is not one."""
    _check_file(path)
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path}: size is over {MAX_BYTES} bytes; split it into parts")
    try:
        return path.read_bytes().decode("utf-8-sig")
    except (UnicodeDecodeError, OSError) as error:
        raise InputError(f"{path}: is not readable text; give a CSV in UTF-8") from error


def _check_file(path: Path) -> None:
    """Refuse a path that is not that of a file."""
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give the path of a telemetry CSV or npz in it")
    if not path.is_file():
        raise InputError(f"{path}: no such file; give the path of a telemetry CSV or npz")


def _is_number(cell: str) -> bool:
    """Tell whether a header cell is a number, so that the header is missing."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _parse_row(path: str | Path, line: int, names: tuple[str, ...], row: list[str]) -> list[float]:
    """Return the numbers of one line; nan where a cell is empty."""
    if len(row) != len(names):
        raise InputError(
            f"{path}: line {line} has {len(row)} cells; the header names {len(names)}; repair the "
            "line"
        )

    values = []
    for name, cell in zip(names, row, strict=True):
        try:
            value = float(cell) if cell.strip() else float("nan")
        except ValueError:
            value = math.inf
        if abs(value) > MAX_FLOAT32:
            raise InputError(
                f"{path}: line {line}: {name} is {cell.strip()[:40]!r}; write a number or leave "
                "it empty"
            )
        values.append(value)
    return values


def write_npz(path: str | Path, values: np.ndarray, names: tuple[str, ...] | None = None) -> None:
    """Write a recording as compressed npz with the arrays values, names and units.

    Args:
        path: where to.
        values: (steps, K, C).
        names: of the C channels; None = `channels.NAMES`.
    """
    names = NAMES if names is None else names
    units = [BY_NAME[name].unit if name in BY_NAME else "" for name in names]
    with replacing(path) as part, part.open("wb") as file:
        np.savez_compressed(
            file,
            values=np.asarray(values, np.float32),
            names=np.asarray(names),
            units=np.asarray(units),
        )


def read_npz(path: str | Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """Read a recording: values (steps, K, C) float32 and the names of its C channels.

    Raises:
        InputError: one sentence.
    """
    path = Path(path)
    _check_file(path)
    try:
        with np.load(path, allow_pickle=False) as data:
            values = data["values"].astype(np.float32)
            names = tuple(str(name) for name in data["names"])
    except BAD_NPZ as error:
        raise InputError(
            f"{path}: is not a telemetry npz with the arrays values and names; record it anew"
        ) from error

    if values.ndim != 3 or values.shape[2] != len(names) or 0 in values.shape:
        raise InputError(
            f"{path}: values has the shape {values.shape}; it must be (steps, karts, {len(names)})"
        )
    if np.isnan(values).all():
        raise InputError(f"{path}: holds no number; record at least one step")
    return values, names


def read_log(path: str | Path, kart: int = 0) -> Log:
    """Read the log of one kart from a CSV or, by its ending, an npz.

    Rows of nan at the end of an npz, after the kart's drive, are left out.

    Raises:
        InputError: one sentence.
    """
    if Path(path).suffix.lower() != ".npz":
        return read_csv(path)

    values, names = read_npz(path)
    if not 0 <= kart < values.shape[1]:
        raise InputError(
            f"{path}: kart is {kart}; allowed are 0 to {values.shape[1] - 1}; choose one with "
            "--kart"
        )

    rows = values[:, kart]
    driven = np.flatnonzero(~np.isnan(rows).all(axis=1))
    if not len(driven):
        raise InputError(
            f"{path}: kart {kart} has no number; its drive ended at once; choose another with "
            "--kart"
        )
    return Log(names, rows[: driven[-1] + 1], str(path))
