"""Reward, end of an episode, frames and observation table, each by itself."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from kart_jax.env import frames, observe, reward, terminate
from kart_jax.env.config import EnvConfig
from kart_jax.env.params import EpisodeLimits, RewardWeights
from kart_jax.env.types import Cause, Timers

DT = 0.04


def transition(**changed):
    quiet = reward.Transition(
        progress_delta=jnp.asarray(0.8),
        length=jnp.asarray(1000.0),
        on_track=jnp.asarray(True),
        lap_completed=jnp.asarray(False),
        wall_contact=jnp.asarray(False),
        vx=jnp.asarray(20.0),
        vy=jnp.asarray(0.0),
        steering_change=jnp.asarray(0.0),
        terminated=jnp.asarray(False),
        dt=DT,
    )
    return dataclasses.replace(
        quiet, **{name: jnp.asarray(value) for name, value in changed.items()}
    )


# Weights of the tests' own, so that those of training can be tuned.
WEIGHTS = RewardWeights(
    progress=5000.0,
    lap=100.0,
    off_track=-25.0,
    wall=-100.0,
    slip=-2.0,
    steering_rate=-0.05,
    terminated=-50.0,
)


def named(t):
    return dict(zip(reward.TERMS, np.asarray(reward.reward_terms(t, WEIGHTS)), strict=True))


def test_every_term_has_a_weight_of_its_name():
    assert list(reward.TERMS) == [field.name for field in dataclasses.fields(RewardWeights)]


def test_quiet_driving_earns_the_way_alone():
    # 0.8 m of 1000 m at 5000 a lap = 4.
    terms = named(transition())
    assert terms.pop("progress") == pytest.approx(4.0)
    assert all(value == 0.0 for value in terms.values())


def test_way_counts_forward_on_the_track_only_and_backward_always():
    assert named(transition(on_track=False))["progress"] == 0.0
    assert named(transition(progress_delta=-0.8))["progress"] == pytest.approx(-4.0)
    assert named(transition(progress_delta=-0.8, on_track=False))["progress"] == pytest.approx(-4.0)


def test_a_jump_pays_no_more_than_top_speed():
    # 60 m/s * 0.04 s = 2.4 m at 5 a metre = 12, however far the jump.
    assert named(transition(progress_delta=400.0))["progress"] == pytest.approx(12.0)


def test_faults_cost_what_the_weights_say():
    terms = named(
        transition(
            on_track=False,
            wall_contact=True,
            steering_change=-0.5,
            terminated=True,
            lap_completed=True,
        )
    )
    assert terms["off_track"] == pytest.approx(-25.0 * DT)
    assert terms["wall"] == pytest.approx(-100.0 * DT)
    assert terms["steering_rate"] == pytest.approx(-0.05 * 0.5)
    assert terms["terminated"] == -50.0
    assert terms["lap"] == 100.0


def test_drift_costs_the_same_to_both_sides():
    left, right = (named(transition(vy=vy))["slip"] for vy in (3.0, -3.0))
    assert left == right == pytest.approx(-2.0 * np.arctan(3.0 / np.hypot(20.0, 3.0)) * DT)


def timers(off_track=0.0, stuck=0.0, wrong_way=0.0):
    return Timers(
        off_track=jnp.asarray(off_track),
        stuck=jnp.asarray(stuck),
        wrong_way=jnp.asarray(wrong_way),
    )


@pytest.mark.parametrize(
    ("given", "finite", "time", "cause"),
    [
        ({}, True, 1.0, Cause.NONE),
        ({"off_track": 1.0}, True, 1.0, Cause.OFF_TRACK),
        ({"off_track": 0.9}, True, 1.0, Cause.NONE),
        ({"stuck": 4.0}, True, 1.0, Cause.STUCK),
        ({"wrong_way": 2.0}, True, 1.0, Cause.WRONG_WAY),
        ({}, False, 1.0, Cause.NON_FINITE),
        ({}, True, 120.0, Cause.TIME_LIMIT),
        ({"stuck": 4.0}, True, 120.0, Cause.STUCK),
    ],
)
def test_end_and_cause(given, finite, time, cause):
    terminated, truncated, found = terminate.find_end(
        timers(**given), jnp.asarray(finite), jnp.asarray(time), EpisodeLimits()
    )
    assert found == cause
    assert bool(truncated) == (cause == Cause.TIME_LIMIT)
    assert bool(terminated) == (cause not in (Cause.NONE, Cause.TIME_LIMIT))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_frame_stack_is_oldest_first_and_filled_when_fresh(n):
    rng = np.random.default_rng(n)
    pictures = rng.integers(0, 256, (n + 3, 5, 4, 3), dtype=np.uint8)
    packed = [np.dot(p.astype(np.uint32), [1, 256, 65536]).astype(np.uint32) for p in pictures]
    stack = jnp.asarray(rng.integers(0, 2**32, (5, 4, frames.word_count(n)), dtype=np.uint32))
    stack = frames.push(stack, jnp.asarray(packed[0]), jnp.asarray(True), n)
    np.testing.assert_array_equal(frames.unpack(stack, n), np.tile(pictures[0], (1, 1, n)))
    for picture in packed[1:]:
        stack = frames.push(stack, jnp.asarray(picture), jnp.asarray(False), n)
    np.testing.assert_array_equal(frames.unpack(stack, n), np.concatenate(pictures[-n:], axis=-1))


def test_observation_table_is_in_the_order_of_the_design():
    names = ["speed", "steering", "throttle", "brake", "lat_g", "long_g"]
    names += ["dist_to_line", "curvature", "checkpoint_angle"]
    assert [row.name for row in observe.OBSERVATION] == names


def test_config_is_hashable_and_checked():
    assert hash(EnvConfig()) == hash(EnvConfig())
    assert EnvConfig().rates.physics_dt == pytest.approx(1 / 200)
    with pytest.raises(ValueError, match="substeps is 0"):
        EnvConfig(substeps=0)
