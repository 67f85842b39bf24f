"""The scripted driver drives clean laps on every line and class near its profile, and recovers."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import lap_times
from kart_jax.drivers import follow, scripted
from kart_jax.drivers.driver import ScriptedDriver
from kart_jax.errors import InputError
from kart_jax.physics.params import CLASSES, preset
from kart_jax.race.params import RaceParams, per_kart
from kart_jax.race.start import StartPose, start_race
from kart_jax.simulate.rollout import World, begin, rollout
from kart_jax.track.catalogue import track_names
from kart_jax.track.derive import load_tracks

ROOT = Path(__file__).resolve().parents[2]
REAL = ROOT.parent / "shared" / "data" / "tracks"


def rows_of(tracks, classes, line, laps=1):
    """`lap_times.summarise` of every class on every circuit, [class][circuit]."""
    params = lap_times.stack_params(classes)
    return drive_rows(tracks, params, lap_times.plan_laps(tracks, params, line), laps)


def drive_rows(tracks, params, plans, laps=1):
    """The same from plans that are made already."""
    steps = round((1.06 * float(plans.lap_time.max()) * laps + 12.0) / 0.04)
    traces = lap_times.drive_all(tracks, params, plans, steps)

    def row(c, t):
        trace = jax.tree.map(lambda leaf: leaf[c, t], traces)
        return lap_times.summarise(trace, float(plans.lap_time[c, t]), laps)

    return [[row(c, t) for t in range(tracks.size)] for c in range(plans.lap_time.shape[0])]


def start_on(tracks, params, s, n, heading_error, speed):
    """A race of one kart that rolls at a place of the first circuit."""
    pose = StartPose(*(jnp.asarray([value]) for value in (s, n, heading_error, speed)))
    return start_race(tracks, jnp.int32(0), pose, per_kart(params, 1))


@pytest.fixture(scope="module")
def oval_plans(oval):
    """Parameters and plans of every class on the oval, (7, ...)."""
    params = lap_times.stack_params(list(CLASSES))
    return params, lap_times.plan_laps(oval, params, "optimal")


@pytest.fixture(scope="module")
def oval_rows(oval, oval_plans):
    return dict(zip(CLASSES, drive_rows(oval, *oval_plans), strict=True))


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_laps_cleanly_near_its_profile(oval_rows, name):
    row = oval_rows[name][0]
    assert row["clean"], row
    assert row["drift"] < 0.5
    assert row["deviation"] < 0.5
    assert 0.97 * row["ideal"] < row["lap"] < 1.06 * row["ideal"]
    assert sum(row["sectors"]) == pytest.approx(row["lap"], abs=2e-3)


def test_stronger_classes_are_faster(oval_rows):
    laps = [oval_rows[name][0]["lap"] for name in CLASSES]
    assert laps == sorted(laps, reverse=True)


@pytest.fixture(scope="module")
def rejoin(oval, oval_plans):
    """The last race and the distances past the edge of a kart that starts on the grass, turned."""
    params, plan = jax.tree.map(lambda leaf: leaf[CLASSES.index("senior_max")], oval_plans)
    world = World(oval, RaceParams(per_kart(params, 1)))
    driver = ScriptedDriver(plan)
    race = start_on(oval, params, s=20.0, n=-6.5, heading_error=1.0, speed=8.0)

    def watch(_, before, after):
        return None, after.race.track_point.edge[0]

    session = begin(jax.random.key(0), world, race, driver)
    session, _, edges = jax.jit(lambda start: rollout(world, driver, start, 500, watch))(session)
    return session.race, np.asarray(edges)


@pytest.mark.slow
def test_it_rejoins_from_off_the_track(rejoin):
    final, edge = rejoin
    assert edge[0] > 0  # it did start on the grass
    assert (edge[250:] < -0.3).all()  # and drives on the asphalt again after ten seconds
    assert float(jnp.hypot(final.karts.vx[0], final.karts.vy[0])) > 10.0


def test_the_controls_mirror_and_steer_against_a_slide(oval):
    params = preset("ok")
    plan = scripted.prepare(oval, params, "given")
    race = start_on(oval, params, s=30.0, n=0.0, heading_error=0.0, speed=15.0)
    kart = jax.tree.map(lambda leaf: leaf[0], race.karts)

    def steering(**change):
        slid = kart.replace(**{name: getattr(kart, name) + value for name, value in change.items()})
        return float(follow.control(plan, oval, jnp.int32(0), slid, params).steering)

    assert abs(steering()) < 0.02
    # The tail hangs out to the right or left, and the motion is along the line: the wheels point
    # that way, too, by the drift of atan(3 / 15) = 0.197 rad against the nose, of a lock of 0.43
    # rad.
    drift = np.arctan2(3.0, 15.0)
    assert steering(vy=3.0, yaw=-drift) == pytest.approx(0.197 / 0.43, abs=0.02)
    assert steering(vy=-3.0, yaw=drift) == pytest.approx(-0.197 / 0.43, abs=0.02)
    # Off the line to the left, by 3 m/s or by a metre, it steers right: 2 c / l = 2 * 0.197 / 5.3 m
    # = 0.075 1/m and 2 e / l² = 2 * 1 m / (5.3 m)² = 0.072 1/m, both below the tyres' 0.1.
    for aside in ({"vy": 3.0}, {"y": 1.0}):
        left, right = steering(**aside), steering(**{name: -value for name, value in aside.items()})
        assert -0.6 < left < -0.1, aside
        assert right == pytest.approx(-left, abs=0.02), aside


def test_an_unknown_line_is_refused(oval):
    with pytest.raises(InputError, match="allowed are optimal, given"):
        scripted.prepare(oval, preset("ok"), "fastest")


@pytest.mark.slow
def test_it_laps_a_hundred_generated_circuits_in_every_class():
    rows = rows_of(load_tracks("generated:0-99"), list(CLASSES), "optimal")
    failed = [
        (c, t, row)
        for c, per in zip(CLASSES, rows, strict=True)
        for t, row in enumerate(per)
        if not row["clean"]
    ]
    assert not failed


needs_real = pytest.mark.skipif(
    not REAL.is_dir(), reason="the recorded circuits are not part of the repository"
)


@pytest.mark.slow
@pytest.mark.parametrize(
    "sources",
    [
        pytest.param(track_names(), id="shipped"),
        pytest.param(
            [
                str(REAL / f"{name}.csv")
                for name in ("genk", "le_mans_kart", "monza", "spa", "wackersdorf")
            ],
            id="recorded",
            marks=needs_real,
        ),
    ],
)
def test_it_laps_every_circuit_in_every_class_without_leaving_the_asphalt(sources):
    rows = {
        (kart, Path(source).stem): row
        for kart, per in zip(
            CLASSES, rows_of(load_tracks(sources), list(CLASSES), "optimal"), strict=True
        )
        for source, row in zip(sources, per, strict=True)
    }
    assert len(rows) == 7 * len(sources)
    print(
        *(f"{kart} {track} {row['lap']} {row['beyond']}" for (kart, track), row in rows.items()),
        sep="\n",
    )
    near = {
        where: 0.95 * row["ideal"] < (row["lap"] or 0.0) < 1.08 * row["ideal"]
        for where, row in rows.items()
    }
    assert {where: row for where, row in rows.items() if not row["clean"] or not near[where]} == {}


@needs_real
def test_row_18_one_real_lap_time():
    (row,) = lap_times.measure_group([str(REAL / "genk.csv")], ["kz2"], "given", 1)
    assert row["clean"], row
    assert row["lap"] == pytest.approx(row["real"]["KZ"], rel=0.04), row


@pytest.mark.slow
@needs_real
def test_row_18_real_lap_times():
    sources = [str(REAL / f"{name}.csv") for name in ("genk", "le_mans_kart", "wackersdorf")]
    rows = lap_times.measure_group(sources, ["okj", "ok", "kz2"], "given", 2)
    checked = [row for row in rows if row["real"]]
    assert len(checked) == 5
    for row in checked:
        assert row["clean"], row
        assert row["lap"] == pytest.approx(next(iter(row["real"].values())), rel=0.04), row
