"""The order of the house: imports point down only, between rooms and between files.

The benchmarks stand outside: they import what they like, and nobody imports them.
Heavy packages stay out of `import kart_jax`.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Rooms by storey, the lowest first: a room may import itself and what stands on a lower storey.
STOREYS: tuple[frozenset[str], ...] = (
    frozenset({"kart_jax.errors"}),
    frozenset({"kart_jax.xla"}),
    frozenset({"kart_jax.geometry", "kart_jax.files", "kart_jax.devices"}),
    frozenset({"kart_jax.physics", "kart_jax.track"}),
    frozenset({"kart_jax.render", "kart_jax.race"}),
    frozenset({"kart_jax.drivers"}),
    frozenset({"kart_jax.simulate"}),
    frozenset({"kart_jax.env"}),
    frozenset({"kart_jax.laptime", "kart_jax.telemetry"}),
    frozenset({"kart_jax.adapters", "kart_jax.media"}),
    frozenset({"train.declaration"}),
    frozenset({"train.networks"}),
    frozenset({"train.ppo"}),
    frozenset({"train.run"}),
    frozenset({"train.sweep", "train.evaluation"}),
    frozenset({"train.cloud"}),
    frozenset({"kart_jax.cli"}),
    frozenset({"train.modal_app"}),
)
# They offer public names of any room, lazily; rooms do not go through them.
FACES = ("kart_jax", "train")
BENCHMARKS = "benchmarks"
OURS = (*FACES, BENCHMARKS)


def room_of(module: str) -> str:
    """Return the room of a module: kart_jax.physics of kart_jax.physics.step."""
    return ".".join(module.split(".")[:2])


def is_ours(module: str) -> bool:
    return top_of(module) in OURS


def top_of(module: str) -> str:
    return module.split(".", maxsplit=1)[0]


def exists(module: str) -> bool:
    """Tell whether a dotted name is a module or package of this project, not a function in one."""
    path = ROOT.joinpath(*module.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def imported(source: str, module: str, is_package: bool) -> set[str]:
    """Return the modules of ours that a source imports anywhere, also inside functions."""
    found: set[str] = set()
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                full = f"{name}.{alias.name}"
                found.add(full if is_ours(name) and exists(full) else name)
    return {name for name in found if is_ours(name)}


def storey(room: str) -> int:
    for level, rooms in enumerate(STOREYS):
        if room in rooms:
            return level
    raise AssertionError(f"{room} has no place in STOREYS; add it")


def complaint(user: str, used: str) -> str | None:
    """Say why room `user` must not import room `used`; None where it may."""
    if user == used or top_of(user) == BENCHMARKS:
        return None
    if top_of(used) == BENCHMARKS:
        return f"{user} imports {used}; nobody imports the benchmarks"
    if used in FACES:
        return f"{user} imports the public face {used}; import the room itself"
    if storey(used) < storey(user):
        return None
    return f"{user} imports {used}, which does not stand below it"


def sources() -> list[Path]:
    return sorted(p for top in OURS for p in (ROOT / top).rglob("*.py") if p.name != "_version.py")


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_every_storey_holds_rooms_that_exist_and_each_once():
    rooms = [room for level in STOREYS for room in level]
    assert len(set(rooms)) == len(rooms)
    assert [room for room in rooms if not exists(room)] == []


def test_imports_point_down():
    wrong = []
    for path in sources():
        module = module_of(path)
        if module in FACES:
            continue
        for used in imported(path.read_text(), module, path.name == "__init__.py"):
            if reason := complaint(room_of(module), room_of(used)):
                wrong.append(f"{path.relative_to(ROOT)}: {reason}")
    assert not wrong, "\n".join(wrong)


def circles(graph: dict[str, set[str]]) -> list[str]:
    """Return every circle of files that a walk meets: the names on it, joined by arrows."""
    found: list[str] = []
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> None:
        if name in path:
            found.append(" -> ".join([*path[path.index(name) :], name]))
        elif name not in done:
            for used in sorted(graph.get(name, ())):
                visit(used, [*path, name])
            done.add(name)

    for name in sorted(graph):
        visit(name, [])
    return found


def test_no_file_imports_itself_by_way_of_others():
    graph = {}
    for path in sources():
        module = module_of(path)
        if module not in FACES:
            used = imported(path.read_text(), module, path.name == "__init__.py")
            graph[module] = {name for name in used if name != module}
    assert not circles(graph)


def test_a_circle_is_found_and_told():
    assert circles({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b -> c -> b"]


def test_relative_imports_are_resolved():
    source = "from . import way\nfrom ..measure.timing import rate\nfrom ..measure import flags"
    modules = {"benchmarks.measure.timing", "benchmarks.measure.flags"}
    found = imported(source, "benchmarks.choices.storage", is_package=False)
    assert found == {"benchmarks.choices.way", *modules}
    assert imported("from . import way", "benchmarks.choices", is_package=True) == {
        "benchmarks.choices.way"
    }


@pytest.mark.parametrize(
    ("source", "module", "wrong"),
    [
        ("import train.ppo.update", "kart_jax.env.core", True),
        ("from kart_jax import env", "kart_jax.physics.step", True),
        ("from kart_jax.track import query", "kart_jax.physics.step", True),
        ("from ..track import query", "kart_jax.physics.step", True),
        ("def f():\n    from kart_jax.cli import drive", "train.run.loop", True),
        ("from kart_jax import make", "train.run.loop", True),
        ("from train import load_policy", "train.run.loop", True),
        ("from kart_jax.cli import flags", "train.modal_app", False),
        ("from train import modal_app", "kart_jax.cli.modal", True),
        ("from train import modal_app", "train.run.loop", True),
        ("from train.run import loop", "train.ppo.update", True),
        ("from kart_jax import geometry", "kart_jax.physics.step", False),
        ("from benchmarks import render", "kart_jax.cli.bench", True),
        ("def f():\n    import benchmarks.measure.timing", "train.run.loop", True),
        ("from kart_jax import make", "benchmarks.render", False),
        ("from .measure import timing", "benchmarks.render", False),
        ("from kart_jax.drivers import follow", "kart_jax.simulate.rollout", False),
        ("from kart_jax.simulate import rollout", "kart_jax.drivers.follow", True),
        ("from train import declaration", "kart_jax.env.config", True),
        ("from kart_jax.telemetry.log import Log", "kart_jax.media.film", False),
        ("from kart_jax.media import film", "kart_jax.telemetry.log", True),
        ("import numpy\nfrom jax import numpy", "kart_jax.physics.step", False),
    ],
)
def test_the_check_itself_tells_right_from_wrong(source: str, module: str, wrong: bool):
    used = imported(source, module, is_package=False)
    assert any(complaint(room_of(module), room_of(name)) for name in used) is wrong


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        (
            "import kart_jax",
            (
                "gymnasium",
                "modal",
                "matplotlib",
                "tyro",
                "orbax",
                "imageio",
                "tensorboardX",
                "train",
            ),
        ),
        (
            "import kart_jax.cli",
            ("jax", "flax", "matplotlib", "modal", "gymnasium", "scipy", "train"),
        ),
        (
            "import train.run.loop, train.cloud.retried_call, train.cloud.volume, "
            "kart_jax.cli.modal",
            ("modal", "matplotlib", "gymnasium", "PIL", "contourpy", "tensorboardX"),
        ),
        (
            "import kart_jax.env.config, train.run.config",
            ("modal", "matplotlib", "gymnasium", "orbax", "tensorboardX"),
        ),
    ],
)
def test_heavy_packages_are_imported_only_where_they_are_used(
    statement: str, absent: tuple[str, ...]
):
    code = f"{statement}\nimport sys\nprint(*[name for name in {absent!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert not done.stdout.split()
