"""The `kart` command: finds the subcommand, and tells every failure of the user's in a sentence.

Nothing heavy is imported before the subcommand is known, so `kart --help` answers at once.
"""

import importlib
import io
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from kart_jax.errors import InputError

# Every command: its words, the function that runs it as module:function, and one line of help.
COMMANDS: tuple[tuple[str, str, str], ...] = (
    ("train", "train:run", "train a driver from the camera view with PPO"),
    ("eval", "evaluate:run", "lap times of a trained driver beside the scripted one"),
    ("play", "play:run", "film a trained driver: MP4 or GIF with map, timer and telemetry"),
    ("drive", "drive:run", "let the scripted driver lap a track; lap and sector times"),
    ("track list", "track:run_list", "the tracks that are known by name"),
    ("track check", "track:run_check", "read tracks and measure them, or say what is wrong"),
    (
        "track preview",
        "track:run_preview",
        "draw centre line, gates, sectors and curvature of a track",
    ),
    ("track new", "track:run_new", "start a track of your own from a picture to paint over"),
    ("track import", "track:run_import", "make a track from a centre-line CSV"),
    ("track generate", "track:run_generate", "draw random kart circuits"),
    ("track sync", "track:run_sync", "upload tracks to Modal, for training there"),
    (
        "telemetry plot",
        "telemetry:run_plot",
        "draw a lap: map, speed, controls, g-g diagram, splits",
    ),
    ("telemetry laps", "telemetry:run_laps", "lap and sector times of a telemetry file"),
    ("bench", "bench:run", "how fast this machine is, and where the time goes"),
    ("modal pull", "modal:run_pull", "bring a run that was trained on Modal home"),
)

HELP_HEAD = """usage: kart COMMAND [flags]

A karting simulator that trains drivers: from a picture of a track to a kart that laps it.
"""

HELP_FOOT = """
first steps:
  kart drive --track-name circuit.png --laps 3       lap times of the scripted driver
  kart train --track-name circuit.png                train a driver; the run lands in runs/
  kart play runs/circuit-1                           film what it learned

kart COMMAND --help explains the flags of a command.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `kart` with the given arguments, by default those of the process.

    Returns:
        The exit code: 0 done, 1 training failed, 2 bad input (one sentence on stderr), 130
            interrupted, 141 nobody reads the output.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # a terminal that lacks a letter of a title shows its code
        sys.stdout.reconfigure(errors="backslashreplace")
    with warnings.catch_warnings():
        # A warning is for the user too: one sentence, without the source line that Python adds.
        warnings.showwarning = lambda message, *_, **__: print(f"kart: {message}", file=sys.stderr)
        return run_to_exit_code(words)


def run_to_exit_code(words: list[str]) -> int:
    """Run the command that the words ask for; return the exit code as in `main`."""
    try:
        code = dispatch(words)
        sys.stdout.flush()
        return code
    except InputError as error:
        print(f"kart: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("kart: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        discard_stdout()
        return 141
    except OSError as error:
        if error.filename is None:
            discard_stdout()
            print(
                f"kart: the output cannot be written ({error.strerror}); free the disk or redirect",
                file=sys.stderr,
            )
        else:
            print(f"kart: {error.filename}: {error.strerror}; give another path", file=sys.stderr)
        return 2


def discard_stdout() -> None:
    """Give standard output a place where the interpreter's last flush succeeds."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def dispatch(words: list[str]) -> int:
    """Find the command that the first words name and run it with the rest.

    Raises:
        InputError: there is no such command.
    """
    if words[:1] == ["--version"]:
        from importlib.metadata import version

        print(f"kart_jax {version('kart_jax')}")
        return 0
    for name, target, _ in COMMANDS:
        parts = name.split()
        if words[: len(parts)] == parts:
            prepare_jax()
            module, function = target.split(":")
            command = getattr(importlib.import_module(f"kart_jax.cli.{module}"), function)
            return command(words[len(parts) :]) or 0

    noun = words[:1] if any(name.split()[:1] == words[:1] for name, _, _ in COMMANDS) else []
    rest = words[len(noun) :]
    if not rest or rest[0] in ("-h", "--help", "help"):
        print(usage(*noun))
        return 0
    raise InputError(describe_unknown(noun, rest[0]))


def usage(noun: str = "") -> str:
    """Return the table of commands, of all or of one noun."""
    rows = [
        (name, help_line) for name, _, help_line in COMMANDS if not noun or name.split()[0] == noun
    ]
    width = max(len(name) for name, _ in rows)
    table = "\n".join(f"  {name:<{width}}   {help_line}" for name, help_line in rows)
    if noun:
        return (
            f"usage: kart {noun} COMMAND [flags]\n\n{table}\n\n"
            f"kart {noun} COMMAND --help explains the flags."
        )
    return f"{HELP_HEAD}\n{table}\n{HELP_FOOT}".rstrip("\n")


def describe_unknown(noun: list[str], word: str) -> str:
    """Say that a word behind a noun, or behind none, is no command, and what is allowed."""
    import difflib

    level = len(noun)
    known = list(
        dict.fromkeys(n.split()[level] for n, _, _ in COMMANDS if n.split()[:level] == noun)
    )
    close = difflib.get_close_matches(word, known, 1)
    what = "flag" if word.startswith("-") else "command"
    hint = f"did you mean {close[0]}?" if close else f"see {' '.join(['kart', *noun])} --help"
    return f"the {what} is {word or 'empty'}; allowed are {', '.join(known)}; {hint}"


def prepare_jax() -> None:
    """Keep compiled programs between runs, and XLA's remarks about the machine off the terminal.

    The folder is `jax` in the cache folder of the tracks, one per host name, as compiled programs
    are made for one machine's processor; JAX's own variable JAX_COMPILATION_CACHE_DIR moves it.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    import platform

    from kart_jax.track.cache import cache_folder

    home = cache_folder()
    if home is not None:
        place = Path(home) / "jax" / (platform.node() or "host")
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError:
            return
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(place)
