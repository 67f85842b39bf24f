"""Random kart circuits: every seed gives a whole circuit inside the ranges of real ones."""

import numpy as np
import pytest
from scipy import ndimage

from kart_jax.errors import InputError
from kart_jax.track import draw, query
from kart_jax.track.derive import load_tracks
from kart_jax.track.generate import BOUNDS, generate_circuit, measure_circuit
from kart_jax.track.line import CentreLine, resample

SEEDS = range(24)


@pytest.fixture(scope="module")
def circuits() -> list[CentreLine]:
    return [generate_circuit(seed) for seed in SEEDS]


def radii(line: CentreLine) -> np.ndarray:
    """Return the radius of the circle through each three samples 4 m apart: a b c / (4 area)."""
    p = np.column_stack([line.x, line.y])
    before, after = np.roll(p, 4, axis=0), np.roll(p, -4, axis=0)
    a, b, c = (np.hypot(*(q - r).T) for q, r in ((p, before), (after, p), (after, before)))
    (x1, y1), (x2, y2) = (p - before).T, (after - before).T
    area = np.abs(x1 * y2 - y1 * x2) / 2
    return a * b * c / np.maximum(4 * area, 1e-9)


def white_regions(line: CentreLine, widen: float) -> int:
    """Count the separate white areas in a picture of the circuit, `widen` m wider on each side."""
    wide = resample(
        np.column_stack([line.x, line.y]), line.half_left + widen, line.half_right + widen
    )
    picture, _ = draw.rasterise(wide, 0.5)
    return ndimage.label(np.asarray(picture) > 127)[1]


def check_ranges(line: CentreLine) -> None:
    """Check length, width, radii and straights, measured here from the points alone."""
    step = np.hypot(np.diff(line.x, append=line.x[0]), np.diff(line.y, append=line.y[0]))
    assert BOUNDS.length[0] - 1 <= step.sum() <= BOUNDS.length[1] + 1
    width = line.half_left + line.half_right
    assert width.min() >= 8.0 and width.max() <= 10.0
    r = radii(line)
    # Over 8 m of arc the circle is a little larger than the tightest point.
    assert 6.0 <= r.min() <= 12.5
    bent = np.flatnonzero(r < 150.0)
    longest = np.diff(np.append(bent, bent[0] + line.count)).max() * line.spacing
    assert 72.0 <= longest <= 188.0  # the stencil reaches 4 m beyond each end
    # One turn around: a simple loop.
    assert abs(abs(line.heading[-1] - line.heading[0]) - 2 * np.pi) < 0.5


def test_a_sample_of_seeds_is_inside_the_ranges(circuits):
    for line in circuits:
        check_ranges(line)
        assert 10 <= measure_circuit(line).corners <= 16
        assert measure_circuit(line).hairpins >= 1


def test_parts_keep_two_metres_between_edges(circuits):
    # Widened by 0.9 m on both sides, two parts that are 2 m apart still leave white between them,
    # so the picture has exactly two white areas, outside and infield.
    assert [white_regions(line, 0.9) for line in circuits[:8]] == [2] * 8


def test_touching_parts_would_be_seen(circuits):
    # The check above must be able to fail: 25 m wider, no infield of a folded circuit survives in
    # one piece.
    assert white_regions(circuits[0], 25.0) != 2


def test_the_start_line_lies_on_a_straight(circuits):
    for line in circuits:
        assert np.abs(line.curvature[:20]).max() < 1 / 150
        assert np.abs(line.curvature[-20:]).max() < 1 / 150


def test_same_seed_same_circuit_and_other_seed_other_circuit(circuits):
    again = generate_circuit(3)
    np.testing.assert_array_equal(again.x, circuits[3].x)
    lengths = {round(line.length, 3) for line in circuits}
    assert len(lengths) == len(circuits)


def test_seeds_keep_their_circuits():
    # Runs and results name circuits by seed, so a change here is a change of everybody's tracks.
    lengths = [generate_circuit(seed).length for seed in (0, 7, 123456789)]
    np.testing.assert_allclose(lengths, [1180.496417, 930.063879, 1084.277147], rtol=1e-6)


def test_both_driving_directions_and_many_shapes_occur(circuits):
    ways = [np.sign(line.heading[-1] - line.heading[0]) for line in circuits]
    assert -1 in ways and 1 in ways
    assert np.ptp([measure_circuit(line).corners for line in circuits]) >= 3
    assert np.ptp([line.length for line in circuits]) > 200


def test_measure_on_a_hand_made_stadium():
    # Two straights of 100 m and two half circles of 20 m: two corners that are hairpins (180
    # degrees), lap 325.66 m.
    side, arc = np.arange(100.0), np.linspace(0, np.pi, 63, endpoint=False)
    p = np.concatenate(
        [
            np.column_stack([side, 0 * side]),
            np.column_stack([100 + 20 * np.sin(arc), 20 - 20 * np.cos(arc)]),
            np.column_stack([100 - side, 40 + 0 * side]),
            np.column_stack([-20 * np.sin(arc), 20 + 20 * np.cos(arc)]),
        ]
    )

    found = measure_circuit(resample(p, np.full(len(p), 4.0), np.full(len(p), 5.0)))
    assert (found.corners, found.hairpins) == (2, 2)
    assert found.length == pytest.approx(200 + 40 * np.pi, abs=0.1)
    assert found.width == pytest.approx(9.0)
    assert found.straight == pytest.approx(100.0, abs=5.0)
    # The spline overshoots where the curvature jumps.
    assert found.tightest == pytest.approx(20.0, rel=0.15)


@pytest.mark.parametrize("seed", [-1, 2**63, 1.5, "7", True, None])
def test_a_bad_seed_is_refused_in_one_sentence(seed):
    with pytest.raises(InputError, match="seed is"):
        generate_circuit(seed)


def test_a_stack_of_generated_circuits_answers_queries(circuits):
    tracks = load_tracks("generated:0-1")
    assert tracks.size == 2
    for k in (0, 1):
        line = circuits[k]
        here = query.locate(
            tracks, np.int32(k), *query.pose_at(tracks, np.int32(k), 0.5 * line.length, 2.0)[:2]
        )
        assert float(here.s) == pytest.approx(0.5 * line.length, abs=0.05)
        assert float(here.n) == pytest.approx(2.0, abs=0.02)


@pytest.mark.slow
def test_a_thousand_seeds_are_all_valid():
    for seed in range(1000):
        line = generate_circuit(seed)
        check_ranges(line)
        assert 10 <= measure_circuit(line).corners <= 16
        assert seed % 10 or white_regions(line, 0.9) == 2
