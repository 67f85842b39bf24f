"""Training on Modal: `modal run -m train.modal_app` with the flags of `kart train`.

A container trains one run on a GPU and writes it to the Volume. When it is taken away, Modal starts
another with the same call, which goes on from the newest checkpoint. Several runs are several
containers. After `modal deploy -m train.modal_app` Python may call it, too:

    deployed = modal.Function.from_name("kart-jax", "train_run")
    figures = deployed.remote({"track_name": ["circuit.png"], "timesteps": 5_000_000})
"""

import contextlib
import dataclasses
import io
import re
import sys
import time
import uuid
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

import modal

from kart_jax.errors import InputError
from train.cloud import image, tensorboard_server, volume
from train.cloud.image import MOUNT
from train.declaration import leaves
from train.run.config import RunConfig
from train.run.request import TrainConfig
from train.sweep import combinations, plain_data

MODULE = "train.modal_app"
GPU = re.compile(r"[A-Za-z][\w+!-]*(:[1-9]\d?)?")
GPUS = ("A100-80GB", "A100-40GB")  # in order of preference, unless one is asked for
MAX_TIME = 24 * 3600  # s of one attempt, the most that Modal allows; the next attempt goes on

# After a failure or the end of that time; machines that Modal takes away do not count.
MAX_RETRIES = 5

EXAMPLES = f"""
modal run -m {MODULE} --track-name circuit.png --timesteps 5000000 --save-name karting_v1
modal run -m {MODULE} --gpu H100 --save-name quick
modal run -m {MODULE} --seeds 0 1 2 --save-name three
modal run --detach -m {MODULE} --resume-from karting_v1 --timesteps 20000000
modal run -m {MODULE} --sweep file.toml --save-name grid
"""


@dataclasses.dataclass(frozen=True)
class ModalConfig(TrainConfig):
    """Train on Modal: the flags of `kart train`, and on which machines.

    The run lands on the Volume kart-jax and is brought home when it ends; names of earlier runs are
    those there.
    """

    gpu: str | None = None
    """GPU, by Modal's name; a number behind a colon asks for several: H100:2. Not given:
    A100-80GB, or A100-40GB where there is none."""
    seeds: tuple[int, ...] | None = None
    """Train once with each of these seeds, at the same time."""
    sweep: str | None = None
    """TOML file with fields of this table and lists of values: one run for every combination, at
    the same time."""

    def __post_init__(self) -> None:
        """Refuse what no machine can be."""
        super().__post_init__()
        if self.gpu is not None and not GPU.fullmatch(self.gpu):
            raise InputError(
                f"--gpu is {self.gpu}; allowed are Modal's names such as A100-80GB or H100:2; "
                "correct it"
            )
        if self.seeds is not None and len(set(self.seeds)) < max(len(self.seeds), 1):
            raise InputError(
                f"--seeds is {' '.join(map(str, self.seeds)) or 'empty'}; give each seed once"
            )


def read(words: Sequence[str]) -> tuple[ModalConfig, list[TrainConfig]]:
    """Read the flags, and the runs that they ask for; InputError when either is wrong."""
    from kart_jax.cli.flags import parse

    config = parse(ModalConfig, f"-m {MODULE} --", words, EXAMPLES, program="modal run")
    base = TrainConfig(
        **{field.name: getattr(config, field.name) for field in dataclasses.fields(TrainConfig)}
    )

    axes = {} if config.sweep is None else combinations.read(config.sweep)
    if config.seeds is not None:
        if "seed" in axes:
            raise InputError(
                f"{config.sweep}: seed is given there and by --seeds; give it in one place"
            )
        axes = {**axes, "seed": config.seeds}

    if base.save_name is None and (axes or base.resume_from is None):
        # Containers that start at once cannot agree on the next free number.
        base = dataclasses.replace(base, save_name=dated(base))
    runs = combinations.expand(base, axes, config.sweep or "--seeds") if axes else [base]
    refuse_taken(runs, [path.name for path in Path(config.runs_dir).glob("*")], config.runs_dir)
    return config, runs


def dated(request: TrainConfig) -> str:
    """Name a run that was given no name: its circuit and the time, as circuit-20261130-142501."""
    track = (request.track_name or leaves(RunConfig)["track_name"].default)[0]
    return f"{Path(track).stem.replace(':', '-')}-{time.strftime('%Y%m%d-%H%M%S')}"


def refuse_taken(runs: Sequence[TrainConfig], taken: Sequence[str], where: str) -> None:
    """Raise `InputError` when the name of a run is taken."""
    for run in runs:
        if run.save_name in taken:
            raise InputError(
                f"--save-name is {run.save_name}, but {where} holds such a run; choose another "
                f"name, or go on with --resume-from {run.save_name}"
            )


app = modal.App(volume.NAME, include_source=False)
VOLUME = volume.open_volume()
# In a container the images exist already, and the checkout from which they are built does not.
TRAINING = image.training_image() if modal.is_local() else modal.Image.debian_slim()
TENSORBOARD = image.tensorboard_image() if modal.is_local() else modal.Image.debian_slim()


@app.function(
    image=TRAINING,
    gpu=list(GPUS),
    cpu=4.0,
    memory=16 * 1024,
    volumes={MOUNT: VOLUME},
    timeout=MAX_TIME,
    retries=modal.Retries(max_retries=MAX_RETRIES),
    single_use_containers=True,
)
def train_run(flags: dict[str, Any], call: str = "") -> dict[str, Any]:
    """Train one run, from the newest checkpoint of this call if an earlier attempt left one.

    Args:
        flags: fields of `TrainConfig` except `runs_dir` and `json`, with values as in JSON.
        call: identifies this request over all its attempts; empty = Modal's own identifier of the
            call.

    Returns:
        Figures of the run and of its exam as `kart train --json` prints them, and its `name`; or
        `error`, the sentence that says why the request is refused. KeyboardInterrupt when the
        machine is taken away; everything is saved then.
    """
    from rich.console import Console

    from kart_jax.cli.train import summary
    from train.cloud.retried_call import train_or_go_on
    from train.evaluation import selection

    local = modal.is_local()
    name = str(flags.get("save_name") or flags.get("resume_from") or "run")
    try:
        with contextlib.chdir(Path.cwd() if local else MOUNT):
            request = plain_data.from_plain(flags, "the request")
            console = Console(file=cast(IO[str], Prefixed(f"{name}: ")))
            identifier = call or modal.current_function_call_id() or uuid.uuid4().hex
            after_save = (lambda: None) if local else VOLUME.commit
            result = train_or_go_on(request, identifier, console, after_save)
            ranked = selection.examine(
                result, partial(console.print, soft_wrap=True, highlight=False, markup=False)
            )
    except InputError as error:
        # It would be wrong at every attempt, so this is an answer and no failure.
        return {"name": name, "error": str(error)}
    finally:
        if not local:
            VOLUME.commit()

    if result.interrupted:
        # What Modal takes for the end of the container and not for an answer or a failure of this
        # call.
        raise KeyboardInterrupt(
            f"{name}: stopped after {result.steps} steps and saved; the next attempt goes on"
        )
    return {"name": result.folder.path.name, **summary(result), "exam": selection.standings(ranked)}


class Prefixed(io.TextIOBase):
    """Standard output with a word before each line: several containers share one terminal."""

    def __init__(self, prefix: str):
        """Open with this word."""
        super().__init__()
        self.prefix = prefix
        self.fresh = True

    def write(self, text: str) -> int:
        """Write text that holds any number of lines or parts of them."""
        for line in text.splitlines(keepends=True):
            sys.stdout.write(f"{self.prefix if self.fresh else ''}{line}")
            self.fresh = line.endswith("\n")
        return len(text)

    def flush(self) -> None:
        """Bring it to the terminal."""
        sys.stdout.flush()


@app.function(image=TENSORBOARD, volumes={MOUNT: VOLUME}, max_containers=1, scaledown_window=600)
@modal.concurrent(max_inputs=100)
@modal.web_server(tensorboard_server.PORT, startup_timeout=120.0)
def tensorboard() -> None:
    """Serve TensorBoard over the runs of the Volume, at an address that Modal shows."""
    tensorboard_server.serve(Path(MOUNT) / volume.RUNS, Path("/tmp/board"), VOLUME.reload)


@app.local_entrypoint()
def main(*words: str) -> None:
    """Train what the flags ask for and bring it home.

    The flags are those of `kart train`, and --gpu, --seeds and --sweep; `-- --help` tells them all,
    without the hyphens Modal takes --help for its own. The exit code is 2 for bad input and 1 when
    a run failed.
    """
    try:
        with volume.told_plainly():
            config, runs = read(words)
            code = launch(config, runs)
    except InputError as error:
        print(f"kart: {error}", file=sys.stderr)
        code = 2
    if code:
        sys.exit(code)


def launch(config: ModalConfig, runs: Sequence[TrainConfig]) -> int:
    """Upload the tracks, train all runs at once, bring them home in their order as they are done.

    Returns:
        0, 1 when a run failed, 2 when one was refused.
    """
    refuse_taken(runs, volume.run_names(VOLUME), "the Volume on Modal")
    names = [name for run in runs for name in run.track_name or ()]
    there = volume.send_tracks(VOLUME, names)

    function = train_run if config.gpu is None else train_run.with_options(gpu=config.gpu)
    calls = []
    for run in runs:
        tracks = None if run.track_name is None else tuple(there[name] for name in run.track_name)
        plain = plain_data.to_plain(dataclasses.replace(run, track_name=tracks))
        calls.append((run, function.spawn(plain, uuid.uuid4().hex)))

    out = sys.stderr if config.json else sys.stdout
    figures = []
    for run, call in calls:
        name = str(run.save_name or run.resume_from)
        one = {"asked": name, **outcome(call, name)}
        if "error" not in one:
            print(bring_home(one["name"], Path(config.runs_dir)), file=out, flush=True)
        figures.append(one)

    if config.json:
        from kart_jax.cli.output import emit_json

        emit_json({"runs": figures})
    for one in figures:
        if sentence := one.get("error") or one.get("failure"):
            print(f"kart: {one.get('name') or one['asked']}: {sentence}", file=sys.stderr)
    if any("error" in one for one in figures):
        return 2
    return 1 if any(one["failure"] for one in figures) else 0


def outcome(call: "modal.FunctionCall[dict[str, Any]]", name: str) -> dict[str, Any]:
    """Wait for the figures of a run; under `error` why there are none.

    The other runs are none the worse for it.
    """
    try:
        return call.get()
    except Exception as error:  # whatever was raised there is raised here
        return {
            "error": f"{type(error).__name__}: {error}; fetch what it saved with kart modal pull "
            f"{name}"
        }


def bring_home(name: str, runs_dir: Path) -> str:
    """Copy a run from the Volume; returns where it is, or how to fetch it."""
    try:
        return (
            f"wrote {volume.pull(VOLUME, name, runs_dir)}; film it with kart play {runs_dir / name}"
        )
    except InputError as error:
        return f"{name} stays on Modal: {error}; fetch it with kart modal pull {name}"
