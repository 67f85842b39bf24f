"""Flags of a subcommand from its config dataclass: tyro, with wrong flags reported in one sentence."""

import contextlib
import io
import re
import sys
from collections.abc import Sequence
from typing import TypeVar

import tyro

from kart_jax.errors import InputError

T = TypeVar("T")


def parse(config: type[T], command: str, words: Sequence[str], examples: str) -> T:
    """Read the flags of `kart <command>`.

    Args:
        config: a dataclass; its docstring is the description, each field's docstring the help of its flag.
        command: the words of the command.
        words: what follows them.
        examples: lines shown at the head of the help.

    Returns:
        The config. `--help` prints and raises SystemExit(0).

    Raises:
        InputError: a flag is unknown, lacks its value or has a wrong one.
    """
    lines = "\n".join(f"  {line.strip()}" for line in examples.strip().splitlines())
    description = f"{(config.__doc__ or '').strip()}\n\nexamples:\n{lines}"
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(
                config,
                prog=f"kart {command}",
                description=description,
                args=list(words),
                config=(tyro.conf.FlagCreatePairsOff, tyro.conf.PositionalMetavarFromFieldName),
            )
    except SystemExit as stop:
        if stop.code in (0, None):
            sys.stdout.flush()
            raise
        raise InputError(f"{sentence(complaint.getvalue())}; see kart {command} --help") from None


def sentence(complaint: str) -> str:
    """The first statement of tyro's boxed complaint on one line, without box, colours and title."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", complaint)
    body = [line.strip("│ ").strip() for line in plain.splitlines() if not line.startswith(("╭", "╰"))]
    first = []
    for line in body:
        if set(line) == {"─"}:
            break
        first.append(line)
    text = re.sub(r"\s+", " ", " ".join(first)).strip().rstrip(".:")
    return text[:1].lower() + text[1:] if text else "the flags cannot be read"
