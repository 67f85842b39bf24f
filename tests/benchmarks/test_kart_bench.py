"""`kart bench` over the scripts."""

import json

import pytest

from kart_jax import cli
from kart_jax.cli import bench


@pytest.fixture
def scripts(tmp_path, monkeypatch):
    """A package of small scripts in place of the real ones; "render" fails."""
    folder = tmp_path / "small_benchmarks"
    folder.mkdir()
    row = {"part": "inference", "share": 0.25, "seconds": {"median": 0.002}}
    for name in bench.SCRIPTS:
        line = json.dumps({"benchmark": name, "rows": [row]})
        ending = f"open(sys.argv[-1], 'a').write({line!r} + chr(10))"
        if name == "render":
            ending = "sys.exit(3)"
        text = f"import sys\nprint('table of {name}')\nassert '--quick' in sys.argv\n{ending}"
        (folder / f"{name}.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(bench, "benchmarks_package", lambda: folder.name)


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
    names = [result["benchmark"] for result in json.loads(shown)["benchmarks"]]
    assert names == ["memory", "peers"]
    assert "table of memory" in said


def test_kart_bench_finds_its_scripts_or_says_so(tmp_path, monkeypatch, capsys):
    assert bench.benchmarks_package() == "benchmarks"
    installed = tmp_path / "kart_jax"
    monkeypatch.setattr(bench, "__file__", str(installed / "cli" / "bench.py"))
    assert cli.main(["bench", "--only", "render"]) == 2
    said = capsys.readouterr().err
    assert "its benchmarks are missing; install kart_jax anew, or use a checkout" in said

    measure = installed / "_benchmarks" / "measure"
    measure.mkdir(parents=True)
    (measure / "report.py").touch()
    assert bench.benchmarks_package() == "kart_jax._benchmarks"


@pytest.mark.slow
def test_kart_bench_runs_a_real_script(tmp_path, capfd):
    out = tmp_path / "lines.jsonl"
    assert cli.main(["bench", "--only", "render", "--out", str(out)]) == 0
    (line,) = map(json.loads, out.read_text().splitlines())
    assert line["benchmark"] == "render" and line["rows"][0]["frames_per_second"]["low"] > 0
    assert "how fast is the view?" in capfd.readouterr().out
