"""What the commands of tracks, telemetry and drives do, from files to files."""

import dataclasses
import json

import numpy as np
import pytest
from conftest import oval_csv
from empty_folder import enter

from kart_jax import cli
from kart_jax.telemetry import export
from kart_jax.track import layouts


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path, monkeypatch):
    enter(tmp_path, monkeypatch)


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

    # The second name is taken.
    assert cli.main(["track", "generate", "--seed", "7", "--count", "2"]) == 2
    assert "generated_8.png: there is a track of this name" in capsys.readouterr().err

    # There is no seed for the second.
    assert cli.main(["track", "generate", "--seed", str(2**63 - 1), "--count", "2"]) == 2
    refused = f"--seed is {2**63 - 1}; allowed are 0 to {2**63 - 2} with --count 2"
    assert refused in capsys.readouterr().err

    left = {p.name for p in (tmp_path / "tracks").iterdir()}
    assert left == {"generated_8.png", "checkpoints.json"}
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
    words = "drive --track-name small.csv --laps 1 --kart senior_max --line given --json"
    assert cli.main([*words.split(), "--telemetry", "run.csv"]) == 0
    figures = json.loads(capsys.readouterr().out)
    (lap,) = figures["laps"]
    assert figures["track"] == "small.csv"
    assert figures["kart"] == "senior_max" and figures["line"] == "given"

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
    words = "drive --track-name oval.csv --laps 2 --kart ok --line given --json"
    written = "--telemetry run.csv --plot run.png --video run.gif --video-height 120"
    assert cli.main([*words.split(), *written.split()]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["off_track_time"] == 0.0 and all(lap["valid"] for lap in figures["laps"])
    assert figures["files"] == ["run.csv", "run.png", "run.gif"]
    assert all((tmp_path / name).stat().st_size > 10_000 for name in figures["files"])
    assert cli.main(["telemetry", "laps", "run.csv", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["laps"] == figures["laps"] and len(again["laps"]) == 2
