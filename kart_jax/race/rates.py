"""How often a race is driven and computed: fixed at compile time."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Rates:
    """Control steps per second and physics steps in each; hashable."""

    control_rate: int = 25
    """Control steps per second."""
    substeps: int = 8
    """Physics steps per control step; 5 ms each are what the model was validated with."""

    @property
    def control_dt(self) -> float:
        """Seconds per control step."""
        return 1.0 / self.control_rate

    @property
    def physics_dt(self) -> float:
        """Seconds per physics step."""
        return self.control_dt / self.substeps
