"""Flags of the scripts: those that all of them have, and those that several share."""

import argparse
import re
import sys
from collections.abc import Callable
from typing import NoReturn

MIN_REPEATS = 5


class Flags(argparse.ArgumentParser):
    """Flags of a script; a wrong one is told in one sentence, with exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Tell what is wrong and end."""
        plain = re.sub(r"^argument (\S+?)(?:/\S+)?: ", r"\1 ", message)
        self.exit(2, f"{self.prog}: {plain}; see {self.prog} --help\n")


def at_least(least: int, most: int = 10**9) -> Callable[[str], int]:
    """Return a type of flag: a whole number from `least` to `most`."""

    def read(text: str) -> int:
        if not text.strip().isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(
                f"is {text!r}; it must be a whole number from {least} to {most}"
            )
        return int(text)

    return read


def shared(description: str | None) -> Flags:
    """Return the flags that every benchmark has; `description` is the script's docstring."""
    module = sys.modules["__main__"].__spec__  # None where Python runs a file
    parser = Flags(
        prog=None if module is None else f"python -m {module.name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )

    parser.add_argument(
        "--quick", action="store_true", help="a short version, as `kart bench` runs it"
    )
    parser.add_argument(
        "--json", action="store_true", help="print the JSON line instead of the table"
    )
    parser.add_argument("--out", metavar="FILE", help="append the JSON line to this file")
    parser.add_argument("--plot", metavar="FILE", help="draw the figures: .png, .pdf or .svg")
    return parser


def add_timing(parser: Flags, repeats: int = MIN_REPEATS, seconds: float = 0.5) -> None:
    """Add the flags of the clock."""
    parser.add_argument(
        "--repeats",
        type=at_least(MIN_REPEATS),
        default=repeats,
        help=f"timed repeats after the warm-up, from {MIN_REPEATS} on (default {repeats})",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=seconds,
        help=f"that a repeat lasts at least (default {seconds})",
    )


def add_track(parser: Flags) -> None:
    """Add the flag that chooses the circuit."""
    parser.add_argument(
        "--track", default="circuit", help="shipped name, PNG, CSV or generated:N (default circuit)"
    )


def add_run_fields(parser: Flags) -> None:
    """Add the flag that sets fields of a training run."""
    parser.add_argument(
        "--set",
        nargs="+",
        default=[],
        metavar="FIELD=VALUE",
        help="other flags of `kart train`, as rollout_steps=64 minibatch_size=8192 "
        "telemetry_only=true",
    )
