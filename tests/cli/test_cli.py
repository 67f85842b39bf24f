"""The `kart` command: help, one sentence for every mistake, exit codes, and figures as JSON."""

import ast
import dataclasses
import inspect
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
import typing

import numpy as np
import pytest
import tyro
from conftest import oval_csv
from empty_folder import enter
from mistakes import MISTAKES

from kart_jax import cli, files
from kart_jax.cli import flags, output
from kart_jax.errors import InputError

KART = [sys.executable, "-c", "import sys; from kart_jax.cli import main; sys.exit(main())"]


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path, monkeypatch):
    enter(tmp_path, monkeypatch)


def test_help_answers_at_once_and_names_every_command():
    begun = time.perf_counter()
    done = subprocess.run([*KART, "--help"], capture_output=True, text=True, check=True)
    took = time.perf_counter() - begun
    for name, _, line in cli.COMMANDS:
        assert name in done.stdout and line in done.stdout
    assert took < 5.0  # 0.1 s on an idle machine; importing jax alone takes longer on a busy one


def explanations(config: type) -> dict[str, str]:
    """Return what explains each field of a config dataclass, inherited ones too; "" where nothing.

    It is the field's docstring, or its line in the docstring of a class that is made and not
    written, or the help that stands in its annotation.
    """
    found = dict.fromkeys((field.name for field in dataclasses.fields(config)), "")
    for one in reversed(config.__mro__[:-1]):
        found |= re.findall(r"^    (\w+): (.+)$", one.__doc__ or "", re.MULTILINE)
        (written,) = ast.parse(textwrap.dedent(inspect.getsource(one))).body
        assert isinstance(written, ast.ClassDef)
        for field, after in itertools.pairwise(written.body):
            match field, after:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(
                    value=ast.Constant(value=str(text))
                ):
                    found[name] = text

    for name, hint in typing.get_type_hints(config, include_extras=True).items():
        for extra in getattr(hint, "__metadata__", ()):
            found[name] = getattr(extra, "help", None) or found[name]
    return found


def letters(text: str) -> str:
    """Return the text without what a box of help adds to it: frame, breaks, indentation."""
    return "".join(text.replace("│", "").split())


@pytest.mark.parametrize("name", [name for name, _, _ in cli.COMMANDS])
def test_every_command_explains_itself_and_each_of_its_flags(name, capsys, monkeypatch):
    asked, read = [], tyro.cli
    monkeypatch.setattr(tyro, "cli", lambda kind, **more: asked.append(kind) or read(kind, **more))
    with pytest.raises(SystemExit) as stop:
        cli.main([*name.split(), "--help"])
    text = capsys.readouterr().out
    assert stop.value.code == 0
    assert (
        text.startswith(f"usage: kart {name}") and "examples:" in text and f"  kart {name}" in text
    )
    (config,) = asked
    for field, said in explanations(config).items():
        assert said and letters(said) in letters(text), field


@pytest.mark.parametrize(
    ("words", "flags"),
    [
        (
            "train",
            "--track-name --timesteps --vector-envs --save-name --learning-rate --ent-coef "
            "--resume-from "
            "--checkpoint-freq --profile",
        ),
        ("drive", "--driver --track-name --kart --line --laps --telemetry --video --plot --json"),
        ("eval", "--track-name --fastest --search-laps --json"),
        ("play", "--track-name --gif --json"),
        ("track check", "--json"),
        ("telemetry plot", "--json"),
    ],
)
def test_flags_keep_their_names(words, flags, capsys):
    with pytest.raises(SystemExit):
        cli.main([*words.split(), "--help"])
    text = capsys.readouterr().out
    for flag in flags.split():
        assert f"{flag} " in text, flag


@pytest.mark.parametrize(("words", "sentence"), MISTAKES)
def test_a_mistake_gets_one_sentence_and_code_2(words, sentence, capsys, tmp_path):
    assert cli.main(words.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("kart: ") and err.count("\n") == 1 and sentence in err
    left = [p.name for p in tmp_path.iterdir() if p.name not in ("cache", "jax")]
    assert left == []


def test_a_place_that_cannot_be_written_to_is_refused_before_the_work(tmp_path, monkeypatch):
    folder = tmp_path / "folder.csv"
    folder.mkdir()
    with pytest.raises(InputError, match=r"folder.csv: cannot be written \(it is a folder\)"):
        files.check_place(folder)
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path)
    with pytest.raises(InputError, match="may not be written to"):
        files.check_place(tmp_path / "deep" / "x.csv")
    files.check_place(folder / "deep" / "x.csv")
    assert [path.name for path in tmp_path.rglob("*")] == ["folder.csv"]


def test_no_output_takes_the_place_of_the_track(tmp_path, capsys):
    line = oval_csv(tmp_path / "oval.csv")
    assert cli.main(["track", "import", "oval.csv", "--folder", "drawn"]) == 0
    picture = tmp_path / "drawn" / "oval.png"
    before = line.read_bytes(), picture.read_bytes()

    for words in (
        "drive --track-name ./oval.csv --telemetry oval.csv",
        "drive --track-name drawn/oval.png --plot drawn/../drawn/oval.png",
        "play nothing --track-name ./oval.csv --telemetry oval.csv",
        "track preview drawn/oval.png --out drawn/oval.png",
    ):
        capsys.readouterr()
        assert cli.main(words.split()) == 2
        refused = "is read here and would be overwritten; give another path to write to"
        assert refused in capsys.readouterr().err
    assert (line.read_bytes(), picture.read_bytes()) == before


def test_a_complaint_reads_the_same_with_and_without_utf8():
    rule, box = "-" * 40, "\x1b[31m│ {} │\x1b[0m"
    framed = [
        "╭─ Value error ─╮",
        *(box.format(t) for t in ("Error parsing", "--laps: bad.", "─" * 40, "help")),
        "╰──╯",
    ]
    plain = ["Value error", rule, "Error parsing", "--laps: bad.", rule, "help"]
    assert (
        flags.sentence("\n".join(framed))
        == flags.sentence("\n".join(plain))
        == "error parsing --laps: bad"
    )
    assert flags.sentence("") == "the flags cannot be read"


def test_interruption_ends_with_130(monkeypatch, capsys):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("kart_jax.cli.track.run_list", interrupted)
    assert cli.main(["track", "list"]) == 130
    assert capsys.readouterr().err == "kart: interrupted\n"


def test_json_is_alone_on_standard_output(capfd):
    with output.quiet_stdout(True):
        os.write(1, b"from a library\n")
        print("from Python")
    output.emit_json({"laps": 1})
    shown, said = capfd.readouterr()
    assert json.loads(shown) == {"laps": 1} and said == "from a library\nfrom Python\n"
    with output.quiet_stdout(False):
        print("for people")
    assert capfd.readouterr().out == "for people\n"


def test_nobody_reading_the_output_is_no_error():
    child = subprocess.Popen(
        [*KART, "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, restore_signals=False
    )
    assert child.stdout is not None and child.stderr is not None
    child.stdout.close()
    err = child.stderr.read().decode()
    assert child.wait() in (141, -signal.SIGPIPE) and err == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_output_that_does_not_fit_gets_one_sentence():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*KART, "--help"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2
    assert done.stderr.startswith(
        "kart: the output cannot be written (No space left on device); free the disk"
    )
    assert done.stderr.count("\n") == 1


def test_version_is_that_of_the_package(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("kart_jax 0.")


def test_figures_that_do_not_exist_are_null(capsys):
    output.emit_json(
        {"best": float("nan"), "laps": [np.float32(1.5), float("inf")], "n": np.int32(3)}
    )
    assert json.loads(capsys.readouterr().out) == {"best": None, "laps": [1.5, None], "n": 3}
