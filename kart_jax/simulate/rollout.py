"""Let a driver drive a race, step after step, and keep what is asked for."""

from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp
from flax import struct

from kart_jax.drivers.driver import Driver
from kart_jax.race import step as race_step
from kart_jax.race.params import RaceParams
from kart_jax.race.rates import Rates
from kart_jax.race.types import RaceState
from kart_jax.track.types import Tracks


class World(struct.PyTreeNode):
    """What a race is driven in; the same from step to step."""

    tracks: Tracks  # the stack of circuits
    params: RaceParams  # of the K karts
    rates: Rates = struct.field(pytree_node=False, default=Rates())


class Session(struct.PyTreeNode):
    """What goes on from one control step to the next."""

    race: RaceState
    driver_state: Any  # what the driver carries
    key: chex.PRNGKey  # () typed; each step splits its own off
    step: chex.Array  # () int32, control steps since the session began


# What is carried along (None = nothing), the session before and after a step -> what is carried
# on, and what is kept of the step.
Watch = Callable[[Any, Session, Session], tuple[Any, Any]]


def begin(key: chex.PRNGKey, world: World, race: RaceState, driver: Driver) -> Session:
    """Begin a session with a race as it stands."""
    return Session(
        race=race,
        driver_state=driver.initial_state(race, world.tracks, world.params),
        key=key,
        step=jnp.zeros((), jnp.int32),
    )


def advance(world: World, driver: Driver, session: Session) -> Session:
    """Drive one control step: the driver acts, the race moves on."""
    key, act_key = jax.random.split(session.key)
    controls, driver_state = driver.act(
        act_key, session.race, session.driver_state, world.tracks, world.params
    )
    race = race_step.step(session.race, controls, world.tracks, world.params, world.rates)
    return Session(race=race, driver_state=driver_state, key=key, step=session.step + 1)


def rollout(
    world: World,
    driver: Driver,
    session: Session,
    steps: int,
    watch: Watch,
    watched: Any = None,
) -> tuple[Session, Any, Any]:
    """Drive a fixed number of control steps.

    Args:
        world: where.
        driver: who.
        session: from `begin`, or where an earlier roll-out ended.
        steps: control steps.
        watch: called after each step.
        watched: what `watch` is handed at the first step.

    Returns:
        The session and what is watched after the last step, and what was kept of each, stacked
        along a leading axis (steps, ...).
    """

    def one(carry: tuple[Session, Any], _: None) -> tuple[tuple[Session, Any], Any]:
        before, watched = carry
        after = advance(world, driver, before)
        watched, kept = watch(watched, before, after)
        return (after, watched), kept

    (session, watched), kept = jax.lax.scan(one, (session, watched), None, length=steps)
    return session, watched, kept


def rollout_while(
    world: World,
    driver: Driver,
    session: Session,
    goes_on: Callable[[Session], chex.Array],
    watch: Watch,
    watched: Any = None,
) -> tuple[Session, Any]:
    """Drive while `goes_on` says so, () bool; what `watch` keeps of each step is dropped.

    The other arguments as in `rollout`. Not differentiable backwards, as the steps are not counted
    beforehand.
    """

    def one(carry: tuple[Session, Any]) -> tuple[Session, Any]:
        before, watched = carry
        after = advance(world, driver, before)
        return after, watch(watched, before, after)[0]

    return jax.lax.while_loop(lambda carry: goes_on(carry[0]), one, (session, watched))
