"""The shipped circuits: pictures, entries and the tables that they are painted from."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from kart_jax.track import clearance, derive, draw, entry_file, layouts
from kart_jax.track.entry import Entry, parse_entry
from kart_jax.track.importers import read_csv
from kart_jax.track.layout_line import CornerSequence, close_sequence, left, straight
from kart_jax.track.line import CentreLine, resample

TRACKS = Path(__file__).parents[2] / "tracks"
DATA = Path(__file__).parents[3] / "shared" / "data" / "tracks"
CARS = {"monza": 5793.0, "spa": 7004.0, "silverstone": 5891.0}
KARTS = ("circuit", "beginner_track", "hangar_nine", "quarry_bowl", "windmill_park", "alder_ring")
NINE = (*KARTS, *CARS)


@pytest.fixture(scope="module")
def lines() -> dict[str, CentreLine]:
    return {name: layouts.build_line(layouts.LAYOUTS[name]) for name in NINE}


@pytest.fixture(scope="module")
def entries() -> dict[str, Entry]:
    return entry_file.read_entries(TRACKS / entry_file.FILE_NAME)


def test_there_are_nine_and_each_has_a_small_picture(entries):
    assert set(entries) == set(NINE) == set(layouts.LAYOUTS)
    for name in NINE:
        assert (TRACKS / f"{name}.png").stat().st_size < 100_000
        assert entries[name].title


@pytest.mark.parametrize("name", NINE)
def test_pixels_of_the_entry_lie_on_the_track(entries, name):
    grey = np.asarray(Image.open(TRACKS / f"{name}.png").convert("L"))
    entry = entries[name]
    assert isinstance(entry.gates, tuple) and entry.sectors is not None
    for column, row in (entry.start, *entry.gates, *entry.sectors):
        assert grey[int(row), int(column)] == 0


def test_gates_are_forty_to_eighty_metres_apart(entries):
    for name in NINE:
        entry = entries[name]
        points = np.array([entry.start, *entry.gates, entry.start]) * entry.metres_per_pixel
        chord = np.hypot(*np.diff(points, axis=0).T)
        assert chord.max() < 60.0  # never longer than the arc of about 50 m
        assert np.median(chord) > 35.0


def test_circuits_are_whole(lines):
    for name, line in lines.items():
        layout = layouts.LAYOUTS[name]
        assert line.length == pytest.approx(layout.lap, abs=0.5)
        assert clearance.smallest_gap(line)[0] >= 2.0
        assert 1 / np.abs(line.curvature).max() > layout.width / 2 + 2.0
        # One turn around, whose sign is the way it is driven: a loop that never crosses itself.
        assert abs(abs(line.heading[-1] - line.heading[0]) - 2 * np.pi) < 0.3


def test_proportions_are_those_of_their_kind(lines):
    assert {name: layouts.LAYOUTS[name].lap for name in CARS} == CARS
    assert all(10.0 <= layouts.LAYOUTS[name].width <= 15.0 for name in CARS)
    assert all(0.5 <= layouts.LAYOUTS[name].metres_per_pixel <= 1.0 for name in CARS)
    assert (
        6.0 <= layouts.LAYOUTS["hangar_nine"].width <= 7.0
        and 400 <= lines["hangar_nine"].length <= 600
    )
    assert (
        8.0 <= layouts.LAYOUTS["alder_ring"].width <= 10.0
        and 1300 <= lines["alder_ring"].length <= 1400
    )
    assert 1 / np.abs(lines["beginner_track"].curvature).max() > 30.0  # gentle bends only
    for name in KARTS:
        assert 7.0 < 1 / np.abs(lines[name].curvature).max() < 40.0


def test_car_circuits_are_driven_clockwise_as_the_real_ones(entries):
    assert {entries[name].direction for name in CARS} == {"clockwise"}


def test_the_start_line_lies_on_a_straight(lines):
    for name, line in lines.items():
        reach = round(20.0 / line.spacing)
        assert np.abs(np.r_[line.curvature[-reach:], line.curvature[:reach]]).max() < 1 / 150, name


@pytest.mark.parametrize("name", ["circuit", "hangar_nine"])
def test_a_picture_is_what_its_table_paints(lines, entries, name):
    layout = layouts.LAYOUTS[name]
    picture, entry = draw.rasterise(lines[name], layout.metres_per_pixel, layout.title)
    painted, shipped = np.asarray(picture, int), np.asarray(Image.open(TRACKS / f"{name}.png"), int)
    assert painted.shape == shipped.shape
    # One grey step, where rounding falls the other way.
    assert np.abs(painted - shipped).max() <= 255 // draw.GREYS
    assert parse_entry(name, entry, Path("x")).gates == entries[name].gates


@pytest.mark.parametrize("name", ["circuit", "hangar_nine"])
def test_a_picture_traces_back_to_its_line(lines, name):
    found, line = derive.load_circuit(TRACKS / f"{name}.png").line, lines[name]
    assert found.length == pytest.approx(line.length, rel=2e-3)
    width = found.half_left + found.half_right
    np.testing.assert_allclose(width, layouts.LAYOUTS[name].width, atol=0.1)
    assert found.heading[0] == pytest.approx(line.heading[0], abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("name", CARS)
def test_a_car_picture_traces_back_to_its_line(lines, name):
    found = derive.load_circuit(TRACKS / f"{name}.png").line
    assert found.length == pytest.approx(CARS[name], rel=2e-3)
    np.testing.assert_allclose(
        found.half_left + found.half_right, layouts.LAYOUTS[name].width, atol=0.25
    )


def test_every_picture_is_one_closed_loop():
    for name in NINE:
        layout = layouts.LAYOUTS[name]
        covered = 1 - np.asarray(Image.open(TRACKS / f"{name}.png")) / 255
        assert ndimage.label(covered > 0.5, np.ones((3, 3)))[1] == 1
        assert ndimage.label(covered <= 0.5)[1] == 2  # outside and infield
        area = covered.sum() * layout.metres_per_pixel**2
        assert area == pytest.approx(layout.lap * layout.width, rel=0.01)


def test_coverage_puts_a_straight_edge_between_two_pixels():
    # A ring of radius 60 m and width 8 m: its area is 2 pi 60 8, and along the ray to the east the
    # grey changes at 56 m and 64 m from the middle, wherever the pixels fall.
    phi = np.arange(400) / 400 * 2 * np.pi
    ring = 60.0 * np.column_stack([np.cos(phi), np.sin(phi)])
    four = np.full(400, 4.0)
    line = resample(ring, four, four)
    picture, entry = draw.rasterise(line, 0.25)
    covered = 1 - np.asarray(picture) / 255
    assert covered.sum() * 0.25**2 == pytest.approx(2 * np.pi * 60 * 8, rel=1e-3)
    row = int(entry["start"][1])
    # Both walls of the ring, 8 m each.
    assert covered[row].sum() * 0.25 == pytest.approx(16.0, abs=0.05)
    assert entry["direction"] == "counterclockwise"


def test_closing_a_crooked_table_changes_it_little():
    # A rounded square told wrongly: sides of 90 to 112 m, corners of 85 to 94 degrees.
    told = (
        straight(50), left(20, 85), straight(90), left(20, 94),
        straight(112), left(22, 92), straight(100), left(20, 86), straight(50),
    )  # fmt: skip
    path = close_sequence(CornerSequence("square", 520.0, 8.0, 0.0, told))
    step = np.hypot(*np.diff(np.vstack([path, path[:1]]), axis=0).T)
    assert step.sum() == pytest.approx(520.0, abs=0.1)
    assert step.max() < 0.6  # no jump where the end meets the start

    # The two lengths told for each side differ (140 and 154 m, 130 and 142 m): the answer lies
    # between them.
    low, high = path.min(axis=0), path.max(axis=0)
    assert 140.0 < high[0] - low[0] < 154.0
    assert 130.0 < high[1] - low[1] < 142.0


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared circuits are not beside this checkout")
@pytest.mark.parametrize("name", ["monza", "spa"])
def test_layouts_resemble_the_real_circuits(lines, name):
    real = read_csv(DATA / f"{name}.csv")
    ours = lines[name]
    share = np.arange(300) / 300
    a, b = (np.interp(share, np.arange(m.count) / m.count, m.x + 1j * m.y) for m in (ours, real))
    a, b = a - a.mean(), b - b.mean()
    off = []
    for shift in range(300):  # the start lines differ
        c = np.roll(b, shift)
        turn = (np.conj(a) * c).sum()
        off.append(np.sqrt((np.abs(a * turn / abs(turn) - c) ** 2).mean()))
    assert min(off) < 0.02 * ours.length
