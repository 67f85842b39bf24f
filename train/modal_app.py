"""Training on Modal: `modal run -m train.modal_app`, with the flags of `kart train`; `modal deploy`
for Python.

A container trains one run on a GPU and writes it to the Volume. When it is taken away, Modal starts
another with the same call, which goes on from the newest checkpoint. Several runs are several
containers.

    deployed = modal.Function.from_name("kart-jax", "train_run") figures =
    deployed.remote({"track_name": ["circuit.png"], "timesteps": 5_000_000, "save_name":
    "karting_v1"})
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
from train.run.config import TrainConfig
from train.sweep import combinations, request

MODULE = "train.modal_app"
GPU = re.compile(r"[A-Za-z][\w+!-]*(:[1-9]\d?)?")
LONGEST = 24 * 3600  # s of one attempt, the most that Modal allows; the next attempt goes on
RETRIES = 5  # after a failure or the end of that time; machines that Modal takes away do not count
EXAMPLES = f"""
modal run -m {MODULE} --track-name circuit.png --timesteps 5000000 --save-name karting_v1 --vector-envs 2048
modal run -m {MODULE} --gpu H100 A100-80GB --save-name quick
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

    gpu: tuple[str, ...] = ("A100-80GB", "A100-40GB")
    """GPUs in order of preference, by Modal's names; a number behind a colon asks for several:
    H100:2."""
    seeds: tuple[int, ...] | None = None
    """Train once with each of these seeds, at the same time."""
    sweep: str | None = None
    """TOML file with fields of this table and lists of values: one run for every combination, at
    the same time."""

    def __post_init__(self) -> None:
        """Refuse what no machine can be."""
        super().__post_init__()
        if not self.gpu:
            raise InputError(
                "--gpu is empty; give at least one of Modal's names, for example A100-80GB"
            )
        if wrong := [name for name in self.gpu if not GPU.fullmatch(name)]:
            raise InputError(
                f"--gpu is {wrong[0]}; allowed are Modal's names such as A100-80GB or H100:2; "
                "correct it"
            )
        if self.seeds is not None and len(set(self.seeds)) < max(len(self.seeds), 1):
            raise InputError(
                f"--seeds is {' '.join(map(str, self.seeds)) or 'empty'}; give each seed once"
            )


def typed(arguments: Sequence[str]) -> list[str] | None:
    """The words behind this module in `modal run -m train.modal_app ...`; None in every other
    command."""
    for index, word in enumerate(arguments):
        if word in (MODULE, f"{MODULE}::main") and "run" in arguments[:index]:
            words = list(arguments[index + 1 :])
            return words[1:] if words[:1] == ["--"] else words
    return None


def read(words: Sequence[str]) -> tuple[ModalConfig, list[TrainConfig]]:
    """The flags, and the runs that they ask for; InputError when either is wrong."""
    from kart_jax.cli.flags import parse

    config = parse(ModalConfig, f"-m {MODULE}", words, EXAMPLES, program="modal run")
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


def dated(config: TrainConfig) -> str:
    """A name for a run that was given none: its circuit and the time, such as
    circuit-20261130-142501."""
    track = (config.track_name or ("circuit.png",))[0]
    return f"{Path(track).stem.replace(':', '-')}-{time.strftime('%Y%m%d-%H%M%S')}"


def refuse_taken(runs: Sequence[TrainConfig], taken: Sequence[str], where: str) -> None:
    """InputError when the name of a run is taken."""
    for run in runs:
        if run.save_name in taken:
            raise InputError(
                f"--save-name is {run.save_name}, but {where} holds such a run; choose another "
                "name, "
                f"or go on with --resume-from {run.save_name}"
            )


def at_start() -> tuple[ModalConfig, list[TrainConfig]] | None:
    """Check the flags of `modal run` when it imports this module, before it builds and pays for
    anything.

    The GPUs have to be known then as well. Ends the process with one sentence and code 2 when a
    flag is wrong.
    """
    words = typed(sys.argv) if modal.is_local() else None
    if words is None:
        return None
    try:
        found = read(words)
        volume.require_token()
    except InputError as error:
        print(f"kart: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    return found


ASKED = at_start()
app = modal.App(volume.NAME, include_source=False)
VOLUME = volume.open_volume()
# In a container the images exist already, and the checkout from which they are built does not.
TRAINING = image.training_image() if modal.is_local() else modal.Image.debian_slim()
BOARD = image.board_image() if modal.is_local() else modal.Image.debian_slim()


@app.function(
    image=TRAINING,
    gpu=list(ModalConfig.gpu if ASKED is None else ASKED[0].gpu),
    cpu=4.0,
    memory=16 * 1024,
    volumes={MOUNT: VOLUME},
    timeout=LONGEST,
    retries=modal.Retries(max_retries=RETRIES),
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
    from train.cloud.retried_call import attempt
    from train.evaluation import selection

    local = modal.is_local()
    name = str(flags.get("save_name") or flags.get("resume_from") or "run")
    try:
        with contextlib.chdir(Path.cwd() if local else MOUNT):
            config = request.from_plain(flags, "the request")
            console = Console(file=cast(IO[str], Prefixed(f"{name}: ")))
            identifier = call or modal.current_function_call_id() or uuid.uuid4().hex
            result = attempt(
                config, identifier, console, (lambda: None) if local else VOLUME.commit
            )
            ranked = selection.examine(
                result, partial(console.print, soft_wrap=True, highlight=False, markup=False)
            )
    except (
        InputError
    ) as error:  # it would be wrong at every attempt, so this is an answer and no failure
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
    """Standard output with a word before each line: what several containers say appears on one
    terminal."""

    def __init__(self, prefix: str):
        """With this word."""
        super().__init__()
        self.prefix, self.fresh = prefix, True

    def write(self, text: str) -> int:
        """Write text that holds any number of lines or parts of them."""
        for line in text.splitlines(keepends=True):
            sys.stdout.write(f"{self.prefix if self.fresh else ''}{line}")
            self.fresh = line.endswith("\n")
        return len(text)

    def flush(self) -> None:
        """Bring it to the terminal."""
        sys.stdout.flush()


@app.function(image=BOARD, volumes={MOUNT: VOLUME}, max_containers=1, scaledown_window=600)
@modal.concurrent(max_inputs=100)
@modal.web_server(tensorboard_server.PORT, startup_timeout=120.0)
def tensorboard() -> None:
    """TensorBoard over the runs of the Volume, at an address that Modal shows."""
    tensorboard_server.serve(Path(MOUNT) / volume.RUNS, Path("/tmp/board"), VOLUME.reload)


@app.local_entrypoint()
def main(*words: str) -> None:
    """Train what the flags ask for and bring it home; exit code 2 for bad input, 1 when a run
    failed."""
    try:
        with volume.told_plainly():
            config, runs = ASKED or read(words)
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
    calls = []
    for run in runs:
        tracks = None if run.track_name is None else tuple(there[name] for name in run.track_name)
        plain = request.to_plain(dataclasses.replace(run, track_name=tracks))
        calls.append((run, train_run.spawn(plain, uuid.uuid4().hex)))
    out, figures = sys.stderr if config.json else sys.stdout, []
    for run, call in calls:
        name = str(run.save_name or run.resume_from)
        one = {"asked": name, **outcome(call, name)}
        if "error" not in one:
            print(brought_home(one["name"], Path(config.runs_dir)), file=out, flush=True)
        figures.append(one)
    if config.json:
        from kart_jax.cli.output import emit_json

        emit_json({"runs": figures})
    for one in figures:
        if sentence := one.get("error") or one.get("failure"):
            print(f"kart: {one.get('name') or one['asked']}: {sentence}", file=sys.stderr)
    return (
        2
        if any("error" in one for one in figures)
        else 1
        if any(one["failure"] for one in figures)
        else 0
    )


def outcome(call: "modal.FunctionCall[dict[str, Any]]", name: str) -> dict[str, Any]:
    """The figures of a run, or under `error` why there are none; the other runs are not the worse
    for it."""
    try:
        return call.get()
    except Exception as error:  # whatever was raised there is raised here
        return {
            "error": f"{type(error).__name__}: {error}; fetch what it saved with kart modal pull "
            f"{name}"
        }


def brought_home(name: str, runs_dir: Path) -> str:
    """Copy a run from the Volume; says where it is, or how to fetch it."""
    try:
        return (
            f"wrote {volume.pull(VOLUME, name, runs_dir)}; film it with kart play {runs_dir / name}"
        )
    except InputError as error:
        return f"{name} stays on Modal: {error}; fetch it with kart modal pull {name}"
