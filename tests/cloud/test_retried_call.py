"""Runs on machines that are taken away: whatever is lost, the next attempt of the same call reaches
the same end."""

import dataclasses
import io

import pytest
from rich.console import Console
from ring_runs import SMALL, rows

from kart_jax.errors import InputError
from train.cloud.retried_call import CALLS, train_or_go_on
from train.run import chunks

pytestmark = pytest.mark.usefixtures("on_ring")


class TakenAway(Exception):
    """Stands for the loss of the machine."""


@pytest.fixture
def tried(tmp_path, monkeypatch):
    """Begin an attempt that is lost after `lost_after` chunks; returns the result, and what was
    shown."""
    chunk = chunks.chunk

    def attempt_one(call="fc-1", lost_after=None, after_save=lambda: None, **flags):
        done = []

        def counted(*given, **more):
            if lost_after is not None and len(done) >= lost_after:
                raise TakenAway
            done.append(1)
            return chunk(*given, **more)

        monkeypatch.setattr(chunks, "chunk", counted)
        config = dataclasses.replace(
            SMALL, runs_dir=str(tmp_path), **{"save_name": "lost", **flags}
        )
        shown = io.StringIO()
        result = train_or_go_on(config, call, Console(file=shown), after_save)
        return result, len(done), shown.getvalue()

    return attempt_one


@pytest.mark.parametrize(
    ("lost_after", "checkpoint_freq", "left"),
    [
        pytest.param(
            1, 1024, 6, marks=pytest.mark.slow
        ),  # before the first checkpoint: everything again
        (3, 1024, 4),  # one chunk after a checkpoint: that chunk again
        pytest.param(4, 512, 2, marks=pytest.mark.slow),  # at a checkpoint: nothing again
    ],
)
def test_a_lost_run_goes_on_from_its_newest_checkpoint(
    unbroken, tried, tmp_path, lost_after, checkpoint_freq, left
):
    with pytest.raises(TakenAway):
        tried(lost_after=lost_after, checkpoint_freq=checkpoint_freq)
    result, chunks, _ = tried(checkpoint_freq=checkpoint_freq)
    assert result.folder.path == tmp_path / "lost" and result.steps == 3072 and chunks == left
    assert rows(result.folder) == rows(unbroken[0].folder)


@pytest.mark.slow
def test_a_run_that_is_lost_again_and_again_still_ends(unbroken, tried):
    for _ in range(5):
        with pytest.raises(TakenAway):
            tried(lost_after=1)
    result, chunks, _ = tried(lost_after=1)
    assert chunks == 1 and rows(result.folder) == rows(unbroken[0].folder)


def test_checkpoints_are_handed_on_a_finished_call_rests_and_another_may_not_take_its_name(
    tried, tmp_path
):
    seen = []

    def keep():
        names = [path.name for path in (tmp_path / "lost" / "checkpoints").iterdir()]
        assert all(name.isdigit() for name in names)  # complete ones only
        seen.append(max(map(int, names), default=0))

    first, _, _ = tried(after_save=keep)
    assert seen == [0, 512, 1024, 1536, 2048, 2560, 3072]
    again, chunks, shown = tried()
    assert chunks == 0 and again.steps == first.steps and "done: 3,072 steps" in shown
    with pytest.raises(InputError, match=r"--save-name is lost, but .* exists"):
        tried(call="fc-2")
    assert not (tmp_path / CALLS / "fc-2").exists()


@pytest.mark.slow
def test_a_run_without_a_name_is_found_again(tried, tmp_path):
    with pytest.raises(TakenAway):
        tried(save_name=None, lost_after=3)
    result, _, _ = tried(save_name=None)
    assert result.folder.path == tmp_path / "circuit-1" and result.steps == 3072
    assert [path.name for path in tmp_path.iterdir() if path.name != CALLS] == ["circuit-1"]


def test_going_on_from_an_early_checkpoint_does_not_go_back_to_it_after_a_loss(tried, copied):
    folder, _ = copied
    shelf = sorted(int(path.name) for path in folder.checkpoints.iterdir())
    flags = {
        "save_name": None,
        "resume_from": str(folder.checkpoints / str(shelf[0])),
        "checkpoint_freq": 512,
    }
    with pytest.raises(TakenAway):
        tried(lost_after=1, **flags)
    newest = max(int(path.name) for path in folder.checkpoints.iterdir() if path.name.isdigit())
    assert shelf[0] < newest < 3072
    result, chunks, _ = tried(**flags)
    assert result.steps == 3072 and chunks == (3072 - newest) // 512
