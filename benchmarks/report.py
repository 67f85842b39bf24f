"""What a benchmark tells: flags that all of them have, a table on the screen, a JSON line, a plot.

A benchmark is a generator of rows; each row is shown as soon as it is measured. A row is a
dictionary; a figure in it is a number or a `timing.Spread`, and what could not be measured is
absent, with the reason under "note".
"""

import argparse
import dataclasses
import datetime
import importlib.util
import json
import math
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import machine
from timing import Spread

from kart_jax.errors import InputError
from kart_jax.files import check_place

Row = dict[str, Any]
LEAST_REPEATS = 5


class Flags(argparse.ArgumentParser):
    """Flags of a script; a wrong one is told in one sentence, with exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Tell what is wrong and end."""
        plain = re.sub(r"^argument (\S+?)(?:/\S+)?: ", r"\1 ", message)
        self.exit(2, f"{self.prog}: {plain}; see {self.prog} --help\n")


def at_least(least: int, most: int = 10**9) -> Callable[[str], int]:
    """A type of flag: a whole number from `least` to `most`."""

    def read(text: str) -> int:
        if not text.strip().isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(
                f"is {text!r}; it must be a whole number from {least} to {most}"
            )
        return int(text)

    return read


def flags(description: str | None) -> Flags:
    """The flags that every benchmark has; `description` is the script's docstring."""
    parser = Flags(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="a short version, as `kart bench` runs it"
    )
    parser.add_argument(
        "--json", action="store_true", help="print the JSON line instead of the table"
    )
    parser.add_argument("--out", metavar="FILE", help="append the JSON line to this file")
    parser.add_argument("--plot", metavar="FILE", help="draw the figures: .png, .pdf or .svg")
    return parser


def add_timing(parser: Flags, repeats: int = LEAST_REPEATS, seconds: float = 0.5) -> None:
    """Flags of the timing loop."""
    parser.add_argument(
        "--repeats",
        type=at_least(LEAST_REPEATS),
        default=repeats,
        help=f"timed repeats after the warm-up, from {LEAST_REPEATS} on (default {repeats})",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=seconds,
        help=f"that a repeat lasts at least (default {seconds})",
    )


@dataclasses.dataclass(frozen=True)
class Column:
    """One column of a table."""

    head: str
    show: Callable[[Row], str]
    width: int
    """Characters that its cells take at least, for they are shown before the others are known."""
    left: bool = False

    def fit(self, cell: str) -> str:
        """A cell as wide as the others."""
        width = max(len(self.head), self.width)
        return cell.ljust(width) if self.left else cell.rjust(width)


def text(head: str, name: str, width: int) -> Column:
    """The entry `name` as it is."""
    return Column(head, lambda row: str(row.get(name, "-")), width, left=True)


def number(head: str, name: str, form: str = "{:,.0f}", scale: float = 1.0) -> Column:
    """The entry `name`, or its median, times `scale`."""

    def show(row: Row) -> str:
        value = row.get(name)
        value = value.median if isinstance(value, Spread) else value
        return "-" if value is None else form.format(value * scale)

    return Column(head, show, 7)


def extent(head: str, name: str, form: str = "{:,.0f}", scale: float = 1.0) -> Column:
    """From the lowest to the highest of the spread `name`."""

    def show(row: Row) -> str:
        value = row.get(name)
        if not isinstance(value, Spread):
            return row.get("note", "-")
        return f"{form.format(value.low * scale)} .. {form.format(value.high * scale)}"

    return Column(head, show, 22)


@dataclasses.dataclass(frozen=True)
class Plot:
    """Lines over a logarithmic axis, or bars where `x` holds words."""

    x: str
    """Entry of a row along the axis."""
    y: str
    """Figure that is drawn; a `Spread` gets a bar from lowest to highest."""
    label: str
    """Of the figure, with its unit."""
    by: tuple[str, ...] = ()
    """Entries that tell one line from another."""


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """What `run` needs to know of a script."""

    name: str
    columns: tuple[Column, ...]
    measure: Callable[[argparse.Namespace], Iterator[Row]]
    plot: Plot | None = None
    conclude: Callable[[list[Row]], Sequence[str]] = lambda rows: ()
    """Sentences below the table."""


def run(benchmark: Benchmark, parser: Flags, words: Sequence[str] | None = None) -> None:
    """Do what the command line asks for; bad input is told in one sentence, with exit code 2."""
    arguments = parser.parse_args(words)
    try:
        _check(arguments)
        rows = []
        if not arguments.json:
            print(_line([column.head for column in benchmark.columns], benchmark.columns))
            print(f"|{'|'.join('---' for _ in benchmark.columns)}|", flush=True)
        for row in benchmark.measure(arguments):
            rows.append(row)
            if not arguments.json:
                print(
                    _line([column.show(row) for column in benchmark.columns], benchmark.columns),
                    flush=True,
                )
        _finish(benchmark, arguments, rows)
    except InputError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    except OSError as error:
        parser.exit(2, f"{parser.prog}: {error.filename}: {error.strerror}; give another path\n")


def _check(arguments: argparse.Namespace) -> None:
    """Refuse before the measuring what would fail after it."""
    if arguments.plot is not None:
        if Path(arguments.plot).suffix not in (".png", ".pdf", ".svg"):
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
    if getattr(arguments, "seconds", 1.0) < 0 or not math.isfinite(
        getattr(arguments, "seconds", 1.0)
    ):
        raise InputError(f"--seconds is {arguments.seconds}; it must be a number from 0 on")


def _line(cells: Sequence[str], columns: Sequence[Column]) -> str:
    """One line of a markdown table."""
    return (
        f"| {' | '.join(column.fit(cell) for cell, column in zip(cells, columns, strict=True))} |"
    )


def _finish(benchmark: Benchmark, arguments: argparse.Namespace, rows: list[Row]) -> None:
    """Caption, sentences, JSON line and plot."""
    stamp = machine.stamp()
    line = json.dumps(_plain(record(benchmark.name, arguments, stamp, rows)), allow_nan=False)
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
        from chart import draw

        draw(benchmark.plot, rows, f"{benchmark.name}: {caption(stamp)}", Path(arguments.plot))
    sys.stdout.flush()


def record(
    name: str, arguments: argparse.Namespace, stamp: dict[str, Any], rows: list[Row]
) -> dict[str, Any]:
    """The content of the JSON line."""
    told = {
        key: value for key, value in vars(arguments).items() if key not in ("json", "out", "plot")
    }
    time = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {"benchmark": name, "time": time, **stamp, "settings": told, "rows": rows}


def caption(stamp: dict[str, Any]) -> str:
    """Where the figures are from, in one line."""
    host, device, versions = stamp["machine"], stamp["device"], stamp["versions"]
    where = f"{host['processor']}, {host['cores']} cores"
    if device["backend"] != "cpu":
        where = f"{device['count']} x {device['kind']}, {where}"
    commit = stamp["commit"]
    of_commit = (
        "" if commit is None else f", commit {commit[:8]}{'+' if commit.endswith('+') else ''}"
    )
    return f"{where}; jax {versions['jax']}, Python {versions['python']}{of_commit}"


def _plain(value: Any) -> Any:
    """Figures as JSON knows them: spreads as dictionaries, what is no number as null."""
    if isinstance(value, Spread):
        value = dataclasses.asdict(value)
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
