"""The order of the house: imports point down only, and heavy packages stay out of `import kart_jax`."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Rooms by storey: a room may import itself and what stands on a lower storey, and nothing beside it.
STOREYS: tuple[frozenset[str], ...] = (
    frozenset({"kart_jax.errors", "kart_jax.bounds", "kart_jax.stage", "kart_jax.heap"}),
    frozenset({"kart_jax.geometry", "kart_jax.files"}),
    frozenset({"kart_jax.physics", "kart_jax.track"}),
    frozenset({"kart_jax.render", "kart_jax.race", "kart_jax.drivers"}),
    frozenset({"kart_jax.env"}),
    frozenset({"kart_jax.telemetry", "kart_jax.wrappers", "kart_jax.media"}),
    frozenset({"train"}),
    frozenset({"kart_jax.cli"}),
    frozenset({"train.modal_app"}),
)
ENTRIES = ("train.modal_app",)  # where a program starts: it stands above the room that its file is in
# Neighbours on one storey that may be used, in this direction only.
ALLOWED = {("kart_jax.wrappers", "kart_jax.telemetry"), ("kart_jax.media", "kart_jax.telemetry")}
FACE = "kart_jax"  # the public face kart_jax/__init__.py may offer anything, lazily; rooms must not go through it


def room_of(module: str) -> str:
    """kart_jax.physics.step -> kart_jax.physics; train.loop -> train; kart_jax -> kart_jax."""
    parts = module.split(".")
    if module in ENTRIES:
        return module
    return parts[0] if parts[0] == "train" else ".".join(parts[:2])


def is_ours(module: str) -> bool:
    return module.split(".", maxsplit=1)[0] in ("kart_jax", "train")


def exists(module: str) -> bool:
    """Whether a dotted name is a module or package of this project, not a function in one."""
    path = ROOT.joinpath(*module.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def imported(source: str, module: str, is_package: bool) -> set[str]:
    """Modules of ours that a source imports anywhere, also inside functions."""
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
    """Why room `user` must not import room `used`, or None."""
    if user == used or (user, used) in ALLOWED:
        return None
    if used == FACE:
        return f"{user} imports the public face kart_jax; import the room itself"
    return None if storey(used) < storey(user) else f"{user} imports {used}, which does not stand below it"


def sources() -> list[Path]:
    return sorted(p for top in ("kart_jax", "train") for p in (ROOT / top).rglob("*.py") if p.name != "_version.py")


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_imports_point_down():
    wrong = []
    for path in sources():
        module = module_of(path)
        if module == FACE:
            continue
        for used in imported(path.read_text(), module, path.name == "__init__.py"):
            if reason := complaint(room_of(module), room_of(used)):
                wrong.append(f"{path.relative_to(ROOT)}: {reason}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("source", "module", "wrong"),
    [
        ("import train.ppo", "kart_jax.env.core", True),
        ("from kart_jax import env", "kart_jax.physics.step", True),
        ("from kart_jax.track import query", "kart_jax.physics.step", True),
        ("from ..track import query", "kart_jax.physics.step", True),
        ("def f():\n    from kart_jax.cli import drive", "train.loop", True),
        ("from kart_jax import make", "train.loop", True),
        ("from kart_jax.cli import flags", "train.modal_app", False),
        ("from train import modal_app", "kart_jax.cli.modal", True),
        ("from train import modal_app", "train.loop", True),
        ("from kart_jax import geometry", "kart_jax.physics.step", False),
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
        ("import kart_jax", ("gymnasium", "modal", "matplotlib", "tyro", "orbax", "imageio", "tensorboardX", "train")),
        ("import kart_jax.cli", ("jax", "flax", "matplotlib", "modal", "gymnasium", "scipy", "train")),
        (
            "import train.loop, train.attempt, train.volume, kart_jax.cli.modal",
            ("modal", "matplotlib", "gymnasium", "PIL", "contourpy", "tensorboardX"),
        ),
        ("import kart_jax.env.config, train.config", ("modal", "matplotlib", "gymnasium", "orbax", "tensorboardX")),
    ],
)
def test_heavy_packages_are_imported_only_where_they_are_used(statement: str, absent: tuple[str, ...]):
    code = f"{statement}\nimport sys\nprint(*[name for name in {absent!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not done.stdout.split()
