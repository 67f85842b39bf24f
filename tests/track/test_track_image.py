"""A picture of a known circuit gives the circuit back; every kind of PNG and dirt is read."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy.spatial import KDTree

from kart_jax.track import gate_places, image, line, trace
from kart_jax.track.entry import Entry, to_pixel, to_world

MARGIN = 12.0  # m of white around the drawings


def wavy(scale: float = 1.0, half: float = 4.0) -> line.CentreLine:
    """Return a closed curve r(t) with bends to both sides and a width that varies by 1 m.

    At scale 1 it is 1 km long.
    """
    t = np.linspace(0.0, 2.0 * np.pi, 3000, endpoint=False)
    r = scale * (85.0 + 30.0 * np.cos(2 * t) + 16.0 * np.sin(3 * t)) + 4.0 * np.cos(7 * t)
    points = np.column_stack([1.3 * r * np.cos(t), r * np.sin(t)])
    points += MARGIN + half - points.min(axis=0)
    width = half + 0.5 * np.sin(4 * t)
    return line.resample(points, width, width, 0.25)


def paint(circuit: line.CentreLine, pixel: float, smooth: bool = True) -> np.ndarray:
    """Return the coverage (H, W) of the circuit.

    It follows from the distance of each pixel's middle to the dense centre line.
    """
    points = np.column_stack([circuit.x, circuit.y])
    columns, rows = np.ceil((points.max(axis=0) + MARGIN) / pixel).astype(int)
    x, y = (np.arange(columns) + 0.5) * pixel, (np.arange(rows) + 0.5) * pixel
    distance, index = KDTree(points).query(
        np.stack(np.meshgrid(x, y), axis=-1), distance_upper_bound=40.0, workers=-1
    )
    past = distance - circuit.half_left[np.minimum(index, circuit.count - 1)]
    return (np.clip(0.5 - past / pixel, 0.0, 1.0) if smooth else (past < 0) * 1.0)[::-1]


def errors(found: line.CentreLine, true: line.CentreLine) -> tuple[float, float, float]:
    """Return RMS of the centre line (m), relative length, largest error of a half-width (m)."""
    s, n = line.foot(true, np.column_stack([found.x, found.y]))
    half = np.interp(s, np.arange(true.count) * true.spacing, true.half_left, period=true.length)
    widths = max(np.abs(found.half_left - half).max(), np.abs(found.half_right - half).max())
    return float(np.sqrt(np.mean(n**2))), abs(found.length / true.length - 1.0), float(widths)


@functools.cache
def kart() -> line.CentreLine:
    return wavy()


@pytest.mark.parametrize("smooth", [True, False])
def test_analytic_circuit_comes_back_from_quarter_metre_pixels(smooth: bool):
    found = trace.trace_line(paint(kart(), 0.25, smooth), 0.25, "wavy.png")
    rms, length, widths = errors(found, kart())
    # The issue asks for 0.15 m, 0.2 % and 0.25 m; smooth edges do far better and are held to it.
    assert rms < (0.02 if smooth else 0.05)
    assert length < 0.0005
    assert widths < (0.1 if smooth else 0.15)

    s, _ = line.foot(kart(), np.column_stack([found.x, found.y]))
    curvature = np.interp(
        s, np.arange(kart().count) * kart().spacing, kart().curvature, period=kart().length
    )
    assert np.sqrt(np.mean((found.curvature - curvature) ** 2)) < 0.01
    turned = np.sum(found.curvature) * found.spacing  # once round, to the left
    assert turned == pytest.approx(2 * np.pi, abs=0.02)


def test_grand_prix_size_comes_back_from_metre_pixels():
    true = wavy(7.6, 6.0)
    assert true.length > 5500.0
    rms, length, widths = errors(trace.trace_line(paint(true, 1.0), 1.0, "large.png"), true)
    assert rms < 0.15
    assert length < 0.002
    assert widths < 0.25


def grey() -> np.ndarray:
    """Paint the kart circuit at half a metre per pixel, as a brightness of 8 bits."""
    return np.round(255 * (1 - paint(kart(), 0.5))).astype(np.uint8)


def as_palette(levels: np.ndarray) -> Image.Image:
    return Image.fromarray(levels).convert("RGB").quantize(32)


def as_alpha(levels: np.ndarray) -> Image.Image:
    black = np.zeros((*levels.shape, 4), np.uint8)
    black[..., 3] = 255 - levels  # black paint on a transparent ground
    return Image.fromarray(black, "RGBA")


def as_grey_alpha(levels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.stack([0 * levels, 255 - levels], axis=-1), "LA")


KINDS = {
    "grey": Image.fromarray,
    "colour": lambda levels: Image.fromarray(levels).convert("RGB"),
    "palette": as_palette,
    "alpha": as_alpha,
    "grey with alpha": as_grey_alpha,
    "one bit": lambda levels: Image.fromarray(levels).convert("1", dither=Image.Dither.NONE),
    "sixteen bit": lambda levels: Image.fromarray(levels.astype(np.uint16) * 257),
    "dark grey on pale grey": lambda levels: Image.fromarray(
        (60 + levels.astype(float) * 0.7).astype(np.uint8)
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_png_gives_the_same_circuit(kind: str, tmp_path):
    KINDS[kind](grey()).save(tmp_path / "kind.png")
    found = trace.trace_line(image.read_coverage(tmp_path / "kind.png"), 0.5, kind)
    rms, length, widths = errors(found, kart())
    assert rms < 0.1
    assert length < 0.002
    assert widths < 0.25


def test_dirt_is_cleaned_away():
    coverage = paint(kart(), 0.5)
    clean = trace.trace_line(coverage, 0.5, "clean")
    dirty = coverage.copy()
    dirty[3:5, 3:5] = 1.0  # a speck of 1 m² in the corner

    middle = to_pixel(np.array([kart().x[0], kart().y[0]]), 0.5, coverage.shape[0])
    column, row = np.round(middle).astype(int)
    dirty[row : row + 2, column : column + 2] = 0.0  # a hole of 1 m² in the asphalt

    found = trace.trace_line(dirty, 0.5, "dirty")
    assert found.length == pytest.approx(clean.length, rel=1e-6)
    np.testing.assert_allclose(found.half_left, clean.half_left, atol=1e-6)


@pytest.mark.parametrize("direction", ["clockwise", "counterclockwise"])
def test_start_and_direction(direction: str):
    coverage = paint(kart(), 0.5)
    height = coverage.shape[0]
    wanted = np.array([kart().x[700], kart().y[700]])
    pixel = tuple(to_pixel(wanted, 0.5, height))
    entry = Entry("test", 0.5, direction, pixel)
    found = gate_places.orient(trace.trace_line(coverage, 0.5, "x"), entry, height)
    assert np.hypot(found.x[0] - wanted[0], found.y[0] - wanted[1]) < 0.3
    turned = np.sum(found.curvature) * found.spacing
    assert turned == pytest.approx(-2 * np.pi if direction == "clockwise" else 2 * np.pi, abs=0.02)
    along = np.cos(found.heading[0] - kart().heading[700])
    assert along == pytest.approx(-1.0 if direction == "clockwise" else 1.0, abs=1e-3)


def test_pixels_and_world_are_inverse():
    # Top-left pixel of a picture of 10 rows at 2 m per pixel: its middle is 1 m from the left and
    # 19 m up.
    np.testing.assert_allclose(to_world(np.array([0.0, 0.0]), 2.0, 10), [1.0, 19.0])
    points = np.random.default_rng(0).uniform(0, 100, (50, 2))
    np.testing.assert_allclose(to_world(to_pixel(points, 0.3, 77), 0.3, 77), points)


def test_gates_and_sectors_from_pixels():
    coverage = paint(kart(), 0.5)
    height = coverage.shape[0]

    def at(i: int) -> tuple[float, float]:
        column, row = to_pixel(np.array([kart().x[i], kart().y[i]]), 0.5, height)
        return float(column), float(row)

    n = kart().count
    entry = Entry(
        "t",
        0.5,
        "counterclockwise",
        at(0),
        gates=(at(0), at(n // 3), at(n // 2)),
        sectors=(at(800), at(1600)),
    )
    found = gate_places.orient(trace.trace_line(coverage, 0.5, "x"), entry, height)
    gates, sectors = (
        gate_places.gate_places(entry, found, height),
        gate_places.sector_places(entry, found, height),
    )
    np.testing.assert_allclose(gates, np.array([0, n // 3, n // 2]) * kart().spacing, atol=0.7)
    np.testing.assert_allclose(sectors, np.array([0, 800, 1600]) * kart().spacing, atol=0.7)
    count = Entry("t", 0.5, "counterclockwise", at(0), gates=20)
    np.testing.assert_allclose(
        np.diff(gate_places.gate_places(count, found, height)), found.length / 20
    )
    assert jnp.isfinite(jnp.asarray(gates)).all()
