"""Several hosts: what is refused, what they agree on, and a run that two processes share."""

import dataclasses
import json
import signal
import socket

import jax
import numpy as np
import pytest
from ring_runs import SMALL, launch, rows, run, wait_for_checkpoint

from kart_jax import cli
from kart_jax.errors import InputError
from train.run import hosts
from train.run.run_folder import RunFolder


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--hosts 2", "--hosts is 2, but there is no --coordinator"),
        ("--host 0", "--host is 0, but there is no --coordinator"),
        ("--coordinator first", "--coordinator is 'first'; it must be auto, or host:port"),
        ("--coordinator first:0 --hosts 2 --host 0", "it must be auto, or host:port"),
        ("--coordinator first:99999 --hosts 2 --host 0", "it must be auto, or host:port"),
        (
            "--coordinator first:1234",
            "--hosts is None and --host is None; with a --coordinator give",
        ),
        ("--coordinator first:1234 --hosts 2 --host 2", "--hosts is 2 and --host is 2"),
        ("--coordinator first:1234 --hosts 0 --host 0", "--hosts is 0 and --host is 0"),
    ],
)
def test_hosts_that_make_no_sense_are_refused(flags, message, capsys):
    assert cli.main(f"train {flags}".split()) == 2
    assert message in capsys.readouterr().err


def test_one_process_agrees_with_itself():
    assert hosts.first() and not hosts.several()
    assert hosts.any_of(True) and not hosts.any_of(False)
    assert hosts.broadcast("runs/é") == "runs/é"
    tree = {"a": jax.numpy.arange(3), "key": jax.random.key(0)}
    assert hosts.gather(tree) is tree
    place = jax.sharding.SingleDeviceSharding(jax.devices()[-1])
    moved = hosts.place(tree, place)
    assert moved["a"].devices() == {jax.devices()[-1]} and np.array_equal(moved["a"], [0, 1, 2])


def both(config, runs):
    """Two processes that train one run; their names are 0 and 1."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        where = f"--coordinator localhost:{free.getsockname()[1]} --hosts 2"
    return [launch(config, runs, f"{where} --host {number}") for number in range(2)]


@pytest.mark.slow
@pytest.mark.usefixtures("on_ring")
def test_two_hosts_train_one_run_and_stop_and_go_on_together(tmp_path):
    config = dataclasses.replace(SMALL, runs_dir=str(tmp_path))
    alone, _, _ = run(dataclasses.replace(config, devices=2, save_name="alone"))
    whole = rows(alone.folder)

    pair = both(dataclasses.replace(config, save_name="pair"), tmp_path)
    wait_for_checkpoint(tmp_path / "pair", pair[0])
    pair[1].send_signal(signal.SIGTERM)  # told to the one that does not write
    told = [process.communicate(timeout=500)[0] for process in pair]
    assert [process.returncode for process in pair] == [130, 130]
    stopped = json.loads(told[0])
    assert stopped["interrupted"] and 0 < stopped["steps"] < config.timesteps and "{" not in told[1]

    pair = both(dataclasses.replace(config, resume_from="pair"), tmp_path)
    told = [process.communicate(timeout=500)[0] for process in pair]
    assert [process.returncode for process in pair] == [0, 0]
    assert json.loads(told[0])["steps"] == config.timesteps
    shared = rows(RunFolder(tmp_path / "pair"))
    assert [row["step"] for row in shared] == [row["step"] for row in whole]
    for one, other in zip(
        shared[:8], whole[:8], strict=True
    ):  # later sums in another order have grown
        for name in ("train/value_loss", "train/entropy", "train/approx_kl"):
            assert float(one[name]) == pytest.approx(float(other[name]), rel=0.02, abs=1e-4), name


def test_a_word_too_long_to_share_is_refused(monkeypatch):
    monkeypatch.setattr(hosts, "several", lambda: True)
    with pytest.raises(InputError, match="hosts can share up to 4096"):
        hosts.broadcast("x" * 5000)
