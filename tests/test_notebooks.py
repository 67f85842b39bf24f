"""The notebooks run from top to bottom, use public names only, and are committed small and tidy."""

import ast
import importlib
import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("nbclient", reason="the group `dev` is not installed")
pytest.importorskip("ipykernel", reason="the group `dev` is not installed")

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"


def load_runner():
    spec = importlib.util.spec_from_file_location("execute", FOLDER / "execute.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


runner = load_runner()
NAMES = (
    "01_quickstart",
    "02_physics",
    "03_telemetry",
    "04_training_at_scale",
    "05_differentiable_kart",
)
PACKAGES = ("kart_jax", "train")


def test_all_notebooks_are_there():
    assert runner.notebook_names() == [f"{name}.ipynb" for name in NAMES]


def find_private(source: str) -> list[str]:
    """Return the names of ours that a source uses and that are not public."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            used = [(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            used = [(node.module or "", alias.name) for alias in node.names]
        elif isinstance(node, ast.Attribute):
            name = node.value.id if isinstance(node.value, ast.Name) else ""
            used = [(name if name in PACKAGES else "", node.attr)]
        else:
            continue
        for module, name in used:
            ours = module.split(".")[0] in PACKAGES
            deep = ours and module not in PACKAGES and not module.startswith("kart_jax.adapters.")
            missing = (
                module in PACKAGES
                and name is not None
                and name not in importlib.import_module(module).__all__
            )
            if deep or missing or (name or "").startswith("_"):
                found.append(f"{module}.{name}")
    return found


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ("import kart_jax\nkart_jax.make('circuit')", False),
        ("from train import TrainConfig", False),
        ("from kart_jax.adapters.gymnasium import RacingVectorEnv", False),
        ("from kart_jax.physics.step import step", True),
        ("import train.run.loop", True),
        ("from kart_jax import physics", True),
        ("import kart_jax\nkart_jax.physics", True),
        ("env._drive(state)", True),
    ],
)
def test_the_check_itself_tells_public_from_private(source, wrong):
    assert bool(find_private(source)) is wrong


@pytest.mark.parametrize("name", NAMES)
def test_what_is_committed_is_executed_small_public_and_tells_nothing_of_a_machine(name):
    path = FOLDER / f"{name}.ipynb"
    text = path.read_text()
    assert len(text) <= runner.MAX_BYTES
    for word in ("/home/", "/root/", "/tmp/", "/Users/", "site-packages", "Traceback"):
        assert word not in text, word
    notebook = runner.read_notebook(path.name)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert find_private("\n".join(cell.source for cell in code)) == []
    outputs = [output for cell in code for output in cell.outputs]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 2
    assert not any(
        output.output_type == "error" or output.get("name") == "stderr" for output in outputs
    )
    assert runner.tidy(runner.read_notebook(path.name)) == notebook


# What makes a notebook take long, and how little of it shows that every cell runs.
SHORTER = {
    "01_quickstart": {
        "timesteps=120_000": "timesteps=2_048",
        "3 * STEPS": "STEPS",
        "STEPS = 500": "STEPS = 120",
    },
    "02_physics": {"top, 600)": "top, 100)"},
    "04_training_at_scale": {
        "timesteps=80_000": "timesteps=2_048",
        "[1, 16, 256, 4096]": "[1, 16]",
    },
    "05_differentiable_kart": {"range(8)": "range(2)"},
}


@pytest.fixture
def kernel(monkeypatch, tmp_path):
    """The surroundings of the kernels: the CPU, the cache of the tests, no profile of a user."""
    import jax

    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", jax.config.values["jax_compilation_cache_dir"])
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    return monkeypatch


@pytest.mark.parametrize("name", NAMES)
def test_it_runs_from_top_to_bottom_on_less(name, kernel):
    notebook = runner.read_notebook(f"{name}.ipynb")
    text = "\n".join(cell.source for cell in notebook.cells)
    assert [part for part in SHORTER.get(name, {}) if part not in text] == []
    for cell in notebook.cells:
        for part, less in SHORTER.get(name, {}).items():
            cell.source = cell.source.replace(part, less)
    runner.execute(notebook)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_it_runs_from_top_to_bottom_as_it_is(name, kernel):
    runner.execute(runner.read_notebook(f"{name}.ipynb"))
