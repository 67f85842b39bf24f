"""Who drives a race: the protocol of all drivers, and those that need no training.

Learned, scripted, recorded and human drivers are interchangeable, and opponents are drivers, too.
A driver may look at the state of the race; a learned one makes its own observation of it.
"""

from typing import Any, Protocol

import chex
import jax
import jax.numpy as jnp
from flax import struct

from kart_jax.drivers import follow
from kart_jax.drivers.types import Plan
from kart_jax.physics.types import Controls
from kart_jax.race.params import RaceParams
from kart_jax.race.types import RaceState
from kart_jax.track.types import Tracks


class Driver(Protocol):
    """Drive all K karts of one race; a pytree, so that compiled functions take it as an argument.

    What a driver carries from one control step to the next is a pytree of its own choice, of the
    same structure, shapes and types at every step.
    """

    def initial_state(self, race: RaceState, tracks: Tracks, params: RaceParams) -> Any:
        """Return what the driver carries into the first step of a race that begins like this."""
        ...

    def act(
        self, key: chex.PRNGKey, race: RaceState, carried: Any, tracks: Tracks, params: RaceParams
    ) -> tuple[Controls, Any]:
        """Choose the controls of one step.

        Args:
            key: typed key of this step; drivers without chance leave it alone.
            race: the race as it is now.
            carried: from `initial_state`, or from the step before.
            tracks: the stack of circuits; `race.track` names the race's own.
            params: of the race.

        Returns:
            Controls with fields (K,), and what the next step is handed as `carried`.
        """
        ...


class ScriptedDriver(struct.PyTreeNode):
    """Drive every kart by one plan, see `follow`; carries nothing."""

    plan: Plan  # from `scripted.prepare`, for the circuits that the race is driven on

    def initial_state(self, race: RaceState, tracks: Tracks, params: RaceParams) -> tuple[()]:
        """Return nothing: the plan and the race's state say it all."""
        return ()

    def act(
        self,
        key: chex.PRNGKey,
        race: RaceState,
        carried: tuple[()],
        tracks: Tracks,
        params: RaceParams,
    ) -> tuple[Controls, tuple[()]]:
        """Follow the plan with every kart, each by its own parameters."""
        control = jax.vmap(follow.control, in_axes=(None, None, None, 0, 0))
        return control(self.plan, tracks, race.track, race.karts, params.kart), carried


class RecordedDriver(struct.PyTreeNode):
    """Repeat recorded controls from the start of a race; carries the number of the next step."""

    controls: Controls  # fields (T, K), of T control steps; the last one is held from then on

    def initial_state(self, race: RaceState, tracks: Tracks, params: RaceParams) -> chex.Array:
        """Return the first step () int32."""
        return jnp.zeros((), jnp.int32)

    def act(
        self,
        key: chex.PRNGKey,
        race: RaceState,
        carried: chex.Array,
        tracks: Tracks,
        params: RaceParams,
    ) -> tuple[Controls, chex.Array]:
        """Return the controls recorded at this step, and the number () int32 of the next."""
        now = jax.tree.map(
            lambda field: jnp.take(field, carried, axis=0, mode="clip"), self.controls
        )
        return now, carried + 1


class HeldDriver(struct.PyTreeNode):
    """Hold controls that come from outside: a person, or a program on the host.

    Whoever runs the session hands over another one with new controls before each step; all are of
    one shape, so nothing is compiled anew.
    """

    controls: Controls  # fields (K,)

    def initial_state(self, race: RaceState, tracks: Tracks, params: RaceParams) -> tuple[()]:
        """Return nothing."""
        return ()

    def act(
        self,
        key: chex.PRNGKey,
        race: RaceState,
        carried: tuple[()],
        tracks: Tracks,
        params: RaceParams,
    ) -> tuple[Controls, tuple[()]]:
        """Return the controls as they are held."""
        return self.controls, carried
