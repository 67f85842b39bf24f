"""The `kart` command: help, one sentence for every mistake, exit codes, and figures as JSON."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from kart_jax import cli
from kart_jax.cli import flags, output
from kart_jax.telemetry import export

KART = [sys.executable, "-c", "import sys; from kart_jax.cli import main; sys.exit(main())"]


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KART_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", os.environ.get("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "jax")))
    monkeypatch.setenv("COLUMNS", "100")


def oval_csv(path: Path, straight: float = 120.0, radius: float = 25.0) -> Path:
    """The oval of conftest as a centre-line CSV."""
    from conftest import oval_point

    length = 2 * straight + 2 * np.pi * radius
    points = [oval_point(s, straight, radius) for s in np.arange(0.0, length, 2.0)]
    rows = "\n".join(f"{x:.4f},{y:.4f},4.0,4.0" for x, y in points)
    path.write_text(f"# x_m,y_m,w_tr_right_m,w_tr_left_m\n{rows}\n")
    return path


def test_help_answers_at_once_and_names_every_command():
    begun = time.perf_counter()
    done = subprocess.run([*KART, "--help"], capture_output=True, text=True, check=True)
    took = time.perf_counter() - begun
    for name, _, line in cli.COMMANDS:
        assert name in done.stdout and line in done.stdout
    assert took < 5.0  # 0.1 s on an idle machine; importing jax alone takes longer on a busy one


@pytest.mark.parametrize("name", [name for name, _, _ in cli.COMMANDS])
def test_every_command_explains_itself(name, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([*name.split(), "--help"])
    text = capsys.readouterr().out
    assert stop.value.code == 0
    assert text.startswith(f"usage: kart {name}") and "examples:" in text and f"  kart {name}" in text
    undescribed = [line for line in text.splitlines() if line.startswith("│ --") and line.endswith("(default: None)")]
    assert all(len(line.split("  ")) > 1 for line in undescribed)


@pytest.mark.parametrize(
    ("words", "flags"),
    [
        (
            "train",
            "--track-name --timesteps --vector-envs --save-name --learning-rate --ent-coef --resume-from "
            "--checkpoint-freq --profile",
        ),
        ("drive", "--driver --track-name --kart --line --laps --telemetry --video --plot --json"),
        ("eval", "--track-name --json"),
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
        ("drvie", "the command is drvie; allowed are train, eval, play, drive, track, telemetry; did you mean drive?"),
        ("--foo", "the flag is --foo"),
        ("track chek", "the command is chek; allowed are list, check, preview, new, import, generate; did you mean"),
        ("drive --lapz 3", "unrecognized options: --lapz, 3; did you mean --laps? see kart drive --help"),
        ("drive --laps three", "error parsing --laps: invalid literal for int() with base 10: 'three'"),
        ("drive --laps 0", "--laps is 0; allowed are 1 to 1000"),
        ("drive --laps", "missing value for argument '--laps'"),
        ("drive --kart f1", "invalid choice 'f1' for argument '--kart'"),
        ("drive --video drive.avi", "--video is drive.avi; the file must end in .mp4 or .gif"),
        ("drive --track-name nowhere", 'track is "nowhere", which does not exist'),
        ("drive --track-name nowhere.csv", "nowhere.csv"),
        ("telemetry plot", "missing from kart telemetry plot: FILE"),
        ("telemetry plot nothing.csv", "nothing.csv: no such file"),
        ("telemetry laps nothing.csv", "nothing.csv: no such file"),
        ("track generate --count 0", "--count is 0; allowed are 1 to 10000"),
        ("track generate --seed -1", "seed is -1"),
        ("track new bad/name", "name is 'bad/name'"),
        ("track import nothing.csv", "nothing.csv"),
        ("eval nothing", "nothing: is no training run"),
        ("play nothing", "nothing: is no training run"),
        ("train --save-name a/b", "--save-name is 'a/b'"),
    ],
)
def test_a_mistake_gets_one_sentence_and_code_2(words, sentence, capsys, tmp_path):
    assert cli.main(words.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("kart: ") and err.count("\n") == 1 and sentence in err
    left = [p.name for p in tmp_path.iterdir() if p.name not in ("cache", "jax")]
    assert left == []


def test_a_complaint_reads_the_same_with_and_without_utf8():
    rule, box = "-" * 40, "\x1b[31m│ {} │\x1b[0m"
    framed = [
        "╭─ Value error ─╮",
        *(box.format(t) for t in ("Error parsing", "--laps: bad.", "─" * 40, "help")),
        "╰──╯",
    ]
    plain = ["Value error", rule, "Error parsing", "--laps: bad.", rule, "help"]
    assert flags.sentence("\n".join(framed)) == flags.sentence("\n".join(plain)) == "error parsing --laps: bad"
    assert flags.sentence("") == "the flags cannot be read"


def test_interruption_ends_with_130(monkeypatch, capsys):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("kart_jax.cli.track.run_list", interrupted)
    assert cli.main(["track", "list"]) == 130
    assert capsys.readouterr().err == "kart: interrupted\n"


def test_nobody_reading_the_output_is_no_error():
    child = subprocess.Popen([*KART, "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, restore_signals=False)
    assert child.stdout is not None and child.stderr is not None
    child.stdout.close()
    err = child.stderr.read().decode()
    assert child.wait() in (141, -signal.SIGPIPE) and err == ""


def test_version_is_that_of_the_package(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("kart_jax 0.")


def test_figures_that_do_not_exist_are_null(capsys):
    output.emit_json({"best": float("nan"), "laps": [np.float32(1.5), float("inf")], "n": np.int32(3)})
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
    assert cli.main(["track", "check", "tracks/mine.png", "tracks/generated_7.png", "generated_8"]) == 0
    table = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in table] == ["track", "mine", "generated_7", "generated_8"]


def test_a_telemetry_file_is_timed_and_drawn(tmp_path, capsys, circle_log):
    from kart_jax.telemetry import laps

    export.write_csv(tmp_path / "run.csv", circle_log)
    found = laps.split(circle_log)
    assert cli.main(["telemetry", "laps", "run.csv"]) == 0
    text = capsys.readouterr().out
    assert all(laps.clock(lap.time) in text for lap in found) and text.count("*") == 1
    assert cli.main(["telemetry", "laps", "run.csv", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert [lap["time"] for lap in figures["laps"]] == pytest.approx([lap.time for lap in found], abs=1e-6)
    assert cli.main(["telemetry", "plot", "run.csv", "--lap", "2"]) == 0
    assert "lap 2" in capsys.readouterr().out and (tmp_path / "run.png").stat().st_size > 10_000
    assert cli.main(["telemetry", "plot", "run.csv", "--lap", "7"]) == 2
    assert "lap is 7; allowed are 1 to 3" in capsys.readouterr().err


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
