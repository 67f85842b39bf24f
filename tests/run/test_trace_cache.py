"""Chunks that were traced before: read, the same numbers, and nothing else's program."""

import contextlib
import dataclasses
import os

import jax
import numpy as np
import pytest
from ring_env import RingEnv
from ring_runs import SMALL

import kart_jax
from kart_jax.devices import kart_mesh
from train.run import chunks, prepare, trace_cache

pytestmark = pytest.mark.usefixtures("on_ring")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where programs are kept; sources count as settled, and the ring as the environment that they
    are of."""
    monkeypatch.setattr(trace_cache, "_folder", lambda: tmp_path / "traced")
    monkeypatch.setattr(trace_cache, "KartEnv", RingEnv)
    monkeypatch.setattr(trace_cache, "SETTLED", -1e9)
    return tmp_path / "traced"


@pytest.fixture
def untraceable(monkeypatch):
    """From the call on nothing is exported any more."""

    def forbid():
        monkeypatch.setattr(
            trace_cache.export, "export", lambda *given: pytest.fail("traced again")
        )

    return forbid


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The metrics of two chunks that this process traced."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepare, "make_env", lambda config: RingEnv())
        return metrics([start(tmp_path_factory.mktemp("plain"))], cached=False)


def start(tmp_path, **changes):
    config = dataclasses.replace(SMALL, rollout_steps=8, runs_dir=str(tmp_path / "runs"), **changes)
    return prepare.prepare(config)[0]


def find(run):
    given = (run.graph, run.env, run.config, run.hyperparameters, run.state, run.mesh)
    with trace_cache.enabled():
        return trace_cache.find(*given)


def metrics(runs, cached):
    """The metrics of two chunks, and the state behind them."""
    with trace_cache.enabled() if cached else contextlib.nullcontext():
        made = chunks.Chunks(runs)
    assert (made.chunk == made._trace) != cached
    made.launch()
    first, second = made.launch(), made.finish()
    return jax.tree.leaves((first, second, jax.device_get(made.state)))


def same(one, other):
    for a, b in zip(one, other, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(plain_numbers(a), plain_numbers(b))


def plain_numbers(x):
    return np.asarray(
        jax.random.key_data(x) if jax.numpy.issubdtype(x.dtype, jax.dtypes.prng_key) else x
    )


def test_what_was_traced_before_is_read_and_gives_the_same_numbers(
    tmp_path, folder, untraceable, plain
):
    same(metrics([start(tmp_path)], cached=True), plain)
    assert len(list(folder.iterdir())) == 1
    untraceable()
    same(metrics([start(tmp_path)], cached=True), plain)


@pytest.mark.slow
def test_another_precision_is_another_program(tmp_path, folder, plain):
    same(metrics([start(tmp_path)], cached=True), plain)
    half = metrics([start(tmp_path, precision="bfloat16")], cached=True)
    assert len(list(folder.iterdir())) == 2
    same(half, metrics([start(tmp_path, precision="bfloat16")], cached=False))
    assert any(
        np.any(plain_numbers(a) != plain_numbers(b)) for a, b in zip(half, plain, strict=True)
    )


def test_other_numbers_and_lengths_of_a_run_need_no_other_program(
    tmp_path, folder, untraceable, plain
):
    assert find(start(tmp_path)) is not None
    untraceable()
    changes = {
        "learning_rate": 1e-2,
        "gamma": 0.9,
        "gae_lambda": 0.8,
        "clip_ratio": 0.3,
        "ent_coef": 0.1,
    }
    changes |= {"value_coef": 0.9, "max_grad_norm": 0.1, "target_kl": 0.001, "timesteps": 4096}
    other = metrics([start(tmp_path, **changes)], cached=True)
    assert len(list(folder.iterdir())) == 1
    same(other, metrics([start(tmp_path, **changes)], cached=False))
    assert any(
        np.any(plain_numbers(a) != plain_numbers(b)) for a, b in zip(other, plain, strict=True)
    )


@pytest.mark.slow
def test_two_seeds_on_two_devices_are_kept_as_one_program(tmp_path, folder, untraceable):
    def both():
        return [start(tmp_path, seed=seed, devices=2) for seed in (0, 1)]

    plain = metrics(both(), cached=False)
    same(metrics(both(), cached=True), plain)
    untraceable()
    same(metrics(both(), cached=True), plain)


def test_the_memory_of_the_state_is_reused(tmp_path, folder):
    run = start(tmp_path)
    state = run.state
    with trace_cache.enabled():
        made = chunks.Chunks([run])
    made.launch()
    made.finish()
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state.params))


@pytest.mark.parametrize("damage", [b"", b"nonsense", None])
def test_a_damaged_program_is_made_anew(tmp_path, folder, damage, plain):
    run = start(tmp_path)
    assert find(run) is not None
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    same(metrics([run], cached=True), plain)
    assert trace_cache._read(path) is not None


def test_another_program_has_another_name(tmp_path, folder, monkeypatch):
    source = tmp_path / "source.py"
    source.write_text("a = 1")
    names = []
    monkeypatch.setattr(trace_cache, "_sources", lambda: [source])
    monkeypatch.setattr(trace_cache, "_read", lambda path: names.append(path) or path)
    monkeypatch.setattr(trace_cache, "_with_classes", lambda program: None)
    run = start(tmp_path)
    given = [run.graph, run.env, run.config, run.hyperparameters, run.state, run.mesh]
    longer = dataclasses.replace(run.config.ppo, epochs=3)
    changes = {
        1: dataclasses.replace(run.env, default_params=np.float32(1.0)),
        2: dataclasses.replace(run.config, ppo=longer),
        3: dataclasses.replace(run.hyperparameters, value_clip=np.float32(1.0)),
        4: start(tmp_path, vector_envs=16).state,
        5: kart_mesh(2),
    }

    def look(*given, **more):
        with trace_cache.enabled():
            trace_cache.find(*given, **more)

    look(*given)
    for place, value in changes.items():
        look(*given[:place], value, *given[place + 1 :])
    half = start(tmp_path, precision="bfloat16")
    find(half)
    look(*given, runs=2)
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=3")
    look(*given)
    source.write_text("a = 2")
    look(*given)
    assert len(set(names)) == len(names) == len(changes) + 5
    look(*given)
    assert names[-1] == names[-2]


def test_the_name_of_a_program_is_the_same_in_every_process(oval):
    """Nothing in it tells where something lies in memory."""
    assert " at 0x" not in str(
        jax.tree.structure(kart_jax.make(oval, config=kart_jax.EnvConfig(vision=False)))
    )


def test_nothing_is_found_unless_it_is_turned_on(tmp_path, folder):
    run = start(tmp_path)
    given = (run.graph, run.env, run.config, run.hyperparameters, run.state, run.mesh)
    assert find(run) is not None
    assert trace_cache.find(*given) is None
    with trace_cache.enabled():
        with trace_cache.enabled():
            assert trace_cache.find(*given) is not None
        assert trace_cache.find(*given) is not None


def test_nothing_is_kept_where_it_may_be_something_else(tmp_path, folder, monkeypatch):
    run = start(tmp_path)
    source = tmp_path / "source.py"
    source.write_text("a = 1")
    with monkeypatch.context() as patch:
        patch.setattr(trace_cache, "_sources", lambda: [source])
        patch.setattr(trace_cache, "SETTLED", 60.0)
        assert find(run) is None  # changed since this process began
        os.utime(source, (trace_cache.LOADED - 59.0,) * 2)
        assert find(run) is None  # perhaps while it began
        os.utime(source, (trace_cache.LOADED - 61.0,) * 2)
        assert find(run) is not None
    with monkeypatch.context() as patch:
        patch.setattr(trace_cache, "KartEnv", trace_cache.Path)
        assert find(run) is None  # an environment of somebody else's
    with monkeypatch.context() as patch:
        patch.setattr(trace_cache.hosts, "several", lambda: True)
        assert find(run) is None
    monkeypatch.setattr(trace_cache, "_folder", lambda: None)
    assert find(run) is None


def test_a_program_that_jax_cannot_export_is_traced_as_ever(tmp_path, folder, monkeypatch):
    def refuse(*given):
        raise ValueError("a custom call without guarantees")

    monkeypatch.setattr(trace_cache.export, "export", refuse)
    assert find(start(tmp_path)) is None
    with trace_cache.enabled():
        made = chunks.Chunks([start(tmp_path)])
    made.launch()
    assert np.isfinite(made.finish()[0].losses.value_loss).all()
    assert not folder.exists()


def test_a_folder_that_cannot_be_written_to_costs_only_time(tmp_path, folder, plain):
    folder.write_text("a file where the folder should be")
    same(metrics([start(tmp_path)], cached=True), plain)
    assert folder.read_text() == "a file where the folder should be"


def test_the_oldest_programs_make_room(tmp_path, folder, monkeypatch):
    monkeypatch.setattr(trace_cache, "MAX_PROGRAMS", 2)
    for age, name in enumerate("abc"):
        trace_cache._write(folder / f"{name}.bin", bytearray(b"program"))
        os.utime(folder / f"{name}.bin", (1000.0 + age,) * 2)
    trace_cache._write(folder / "d.bin", bytearray(b"program"))
    assert sorted(path.name for path in folder.iterdir()) == ["c.bin", "d.bin"]
