"""One contract for all: adapter x observation x karts x circuits, by the shapes that JAX derives.

Nothing is compiled or run: what an adapter promises of shapes and types is checked by tracing it.
"""

import jax
import jax.numpy as jnp
import pytest

import kart_jax
from kart_jax.adapters import contract
from kart_jax.adapters.brax import PIXELS, TELEMETRY, RacingBrax
from kart_jax.adapters.gymnax import RacingGymnax, RacingGymnaxFive
from kart_jax.adapters.jaxmarl import RacingMARL
from kart_jax.env.config import EnvConfig
from kart_jax.track.stack import stack

CONFIG = EnvConfig(height=20, width=16, frame_stack=2)
KEY = jax.random.key(0)
PICTURE, ROW = ((20, 16, 6), "uint8"), ((9,), "float32")


@pytest.fixture(scope="module", params=["one circuit", "two circuits"])
def tracks(request, oval):
    return oval if request.param == "one circuit" else stack([oval, oval])


def spec(tree):
    """Shapes and types of a tree of abstract arrays."""
    return jax.tree.map(lambda leaf: (leaf.shape, str(leaf.dtype)), tree)


def expected(observation, karts=None):
    """The native observation of one kart, or of `karts` with their axis."""
    parts = {"vision": PICTURE, "telemetry": ROW}
    lead = () if karts is None else (karts,)
    parts = {name: ((*lead, *shape), kind) for name, (shape, kind) in parts.items()}
    return parts if observation == "both" else parts[observation]


def check_scalars(values, kinds, lead=()):
    assert [spec(value) for value in values] == [(lead, kind) for kind in kinds]


@pytest.mark.parametrize("observation", contract.CHOICES)
@pytest.mark.parametrize("karts", [None, 1, 2, 20])
def test_the_native_environment(tracks, karts, observation):
    config = contract.config_for(observation, CONFIG)
    env = kart_jax.make(tracks, karts=karts, config=config)
    lead = () if karts is None else (karts,)
    seen = expected("both", karts)
    wanted = {name: seen[name] for name in seen if observation != "telemetry" or name != "vision"}
    obs, state = jax.eval_shape(env.reset, KEY, env.default_params)
    assert spec(obs) == wanted

    action = jax.ShapeDtypeStruct((*lead, 2), jnp.float32)
    obs, after, *ends, info = jax.eval_shape(env.step, KEY, state, action, env.default_params)
    assert spec(obs) == spec(info.final_observation) == wanted
    assert spec(after) == spec(state), "a state keeps its shapes and types"
    check_scalars(ends, ("float32", "bool", "bool"), lead)
    assert all(leaf.shape[: len(lead)] == lead for leaf in jax.tree.leaves(info))


@pytest.mark.parametrize("observation", contract.CHOICES)
@pytest.mark.parametrize("adapter", [RacingGymnax, RacingGymnaxFive])
def test_gymnax(tracks, adapter, observation):
    env = adapter(tracks, observation=observation, config=CONFIG)
    obs, state = jax.eval_shape(env.reset, KEY)
    action = jax.ShapeDtypeStruct((2,), jnp.float32)
    after, state_after, *ends, _ = jax.eval_shape(env.step, KEY, state, action)
    assert spec(obs) == spec(after) == expected(observation)
    assert spec(state) == spec(state_after)
    kinds = ("float32", "bool", "bool") if adapter is RacingGymnax else ("float32", "bool")
    check_scalars(ends, kinds)


@pytest.mark.parametrize("observation", contract.CHOICES)
def test_brax(tracks, observation):
    env = RacingBrax(tracks, observation=observation, config=CONFIG)
    state = jax.eval_shape(env.reset, KEY)
    after = jax.eval_shape(env.step, state, jax.ShapeDtypeStruct((2,), jnp.float32))
    assert spec(state) == spec(after)
    picture = {PIXELS: (PICTURE[0], "float32")}
    parts = {"telemetry": ROW, "vision": picture, "both": picture | {TELEMETRY: ROW}}
    assert spec(after.obs) == parts[observation]
    check_scalars((after.reward, after.done), ("float32", "float32"))


@pytest.mark.parametrize("observation", contract.CHOICES)
@pytest.mark.parametrize("karts", [1, 2, 20])
def test_jaxmarl(tracks, karts, observation):
    env = RacingMARL(tracks, karts, observation=observation, config=CONFIG)
    obs, state = jax.eval_shape(env.reset, KEY)
    action = jax.ShapeDtypeStruct((2,), jnp.float32)
    actions = dict.fromkeys(env.agents, action)
    after, state_after, rewards, dones, infos = jax.eval_shape(env.step, KEY, state, actions)
    assert spec(obs) == spec(after) == dict.fromkeys(env.agents, expected(observation))
    assert spec(state) == spec(state_after)
    assert spec(rewards) == dict.fromkeys(env.agents, ((), "float32"))
    assert spec(dones) == dict.fromkeys([*env.agents, "__all__"], ((), "bool"))
    assert all(leaf.shape == (karts,) for leaf in infos.values())
