"""How a number of a run is declared: once, as a field of a config, with its bounds beside its type.

    gamma: Annotated[float, FRACTION, Role.PER_RUN] = 0.99
    \"\"\"Discount per step.\"\"\"

Checks and their sentences, flags and their help, what may differ in one compiled program and what a
run that goes on must share are derived from such fields by the functions here.

A config is a frozen dataclass. It may hold other configs; the fields that hold none are its leaves.
Leaves have names of their own in the whole tree, so a config is also a flat table of them.
"""

import ast
import dataclasses
import enum
import functools
import inspect
import itertools
import textwrap
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from kart_jax.errors import InputError

MAX_FLOAT = 1e38  # of any number that is a float32 on the device
MAX_COUNT = 10**9  # of anything that is counted in 32 bits on the device

C = TypeVar("C")


class Role(enum.Enum):
    """What a leaf means to the machinery around it."""

    PER_RUN = "runs side by side in one compiled program may differ in it"
    NEW_RUN = "a run that goes on with another value begins anew, from the driver alone"
    NO_FLAG = "nobody is asked for it: it stays as declared or follows from the machine"


@dataclasses.dataclass(frozen=True)
class Bounds:
    """Which values a leaf may have."""

    holds: Callable[[Any], bool]
    """Whether a value is allowed; nan is not, when it is a comparison."""
    allowed: str
    """The same in words, behind "it must be"."""


@dataclasses.dataclass(frozen=True)
class Name:
    """How flags, files and requests call a leaf, where that is not the name of its field."""

    name: str
    """Instead of the field's name."""


@dataclasses.dataclass(frozen=True)
class Computed:
    """The default of a leaf that follows from other leaves."""

    rule: Callable[[Mapping[str, Any]], Any]
    """From the leaves by name to the value."""
    words: str
    """The same in words, behind "Not given:"."""


def within(least: float, most: float) -> Bounds:
    """Allow both ends and what is between them."""
    return Bounds(lambda value: least <= value <= most, f"from {_digits(least)} to {_digits(most)}")


def between(least: float, most: float) -> Bounds:
    """Allow what is between two ends, without them."""
    return Bounds(
        lambda value: least < value < most, f"between {_digits(least)} and {_digits(most)}"
    )


def at_least(least: int) -> Bounds:
    """Allow a number and all above it."""
    return Bounds(lambda value: value >= least, f"at least {least}")


def _digits(number: float) -> str:
    """Write a whole number in full and another one in short."""
    return str(number) if isinstance(number, int) else f"{number:g}"


COUNT = within(1, MAX_COUNT)
FRACTION = within(0, 1)
NOT_NEGATIVE = within(0.0, MAX_FLOAT)
POSITIVE = Bounds(lambda value: 0.0 < value <= MAX_FLOAT, f"above 0, up to {MAX_FLOAT:g}")


@dataclasses.dataclass(frozen=True)
class Leaf:
    """One number of a config, as its field declares it."""

    field: str
    """Name of the field."""
    name: str
    """Name for flags, files and requests."""
    hint: Any
    """Type of its values."""
    default: Any
    """Value, `Computed`, or `dataclasses.MISSING` where machine or profile decide."""
    bounds: Bounds | None
    """Which values are allowed; None = all of the type."""
    roles: frozenset[Role]
    """What it means to the machinery."""

    def allows(self, value: Any) -> bool:
        """Return whether a value of the right type is within the bounds; None has none."""
        return value is None or self.bounds is None or self.bounds.holds(value)


@functools.cache
def own_leaves(config: type) -> tuple[Leaf, ...]:
    """Return the leaves of a config itself, without those of the configs in it."""
    hints = typing.get_type_hints(config, include_extras=True)
    plain = typing.get_type_hints(config)
    found = []

    for field in dataclasses.fields(config):
        if dataclasses.is_dataclass(plain[field.name]):
            continue
        notes = getattr(hints[field.name], "__metadata__", ())
        named = next((note.name for note in notes if isinstance(note, Name)), field.name)
        computed = next((note for note in notes if isinstance(note, Computed)), None)
        found.append(
            Leaf(
                field=field.name,
                name=named,
                hint=plain[field.name],
                default=field.default if computed is None else computed,
                bounds=next((note for note in notes if isinstance(note, Bounds)), None),
                roles=frozenset(note for note in notes if isinstance(note, Role)),
            )
        )
    return tuple(found)


@functools.cache
def leaves(config: type) -> Mapping[str, Leaf]:
    """Return all leaves of a config by name, in the order of declaration.

    Raises:
        TypeError: two of them have one name.
    """
    every = list(own_leaves(config))
    for _, part in _parts(config):
        every += leaves(part).values()

    found: dict[str, Leaf] = {}
    for leaf in every:
        if leaf.name in found:
            raise TypeError(
                f"{config.__name__} has two leaves named {leaf.name}; give one of them a `Name`"
            )
        found[leaf.name] = leaf
    return found


def _parts(config: type) -> list[tuple[str, type]]:
    """Return the configs that a config holds: field and class."""
    hints = typing.get_type_hints(config)
    names = [field.name for field in dataclasses.fields(config)]
    return [(name, hints[name]) for name in names if dataclasses.is_dataclass(hints[name])]


def docs(config: type) -> dict[str, str]:
    """Read the docstring of each leaf of a config, by name and on one line, from its source."""
    fields: dict[str, str] = {}
    for one in reversed(config.__mro__[:-1]):
        for body in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(one)))):
            if isinstance(body, ast.ClassDef):
                fields |= dict(_documented(body.body))

    found = {leaf.name: fields[leaf.field] for leaf in own_leaves(config)}
    for _, part in _parts(config):
        found |= docs(part)
    return found


def _documented(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    """Yield each field of the body of a class that a docstring follows, and that docstring."""
    for field, doc in itertools.pairwise(body):
        match field, doc:
            case (
                ast.AnnAssign(target=ast.Name(name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                yield name, " ".join(text.split())


def flatten(config: Any) -> dict[str, Any]:
    """Return the values of all leaves of a config by name; order and errors as in `leaves`."""
    found = {leaf.name: getattr(config, leaf.field) for leaf in own_leaves(type(config))}
    for field, _ in _parts(type(config)):
        found |= flatten(getattr(config, field))
    return {name: found[name] for name in leaves(type(config))}


def build(config: type[C], values: Mapping[str, Any]) -> C:
    """Make a config of the values of all its leaves by name: the inverse of `flatten`."""
    fields = {leaf.field: values[leaf.name] for leaf in own_leaves(config)}
    parts = {field: build(part, values) for field, part in _parts(config)}
    return config(**fields, **parts)


def declared_defaults(config: type) -> dict[str, Any]:
    """Return the values that leaves of a config have as declared; computed ones are left out."""
    known = {name: leaf.default for name, leaf in leaves(config).items()}
    return {
        name: value
        for name, value in known.items()
        if value is not dataclasses.MISSING and not isinstance(value, Computed)
    }


def with_computed(config: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Add the computed defaults of a config to the values that are known."""
    rules = {
        name: leaf.default.rule(values)
        for name, leaf in leaves(config).items()
        if name not in values and isinstance(leaf.default, Computed)
    }
    return {**values, **rules}


def with_role(config: type, role: Role) -> tuple[str, ...]:
    """Return the names of the leaves of a config that have a role."""
    return tuple(name for name, leaf in leaves(config).items() if role in leaf.roles)


def check(config: Any) -> None:
    """Raise `InputError` for the first own leaf of a config whose value is out of its bounds."""
    for leaf in own_leaves(type(config)):
        value = getattr(config, leaf.field)
        allowed = leaf.bounds.allowed if leaf.bounds else ""
        require(leaf.name, "empty" if value == () else value, leaf.allows(value), allowed)


def require(name: str, value: object, holds: bool, allowed: str) -> None:
    """Raise `InputError` that names the flag of a leaf unless the condition holds."""
    if not holds:
        raise InputError(f"--{name.replace('_', '-')} is {value}; it must be {allowed}")
