"""Video: files that play, whole or not at all, and frames that show the row they belong to."""

import dataclasses

import numpy as np
import pytest
from PIL import Image, ImageSequence

from kart_jax.errors import InputError
from kart_jax.media import film, video
from kart_jax.media.dashboard import Dashboard


def coloured(count: int, height: int = 48, width: int = 64):
    """Frames that go from red to blue."""
    for k in range(count):
        share = k / max(count - 1, 1)
        yield np.broadcast_to(
            np.array([255 * (1 - share), 0, 255 * share], np.uint8), (height, width, 3)
        )


def read_mp4(path):
    import imageio_ffmpeg

    reader = imageio_ffmpeg.read_frames(str(path))
    facts = next(reader)
    frames = [np.frombuffer(frame, np.uint8).reshape(*facts["size"][::-1], 3) for frame in reader]
    return facts, frames


@pytest.mark.filterwarnings(
    "ignore:os.fork"
)  # the reader of imageio-ffmpeg forks; our writer does not
def test_an_mp4_holds_every_frame_at_its_rate(tmp_path):
    path = tmp_path / "sub" / "a.mp4"
    assert video.write_mp4(path, coloured(30), rate=25.0) == 30
    facts, frames = read_mp4(path)
    assert len(frames) == 30 and facts["fps"] == 25.0 and tuple(facts["size"]) == (64, 48)
    assert facts["codec"] == "h264" and "yuv420p" in facts["pix_fmt"]
    first, last = frames[0].mean(axis=(0, 1)), frames[-1].mean(axis=(0, 1))
    assert first[0] > 220 and first[2] < 40 and last[2] > 220 and last[0] < 40
    assert [p.name for p in path.parent.iterdir()] == ["a.mp4"]


def test_a_gif_holds_every_frame_and_loops(tmp_path):
    assert video.write_gif(tmp_path / "a.gif", coloured(10), rate=12.5, width=32) == 10
    with Image.open(tmp_path / "a.gif") as image:
        assert image.size == (32, 24)
        assert image.info["loop"] == 0 and image.info["duration"] == 80
        assert len(list(ImageSequence.Iterator(image))) == 10


@pytest.mark.parametrize("write", [video.write_mp4, video.write_gif])
def test_a_failure_in_the_middle_leaves_nothing(tmp_path, write):
    def broken():
        yield from coloured(3)
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        write(tmp_path / "a.mp4", broken(), 25.0)
    assert list(tmp_path.iterdir()) == []


def test_bad_requests_get_one_sentence(tmp_path):
    with pytest.raises(InputError, match="there is no frame"):
        video.write_mp4(tmp_path / "a.mp4", [], 25.0)
    with pytest.raises(InputError, match=r"the ending is \.avi; allowed are"):
        video.check_path("a.avi")
    with pytest.raises(InputError, match="ffmpeg stopped with"):
        video.write_mp4(tmp_path / "odd.mp4", coloured(3, 31, 33), 25.0)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def board(oval, circle_log):
    return Dashboard(circle_log, oval, 0, 360, 640, "ok")


def test_the_dashboard_covers_the_edges_and_leaves_the_road_free(board):
    view = np.full((360, 640, 3), 120, np.uint8)
    frame = board.draw_frame(view, 400)
    assert frame.shape == view.shape and frame.dtype == np.uint8
    changed = (frame != view).any(axis=-1)
    assert not changed[100:290, 200:480].any()  # the middle, where the driver looks
    assert changed[300:350, 20:620].mean() > 0.9 and changed[15:85, 15:160].mean() > 0.9


@pytest.mark.parametrize(("channel", "x"), [("throttle", 125), ("brake", 142)])
def test_a_pedal_bar_is_as_high_as_the_pedal_is_pressed(oval, circle_log, channel, x):
    heights = []
    for value in (0.6, 50.0, 100.0):  # 0.6 % is less than a pixel
        values = circle_log.values.copy()
        values[:, circle_log.names.index(channel)] = value
        log = dataclasses.replace(circle_log, values=values)
        frame = Dashboard(log, oval, 0, 360, 640).draw_frame(np.zeros((360, 640, 3), np.uint8), 10)
        column = frame[300:350, x].astype(int)
        heights.append(int((column.max(axis=-1) - column.min(axis=-1) > 60).sum()))
    assert (
        heights[0] == 0 and heights[1] == pytest.approx(heights[2] / 2, abs=2) and heights[2] > 35
    )


def test_the_steering_bar_points_where_the_wheel_is_turned(oval, circle_log):
    sides = []
    for angle in (-20.0, 20.0):
        values = circle_log.values.copy()
        values[:, circle_log.names.index("steering")] = angle
        log = dataclasses.replace(circle_log, values=values)
        frame = (
            Dashboard(log, oval, 0, 360, 640)
            .draw_frame(np.zeros((360, 640, 3), np.uint8), 10)
            .astype(int)
        )
        amber = (frame[..., 0] > 200) & (frame[..., 1] > 150) & (frame[..., 2] < 80)
        sides.append(np.flatnonzero(amber[305:335, 160:235].any(axis=0)).mean() + 160)
    assert sides[1] < 197.5 < sides[0]


def test_a_long_title_and_the_word_off_track_stay_on_their_panel(oval, circle_log):
    values = circle_log.values.copy()
    values[:, circle_log.names.index("on_track")] = 0.0
    log = dataclasses.replace(circle_log, values=values)
    shown = Dashboard(log, oval, 0, 360, 640, "a driver with a very long name").draw_frame(
        np.zeros((360, 640, 3), np.uint8), 10
    )
    ink = shown[10:90, :300].max(axis=-1) > 60
    assert ink.any(axis=0)[18:165].any() and not ink[:, 165:].any()  # the panel ends at 330 / 2
    red = (shown[10:90, :300, 0].astype(int) - shown[10:90, :300, 1]) > 80
    assert red.sum() > 20


def test_a_film_of_a_log_shows_the_kart_move(tmp_path, oval, circle_log):
    values = circle_log.values[:10].copy()
    for name, column in (("x", np.linspace(0, 50, 10)), ("y", 0.0), ("heading", 0.0)):
        values[:, circle_log.names.index(name)] = column
    log = dataclasses.replace(circle_log, values=values)
    pictures = list(film.render_views(log, oval, 0, film.ViewConfig(height=120, width=214)))
    assert len(pictures) == 10 and pictures[0].shape == (120, 214, 3)
    assert (pictures[0] != pictures[9]).any(axis=-1).mean() > 0.05
    assert log.rate == pytest.approx(25.0, rel=1e-4)
    assert film.save_film(tmp_path / "a.gif", log, oval, 0, 120, 214) == 5
