"""What a training run is asked to do: the flags of `kart train`, the fields of a sweep.

`TrainConfig` has every leaf of `RunConfig` that has a flag, under its name, and a few fields of its
own. A leaf left at None was not given, so that a resumed run can tell a given flag from an absent
one; `train.run.resolve` makes a `RunConfig` of it.
"""

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

from kart_jax.errors import InputError
from train.declaration import Role, check, docs, leaves, with_role, within
from train.run.config import RunConfig
from train.run.defaults import default_words

MAX_DEVICES = 1024  # of one host; a CPU is cut into as many as are asked for
ASKED = tuple(n for n, leaf in leaves(RunConfig).items() if Role.NO_FLAG not in leaf.roles)

# What runs in one program may differ in; a profile is a choice of hyperparameters.
PER_RUN = tuple(name for name in with_role(RunConfig, Role.PER_RUN) if name in ASKED)


def _given_leaves() -> type:
    """Make a dataclass of the leaves of `RunConfig` that are asked for, each None unless given."""
    asked = [leaves(RunConfig)[name] for name in ASKED]
    meant = docs(RunConfig)
    told = [f"    {one.name}: {meant[one.name]} Not given: {default_words(one)}." for one in asked]
    return dataclasses.make_dataclass(
        "GivenLeaves",
        [(leaf.name, leaf.hint | None, dataclasses.field(default=None)) for leaf in asked],
        namespace={
            "__module__": __name__,
            "__doc__": "\n".join(["What of `RunConfig` was given.", "", "Attributes:", *told]),
        },
        frozen=True,
    )


if TYPE_CHECKING:

    class GivenLeaves:
        """Any leaf of `RunConfig` that is asked for."""

        def __getattr__(self, name: str) -> Any:
            """Return its value; None when it was not given."""

else:
    GivenLeaves = _given_leaves()


@dataclasses.dataclass(frozen=True)
class TrainConfig(GivenLeaves):
    """Train a driver from the 84x84 view and the telemetry with PPO."""

    save_name: str | None = None
    """Folder of the run under --runs-dir. Not given: the first track's name and a number."""
    resume_from: str | None = None
    """Run folder, run name or one checkpoint to go on from; on another track or kart its driver is
    the start."""
    backbone_weights: str | None = None
    """State dict of a ResNet-18 for a new run, .pth or .safetensors; nothing in the file is run."""
    devices: Annotated[int | None, within(1, MAX_DEVICES)] = None
    """Devices that share the karts. Not given: all GPUs of the machine; one of a CPU, whose cores
    it uses anyway."""
    runs_dir: str = "runs"
    """Folder that holds the runs."""
    json: bool = False
    """Print the figures as JSON when it ends; what happens meanwhile goes to stderr."""

    if TYPE_CHECKING:

        def __init__(self, **fields: Any) -> None:
            """Take any of the fields above, and leaves of `RunConfig` by name."""

    def __post_init__(self) -> None:
        """Refuse what no run can use; the rest is checked by `RunConfig`."""
        if self.track_name is not None and not self.track_name:
            raise InputError(
                "--track-name is empty; give at least one circuit, for example circuit.png"
            )
        check(self)

        name = self.save_name
        if name is not None and (
            not name.isprintable() or not name or {*name} & {*"/\\"} or name.startswith(".")
        ):
            raise InputError(
                f"--save-name is {name!r}; allowed is a plain folder name without slashes; choose "
                "another"
            )
        if not self.runs_dir:
            raise InputError("--runs-dir is empty; name a folder, or leave it out for runs")

    @property
    def given(self) -> dict[str, Any]:
        """The leaves of `RunConfig` that were given, by name."""
        asked = {name: getattr(self, name) for name in ASKED}
        return {name: value for name, value in asked.items() if value is not None}
