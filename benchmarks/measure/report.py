"""Run a benchmark: a table on the screen, a JSON line, a plot."""

import argparse
import dataclasses
import datetime
import importlib.util
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kart_jax.errors import InputError
from kart_jax.files import check_place

from . import machine
from .benchmark import Benchmark
from .flags import Flags
from .table import Row, markdown_line
from .timing import Spread

PLOT_SUFFIXES = (".png", ".pdf", ".svg")


def run(benchmark: Benchmark, parser: Flags, words: Sequence[str] | None = None) -> None:
    """Do what the command line asks for; bad input is told in one sentence, with exit code 2."""
    arguments = parser.parse_args(words)
    try:
        _check(arguments)
        rows = _measure(benchmark, arguments)
        _finish(benchmark, arguments, rows)
    except InputError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    except OSError as error:
        parser.exit(2, f"{parser.prog}: {error.filename}: {error.strerror}; give another path\n")


def json_content(
    name: str, arguments: argparse.Namespace, stamp: dict[str, Any], rows: list[Row]
) -> dict[str, Any]:
    """Return the content of the JSON line."""
    time = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    settings = {
        key: value for key, value in vars(arguments).items() if key not in ("json", "out", "plot")
    }
    return {"benchmark": name, "time": time, **stamp, "settings": settings, "rows": rows}


def caption(stamp: dict[str, Any]) -> str:
    """Say in one line where the figures are from."""
    host = stamp["machine"]
    device = stamp["device"]
    versions = stamp["versions"]
    commit = stamp["commit"]

    where = f"{host['processor']}, {host['cores']} cores"
    if device["backend"] != "cpu":
        where = f"{device['count']} x {device['kind']}, {where}"

    of_commit = ""
    if commit is not None:
        of_commit = f", commit {commit[:8]}{'+' if commit.endswith('+') else ''}"
    return f"{where}; jax {versions['jax']}, Python {versions['python']}{of_commit}"


def _check(arguments: argparse.Namespace) -> None:
    """Refuse before the measuring what would fail after it."""
    if arguments.plot is not None:
        if Path(arguments.plot).suffix not in PLOT_SUFFIXES:
            raise InputError(f"--plot is {arguments.plot}; its name must end in .png, .pdf or .svg")
        if importlib.util.find_spec("matplotlib") is None:
            raise InputError(
                "--plot needs matplotlib, which is not installed; install it or leave --plot out"
            )
        check_place(arguments.plot)

    if arguments.out is not None:
        path = Path(arguments.out)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("a").close()

    seconds = getattr(arguments, "seconds", 1.0)
    if seconds < 0 or not math.isfinite(seconds):
        raise InputError(f"--seconds is {seconds}; it must be a number from 0 on")


def _measure(benchmark: Benchmark, arguments: argparse.Namespace) -> list[Row]:
    """Collect the rows, and show each as soon as it is there unless JSON is asked for."""
    columns = benchmark.columns
    if not arguments.json:
        print(markdown_line([column.head for column in columns], columns))
        print(f"|{'|'.join('---' for _ in columns)}|", flush=True)

    rows = []
    for row in benchmark.rows(arguments):
        rows.append(row)
        if not arguments.json:
            print(markdown_line([column.show(row) for column in columns], columns), flush=True)
    return rows


def _finish(benchmark: Benchmark, arguments: argparse.Namespace, rows: list[Row]) -> None:
    """Write caption, sentences, JSON line and plot."""
    stamp = machine.stamp()
    content = json_content(benchmark.name, arguments, stamp, rows)
    line = json.dumps(_plain(content), allow_nan=False)

    if arguments.json:
        print(line)
    else:
        print(f"\n{caption(stamp)}")
        for sentence in benchmark.conclude(rows):
            print(sentence)

    if arguments.out is not None:
        with Path(arguments.out).open("a") as file:
            file.write(line + "\n")
    if arguments.plot is not None and benchmark.plot is not None:
        from .chart import draw

        draw(benchmark.plot, rows, f"{benchmark.name}: {caption(stamp)}", Path(arguments.plot))
    sys.stdout.flush()


def _plain(value: Any) -> Any:
    """Return figures as JSON knows them: spreads as dictionaries, what is no number as null."""
    if isinstance(value, Spread):
        value = dataclasses.asdict(value)
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
