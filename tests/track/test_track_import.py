"""Centre-line CSVs: what is read, how noise is smoothed, and how each bad file is refused."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import KDTree

from kart_jax import cli
from kart_jax.errors import InputError
from kart_jax.track import clearance, derive, draw, entry_file, importers, layouts
from kart_jax.track.line import resample

DATA = Path(__file__).parents[3] / "shared" / "data" / "tracks"
HEADER = "# x_m,y_m,w_tr_right_m,w_tr_left_m\n"


def circle(radius: float = 50.0, count: int = 64, noise: float = 0.0) -> np.ndarray:
    """Return points (count, 2) counter-clockwise from (radius, 0)."""
    phi = np.arange(count) / count * 2 * np.pi
    points = radius * np.column_stack([np.cos(phi), np.sin(phi)])
    return points + noise * np.random.default_rng(0).standard_normal(points.shape)


def write(
    path: Path, points: np.ndarray, right: float = 4.0, left: float = 5.0, header: str = HEADER
) -> Path:
    rows = "".join(f"{x:.6f},{y:.6f},{right},{left}\n" for x, y in points)
    path.write_text(header + rows)
    return path


def test_a_circle_comes_back_as_a_circle(tmp_path):
    line = importers.read_csv(write(tmp_path / "c.csv", circle()))
    assert line.length == pytest.approx(2 * np.pi * 50, rel=2e-3)
    # Counter-clockwise bends to the left: positive.
    np.testing.assert_allclose(line.curvature, 1 / 50, rtol=0.02)
    np.testing.assert_allclose(line.half_right, 4.0)
    np.testing.assert_allclose(line.half_left, 5.0)
    assert (line.x[0], line.y[0]) == pytest.approx((50.0, 0.0), abs=0.1)
    assert line.heading[0] == pytest.approx(np.pi / 2, abs=0.02)


@pytest.mark.parametrize(
    "header", ["", HEADER, "x_m,y_m,w_tr_right_m,w_tr_left_m\n", "# made by hand\n\n" + HEADER]
)
def test_the_header_is_optional(tmp_path, header):
    plain = importers.read_csv(write(tmp_path / "a.csv", circle()))
    line = importers.read_csv(write(tmp_path / "b.csv", circle(), header=header))
    np.testing.assert_array_equal(line.x, plain.x)


def test_closing_and_repeated_points_change_nothing(tmp_path):
    points = circle()
    plain = importers.read_csv(write(tmp_path / "a.csv", points))
    repeated = np.concatenate([points[:5], points[4:5], points[5:], points[:1], points[:1]])
    again = importers.read_csv(write(tmp_path / "b.csv", repeated))
    np.testing.assert_array_equal(again.x, plain.x)


def test_noise_is_smoothed_and_the_curvature_stays_drivable(tmp_path):
    # 0.3 m of noise every 3 m: raw three-point curvature has a spread of about sqrt(6) 0.3 / 3² =
    # 0.08 1/m, a radius of 12 m where the truth is 60 m.
    line = importers.read_csv(write(tmp_path / "n.csv", circle(60.0, 126, noise=0.3)))
    assert 1 / np.abs(line.curvature).max() > 25.0
    off = np.hypot(line.x, line.y) - 60.0
    assert np.sqrt((off**2).mean()) < 0.25
    assert line.length == pytest.approx(2 * np.pi * 60, rel=5e-3)


def test_smoothing_halves_waves_of_the_cut_wavelength():
    # A wave of 20 m and 0.5 m height on a circle of 20 x 30 m around, sampled every metre.
    phi = np.arange(600) / 600 * 2 * np.pi
    radius = 600 / (2 * np.pi) + 0.5 * np.cos(30 * phi)
    curve = importers.fit_curve(
        radius[:, None] * np.column_stack([np.cos(phi), np.sin(phi)]), cut=20.0
    )
    angle = np.arctan2(curve[:, 1], curve[:, 0])
    radius = np.hypot(*curve.T)
    height = 2 * np.mean((radius - radius.mean()) * np.cos(30 * angle))
    assert height == pytest.approx(0.25, abs=0.03)


def row(line: int, field: int, value: str) -> str:
    """Return the circle's file with one value replaced."""
    rows = [[f"{x:.3f}", f"{y:.3f}", "4.0", "5.0"] for x, y in circle()]
    rows[line - 2][field] = value
    return HEADER + "".join(",".join(r) + "\n" for r in rows)


def eight() -> str:
    """Return a figure of eight."""
    t = np.arange(120) / 120 * 2 * np.pi
    return HEADER + "".join(
        f"{x:.3f},{y:.3f},4,4\n" for x, y in zip(100 * np.sin(t), 60 * np.sin(2 * t), strict=True)
    )


def needle() -> str:
    """Return a lap whose two sides lie 6 m apart: narrower than two half-widths of 4 m."""
    x = np.r_[np.arange(0, 200, 4.0), np.arange(200, 0, -4.0)]
    y = np.r_[np.zeros(50), np.full(50, 6.0)]
    return HEADER + "".join(f"{a},{b},4,4\n" for a, b in zip(x, y, strict=True))


BAD = {
    "empty": ("", "has 0 different points"),
    "header only": (HEADER, "has 0 different points"),
    "three points": (HEADER + "0,0,4,4\n90,0,4,4\n0,90,4,4\n", "has 3 different points"),
    "three columns": ("0,0,4\n", "line 1 has 3 columns"),
    "five columns": ("0,0,4,4,1\n", "line 1 has 5 columns"),
    "semicolons": ("0;0;4;4\n", "line 1 has 1 columns"),
    "a word": (row(9, 1, "north"), "line 9: y_m is 'north'"),
    "nan": (row(5, 0, "nan"), "line 5: x_m is 'nan'"),
    "infinity": (row(5, 2, "inf"), "line 5: w_tr_right_m is 'inf'"),
    "missing value": (row(7, 3, ""), "line 7: w_tr_left_m is ''"),
    "cut short": (row(65, 3, "5.0").rsplit(",", 2)[0], "line 65 has 2 columns"),
    "negative width": (row(4, 2, "-4"), "line 4: w_tr_right_m is -4"),
    "zero width": (row(4, 3, "0"), "line 4: w_tr_left_m is 0"),
    "wide width": (row(4, 3, "400"), "line 4: w_tr_left_m is 400"),
    "kilometres": (
        HEADER + "".join(f"{x / 1e3},{y / 1e3},4,4\n" for x, y in circle()),
        "the lap is 0 m long",
    ),
    "not closed": (HEADER + "".join(f"{3 * k},{k % 2},4,4\n" for k in range(60)), "close the gap"),
    "crossing": (eight(), "crosses or touches itself"),
    "overlap": (needle(), "crosses or touches itself|less than the half-width"),
    "wider than the bend": (
        HEADER + "".join(f"{x},{y},4,60\n" for x, y in circle()),
        "w_tr_left_m is 60",
    ),
    "one direction twice": (HEADER + "0,0,4,4\n" * 20, "has 1 different points"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_refused_in_one_sentence(tmp_path, case):
    text, words = BAD[case]
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=words) as error:
        importers.read_csv(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value) and ". " not in str(error.value).removeprefix(str(path))


def test_a_bend_tighter_than_the_half_width_is_refused(tmp_path):
    # A circle of 20 m radius with the left (inner) edge 19.5 m from the centre line.
    with pytest.raises(InputError, match="less than the half-width"):
        importers.read_csv(write(tmp_path / "c.csv", circle(20.0), left=19.5))


def test_wrong_kinds_of_file_are_refused(tmp_path, monkeypatch):
    binary = tmp_path / "b.csv"
    binary.write_bytes(bytes(range(256)) * 10)
    with pytest.raises(InputError, match="is not text"):
        importers.read_csv(binary)
    with pytest.raises(InputError, match="no such file"):
        importers.read_csv(tmp_path / "none.csv")
    with pytest.raises(InputError, match="no such file"):
        importers.read_csv(tmp_path)
    monkeypatch.setattr(importers, "MAX_BYTES", 100)
    with pytest.raises(InputError, match="at most 100 are read"):
        importers.read_csv(write(tmp_path / "huge.csv", circle()))


needs_real = pytest.mark.skipif(
    not DATA.is_dir(), reason="the shared circuits are not beside this checkout"
)


@needs_real
@pytest.mark.parametrize(
    ("name", "length", "tightest"),
    # Lengths of the driven lines as the reference gives them in 2.3; the car circuits' official
    # laps.
    [
        ("genk", 1266.7, 8.0),
        ("le_mans_kart", 1318.0, 7.5),
        ("wackersdorf", 1183.0, 8.0),
        ("monza", 5793.0, 9.0),
        ("spa", 7004.0, 9.0),
    ],
)
def test_the_real_circuits_import(name, length, tightest):
    path = DATA / f"{name}.csv"
    line = importers.read_csv(path)
    points = np.loadtxt(path, delimiter=",")[:, :2]
    fine = resample(np.column_stack([line.x, line.y]), line.half_left, line.half_right, 0.2)
    off, _ = KDTree(np.column_stack([fine.x, fine.y])).query(points)
    assert line.length == pytest.approx(length, rel=1.5e-3)
    assert np.sqrt((off**2).mean()) < 0.1 and off.max() < 0.45
    assert 1 / np.abs(line.curvature).max() > tightest
    assert clearance.smallest_gap(line)[0] > 3.0
    assert np.hypot(line.x[0] - points[0, 0], line.y[0] - points[0, 1]) < 0.05


@pytest.mark.slow
@needs_real
@pytest.mark.parametrize("name", ["genk", "le_mans_kart", "wackersdorf", "monza", "spa"])
def test_the_picture_of_a_real_circuit_is_the_circuit(name, tmp_path, monkeypatch):
    # `kart track import`, and the picture it writes traced again.
    monkeypatch.setenv("KART_JAX_CACHE", str(tmp_path / "cache"))
    tracks = tmp_path / "tracks"
    assert cli.main(["track", "import", str(DATA / f"{name}.csv"), "--folder", str(tracks)]) == 0
    given = importers.read_csv(DATA / f"{name}.csv")
    found = derive.load_circuit(tracks / f"{name}.png").line

    pixel = entry_file.read_entries(tracks / entry_file.FILE_NAME)[name].metres_per_pixel
    assert pixel == (0.25 if given.length < importers.KART_LENGTH else 1.0)
    assert found.length == pytest.approx(given.length, rel=5e-3)

    corner = (
        np.array([given.x.min(), given.y.min()])
        - draw.MARGIN
        - max(given.half_left.max(), given.half_right.max())
    )
    off, near = KDTree(np.column_stack([given.x, given.y]) - corner).query(
        np.column_stack([found.x, found.y])
    )
    assert off.max() < given.spacing + pixel
    width = found.half_left + found.half_right - given.half_left[near] - given.half_right[near]
    assert np.abs(width).max() < pixel


def test_import_writes_a_picture_that_loads(tmp_path):
    tracks = tmp_path / "tracks"
    source = write(tmp_path / "oval.csv", circle(60.0, 90) * (1.5, 1.0))
    picture = importers.import_csv(source, "oval", tracks)
    assert picture == tracks / "oval.png"
    circuit, line = derive.load_circuit(picture), importers.read_csv(source)
    # The centre line of a picture is half-way between the edges: here 0.5 m further left (inside),
    # 2 pi 0.5 m shorter.
    assert circuit.line.length == pytest.approx(line.length - np.pi, rel=2e-3)
    np.testing.assert_allclose(circuit.line.half_left, 4.5, atol=0.1)
    assert (
        entry_file.read_entries(tracks / entry_file.FILE_NAME)["oval"].direction
        == "counterclockwise"
    )


def test_import_refuses_to_overwrite_unless_told(tmp_path):
    source = write(tmp_path / "c.csv", circle())
    picture = importers.import_csv(source, "mine", tmp_path)
    before = picture.read_bytes(), (tmp_path / entry_file.FILE_NAME).read_bytes()
    bigger = write(tmp_path / "d.csv", circle(70.0))
    with pytest.raises(InputError, match="there is a track of this name"):
        importers.import_csv(bigger, "mine", tmp_path)
    assert (picture.read_bytes(), (tmp_path / entry_file.FILE_NAME).read_bytes()) == before
    importers.import_csv(bigger, "mine", tmp_path, replace=True)
    assert picture.read_bytes() != before[0]
    importers.import_csv(source, "second", tmp_path)
    assert set(entry_file.read_entries(tmp_path / entry_file.FILE_NAME)) == {"mine", "second"}


def test_nothing_is_left_half_written(tmp_path):
    (tmp_path / entry_file.FILE_NAME).write_text("{ damaged")
    source = write(tmp_path / "c.csv", circle())
    for name, words in (("fine", "is not JSON"), ("../up", "name is"), ("", "name is")):
        with pytest.raises(InputError, match=words):
            importers.import_csv(source, name, tmp_path)
    with pytest.raises(InputError, match="metres_per_pixel is 50"):
        importers.import_csv(source, "fine", tmp_path / "other", metres_per_pixel=50.0)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c.csv", entry_file.FILE_NAME]
    assert (tmp_path / entry_file.FILE_NAME).read_text() == "{ damaged"


def test_a_new_track_is_a_circuit_to_paint_on(tmp_path):
    picture = layouts.new_track("first", tmp_path)
    circuit = derive.load_circuit(picture)
    assert circuit.line.length == pytest.approx(700.0, rel=2e-3)
    assert len(circuit.gates) >= 10
