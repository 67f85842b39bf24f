"""Read the `config.json` of a run.

People may have edited it, so each field is checked before it is believed.
"""

import dataclasses
import json
import math
import typing
from collections.abc import Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal

from kart_jax.errors import InputError
from train.run.config import RunConfig

UNIONS = (UnionType, typing.Union)  # the second is what `Literal[...] | None` is


def holds(hint: Any, value: object) -> bool:
    """Return whether a JSON value may stand in a field of this type."""
    kind, inside = typing.get_origin(hint) or hint, typing.get_args(hint)
    if kind is Literal:
        return isinstance(value, str) and value in inside
    if kind in UNIONS:
        return any(holds(one, value) for one in inside)
    if kind is tuple:
        return isinstance(value, list) and all(holds(inside[0], one) for one in value)
    if kind is float:
        return (
            isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        )
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, Mapping if dataclasses.is_dataclass(hint) else kind)


def named(hint: Any) -> str:
    """Say what a field of this type holds, in JSON's words."""
    if typing.get_origin(hint) is Literal:
        return f"one of {', '.join(typing.get_args(hint))}"
    if typing.get_origin(hint) in UNIONS:
        return " or ".join(map(named, typing.get_args(hint)))
    words = {
        int: "a whole number",
        float: "a finite number",
        bool: "true or false",
        str: "a string",
        NoneType: "null",
    }
    return words.get(hint, "a list of strings" if typing.get_origin(hint) is tuple else "an object")


def load_config(path: Path) -> RunConfig:
    """Read the `config.json` of a run.

    A field that is missing has its declared default. InputError when the file or a field without
    default is missing, and when it is damaged or holds what this version does not know.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        # ValueError: no UTF-8, no JSON, a number without end
        raise InputError(
            f"{path}: cannot be read ({type(error).__name__}); give the folder of a training run"
        ) from error
    return _read(RunConfig, values, path)


C = typing.TypeVar("C")


def _read(config: type[C], values: Any, source: Path) -> C:
    """Make a config, and those in it, of a JSON object; `InputError` begins with its file."""
    if not isinstance(values, Mapping):
        raise InputError(
            f"{source}: holds {type(values).__name__}; it must hold the settings of a training run"
        )
    hints = typing.get_type_hints(config)
    required = {
        field.name
        for field in dataclasses.fields(typing.cast(Any, config))
        if field.default is dataclasses.MISSING
    }
    if wrong := (required - set(values)) | (set(values) - set(hints)):
        raise InputError(
            f"{source}: field {sorted(wrong)[0]} is missing or unknown; it is no run of this "
            "version"
        )

    fields: dict[str, Any] = {}
    for name, value in values.items():
        hint = hints[name]
        if not holds(hint, value):
            raise InputError(
                f"{source}: {name} is {json.dumps(value)[:80]}; it must be {named(hint)}"
            )
        if dataclasses.is_dataclass(hint):
            fields[name] = _read(typing.cast(Any, hint), value, source)
        else:
            fields[name] = tuple(value) if isinstance(value, list) else value

    try:
        return config(**fields)
    except InputError as error:
        raise InputError(f"{source}: {error}") from error
