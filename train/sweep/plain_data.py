"""A training request as plain data: what travels to another machine, what a sweep file varies.

The keys are the fields of `TrainConfig`, the values those of TOML and JSON. `runs_dir` and `json`
are the business of the machine that asks and are no part of it.
"""

import difflib
import json
import typing
from collections.abc import Mapping
from types import NoneType
from typing import Any

from kart_jax.errors import InputError
from train.run.config_file import holds, named
from train.run.request import TrainConfig

LOCAL = ("runs_dir", "json")
HINTS = {
    name: hint for name, hint in typing.get_type_hints(TrainConfig).items() if name not in LOCAL
}


def to_plain(config: TrainConfig) -> dict[str, Any]:
    """Return the fields that were given, by name, as JSON knows them."""
    given = {name: getattr(config, name) for name in HINTS}
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in given.items()
        if value is not None
    }


def from_plain(fields: Mapping[str, Any], where: str) -> TrainConfig:
    """Return the inverse of `to_plain`.

    InputError, which begins with `where`, when a field is unknown or has a wrong value.
    """
    return TrainConfig(**{name: value_of(name, value, where) for name, value in fields.items()})


def value_of(name: str, value: Any, where: str) -> Any:
    """Read one field of `TrainConfig` from plain data; `InputError` begins with `where`."""
    if name not in HINTS:
        close = difflib.get_close_matches(str(name), HINTS, 1)
        hint = f"did you mean {close[0]}?" if close else "remove it"
        raise InputError(
            f"{where}: the field {name} is unknown; allowed are {', '.join(HINTS)}: {hint}"
        )

    kinds = [kind for kind in typing.get_args(HINTS[name]) if kind is not NoneType]
    kind = next((kind for kind in kinds if holds(kind, value)), None)
    if kind is None:
        allowed = " or ".join(map(named, kinds))
        raise InputError(
            f"{where}: {name} is {json.dumps(value, default=str)[:80]}; it must be {allowed}; "
            "correct it"
        )
    if typing.get_origin(kind) is tuple:
        return tuple(value)
    return float(value) if kind is float else value
