"""All checks, a function for each subject; each returns its measured numbers."""

from collections.abc import Callable

from . import braking, circles, invariants, loads, numerics, straights
from .check import Check

Section = Callable[[], list[Check]]

SECTIONS: tuple[Section, ...] = (
    loads.statics,
    straights.straights,
    straights.launches,
    braking.brakes,
    braking.presets,
    braking.spins,
    circles.pads,
    circles.axle,
    circles.understeer,
    circles.lift_off,
    loads.lifts,
    invariants.invariants,
    numerics.convergence,
    numerics.standstill,
    numerics.walking_pace,
)
QUICK_SECTIONS: tuple[Section, ...] = (loads.statics, invariants.invariants)
