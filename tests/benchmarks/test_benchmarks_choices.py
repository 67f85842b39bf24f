"""The ways of a choice do the same work, and a run is set up as `kart train` does it."""

import argparse

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import hot_loop
from benchmarks.choices import as_users, convolution_forms
from benchmarks.measure import learner
from kart_jax.errors import InputError


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("epochs", "--set has epochs; write FIELD=VALUE"),
        ("epoch=3", "--set has epoch=3; write FIELD=VALUE"),
        ("epochs=many", "--set epochs is many; it must be a whole number or null"),
    ],
)
def test_a_wrong_field_of_a_run_is_told(words, sentence):
    with pytest.raises(InputError, match=sentence):
        learner.read_field(words)


def test_fields_of_a_run_are_those_of_kart_train():
    arguments = argparse.Namespace(
        track="monza", karts=[8, 16], frame_stack=None, set=["epochs=2", "kart=kz2"]
    )
    runs = learner.requests(arguments)
    assert [run.vector_envs for run in runs] == [8, 16]
    assert all((run.track_name, run.epochs, run.kart) == (("monza",), 2, "kz2") for run in runs)


@pytest.mark.parametrize("choice", ["storage", "minibatches"])
def test_the_ways_of_a_choice_read_the_same_pictures(choice):
    fields = ["rollout_steps=4", "minibatch_size=8", "devices=1"]
    request = learner.request("circuit", 4, 2, fields)
    used, *others = (float(np.sum(way.call())) for way in hot_loop.CHOICES[choice](request))
    assert used > 0 and others == pytest.approx([used] * len(others), rel=1e-5)


@pytest.mark.parametrize("form", ["shifts", "depth"])
def test_a_form_of_the_convolution_is_a_convolution(form):
    images = np.random.default_rng(0).integers(0, 255, (2, 20, 24, 3), np.uint8)
    kernel = np.random.default_rng(1).normal(0.0, 0.1, (8, 8, 3, 5)).astype(np.float32)
    forms = convolution_forms.FORMS
    found, sought = (forms[name][1](images, kernel, 4) for name in (form, "lax"))
    np.testing.assert_allclose(found, sought, rtol=1e-4, atol=1e-3)


def test_where_the_pictures_are_scaled_makes_no_difference_to_what_is_learned():
    fields = ["rollout_steps=4", "minibatch_size=2", "devices=1"]
    request = learner.request("circuit", 4, 1, fields)
    used, other = (way.call() for way in convolution_forms.scale(request))
    np.testing.assert_allclose(used[0], other[0], rtol=1e-4, atol=1e-6)
    begun = 0.05 * jax.random.normal(jax.random.key(32), used[0].shape)
    assert float(jnp.mean(jnp.abs(used[0] - begun))) > 1e-4  # it did learn


@pytest.mark.slow
def test_an_environment_that_is_closed_over_drives_as_one_that_is_an_argument():
    argument, closed_over, scan = as_users.native(as_users.Task("beginner_track", 2, 0))
    for _ in range(as_users.SCAN_STEPS):
        after = argument.call()
        same = closed_over.call()
    scanned = scan.call()
    assert (argument.steps, closed_over.steps, scan.steps) == (2, 2, 2 * as_users.SCAN_STEPS)

    (_, state, obs), read = after
    for (_, other_state, other_obs), _ in (same, scanned):
        np.testing.assert_allclose(other_obs["telemetry"], obs["telemetry"], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(other_state.race.karts.x, state.race.karts.x, rtol=1e-5)
    np.testing.assert_allclose(scanned[1][0][-1], read[0], rtol=1e-3, atol=1e-3)  # the last reward
