"""Reads the `config.json` of a run, which people may have edited: every field is checked before it
is believed."""

import dataclasses
import json
import math
import typing
from collections.abc import Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal

from kart_jax.errors import InputError
from train.ppo.config import PPOConfig
from train.run.config import Settings

UNIONS = (UnionType, typing.Union)  # the second is what `Literal[...] | None` is


def holds(hint: Any, value: object) -> bool:
    """Whether a JSON value may stand in a field of this type."""
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
    """What a field of this type holds, in JSON's words."""
    if typing.get_origin(hint) is Literal:
        return f"one of {', '.join(typing.get_args(hint))}"
    words = {
        int: "a whole number",
        float: "a finite number",
        bool: "true or false",
        str: "a string",
        NoneType: "null",
    }
    if typing.get_origin(hint) in UNIONS:
        return " or ".join(map(named, typing.get_args(hint)))
    return words.get(hint, "a list of strings" if typing.get_origin(hint) is tuple else "an object")


def _checked(
    cls: type, values: Any, source: Path, later: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """The mapping itself if it has exactly the fields of the dataclass, with values of their types.

    Fields named in `later` may be missing: runs older than they have their defaults.
    """
    if not isinstance(values, Mapping):
        raise InputError(
            f"{source}: holds {type(values).__name__}; it must hold the settings of a training run"
        )
    hints = typing.get_type_hints(cls)
    if wrong := (set(hints) ^ set(values)) - later:
        raise InputError(
            f"{source}: field {sorted(wrong)[0]} is missing or unknown; it is no run of this "
            "version"
        )
    for field, value in values.items():
        if not holds(hints[field], value):
            raise InputError(
                f"{source}: {field} is {json.dumps(value)[:80]}; it must be {named(hints[field])}"
            )
    return dict(values)


def load_settings(path: Path) -> Settings:
    """Read the `config.json` of a run; InputError when it is missing, damaged or of another
    version."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (
        OSError,
        ValueError,
        RecursionError,
    ) as error:  # ValueError: no UTF-8, no JSON, a number without end
        raise InputError(
            f"{path}: cannot be read ({type(error).__name__}); give the folder of a training run"
        ) from error
    values = _checked(
        Settings,
        values,
        path,
        frozenset({"backbone", "backbone_trainable", "randomize", "precision"}),
    )
    ppo = _checked(PPOConfig, values["ppo"], path, frozenset({"shards"}))
    try:
        return Settings(**{**values, "ppo": PPOConfig(**ppo), "tracks": tuple(values["tracks"])})
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
