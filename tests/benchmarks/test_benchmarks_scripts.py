"""The scripts: their flags, and one figure of each kind."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import env_throughput, physics_table, ppo_throughput, render
from benchmarks.choices import as_users
from benchmarks.measure import flags, machine, report, timing
from kart_jax.cli import bench

ROOT = Path(__file__).parents[2]
SCRIPTS = (*bench.SCRIPTS, "lap_times", "physics_table")
TINY = ("--set", "telemetry_only=true", "rollout_steps=8", "minibatch_size=32", "epochs=1")


def run_script(name, *words):
    """Return the JSON line of a script in a process of its own, as a user runs it."""
    command = [sys.executable, "-m", f"benchmarks.{name}", *words, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_explains_its_flags(name, capsys):
    script = importlib.import_module(f"benchmarks.{name}")
    parser = script.make_flags() if hasattr(script, "make_flags") else flags.shared(script.__doc__)
    with pytest.raises(SystemExit) as stop:
        report.run(script.BENCHMARK, parser, ["--help"])
    shown = capsys.readouterr().out
    assert stop.value.code == 0
    assert all(flag in shown for flag in ("--quick", "--json", "--out", "--plot"))
    assert script.BENCHMARK.name == name and f"python -m benchmarks.{name}" in shown


def test_without_a_checkout_the_physics_table_says_that_it_needs_one(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tests.physics.checks.sections", None)
    with pytest.raises(SystemExit) as stop:
        report.run(physics_table.BENCHMARK, flags.shared("Checks."), [])
    said = capsys.readouterr().err
    assert stop.value.code == 2 and said.count("\n") == 1 and "run this in a checkout" in said


def test_the_lines_of_a_breakdown_add_up_to_the_update():
    names = ("physics", "blind", "all", "forward", "backward", "roll-out", "update")
    took = {name: timing.spread([i + 1.0, 2 * i + 3.0]) for i, name in enumerate(names)}
    parts = ppo_throughput.break_down(took, took["update"])
    assert timing.total(*parts.values()).repeats == pytest.approx(took["update"].repeats)


def test_on_a_cpu_karts_that_would_fill_the_memory_are_left_out(monkeypatch):
    monkeypatch.setattr(machine, "memory_gb", lambda: 8.0)
    monkeypatch.setattr(
        env_throughput,
        "measure_part",
        lambda arguments, part, karts, *_: {"bytes": 1_000_000 * karts},
    )
    arguments = env_throughput.make_flags().parse_args(["--karts", "4000", "8000", "1000"])
    rows = list(env_throughput.measure_parts(arguments, ["physics"], 1))
    assert [row.get("note") for row in rows] == [None, "left out: some 8 GB of 8 GB", None]


def test_the_shares_of_users_and_races_are_held_against_their_targets():
    def row(way: str, rate: float, **more) -> dict:
        rate_spread = timing.spread([rate])
        return {
            "part": "telemetry",
            "way": way,
            "karts": 40,
            "steps_per_second": rate_spread,
            **more,
        }

    rows = [
        row("best", 200.0, share=1.0),
        row("at the target", 180.0, share=0.9),
        row("slow", 178.0, share=0.89),
        {"part": "telemetry", "way": "absent", "karts": 40, "note": "needs it"},
        row("2 races of 20", 85.0, races=2),
        row("40 races of one", 100.0, races=40),
    ]
    assert env_throughput.conclude(rows) == [
        "best, telemetry, 40 karts: 1.00 of the best way; the target is 0.9: met",
        "at the target, telemetry, 40 karts: 0.90 of the best way; the target is 0.9: met",
        "slow, telemetry, 40 karts: 0.89 of the best way; the target is 0.9: missed",
        "2 races of 20: 0.85 of the rate of 40 races of one; the target is 0.9: missed",
    ]
    assert env_throughput.conclude([row("2 races of 20", 85.0, races=2)]) == []


@pytest.mark.slow
def test_one_small_picture_has_a_rate(capsys):
    words = ["--size", "8x16", "--karts", "2", "--seconds", "0", "--json"]
    report.run(render.BENCHMARK, render.make_flags(), words)
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert (row["size"], row["karts"]) == ("8x16", 2)
    assert len(row["frames_per_second"]["repeats"]) == 5
    assert row["pixels_per_second"]["low"] == pytest.approx(128 * row["frames_per_second"]["low"])


@pytest.mark.slow
def test_physics_of_two_karts_has_a_rate():
    words = ("--karts", "2", "--devices", "1", "--parts", "physics", "--seconds", "0")
    (row,) = run_script("env_throughput", *words)["rows"]
    assert row["karts"] == 2 and row["way"] == "split over devices"
    assert len(row["steps_per_second"]["repeats"]) == 5 and row["steps_per_second"]["low"] > 0


@pytest.mark.slow
def test_every_way_in_which_users_write_it_has_a_rate_and_a_share_of_the_best():
    arguments = env_throughput.make_flags().parse_args(["--seconds", "0"])
    rows = list(env_throughput.measure_task(arguments, as_users.Task("circuit", 4, 0)))
    ways = [row["way"] for row in rows]
    natives = ["env as an argument", "env closed over", "env closed over, scan of 16"]
    adapters = ["RacingGymnax", "RacingGymnaxFive", "RacingBrax", "RacingMARL, races of 2"]
    assert ways == [*natives, *adapters]

    rates = [row["steps_per_second"].median for row in rows]
    assert min(rates) > 0
    assert [row["share"] for row in rows] == pytest.approx([rate / max(rates) for rate in rates])


@pytest.mark.slow
def test_gymnasium_is_timed_where_there_are_pictures():
    assert list(as_users.gymnasium(as_users.Task("circuit", 2, 0))) == []
    (loop,) = as_users.gymnasium(as_users.Task("circuit", 2, 1))
    observation, reward, *_ = loop.call()
    assert loop.steps == 2 and reward.shape == (2,)
    assert observation["vision"].shape == (2, 84, 84, 3)


@pytest.mark.slow
def test_a_race_of_many_stands_beside_as_many_races_of_one(monkeypatch):
    monkeypatch.setattr(env_throughput, "RACES", 2)
    monkeypatch.setattr(env_throughput, "KARTS_PER_RACE", 3)
    arguments = env_throughput.make_flags().parse_args(["--seconds", "0"])
    together, alone = env_throughput.measure_races(arguments, 1)
    assert (together["way"], alone["way"]) == ("2 races of 3", "6 races of one")
    assert together["karts"] == alone["karts"] == 6
    assert min(row["steps_per_second"].low for row in (together, alone)) > 0


@pytest.mark.slow
def test_the_breakdown_of_a_tiny_run():
    rows = run_script("ppo_throughput", "--karts", "8", "--seconds", "0", *TINY)["rows"]
    took = {row["part"]: np.array(row["seconds"]["repeats"]) for row in rows}
    *parts, whole, bare, _, _ = took
    assert (whole, bare, len(parts)) == ("whole update", "bare network", 7)
    assert "with logging" in took

    np.testing.assert_allclose(sum(took[part] for part in parts), took[whole])  # repeat by repeat
    passes = took["inference"] + took["learning: the network's passes"]
    np.testing.assert_allclose(took[bare], passes)
    rate = np.array(rows[7]["steps_per_second"]["repeats"])
    np.testing.assert_allclose(rate * took[whole], 8 * 8)  # karts, steps of each

    for row in rows[:9]:
        share = np.median(took[row["part"]]) / np.median(took[whole])
        assert row["share"] == pytest.approx(share), row["part"]
    network = ("inference", "learning: the network's passes")
    measured = ("stepping: physics", *network, whole, "with logging")
    assert all((took[name] > 0).all() for name in measured)


@pytest.mark.slow
def test_memory_compile_time_and_scaling_measure_in_processes_of_their_own():
    words = ("--programs", "update", "--karts", "8", "--frame-stack", "1")
    (row,) = run_script("memory", *words, *TINY)["rows"]
    assert row["karts"] == 8 and row["peak"] > row["bare"] > 0 and row["arguments"] > 0

    words = ("--programs", "telemetry", "--karts", "2", "--repeats", "1")
    anew, cached = run_script("compile_time", *words)["rows"]
    assert 0 < cached["compiling"]["median"] < anew["compiling"]["median"]

    words = ("--what", "training", "--devices", "1", "2", "--karts", "8", "--seconds", "0")
    one, two = run_script("scaling", *words, *TINY)["rows"]
    assert (one["devices"], two["devices"]) == (1, 2)
    assert one["gain"] == 1.0 and two["steps_per_second"]["low"] > 0


@pytest.mark.slow
def test_each_way_of_a_choice_has_a_rate_and_the_first_is_the_measure():
    choices = ("storage", "minibatches", "donation", "view-flags")
    words = ("--choices", *choices, "--karts", "8", "--seconds", "0")
    fields = ("--set", "rollout_steps=8", "minibatch_size=32", "epochs=1")
    found = {}
    for row in run_script("hot_loop", *words, *fields)["rows"]:
        found.setdefault(row["choice"], []).append(row)

    compiled = [way["way"] for way in found["view-flags"]]
    assert compiled[0] == "as it is"
    assert {"vectors of 256 bits", "LLVM's level 1"} < set(compiled)
    counts = {"storage": 2, "minibatches": 4, "donation": 2, "view-flags": len(compiled)}
    assert {choice: len(ways) for choice, ways in found.items()} == counts

    for ways in found.values():
        assert ways[0]["times"] == 1.0
        assert all(way["samples_per_second"]["low"] > 0 for way in ways)
        medians = [way["samples_per_second"]["median"] for way in ways]
        times = [median / medians[0] for median in medians]
        assert [way["times"] for way in ways] == pytest.approx(times)

    # Eight karts, eight pictures of 84x84 in colour each; four times the bytes in float32.
    pictures = 8 * 8 * 84 * 84 * 3
    assert [way["bytes"] for way in found["storage"]] == [pictures, 4 * pictures]
    donated, kept = (way["bytes"] for way in found["donation"])
    assert kept > donated
