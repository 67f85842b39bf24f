"""What the benchmarks share: the clock, the table, the JSON line, the flags, the machine."""

import json

import pytest

from benchmarks.measure import flags, machine, report, table, throwaway, timing
from benchmarks.measure.benchmark import Benchmark, Plot

COLUMNS = (
    table.text("who", "who", 6),
    table.number("steps/s", "rate"),
    table.extent("low .. high", "rate"),
)


PLOT = Plot("who", "rate", "1/s")


def shown(rows, words, capsys, plot=PLOT, **more):
    """Return what `report.run` prints for these rows."""
    benchmark = Benchmark("one", COLUMNS, lambda arguments: iter(rows), plot, **more)
    parser = flags.shared("Rows.")
    flags.add_timing(parser)
    report.run(benchmark, parser, words)
    return capsys.readouterr().out


def test_a_spread_keeps_its_repeats():
    found = timing.spread([3.0, 1.0, 2.0, 5.0, 4.0])
    assert (found.median, found.low, found.high) == (3.0, 1.0, 5.0)
    assert found.repeats == (3.0, 1.0, 2.0, 5.0, 4.0)
    rate = timing.rate(timing.spread([0.5, 0.25, 0.2]), 10)
    assert (rate.median, rate.low, rate.high) == (40.0, 20.0, 50.0)


def test_the_clock_warms_up_waits_for_each_call_and_takes_turns(monkeypatch):
    """A clock that only the calls move: 2 s and 1 s each.

    A repeat of at least 4 s so has two and four calls.
    """
    now, order, waited = [0.0], [], []

    def call(name, length):
        def take():
            now[0] += length
            order.append(name)
            return name

        return take

    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])
    calls = {"a": call("a", 2.0), "b": call("b", 1.0)}
    found = timing.time_side_by_side(calls, waited.append, repeats=5, least=4.0)
    assert found["a"].repeats == (2.0,) * 5 and found["b"].repeats == (1.0,) * 5
    assert waited == order == ["a", "a", "b", "b", *(["a"] * 2 + ["b"] * 4) * 5]


def test_parts_of_a_whole_are_taken_repeat_by_repeat():
    whole, part = timing.spread([10.0, 20.0, 30.0]), timing.spread([1.0, 3.0, 2.0])
    assert timing.difference(whole, part).repeats == (9.0, 17.0, 28.0)
    assert timing.total(whole, part).repeats == (11.0, 23.0, 32.0)


def test_a_report_is_a_table_a_json_line_and_a_plot(tmp_path, capsys):
    rows = [
        {"who": "us", "rate": timing.spread([1000.0, 3000.0, 2000.0])},
        {"who": "them", "note": "out of memory"},
    ]
    out, plot = tmp_path / "deep" / "lines.jsonl", tmp_path / "plot.png"
    words = ["--out", str(out), "--plot", str(plot), "--seconds", "0.25"]
    text = shown(rows, words, capsys, conclude=lambda rows: [f"{len(rows)} rows"])

    lines = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line] for line in (lines[0], *lines[2:])]
    assert cells == [
        ["who", "steps/s", "low .. high"],
        ["us", "2,000", "1,000 .. 3,000"],
        ["them", "-", "out of memory"],
    ]
    assert text.rstrip().endswith("2 rows") and machine.processor() in text
    assert plot.stat().st_size > 1000

    again = json.loads(shown(rows, ["--json", "--out", str(out)], capsys))
    first, second = map(json.loads, out.read_text().splitlines())  # appended, one line for each run
    assert second == again and first["settings"] == {"quick": False, "repeats": 5, "seconds": 0.25}
    assert first["rows"][0]["rate"] == {
        "median": 2000.0,
        "low": 1000.0,
        "high": 3000.0,
        "repeats": [1e3, 3e3, 2e3],
    }
    assert first["versions"]["jax"] and first["device"]["backend"] == "cpu"
    assert first["machine"]["cores"] >= 1
    names = ("time", "commit", "versions", "machine", "device", "settings", "rows")
    assert set(first) == {"benchmark", *names}


def test_a_plot_leaves_out_the_rows_that_it_is_not_for(tmp_path, capsys, monkeypatch):
    from benchmarks.measure import chart

    drawn = []
    monkeypatch.setattr(chart, "_draw_lines", lambda axes, plot, rows: drawn.extend(rows))
    rows = [
        {"who": 1, "rate": 2.0, "way": "ours"},
        {"who": 2, "rate": 3.0, "way": "theirs"},
        {"who": 3, "way": "ours", "note": "out of memory"},
    ]
    plot = Plot("who", "rate", "1/s", only=("way", "ours"))
    shown(rows, ["--plot", str(tmp_path / "plot.svg")], capsys, plot)
    assert drawn == rows[:1]


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
        shown([], words.split(), capsys)
    said = capsys.readouterr().err
    assert stop.value.code == 2 and sentence in said and said.count("\n") == 1


def test_a_peer_that_cannot_be_installed_is_left_out_with_the_reason():
    complaint = (
        "  fatal: unable to access 'x': Could not resolve host\n\n"
        "error: subprocess-exited-with-error\n  note: y"
    )
    assert throwaway.reason(complaint) == "fatal: unable to access 'x': Could not resolve host"
    last = "ERROR: No matching distribution found for z"
    assert throwaway.reason(f"{last}\n") == last


def test_in_a_container_its_share_of_the_memory_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "CONTROL_GROUPS", tmp_path)
    whole = machine.memory_gb()
    (tmp_path / "memory.max").write_text("max\n")
    assert machine.memory_gb() == whole
    (tmp_path / "memory.max").write_text("500000000\n")
    assert machine.memory_gb() == 0.5


def test_benchmarks_tell_that_the_device_is_too_small():
    full = "RESOURCE_EXHAUSTED: Out of memory while trying to allocate"
    assert machine.out_of_memory(RuntimeError(full))
    assert not machine.out_of_memory(RuntimeError("INVALID_ARGUMENT: shape"))
