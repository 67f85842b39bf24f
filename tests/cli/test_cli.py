"""The `kart` command: help, one sentence for every mistake, exit codes, and figures as JSON."""

import ast
import dataclasses
import inspect
import itertools
import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import tyro
from conftest import oval_csv

from kart_jax import cli, files
from kart_jax.cli import flags, output
from kart_jax.errors import InputError
from kart_jax.telemetry import export
from kart_jax.track import layouts

KART = [sys.executable, "-c", "import sys; from kart_jax.cli import main; sys.exit(main())"]


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KART_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(
        "JAX_COMPILATION_CACHE_DIR",
        os.environ.get("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "jax")),
    )
    monkeypatch.setenv("COLUMNS", "100")


def test_help_answers_at_once_and_names_every_command():
    begun = time.perf_counter()
    done = subprocess.run([*KART, "--help"], capture_output=True, text=True, check=True)
    took = time.perf_counter() - begun
    for name, _, line in cli.COMMANDS:
        assert name in done.stdout and line in done.stdout
    assert took < 5.0  # 0.1 s on an idle machine; importing jax alone takes longer on a busy one


def explanations(config: type) -> dict[str, str]:
    """Docstring of every field of a config dataclass, also of those that it inherits; "" where
    there is none."""
    found = dict.fromkeys((field.name for field in dataclasses.fields(config)), "")
    for one in reversed(config.__mro__[:-1]):
        body = ast.parse(textwrap.dedent(inspect.getsource(one))).body[0].body
        for field, after in itertools.pairwise(body):
            match field, after:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(
                    value=ast.Constant(value=str(text))
                ):
                    found[name] = text
    return found


def letters(text: str) -> str:
    """The text without what a box of help adds to it: frame, breaks, indentation."""
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


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            "drvie",
            "the command is drvie; allowed are train, eval, play, drive, track, telemetry, bench, "
            "modal; did you mean "
            "drive?",
        ),
        ("--foo", "the flag is --foo"),
        (
            "track chek",
            "the command is chek; allowed are list, check, preview, new, import, generate, sync; "
            "did you mean",
        ),
        (
            "drive --lapz 3",
            "unrecognized options: --lapz, 3; did you mean --laps? see kart drive --help",
        ),
        (
            "drive --laps three",
            "kart: --laps is three; it must be a whole number written in digits, such as 20; see "
            "kart drive --help",
        ),
        ("drive --laps 0", "--laps is 0; allowed are 1 to 1000"),
        (
            "train --timesteps 1e6",
            "kart: --timesteps is 1e6; it must be a whole number written in digits, such as 20; "
            "see",
        ),
        (
            "train --learning-rate fast",
            "kart: --learning-rate is fast; it must be a number, such as 0.5; see kart train",
        ),
        (
            "telemetry plot run.csv --lap 1.5",
            "kart: --lap is 1.5; it must be a whole number written in digits",
        ),
        (
            "track new mine --metres-per-pixel 1,5",
            "kart: --metres-per-pixel is 1,5; it must be a number, such as 0.5;",
        ),
        ("drive --laps", "kart: --laps has no value; write one behind it; see kart drive --help"),
        (
            "drive --kart f1",
            "kart: --kart is f1; allowed are junior_max, kz2, mini_max, ok, okj, rental_gx270, "
            "senior_max;",
        ),
        (
            "drive --kart spaceship",  # its complaint breaks before the last full stop
            "kart: --kart is spaceship; allowed are junior_max, kz2, mini_max, ok, okj, "
            "rental_gx270, senior_max;",
        ),
        (
            "train --kart f1",
            "kart: --kart is f1; allowed are junior_max, kz2, mini_max, ok, okj, rental_gx270, "
            "senior_max;",
        ),
        (
            "train --profile bold",
            "kart: --profile is bold; allowed are aggressive, conservative; see kart train --help",
        ),
        ("drive --video drive.avi", "--video is drive.avi; the file must end in .mp4 or .gif"),
        ("drive --track-name nowhere", 'track is "nowhere", which does not exist'),
        ("drive --track-name nowhere.csv", "nowhere.csv"),
        ("telemetry plot", "missing from kart telemetry plot: FILE"),
        ("telemetry plot nothing.csv", "nothing.csv: no such file"),
        ("telemetry laps nothing.csv", "nothing.csv: no such file"),
        ("track generate --count 0", "--count is 0; allowed are 1 to 10000"),
        ("track generate --seed -1", "--seed is -1"),
        ("track new bad/name", "name is 'bad/name'"),
        ("track import nothing.csv", "nothing.csv"),
        ("eval nothing", "nothing: is no training run"),
        ("eval nothing --search-laps 5", "--search-laps is 5; allowed are 33 to 1000000"),
        (
            "drive --driver fastest --line given",
            "--line is given; with --driver fastest the line is searched",
        ),
        (
            "drive --search-laps 100",
            "--search-laps is for --driver fastest; leave it out or choose that driver",
        ),
        ("play nothing", "nothing: is no training run"),
        ("train --save-name a/b", "--save-name is 'a/b'"),
        ("train --save-name a\x07b", "--save-name is 'a\\x07b'"),
        ("drive --track-name generated:0-3", "which names 4 circuits; choose one: generated:0"),
        (
            "play nothing --track-name generated:5-6",
            "which names 2 circuits; choose one: generated:5",
        ),
        (
            "track generate --metres-per-pixel 10",
            "metres_per_pixel is 10, which makes the narrowest place",
        ),
        (
            "telemetry plot run.csv --out page.gif",
            "--out is page.gif; the file must end in .png or .pdf or .svg",
        ),
        ("train --devices 9999999", "--devices is 9999999; it must be from 1 to 1024"),
        ("train --devices 0", "--devices is 0; it must be from 1 to 1024"),
        ("train --frame-stack 1000000", "--frame-stack is 1000000; it must be from 1 to 64"),
        (
            "drive --plot /dev/null/x.png",
            "/dev/null/x.png: cannot be written (/dev/null is no folder); give a path in",
        ),
        (
            "drive --telemetry /dev/null/x/y.csv",
            "/dev/null/x/y.csv: cannot be written (/dev/null is no folder)",
        ),
        (
            "play nothing --gif /dev/null/x.gif",
            "/dev/null/x.gif: cannot be written (/dev/null is no folder)",
        ),
        (
            f"drive --telemetry {'a' * 300}.csv",
            "cannot be written (File name too long); give another path",
        ),
        (f"eval {'a' * 300}", "File name too long; give another path"),
        (f"track check {'a' * 300}", "1 to 255 bytes in each part"),
        (
            f"train --seed {'9' * 5000}",
            "99999999999999999999... has 5000 characters; allowed are 4096 in one word",
        ),
        (
            "train --learning-rate 1e308",
            "--learning-rate is 1e+308; it must be above 0, up to 1e+38",
        ),
    ],
)
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
        assert (
            "is read here and would be overwritten; give another path to write to"
            in capsys.readouterr().err
        )
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


def test_a_csv_becomes_a_track_that_is_checked_previewed_and_listed(tmp_path, capsys):
    length = 2 * 120 + 2 * np.pi * 25
    assert cli.main(["track", "import", str(oval_csv(tmp_path / "oval.csv"))]) == 0
    assert {p.name for p in (tmp_path / "tracks").iterdir()} == {"oval.png", "checkpoints.json"}
    capsys.readouterr()
    assert cli.main(["track", "check", "oval", "--json"]) == 0
    (figures,) = json.loads(capsys.readouterr().out)["tracks"]
    assert figures["name"] == "oval" and figures["length"] == pytest.approx(length, rel=2e-3)
    assert figures["narrowest"] == pytest.approx(8.0, abs=0.25)
    assert figures["tightest_radius"] == pytest.approx(25.0, rel=0.1)
    assert cli.main(["track", "preview", "oval"]) == 0
    assert (tmp_path / "oval-preview.png").stat().st_size > 10_000
    # A second import of the same name is refused unless it is wanted.
    assert cli.main(["track", "import", "oval.csv"]) == 2
    assert cli.main(["track", "import", "oval.csv", "--replace"]) == 0


def test_new_and_generated_tracks_pass_the_check(tmp_path, capsys):
    assert cli.main(["track", "new", "mine"]) == 0
    assert cli.main(["track", "generate", "--seed", "7", "--count", "2"]) == 0
    capsys.readouterr()
    assert (
        cli.main(["track", "check", "tracks/mine.png", "tracks/generated_7.png", "generated_8"])
        == 0
    )
    table = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in table] == ["track", "mine", "generated_7", "generated_8"]


def test_many_generated_tracks_are_written_together_or_not_at_all(tmp_path, capsys):
    assert cli.main(["track", "generate", "--seed", "8"]) == 0
    entries = (tmp_path / "tracks" / "checkpoints.json").read_bytes()
    capsys.readouterr()
    assert (
        cli.main(["track", "generate", "--seed", "7", "--count", "2"]) == 2
    )  # the second name is taken
    assert "generated_8.png: there is a track of this name" in capsys.readouterr().err
    assert (
        cli.main(["track", "generate", "--seed", str(2**63 - 1), "--count", "2"]) == 2
    )  # no seed for the second
    assert (
        f"--seed is {2**63 - 1}; allowed are 0 to {2**63 - 2} with --count 2"
        in capsys.readouterr().err
    )
    assert {p.name for p in (tmp_path / "tracks").iterdir()} == {
        "generated_8.png",
        "checkpoints.json",
    }
    assert (tmp_path / "tracks" / "checkpoints.json").read_bytes() == entries


def test_titles_are_listed(tmp_path, capsys):
    assert cli.main(["track", "new", "mine"]) == 0
    capsys.readouterr()
    assert cli.main(["track", "check", "mine"]) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.endswith("  title") and row.endswith("  " + layouts.STARTER.title)
    assert cli.main(["track", "check", "mine", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tracks"][0]["title"] == layouts.STARTER.title


def test_a_warning_is_one_sentence(tmp_path, capsys):
    (tmp_path / "circuit.png").write_bytes(b"")
    assert cli.main(["track", "check", "circuit.png"]) == 0
    err = capsys.readouterr().err
    assert err.startswith("kart: track circuit.png is the known one") and err.count("\n") == 1


def test_a_page_that_would_stay_blank_is_refused(tmp_path, capsys, circle_log):
    values = circle_log.values.copy()
    values[:, circle_log.names.index("speed")] = np.nan
    export.write_csv(tmp_path / "slow.csv", dataclasses.replace(circle_log, values=values))
    assert cli.main(["telemetry", "plot", "slow.csv"]) == 2
    assert "slow.csv: the channel speed holds no number" in capsys.readouterr().err
    assert cli.main(["telemetry", "plot", str(tmp_path)]) == 2
    assert f"{tmp_path}: is a folder" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.png"))


def test_a_telemetry_file_is_timed_and_drawn(tmp_path, capsys, circle_log):
    from kart_jax.telemetry import laps

    export.write_csv(tmp_path / "run.csv", circle_log)
    found = laps.split_laps(circle_log)
    assert cli.main(["telemetry", "laps", "run.csv"]) == 0
    text = capsys.readouterr().out
    assert all(laps.format_time(lap.time) in text for lap in found) and text.count("*") == 1
    assert cli.main(["telemetry", "laps", "run.csv", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert [lap["time"] for lap in figures["laps"]] == pytest.approx(
        [lap.time for lap in found], abs=1e-6
    )
    assert cli.main(["telemetry", "plot", "run.csv", "--lap", "2"]) == 0
    assert "lap 2" in capsys.readouterr().out and (tmp_path / "run.png").stat().st_size > 10_000
    assert cli.main(["telemetry", "plot", "run.csv", "--lap", "7"]) == 2
    assert "lap is 7; allowed are 1 to 3" in capsys.readouterr().err


def test_the_scripted_driver_drives_a_lap(tmp_path, capsys):
    oval_csv(tmp_path / "small.csv", straight=40.0, radius=15.0)  # 80 m and 30 pi m: 174 m round
    words = "drive --track-name small.csv --laps 1 --kart senior_max --line given --telemetry run.csv --json"
    assert cli.main(words.split()) == 0
    figures = json.loads(capsys.readouterr().out)
    (lap,) = figures["laps"]
    assert (
        figures["track"] == "small.csv"
        and figures["kart"] == "senior_max"
        and figures["line"] == "given"
    )
    # Bends of 15 m at 2 g are driven at 17 m/s = 62 km/h; the lap begins at rest.
    assert lap["valid"] and figures["best_lap"] == lap["time"] == pytest.approx(
        sum(lap["sectors"]), abs=2e-3
    )
    assert 174 / 20 < lap["time"] < 174 / 10 and 60 < figures["top_speed_kmh"] < 90
    assert figures["off_track_time"] == 0.0 and figures["driven_m"] > 174
    assert figures["files"] == ["run.csv"] and len(export.read_log("run.csv")) > 25 * lap["time"]


@pytest.mark.slow
def test_the_scripted_driver_prints_the_laps_that_its_telemetry_shows(tmp_path, capsys):
    oval_csv(tmp_path / "oval.csv")
    words = "drive --track-name oval.csv --laps 2 --kart ok --line given --json --telemetry run.csv --plot run.png"
    assert cli.main([*words.split(), "--video", "run.gif", "--video-height", "120"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["off_track_time"] == 0.0 and all(lap["valid"] for lap in figures["laps"])
    assert figures["files"] == ["run.csv", "run.png", "run.gif"]
    assert all((tmp_path / name).stat().st_size > 10_000 for name in figures["files"])
    assert cli.main(["telemetry", "laps", "run.csv", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["laps"] == figures["laps"] and len(again["laps"]) == 2
