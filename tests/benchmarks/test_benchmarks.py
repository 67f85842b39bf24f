"""The benchmarks: what they share, their flags, one figure of each kind, and `kart bench` over
them."""

import argparse
import importlib
import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kart_jax import cli
from kart_jax.cli import bench
from kart_jax.errors import InputError

sys.path.insert(
    0, str(Path(__file__).parents[2] / "benchmarks")
)  # a script's own folder, as when it is run
import env_throughput
import hot_loop
import learner
import machine
import ppo_throughput
import render
import report
import throwaway
import timing
import ways

ROOT = Path(__file__).parents[2]
SCRIPTS = (*bench.SCRIPTS, "lap_times", "physics_table")
COLUMNS = (
    report.text("who", "who", 6),
    report.number("steps/s", "rate"),
    report.extent("low .. high", "rate"),
)


def told(rows, words, capsys, **more):
    """What `report.run` prints for these rows."""
    benchmark = report.Benchmark(
        "one", COLUMNS, lambda arguments: iter(rows), report.Plot("who", "rate", "1/s"), **more
    )
    parser = report.flags("Rows.")
    report.add_timing(parser)
    report.run(benchmark, parser, words)
    return capsys.readouterr().out


def test_a_spread_keeps_its_repeats():
    found = timing.spread([3.0, 1.0, 2.0, 5.0, 4.0])
    assert (found.median, found.low, found.high, found.repeats) == (
        3.0,
        1.0,
        5.0,
        (3.0, 1.0, 2.0, 5.0, 4.0),
    )
    rate = timing.rate(timing.spread([0.5, 0.25, 0.2]), 10)
    assert (rate.median, rate.low, rate.high) == (40.0, 20.0, 50.0)


def test_the_clock_warms_up_waits_for_each_call_and_takes_turns(monkeypatch):
    """A clock that only the calls move: 2 s and 1 s each; a repeat of at least 4 s so has two and
    four calls."""
    now, order, waited = [0.0], [], []

    def call(name, length):
        def take():
            now[0] += length
            order.append(name)
            return name

        return take

    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])
    calls = {"a": call("a", 2.0), "b": call("b", 1.0)}
    found = timing.side_by_side(calls, waited.append, repeats=5, least=4.0)
    assert found["a"].repeats == (2.0,) * 5 and found["b"].repeats == (1.0,) * 5
    assert waited == order == ["a", "a", "b", "b", *(["a"] * 2 + ["b"] * 4) * 5]


def test_parts_of_a_whole_are_taken_repeat_by_repeat():
    whole, part = timing.spread([10.0, 20.0, 30.0]), timing.spread([1.0, 3.0, 2.0])
    assert timing.difference(whole, part).repeats == (9.0, 17.0, 28.0)
    assert timing.total(whole, part).repeats == (11.0, 23.0, 32.0)


def test_the_lines_of_a_breakdown_add_up_to_the_update():
    names = ("physics", "blind", "all", "forward", "backward", "roll-out", "update")
    took = {name: timing.spread([i + 1.0, 2 * i + 3.0]) for i, name in enumerate(names)}
    parts = ppo_throughput.breakdown(took, took["update"])
    assert timing.total(*parts.values()).repeats == pytest.approx(took["update"].repeats)


def test_a_report_is_a_table_a_json_line_and_a_plot(tmp_path, capsys):
    rows = [
        {"who": "us", "rate": timing.spread([1000.0, 3000.0, 2000.0])},
        {"who": "them", "note": "out of memory"},
    ]
    out, plot = tmp_path / "deep" / "lines.jsonl", tmp_path / "plot.png"
    words = ["--out", str(out), "--plot", str(plot), "--seconds", "0.25"]
    shown = told(rows, words, capsys, conclude=lambda rows: [f"{len(rows)} rows"])
    lines = [line.split("|")[1:-1] for line in shown.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line] for line in (lines[0], *lines[2:])]
    assert cells == [
        ["who", "steps/s", "low .. high"],
        ["us", "2,000", "1,000 .. 3,000"],
        ["them", "-", "out of memory"],
    ]
    assert shown.rstrip().endswith("2 rows") and machine.processor() in shown
    assert plot.stat().st_size > 1000
    again = json.loads(told(rows, ["--json", "--out", str(out)], capsys))
    first, second = map(json.loads, out.read_text().splitlines())  # appended, one line for each run
    assert second == again and first["settings"] == {"quick": False, "repeats": 5, "seconds": 0.25}
    assert first["rows"][0]["rate"] == {
        "median": 2000.0,
        "low": 1000.0,
        "high": 3000.0,
        "repeats": [1e3, 3e3, 2e3],
    }
    assert (
        first["versions"]["jax"]
        and first["device"]["backend"] == "cpu"
        and first["machine"]["cores"] >= 1
    )
    assert set(first) == {
        "benchmark",
        "time",
        "commit",
        "versions",
        "machine",
        "device",
        "settings",
        "rows",
    }


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--repeats 4", "--repeats is '4'; it must be a whole number from 5 to 1000000000; see"),
        ("--plot figure.bmp", "--plot is figure.bmp; its name must end in .png, .pdf or .svg"),
        ("--seconds -1", "--seconds is -1.0; it must be a number from 0 on"),
        ("--sekonds 1", "unrecognized arguments: --sekonds 1"),
    ],
)
def test_bad_input_gets_one_sentence_and_code_2(words, sentence, capsys):
    with pytest.raises(SystemExit) as stop:
        told([], words.split(), capsys)
    said = capsys.readouterr().err
    assert stop.value.code == 2 and sentence in said and said.count("\n") == 1


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_explains_its_flags(name, capsys):
    script = importlib.import_module(name)
    parser = script.flags() if hasattr(script, "flags") else report.flags(script.__doc__)
    with pytest.raises(SystemExit) as stop:
        report.run(script.BENCHMARK, parser, ["--help"])
    shown = capsys.readouterr().out
    assert stop.value.code == 0 and all(
        flag in shown for flag in ("--quick", "--json", "--out", "--plot")
    )
    assert script.BENCHMARK.name == name and f"python benchmarks/{name}.py" in shown


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("epochs", "--set has epochs; write FIELD=VALUE"),
        ("epoch=3", "--set has epoch=3; write FIELD=VALUE"),
        ("epochs=many", "--set epochs is many; it must be a whole number or null"),
    ],
)
def test_a_wrong_field_of_a_run_is_told(words, sentence):
    with pytest.raises(InputError, match=sentence):
        learner.assignment(words)


def test_fields_of_a_run_are_those_of_kart_train():
    arguments = argparse.Namespace(
        track="monza", karts=[8, 16], frame_stack=None, set=["epochs=2", "kart=kz2"]
    )
    runs = learner.requests(arguments)
    assert [run.vector_envs for run in runs] == [8, 16]
    assert all((run.track_name, run.epochs, run.kart) == (("monza",), 2, "kz2") for run in runs)


def test_a_peer_that_cannot_be_installed_is_left_out_with_the_reason():
    complaint = "  fatal: unable to access 'x': Could not resolve host\n\nerror: subprocess-exited-with-error\n  note: y"
    assert throwaway.reason(complaint) == "fatal: unable to access 'x': Could not resolve host"
    assert (
        throwaway.reason("ERROR: No matching distribution found for z\n")
        == "ERROR: No matching distribution found for z"
    )


@pytest.mark.slow
def test_one_small_picture_has_a_rate(capsys):
    words = ["--size", "8x16", "--karts", "2", "--seconds", "0", "--json"]
    report.run(render.BENCHMARK, render.flags(), words)
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert (row["size"], row["karts"]) == ("8x16", 2) and len(
        row["frames_per_second"]["repeats"]
    ) == 5
    assert row["pixels_per_second"]["low"] == pytest.approx(128 * row["frames_per_second"]["low"])


@pytest.mark.parametrize("choice", ["storage", "minibatches"])
def test_the_ways_of_a_choice_read_the_same_pictures(choice):
    config = learner.request("circuit", 4, 2, ["rollout_steps=4", "minibatch_size=8", "devices=1"])
    used, *others = (float(np.sum(way.call())) for way in hot_loop.CHOICES[choice](config))
    assert used > 0 and others == pytest.approx([used] * len(others), rel=1e-5)


@pytest.mark.parametrize("form", ["shifts", "depth"])
def test_a_form_of_the_convolution_is_a_convolution(form):
    images = np.random.default_rng(0).integers(0, 255, (2, 20, 24, 3), np.uint8)
    kernel = np.random.default_rng(1).normal(0.0, 0.1, (8, 8, 3, 5)).astype(np.float32)
    found, sought = (ways.FORMS[name][1](images, kernel, 4) for name in (form, "lax"))
    np.testing.assert_allclose(found, sought, rtol=1e-4, atol=1e-3)


def test_where_the_pictures_are_scaled_makes_no_difference_to_what_is_learned():
    config = learner.request("circuit", 4, 1, ["rollout_steps=4", "minibatch_size=2", "devices=1"])
    used, other = (way.call() for way in ways.scale(config))
    np.testing.assert_allclose(used[0], other[0], rtol=1e-4, atol=1e-6)
    begun = 0.05 * jax.random.normal(jax.random.key(32), used[0].shape)
    assert float(jnp.mean(jnp.abs(used[0] - begun))) > 1e-4  # it did learn


@pytest.mark.slow
def test_physics_of_two_karts_has_a_rate():
    """The script itself, in a process of its own as a user runs it."""
    line = script(
        "env_throughput",
        "--karts",
        "2",
        "--devices",
        "1",
        "--parts",
        "physics",
        "--seconds",
        "0",
        "--json",
    )
    (row,) = line["rows"]
    assert (
        row["karts"] == 2
        and len(row["steps_per_second"]["repeats"]) == 5
        and row["steps_per_second"]["low"] > 0
    )


def script(name, *words):
    """The JSON line of a script."""
    command = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_on_a_cpu_karts_that_would_fill_the_memory_are_left_out(monkeypatch):
    monkeypatch.setattr(machine, "memory_gb", lambda: 8.0)
    monkeypatch.setattr(
        env_throughput, "figures", lambda arguments, part, karts, *_: {"bytes": 1_000_000 * karts}
    )
    arguments = env_throughput.flags().parse_args(
        ["--karts", "4000", "8000", "1000", "--parts", "physics"]
    )
    rows = list(env_throughput.sweep(arguments, 1))
    assert [row.get("note") for row in rows] == [None, "left out: some 8 GB of 8 GB", None]


TINY = ("--set", "telemetry_only=true", "rollout_steps=8", "minibatch_size=32", "epochs=1")


@pytest.mark.slow
def test_the_breakdown_of_a_tiny_run():
    rows = script("ppo_throughput", "--karts", "8", "--seconds", "0", "--json", *TINY)["rows"]
    took = {row["part"]: np.array(row["seconds"]["repeats"]) for row in rows}
    *parts, whole, bare, _, _ = took
    assert (whole, bare, len(parts)) == (
        "whole update",
        "bare network",
        7,
    ) and "with logging" in took
    np.testing.assert_allclose(sum(took[part] for part in parts), took[whole])  # repeat by repeat
    np.testing.assert_allclose(
        took[bare], took["inference"] + took["learning: the network's passes"]
    )
    rate = np.array(rows[7]["steps_per_second"]["repeats"])
    np.testing.assert_allclose(rate * took[whole], 8 * 8)  # karts, steps of each
    for row in rows[:9]:
        assert row["share"] == pytest.approx(
            np.median(took[row["part"]]) / np.median(took[whole])
        ), row["part"]
    measured = (
        "stepping: physics",
        "inference",
        "learning: the network's passes",
        whole,
        "with logging",
    )
    assert all((took[name] > 0).all() for name in measured)


@pytest.mark.slow
def test_memory_compile_time_and_scaling_measure_in_processes_of_their_own():
    (row,) = script(
        "memory", "--programs", "update", "--karts", "8", "--frame-stack", "1", "--json", *TINY
    )["rows"]
    assert row["karts"] == 8 and row["peak"] > row["bare"] > 0 and row["arguments"] > 0
    words = ("--programs", "telemetry", "--karts", "2", "--repeats", "1", "--json")
    anew, cached = script("compile_time", *words)["rows"]
    assert 0 < cached["compiling"]["median"] < anew["compiling"]["median"]
    words = (
        "--what",
        "training",
        "--devices",
        "1",
        "2",
        "--karts",
        "8",
        "--seconds",
        "0",
        "--json",
    )
    one, two = script("scaling", *words, *TINY)["rows"]
    assert (
        (one["devices"], two["devices"]) == (1, 2)
        and one["gain"] == 1.0
        and two["steps_per_second"]["low"] > 0
    )


@pytest.mark.slow
def test_each_way_of_a_choice_has_a_rate_and_the_first_is_the_measure():
    choices = ("storage", "minibatches", "donation", "view-flags")
    words = ("--choices", *choices, "--karts", "8", "--seconds", "0", "--json")
    rows = script("hot_loop", *words, "--set", "rollout_steps=8", "minibatch_size=32", "epochs=1")[
        "rows"
    ]
    found = {}
    for row in rows:
        found.setdefault(row["choice"], []).append(row)
    flags = [way["way"] for way in found["view-flags"]]
    assert flags[0] == "as it is" and {"vectors of 256 bits", "LLVM's level 1"} < set(flags)
    counts = {"storage": 2, "minibatches": 4, "donation": 2, "view-flags": len(flags)}
    assert {choice: len(of) for choice, of in found.items()} == counts
    for several in found.values():
        assert several[0]["times"] == 1.0 and all(
            way["samples_per_second"]["low"] > 0 for way in several
        )
        medians = [way["samples_per_second"]["median"] for way in several]
        assert [way["times"] for way in several] == pytest.approx(
            [median / medians[0] for median in medians]
        )
    # Eight karts, eight pictures of 84x84 in colour each; four times the bytes in float32.
    assert [way["bytes"] for way in found["storage"]] == [
        8 * 8 * 84 * 84 * 3,
        4 * 8 * 8 * 84 * 84 * 3,
    ]
    given, kept = (way["bytes"] for way in found["donation"])
    assert kept > given


@pytest.mark.slow
def test_kart_bench_runs_a_real_script(tmp_path, capfd):
    out = tmp_path / "lines.jsonl"
    assert cli.main(["bench", "--only", "render", "--out", str(out)]) == 0
    (line,) = map(json.loads, out.read_text().splitlines())
    assert line["benchmark"] == "render" and line["rows"][0]["frames_per_second"]["low"] > 0
    assert "how fast is the view?" in capfd.readouterr().out


@pytest.fixture
def scripts(tmp_path, monkeypatch):
    """A folder of small scripts in place of the real ones; "render" fails."""
    folder = tmp_path / "scripts"
    folder.mkdir()
    row = {"part": "inference", "share": 0.25, "seconds": {"median": 0.002}}
    for name in bench.SCRIPTS:
        line = json.dumps({"benchmark": name, "rows": [row]})
        text = f"import sys\nprint('table of {name}')\nassert '--quick' in sys.argv\n"
        text += (
            "sys.exit(3)"
            if name == "render"
            else f"open(sys.argv[-1], 'a').write({line!r} + chr(10))"
        )
        (folder / f"{name}.py").write_text(text)
    monkeypatch.setattr(bench, "folder", lambda: folder)
    return folder


def test_kart_bench_runs_all_and_tells_where_the_time_goes(scripts, tmp_path, capfd):
    out = tmp_path / "results" / "lines.jsonl"
    assert cli.main(["bench", "--out", str(out)]) == 1
    shown, said = capfd.readouterr()
    tables = [
        line.removeprefix("table of ") for line in shown.splitlines() if line.startswith("table of")
    ]
    assert tables == [name for name in bench.SCRIPTS if name != "peers"]
    assert "inference          2.0  25.0 %" in shown and "kart bench --peers" in shown
    assert said == "kart: the benchmark render failed\n"
    names = [json.loads(line)["benchmark"] for line in out.read_text().splitlines()]
    assert names == [name for name in bench.SCRIPTS if name not in ("peers", "render")]


def test_kart_bench_answers_in_json(scripts, capfd):
    assert cli.main(["bench", "--only", "memory", "--peers", "--json"]) == 0
    shown, said = capfd.readouterr()
    assert [record["benchmark"] for record in json.loads(shown)["benchmarks"]] == [
        "memory",
        "peers",
    ]
    assert "table of memory" in said


def test_kart_bench_finds_its_scripts_or_says_so(tmp_path, monkeypatch, capsys):
    assert bench.folder() == ROOT / "benchmarks"
    assert all((bench.folder() / f"{name}.py").is_file() for name in bench.SCRIPTS)
    monkeypatch.setattr(bench, "__file__", str(tmp_path / "kart_jax" / "cli" / "bench.py"))
    assert cli.main(["bench", "--only", "render"]) == 2
    assert (
        "its benchmarks are missing; install kart_jax anew, or use a checkout"
        in capsys.readouterr().err
    )


def test_in_a_container_its_share_of_the_memory_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "CONTROL_GROUPS", tmp_path)
    whole = machine.memory_gb()
    (tmp_path / "memory.max").write_text("max\n")
    assert machine.memory_gb() == whole
    (tmp_path / "memory.max").write_text("500000000\n")
    assert machine.memory_gb() == 0.5


def test_benchmarks_tell_that_the_device_is_too_small():
    assert machine.out_of_memory(
        RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate")
    )
    assert not machine.out_of_memory(RuntimeError("INVALID_ARGUMENT: shape"))
