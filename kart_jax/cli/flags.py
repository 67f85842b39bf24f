"""Flags of a subcommand from its config dataclass: tyro, with wrong flags in one sentence."""

import contextlib
import inspect
import io
import re
import sys
from collections.abc import Sequence
from typing import TypeVar

import tyro

from kart_jax.errors import InputError

T = TypeVar("T")
MAX_WORD = 4096  # characters, as of a path

# What tyro says of a wrong number, a wrong choice and an absent value, and how every other message
# of ours says it.
WRONG_INT = re.compile(r"[Ee]rror parsing (\S+): .*\bint\(\).*: '(.*)'")
WRONG_FLOAT = re.compile(r"[Ee]rror parsing (\S+): .*\bto float: '(.*)'")
WRONG_CHOICE = re.compile(
    r"[Ii]nvalid choice '(.*)' for argument '(.+)'\. Expected one of \((.*)\)"
)
NO_VALUE = re.compile(r"[Mm]issing value for argument '(.+)'.*")


def parse(
    config: type[T], command: str, words: Sequence[str], examples: str, program: str = "kart"
) -> T:
    """Read the flags of `kart <command>`.

    Args:
        config: a dataclass; its docstring is the description, each field's docstring the help of
            its flag.
        command: the words of the command.
        words: what follows them.
        examples: lines shown at the head of the help.
        program: what stands before the command.

    Returns:
        The config. `--help` prints and raises SystemExit(0).

    Raises:
        InputError: a flag is unknown, lacks its value or has a wrong one.
    """
    lines = "\n".join(f"  {line.strip()}" for line in examples.strip().splitlines())
    description = f"{inspect.getdoc(config) or ''}\n\nexamples:\n{lines}"
    for word in words:
        if len(word) > MAX_WORD:
            raise InputError(
                f"{word[:20]}... has {len(word)} characters; allowed are {MAX_WORD} in one word"
            )

    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(
                config,
                prog=f"{program} {command}",
                description=description,
                args=list(words),
                config=(
                    tyro.conf.DisallowNone,
                    tyro.conf.FlagCreatePairsOff,
                    tyro.conf.PositionalMetavarFromFieldName,
                ),
            )
    except SystemExit as stop:
        if stop.code in (0, None):
            sys.stdout.flush()
            raise
        said = sentence(complaint.getvalue())
        raise InputError(
            f"{said}{'' if said.endswith('?') else ';'} see {program} {command} --help"
        ) from None


def sentence(complaint: str) -> str:
    """Say what tyro's complaint says, on one line, with the flag that was probably meant.

    The complaint is a box with a title and blocks between rules; on a terminal without UTF-8 the
    title is the first block and the rules are hyphens.
    """
    plain = re.sub(r"\x1b\[[0-9;]*m", "", complaint)
    framed = "╭" in plain
    lines = [line.strip("│ ") for line in plain.splitlines() if not line.startswith(("╭", "╰"))]

    blocks: list[list[str]] = [[]]
    for line in lines:
        if len(line) > 3 and set(line) <= {"─", "-"}:
            blocks.append([])
        elif line:
            blocks[-1].append(line)

    texts = [" ".join(block) for block in blocks[0 if framed else 1 :]]
    text = re.sub(r"\s+", " ", texts[0]).rstrip(" .:") if texts else ""
    if not text:
        return "the flags cannot be read"

    hints = [block for block in texts[1:] if block.startswith("Perhaps you meant")]
    meant = re.search(r"--[\w-]+", hints[0]) if hints else None
    text = in_our_words(re.sub(r"^Error parsing \w+Config: ", "", text))
    return text[:1].lower() + text[1:] + (f"; did you mean {meant[0]}?" if meant else "")


def in_our_words(text: str) -> str:
    """Say flag, value and what is allowed, without tyro's and Python's internals."""
    if found := WRONG_INT.fullmatch(text):
        return f"{found[1]} is {found[2]}; it must be a whole number written in digits, such as 20"
    if found := WRONG_FLOAT.fullmatch(text):
        return f"{found[1]} is {found[2]}; it must be a number, such as 0.5"
    if found := WRONG_CHOICE.fullmatch(text):
        # tyro's own order may be that of a set.
        choices = sorted(set(re.findall(r"'([^']*)'", found[3])) - {"None"})
        return f"{found[2]} is {found[1]}; allowed are {', '.join(choices)}"
    if found := NO_VALUE.fullmatch(text):
        return f"{found[1]} has no value; write one behind it"
    return text
