"""Telemetry files: exact round trips, whole files or none, and one sentence for a bad one."""

import dataclasses

import numpy as np
import pytest

from kart_jax.errors import InputError
from kart_jax.race.channels import BY_NAME, NAMES, READERS, Channel
from kart_jax.telemetry import export
from kart_jax.telemetry.log import Log


def test_csv_reads_back_bit_for_bit(tmp_path, circle_log):
    odd = circle_log.values.copy()
    odd[3] = np.float32([1e-30, 1 / 3, -0.0, 16777216.0, 3.4e38, np.nan, -np.pi] * 6)[
        : odd.shape[1]
    ]
    odd[3, 0] = 3.0
    whole = [
        k
        for k, name in enumerate(NAMES)
        if name in ("step", "lap", "sector", "gear", "on_track", "lap_valid")
    ]
    odd[3, whole] = 2.0
    log = dataclasses.replace(circle_log, values=odd)
    export.write_csv(tmp_path / "run.csv", log)
    back = export.read_csv(tmp_path / "run.csv")
    assert back.names == NAMES
    np.testing.assert_array_equal(back.values, odd)


def test_pandas_plots_the_csv_as_the_readme_says(tmp_path, circle_log):
    pandas = pytest.importorskip("pandas")
    import matplotlib as mpl

    mpl.use("Agg")
    export.write_csv(tmp_path / "run.csv", circle_log)
    df = pandas.read_csv(tmp_path / "run.csv")
    assert df["step"].dtype.kind == "i" and df["speed"].dtype.kind == "f"
    assert df["last_lap"].isna().all()
    axes = df.plot(x="step", y=["speed", "lateral_g", "steering"])
    assert [line.get_label() for line in axes.get_lines()] == ["speed", "lateral_g", "steering"]


def test_npz_reads_back_and_holds_units(tmp_path):
    values = np.random.default_rng(0).normal(size=(5, 3, len(NAMES))).astype(np.float32)
    export.write_npz(tmp_path / "run.npz", values)
    back, names = export.read_npz(tmp_path / "run.npz")
    assert names == NAMES
    np.testing.assert_array_equal(back, values)
    with np.load(tmp_path / "run.npz") as data:
        units = dict(zip(data["names"].tolist(), data["units"].tolist(), strict=True))
    assert (units["speed"], units["lateral_g"], units["step"]) == ("km/h", "g", "")
    np.testing.assert_array_equal(
        export.read_log(tmp_path / "run.npz", kart=2).values, values[:, 2]
    )


def test_a_channel_that_only_a_logger_has_needs_no_reader(tmp_path, monkeypatch):
    spec = Channel("satellites", "", "", "satellites that the logger saw", whole=True)
    monkeypatch.setitem(BY_NAME, spec.name, spec)
    assert spec.name not in READERS and spec.name not in NAMES
    log = Log(("time", spec.name), np.float32([[0.5, 11.0], [1.0, np.nan]]))
    export.write_csv(tmp_path / "run.csv", log)
    assert (tmp_path / "run.csv").read_text() == "time,satellites\n0.5,11\n1,\n"
    back = export.read_log(tmp_path / "run.csv")
    np.testing.assert_array_equal(back[spec.name], [11.0, np.nan])


def test_a_drive_in_an_npz_ends_where_its_numbers_end(tmp_path):
    values = np.ones((5, 2, len(NAMES)), np.float32)
    values[3:, 0], values[:, 1] = np.nan, np.nan
    values[1, 0, 4] = np.nan  # one value that does not exist is no end
    export.write_npz(tmp_path / "drives.npz", values)
    np.testing.assert_array_equal(export.read_log(tmp_path / "drives.npz").values, values[:3, 0])
    with pytest.raises(
        InputError,
        match=r"drives\.npz: kart 1 has no number; its drive ended at once; choose another",
    ):
        export.read_log(tmp_path / "drives.npz", kart=1)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "line 1 is not a header"),
        ("0,1,2\n3,4,5\n", "line 1 is not a header"),
        ("step,time,step\n1,2,3\n", "names a channel twice"),
        ("step,time\n", "holds no rows"),
        ("step,time\n,\n , \n", "holds no number below the header"),
        ("step,time\n1,2\n1,fast\n", "line 3: time is 'fast'; write a number"),
        ("step,time\n1,2,3\n", "line 2 has 3 cells; the header names 2"),
        ("step,time\n1\n", "line 2 has 1 cells"),
        ("step,time\n1,inf\n", "line 2: time is 'inf'; write a number"),
        ("step,time\n1,-1e300\n", "line 2: time is '-1e300'; write a number"),
        (f"{'a' * 200_000}\n1\n", "line 1 is not CSV"),
    ],
)
def test_a_bad_csv_gets_one_sentence(tmp_path, text, sentence):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=sentence) as caught:
        export.read_log(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_other_bad_files_get_one_sentence(tmp_path, circle_log):
    with pytest.raises(InputError, match="no such file"):
        export.read_log(tmp_path / "absent.csv")
    with pytest.raises(InputError, match="no such file"):
        export.read_log(tmp_path / "absent.npz")
    (tmp_path / "picture.csv").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(InputError, match="not readable text"):
        export.read_log(tmp_path / "picture.csv")
    export.write_npz(tmp_path / "good.npz", circle_log.values[:, None])
    content = (tmp_path / "good.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="not a telemetry npz"):
        export.read_log(tmp_path / "cut.npz")
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    np.savez(tmp_path / "words.npz", values=np.array([[["fast"]]]), names=["speed"])
    with (tmp_path / "array.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    for name in ("other", "words", "array"):
        with pytest.raises(InputError, match="not a telemetry npz"):
            export.read_log(tmp_path / f"{name}.npz")
    np.savez(tmp_path / "empty.npz", values=np.zeros((0, 1, 1)), names=["speed"])
    with pytest.raises(InputError, match=r"shape \(0, 1, 1\)"):
        export.read_log(tmp_path / "empty.npz")
    np.savez(tmp_path / "blank.npz", values=np.full((2, 1, 1), np.nan), names=["speed"])
    with pytest.raises(InputError, match="holds no number; record"):
        export.read_log(tmp_path / "blank.npz")
    (tmp_path / "folder.npz").mkdir()
    for name in (".", "folder.npz"):
        with pytest.raises(
            InputError, match="is a folder; give the path of a telemetry CSV or npz in it"
        ):
            export.read_log(tmp_path / name)
    with pytest.raises(InputError, match="kart is 1; allowed are 0 to 0"):
        export.read_log(tmp_path / "good.npz", kart=1)


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path, circle_log):
    path = tmp_path / "run.csv"
    path.write_text("old")

    class Broken(np.ndarray):
        def astype(self, *args, **kwargs):
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        export.write_csv(path, Log(NAMES, circle_log.values.view(Broken)))
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["run.csv"]


def test_a_place_that_cannot_be_written_gets_one_sentence(tmp_path, circle_log):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        export.write_csv(tmp_path / "file" / "run.csv", circle_log)
    with pytest.raises(InputError, match="it is a folder"):
        export.write_csv(tmp_path, circle_log)
