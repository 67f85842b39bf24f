"""Queries on the device against the dense spline in float64, their inverses and gradients.

Stacks and memory, too.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial import KDTree

from kart_jax.errors import InputError
from kart_jax.render import scene
from kart_jax.track import field, line, query
from kart_jax.track.catalogue import track_names
from kart_jax.track.derive import load_tracks
from kart_jax.track.stack import VIEW_WORDS, stack
from kart_jax.track.types import SampleColumn, Tracks


def closed(
    scale: float, wave: float, number: int, half: float = 4.0, spacing: float = 1.0
) -> line.CentreLine:
    """Return a closed curve of mean radius `scale` with `number` waves of height `wave`.

    Its width varies by 1 m.
    """
    t = np.linspace(0.0, 2 * np.pi, 4000, endpoint=False)
    r = scale + wave * np.cos(number * t) + 0.15 * scale * np.sin(2 * t)
    points = np.column_stack([1.2 * r * np.cos(t), r * np.sin(t)]) + 3.0 * scale
    return line.resample(points, half + 0.5 * np.sin(5 * t), half - 0.5 * np.sin(5 * t), spacing)


@functools.cache
def lines() -> tuple[line.CentreLine, ...]:
    return closed(60.0, 14.0, 5), closed(45.0, 5.0, 4), closed(110.0, 20.0, 6)


@functools.cache
def tracks() -> Tracks:
    return stack([field.build(one) for one in lines()])


locate = jax.jit(query.locate)
pose_at = jax.jit(query.pose_at)


def draw(number: int, count: int = 4000, reach: float = 4.4) -> tuple[np.ndarray, np.ndarray]:
    """Draw arc lengths and offsets on one circuit, clear of the centres of its bends."""
    rng = np.random.default_rng(number)
    circuit = lines()[number]
    s, n = rng.uniform(0, circuit.length, count), rng.uniform(-reach, reach, count)
    curvature = np.interp(
        s, np.arange(circuit.count) * circuit.spacing, circuit.curvature, period=circuit.length
    )
    clear = curvature * n < 0.7
    return s[clear], n[clear]


def around(difference: np.ndarray, length: float) -> np.ndarray:
    """Return a difference of arc lengths, the short way round."""
    return (difference + length / 2) % length - length / 2


@pytest.mark.parametrize("number", [0, 1, 2])
def test_locate_undoes_pose_at(number):
    s, n = draw(number)
    x, y, heading = pose_at(tracks(), number, jnp.float32(s), jnp.float32(n))
    point = locate(tracks(), number, x, y)
    assert np.abs(around(np.asarray(point.s) - s, lines()[number].length)).max() < 0.02
    assert np.abs(np.asarray(point.n) - n).max() < 0.002
    turned = np.asarray(point.tx) * np.sin(heading) - np.asarray(point.ty) * np.cos(heading)
    assert np.abs(turned).max() < 0.005


@pytest.mark.parametrize("number", [0, 1, 2])
def test_locate_against_the_dense_spline(number):
    circuit = lines()[number]
    s, n = draw(number)
    spline, length = line.periodic_spline(
        np.column_stack([circuit.x, circuit.y, circuit.half_left, circuit.half_right])
    )
    dense = np.arange(0.0, length, 0.01)
    curve = spline(dense)

    at = spline(s)
    tangent = spline(s, 1)[:, :2]
    points = at[:, :2] + n[:, None] * np.column_stack([-tangent[:, 1], tangent[:, 0]])
    _, nearest = KDTree(curve[:, :2]).query(points)
    along, gap = spline(dense[nearest], 1), points - curve[nearest, :2]
    beside = along[:, 0] * gap[:, 1] - along[:, 1] * gap[:, 0]

    point = locate(tracks(), number, jnp.float32(points[:, 0]), jnp.float32(points[:, 1]))
    np.testing.assert_allclose(point.n, beside, atol=0.003)
    assert np.abs(around(np.asarray(point.s) - dense[nearest], length)).max() < 0.04
    half = np.where(n > 0, curve[nearest, 2], curve[nearest, 3])
    np.testing.assert_allclose(point.edge, np.abs(beside) - half, atol=0.01)


def test_queries_are_continuous_from_sample_to_sample():
    circuit = lines()[0]
    s = np.linspace(50.0, 90.0, 8001)  # steps of 5 mm
    for n in (-3.0, 0.3, 3.0):
        x, y, _ = pose_at(tracks(), 0, jnp.float32(s), jnp.full(len(s), n, jnp.float32))
        assert (
            np.hypot(np.diff(x), np.diff(y)).max()
            < 0.005 * (1 + abs(n) * np.abs(circuit.curvature).max()) + 0.005
        )
        point = locate(tracks(), 0, x, y)
        assert np.abs(np.diff(point.s)).max() < 0.03
        for values in (point.n, point.half_left, point.half_right, point.edge, point.curvature):
            assert np.abs(np.diff(values)).max() < 0.005
        assert np.abs(np.diff(point.barrier)).max() < 0.02
        assert np.abs(np.diff(point.kerb)).max() < 0.03


def test_gradient_of_the_offset_is_the_normal_and_of_progress_the_tangent():
    s, n = draw(0, 200, 3.0)
    x, y, heading = pose_at(tracks(), 0, jnp.float32(s), jnp.float32(n))

    def place(position):
        point = query.locate(tracks(), 0, position[0], position[1])
        return jnp.stack([point.s, point.n])

    jacobian = np.asarray(jax.jit(jax.vmap(jax.jacfwd(place)))(jnp.stack([x, y], axis=-1)))
    assert np.isfinite(jacobian).all()
    normal = np.column_stack([-np.sin(heading), np.cos(heading)])
    np.testing.assert_allclose(jacobian[:, 1], normal, atol=0.01)

    circuit = lines()[0]
    curvature = np.interp(
        s, np.arange(circuit.count) * circuit.spacing, circuit.curvature, period=circuit.length
    )
    stretch = 1.0 / (1.0 - curvature * n)  # ds/dx of a point n beside the line
    tangent = np.column_stack([np.cos(heading), np.sin(heading)]) * stretch[:, None]
    np.testing.assert_allclose(jacobian[:, 0], tangent, atol=0.06)


def test_a_batch_of_mixed_tracks_is_each_alone():
    rng = np.random.default_rng(5)
    which = jnp.asarray(rng.integers(0, 3, 600), jnp.int32)
    together = tracks()
    low, size = np.asarray(together.origin)[which], np.asarray(together.extent)[which]
    x = jnp.float32(rng.uniform(0, 1, 600) * size[:, 0] + low[:, 0])
    y = jnp.float32(rng.uniform(0, 1, 600) * size[:, 1] + low[:, 1])

    mixed = jax.jit(jax.vmap(query.locate, in_axes=(None, 0, 0, 0)))(together, which, x, y)
    for number in (0, 1):
        chosen = np.asarray(which) == number
        alone = locate(field.build(lines()[number]), 0, x[chosen], y[chosen])
        for name in ("s", "n", "edge", "barrier", "kerb", "curvature", "rubber"):
            np.testing.assert_allclose(
                np.asarray(getattr(mixed, name))[chosen],
                getattr(alone, name),
                rtol=1e-5,
                atol=1e-4,
                err_msg=name,
            )


def test_nothing_far_away_looks_like_asphalt():
    rng = np.random.default_rng(6)
    for number in range(3):
        low, size = np.asarray(tracks().origin)[number], np.asarray(tracks().extent)[number]
        points = low + size / 2 + rng.uniform(-1, 1, (4000, 2)) * 3 * size
        outside = np.any((points < low) | (points > low + size), axis=1)
        point = locate(
            tracks(), number, jnp.float32(points[outside, 0]), jnp.float32(points[outside, 1])
        )
        assert np.asarray(point.edge).min() > field.RUN_OFF
        assert np.asarray(point.barrier).max() < 0.0
        assert all(np.isfinite(value).all() for value in jax.tree.leaves(point))


def test_edge_is_the_distance_to_the_asphalt_everywhere_near_the_track():
    circuit = closed(60.0, 14.0, 5, spacing=0.2)
    rng = np.random.default_rng(7)
    low, size = np.asarray(tracks().origin)[0], np.asarray(tracks().extent)[0]
    points = low + rng.uniform(0, 1, (3000, 2)) * size
    lanes = np.linspace(-1, 1, 81)
    n = np.where(lanes > 0, lanes * circuit.half_left[:, None], lanes * circuit.half_right[:, None])
    asphalt = KDTree(np.stack(field.points_beside(circuit, n), axis=-1).reshape(-1, 2))
    distance, _ = asphalt.query(points)
    near = (distance > 1.0) & (distance < 5.0)
    point = locate(tracks(), 0, jnp.float32(points[near, 0]), jnp.float32(points[near, 1]))
    # What lies behind a barrier between two stretches belongs to neither.
    seen = np.asarray(point.barrier) > 0.1
    np.testing.assert_allclose(np.asarray(point.edge)[seen], distance[near][seen], atol=0.15)


def test_progress_stays_in_the_lap():
    length = float(tracks().length[0])
    s = jnp.asarray([-1e-6, 0.0, length - 1e-4, length, length + 1.0, -1.0])
    x, y, _ = pose_at(tracks(), 0, s)
    found = np.asarray(locate(tracks(), 0, x, y).s)
    assert (found >= 0).all()
    assert (found < length).all()
    assert np.abs(around(found - np.asarray(s), length)).max() < 0.01


def test_a_wide_stretch_beside_a_narrow_one_keeps_its_asphalt():
    # Centre lines 9 m apart, the lower 5 m to its left edge and the upper 3 m: 4.7 m above the
    # lower is asphalt.
    t = np.linspace(0, 1, 400, endpoint=False)
    run = t * (2 * 100 + 2 * np.pi * 4.5)

    def at(s):
        if s < 100:
            return s, 0.0
        if s < 100 + np.pi * 4.5:
            return 100 + 4.5 * np.sin((s - 100) / 4.5), 4.5 - 4.5 * np.cos((s - 100) / 4.5)
        if s < 200 + np.pi * 4.5:
            return 200 + np.pi * 4.5 - s, 9.0
        a = (s - 200 - np.pi * 4.5) / 4.5
        return -4.5 * np.sin(a), 4.5 + 4.5 * np.cos(a)

    points = np.array([at(s) for s in run])
    lower = (points[:, 1] < 0.5) & (points[:, 0] > 20) & (points[:, 0] < 80)
    circuit = line.resample(points, np.where(lower, 5.0, 3.0), np.full(400, 3.0))
    point = locate(field.build(circuit), 0, jnp.linspace(30.0, 70.0, 81), jnp.full(81, 4.7))
    assert (np.asarray(point.n) > 4.5).all()
    assert (np.asarray(point.edge) < 0.0).all()


def test_stack_pads_without_changing_what_is_in_use():
    together = tracks()
    assert together.size == 3
    for number, circuit in enumerate(lines()):
        count = int(together.count[number])
        assert count == circuit.count
        rows = np.asarray(together.samples[number])
        np.testing.assert_allclose(rows[:count, SampleColumn.X], circuit.x, rtol=1e-6)
        np.testing.assert_array_equal(rows[count:], np.broadcast_to(rows[0], rows[count:].shape))
        gates = int(together.gate_count[number])
        assert np.isinf(np.asarray(together.gates[number, gates:])).all()
        assert np.isfinite(np.asarray(together.gates[number, :gates])).all()


def test_stacks_of_different_cells_are_refused():
    with pytest.raises(InputError, match="cell sizes"):
        stack([field.build(lines()[0]), field.build(lines()[1], cell_size=2.0)])


def test_a_stack_too_large_for_its_index_is_refused_before_it_is_made():
    one = field.build(lines()[1])
    wide = one.replace(cells=np.broadcast_to(np.uint16(0), (1, 40_000, 40_000)))
    with pytest.raises(InputError, match="fewer tracks"):
        stack([wide, one])


def test_a_stack_that_the_view_cannot_number_is_refused():
    # 13,000 m square: 169 million cells and 676 million words each. Three fit an int32, four do
    # not; nor would one word per cell be too many for either.
    assert VIEW_WORDS == scene.WORDS
    one = field.build(lines()[1])
    wide = one.replace(extent=np.full((1, 2), 13_000.0))
    stack([wide] * 3)
    with pytest.raises(InputError, match="the stack of 4 tracks needs 2704000000 words"):
        stack([wide] * 4)


def size_in_bytes(tree) -> int:
    return sum(leaf.nbytes for leaf in jax.tree.leaves(tree))


@pytest.mark.slow
def test_memory_of_the_nine_shipped_circuits():
    # As the environment holds them: the stack, padded to the largest of each shape, and the view's
    # ground.
    shipped = load_tracks(track_names())
    assert shipped.size == 9
    total = size_in_bytes(shipped) + size_in_bytes(scene.pack(shipped))
    print(total)
    assert total < 1e9


@pytest.mark.slow
def test_memory_of_a_thousand_generated_circuits():
    # Fifty drawn ones; a thousand need twenty times as much, in the view up to the next power of
    # two.
    drawn = load_tracks("generated:0-49")
    view = scene.pack(drawn)
    words = VIEW_WORDS * round(
        float(jnp.sum(drawn.extent[:, 0] * drawn.extent[:, 1])) / drawn.cell_size**2
    )
    assert view.words.nbytes == 4 * scene.padded(words)
    thousand = 20 * size_in_bytes(drawn) + 4 * scene.padded(20 * words)
    print(thousand)
    assert thousand < 4e9
