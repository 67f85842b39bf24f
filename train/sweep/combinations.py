"""A sweep: one request for training becomes many, one for each combination of values.

A sweep file is TOML. Each key is a field of `TrainConfig`; a list is tried value by value, in every
combination with the other lists, and anything else holds for all runs:

    learning_rate = [3e-4, 1e-3]
    track_name = ["circuit.png", "spa.png"]    # two runs; [["circuit.png", "spa.png"]] is one
    kart = "ok"

On Modal each run has a machine of its own, and any field may have several values;
`train.sweep.cohort` trains them in one program and says which may.
"""

import dataclasses
import itertools
import json
import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kart_jax.errors import InputError
from train.run.request import TrainConfig
from train.run.resolve import resolve
from train.sweep.plain_data import HINTS, value_of

MAX_RUNS = 100  # each is a GPU that costs money
Axes = Mapping[str, Sequence[Any]]  # field -> its values, one or several


def read(path: str) -> Axes:
    """Read the fields that a sweep file sets, and their values.

    InputError when it is not as the module says.
    """
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); give a TOML file to --sweep"
        ) from None
    except ValueError as error:  # no UTF-8, no TOML
        raise InputError(f"{path}: is no TOML ({error}); correct it") from None
    if not table:
        raise InputError(f"{path}: sets no field; give at least one, for example seed = [0, 1, 2]")
    return {name: _values(name, value, path) for name, value in table.items()}


def _values(name: str, value: Any, path: str) -> tuple[Any, ...]:
    """Read the values of one field of a sweep file."""
    if name == "save_name":
        raise InputError(
            f"{path}: save_name cannot be varied, each run gets a name of its own; use --save-name"
        )

    listed = value if isinstance(value, list) else [value]
    if not listed:
        raise InputError(f"{path}: {name} is an empty list; give at least one value or remove it")
    if name == "track_name":
        listed = [[one] if isinstance(one, str) else one for one in listed]

    values = tuple(value_of(name, one, path) for one in listed)
    for index, one in enumerate(values):
        if one in values[:index]:
            raise InputError(f"{path}: {name} holds {json.dumps(one)} twice; remove one")
    return values


def divide(base: TrainConfig, axes: Axes, where: str) -> tuple[TrainConfig, Axes]:
    """Take what holds for all runs of a sweep into the request; the rest has several values.

    InputError, which begins with `where`, when a field is unknown, has no value or is given by
    both.
    """
    for name, values in axes.items():
        if name not in HINTS or name == "save_name":
            raise InputError(
                f"{where}: {name} is no field that can be varied; choose among {', '.join(HINTS)}"
            )
        if isinstance(values, str) or not isinstance(values, Sequence) or not values:
            raise InputError(
                f"{where}: {name} is {values!r}; it must be a list of at least one value"
            )
    if both := [name for name in axes if getattr(base, name) is not None]:
        flag = f"--{both[0].replace('_', '-')}"
        raise InputError(f"{where}: {both[0]} is given there and by {flag}; give it in one place")

    fixed = {name: values[0] for name, values in axes.items() if len(values) == 1}
    return dataclasses.replace(base, **fixed), {
        name: values for name, values in axes.items() if len(values) > 1
    }


def expand(
    base: TrainConfig, axes: Axes, where: str, backend: str = "gpu", max_runs: int = MAX_RUNS
) -> list[TrainConfig]:
    """Return the runs of a sweep, each with a name and checked as far as its own fields allow.

    Args:
        base: what all have in common; its `save_name`, if it has one, is the first part of their
            names.
        axes: field -> values.
        where: what the sentence of an error begins with.
        backend: of JAX, where they will be trained.
        max_runs: how many are allowed.

    Raises:
        InputError: a field is given twice, the runs are too many, two would have the same name, or
            the numbers of one do not fit together.
    """
    base, axes = divide(base, axes, where)
    if (count := math.prod(map(len, axes.values()))) > max_runs:
        raise InputError(
            f"{where}: asks for {count} runs; at most {max_runs} are allowed; drop values"
        )

    combinations = [
        dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())
    ]

    runs: dict[str, TrainConfig] = {}
    for fields in combinations:
        first = [] if base.save_name is None else [base.save_name]
        name = "-".join([*first, *(f"{key}-{_word(value)}" for key, value in fields.items())])
        if name in runs:
            raise InputError(
                f"{where}: two runs would be called {name}; give values that differ in letters or "
                "digits"
            )

        request = dataclasses.replace(base, **fields, save_name=name)
        if request.resume_from is None:  # else the numbers of the earlier run are part of it
            try:
                resolve(request, backend)
            except InputError as error:
                raise InputError(f"{where}: {error}") from None
        runs[name] = request
    return list(runs.values())


def _word(value: Any) -> str:
    """Write a value as part of a folder name."""
    text = "+".join(Path(one).stem for one in value) if isinstance(value, tuple) else str(value)
    return re.sub(r"[^A-Za-z0-9._+-]+", "_", text)
