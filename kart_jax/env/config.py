"""What is fixed at compile time: shapes, counts, image size, rates."""

import dataclasses

from kart_jax.errors import InputError
from kart_jax.race.rates import Rates

# The most that each count may be; what is compiled grows with it, and beyond lies nothing that
# anyone would want.
MAX = {
    "height": 4320,
    "width": 7680,
    "frame_stack": 64,
    "karts": 1000,
    "control_rate": 1000,
    "substeps": 1000,
}


@dataclasses.dataclass(frozen=True)
class EnvConfig:
    """Configure an environment statically; hashable, so a static argument of `jax.jit`."""

    height: int = 84
    """Rows of the view in pixels."""
    width: int = 84
    """Columns of the view in pixels."""
    frame_stack: int = 4
    """Frames stacked along the channel axis, oldest first."""
    vision: bool = True
    """Render the view; without it the observation holds telemetry only."""
    karts: int = 1
    """Karts in one race."""
    control_rate: int = Rates.control_rate
    """Control steps per second."""
    substeps: int = Rates.substeps
    """Physics steps per control step."""
    randomize: bool = False
    """Give each episode a kart, light and senses of its own, see `randomise.VARIATIONS`."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        for name, most in MAX.items():
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= most:
                raise InputError(
                    f"EnvConfig.{name} is {value!r}; it must be a whole number from 1 to {most}"
                )
        for name in ("vision", "randomize"):
            if type(getattr(self, name)) is not bool:
                raise InputError(
                    f"EnvConfig.{name} is {getattr(self, name)!r}; it must be True or False"
                )

    @property
    def rates(self) -> Rates:
        """How often a race is driven and computed."""
        return Rates(self.control_rate, self.substeps)
