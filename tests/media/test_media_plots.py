"""The lap page and the map: what must be on them, and where."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from kart_jax.errors import InputError
from kart_jax.media import plots
from kart_jax.media.top_view import ASPHALT, KART, TopView
from kart_jax.telemetry import laps


def test_the_page_shows_the_best_lap_and_its_splits(circle_log):
    figure = plots.lap_figure(circle_log)
    best = laps.best_lap(laps.split_laps(circle_log))
    assert best is not None
    assert f"lap {best.number}, {laps.format_time(best.time)}" in figure.get_suptitle()
    labels = [axes.get_ylabel() for axes in figure.axes]
    for wanted in (
        "speed in km/h",
        "pedals in %",
        "steering in deg",
        "longitudinal in g",
        "acceleration in g",
    ):
        assert any(label.startswith(wanted) for label in labels), wanted
    cells = {
        cell.get_text().get_text()
        for axes in figure.axes
        for t in axes.tables
        for cell in t.get_celld().values()
    }
    assert {laps.format_time(lap.time) for lap in laps.split_laps(circle_log)} <= cells
    # The speed trace is the lap's rows, over the distance along the lap.
    speed = next(axes for axes in figure.axes if axes.get_ylabel() == "speed in km/h").get_lines()[
        0
    ]
    rows = circle_log.rows(best.first_row, best.end_row)
    np.testing.assert_array_equal(speed.get_xdata(), rows["lap_distance"])
    np.testing.assert_array_equal(speed.get_ydata(), rows["speed"])


def test_a_log_without_a_complete_lap_is_drawn_whole(circle_log):
    figure = plots.lap_figure(circle_log.rows(0, 100))
    assert "no complete lap" in figure.get_suptitle()


def test_a_lap_that_is_not_there_is_refused(circle_log):
    with pytest.raises(InputError, match="lap is 9; allowed are 1 to 3"):
        plots.lap_figure(circle_log, 9)


def test_a_missing_channel_is_refused(circle_log):
    keep = [k for k, name in enumerate(circle_log.names) if name != "brake"]
    names = tuple(circle_log.names[k] for k in keep)
    with pytest.raises(InputError, match="channel brake is missing"):
        plots.lap_figure(
            dataclasses.replace(circle_log, names=names, values=circle_log.values[:, keep])
        )


def test_the_page_is_written_whole_as_its_ending_says(tmp_path, circle_log):
    figure = plots.lap_figure(circle_log)
    plots.save_figure(figure, tmp_path / "lap.png", dpi=40)
    with Image.open(tmp_path / "lap.png") as image:
        assert image.format == "PNG" and image.size == (640, 400)
    with pytest.raises(InputError, match=r"the ending is \.bmp; allowed are"):
        plots.save_figure(figure, tmp_path / "lap.bmp")
    assert [p.name for p in tmp_path.iterdir()] == ["lap.png"]


def test_the_map_is_black_where_the_track_is_and_north_is_up(oval):
    view = TopView(oval, 0, (300, 200))
    assert view.image.width <= 300 and view.image.height <= 200
    pixels = np.asarray(view.image).astype(int)

    def at(x: float, y: float) -> np.ndarray:
        column, row = np.round(view.to_pixels(x, y) - 0.5).astype(int)
        return pixels[row, column]

    for x, y in ((30.0, 0.0), (85.0, 25.0), (-30.0, 50.0), (-85.0, 25.0)):
        assert np.abs(at(x, y) - np.array(ASPHALT)).max() < 30, (x, y)
    for x, y in ((0.0, 25.0), (50.0, 12.0), (50.0, 38.0)):
        assert at(x, y)[3] == 0, (x, y)
    assert view.to_pixels(0.0, 50.0)[1] < view.to_pixels(0.0, 0.0)[1]
    # 240 m of straight apart in metres is as many pixels as the scale says.
    assert np.diff(view.to_pixels(np.array([-60.0, 60.0]), 0.0)[:, 0])[0] == pytest.approx(
        120.0 * view.scale
    )


def test_the_kart_is_drawn_where_it_is_and_the_map_stays_clean(oval):
    view = TopView(oval, 0, (300, 200))
    before = np.asarray(view.image).copy()
    picture = np.asarray(view.with_kart(30.0, 0.0, np.array([[0.0, 0.0], [30.0, 0.0]])))
    column, row = np.round(view.to_pixels(30.0, 0.0)).astype(int)
    np.testing.assert_array_equal(picture[row, column, :3], KART)
    np.testing.assert_array_equal(np.asarray(view.image), before)
