"""Execute the notebooks from top to bottom and keep their outputs, tidied.

    python notebooks/execute.py                   # all of them
    python notebooks/execute.py 02_physics.ipynb  # some

Each runs in a fresh kernel and in an empty folder, so that it depends on nothing but the installed
package. What differs from run to run is taken out of the outputs.
"""

import base64
import io
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from PIL import Image

FOLDER = Path(__file__).resolve().parent
TIME_LIMIT = 1800  # s, of one cell: compilation waits on a busy machine
MAX_BYTES = 300_000  # bytes of a notebook with its outputs
MAX_COLOURS = 128  # of a plot, which needs few


def notebook_names() -> list[str]:
    """Return the file names of the notebooks, in reading order."""
    return sorted(path.name for path in FOLDER.glob("*.ipynb"))


def read_notebook(name: str) -> Any:
    """Read one notebook."""
    return nbformat.read(FOLDER / name, as_version=4)


def execute(notebook: Any) -> Any:
    """Execute a notebook in place and return it.

    Raises:
        CellExecutionError: of nbclient, when a cell fails.
    """
    with tempfile.TemporaryDirectory() as empty:
        client = NotebookClient(
            notebook,
            timeout=TIME_LIMIT,
            kernel_name="python3",
            resources={"metadata": {"path": empty}},
        )
        client.execute()
    return notebook


def shrink_png(png: str) -> str:
    """Give a picture in base64 a palette, for a third of its size; one that has a palette stays."""
    picture = Image.open(io.BytesIO(base64.b64decode(png)))
    if picture.mode == "P":
        return png
    file = io.BytesIO()
    small = picture.convert("RGB").quantize(MAX_COLOURS, dither=Image.Dither.NONE)
    small.save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def tidy(notebook: Any) -> Any:
    """Take out what says when, where and how often a notebook was executed, and warnings.

    Pictures become small.
    """
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.execution_count = None
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
            for output in cell.outputs:
                output.pop("execution_count", None)
                output.get("metadata", {}).clear()
                if "image/png" in output.get("data", {}):
                    output.data["image/png"] = shrink_png(output.data["image/png"])
    return notebook


def main(chosen: list[str]) -> None:
    """Execute the named notebooks, or all, and write them back."""
    for name in chosen or notebook_names():
        notebook = tidy(execute(read_notebook(name)))
        nbformat.write(notebook, FOLDER / name)
        size = (FOLDER / name).stat().st_size
        excess = f", more than {MAX_BYTES / 1000:.0f} kB" if size > MAX_BYTES else ""
        print(f"{name}: {size / 1000:.0f} kB{excess}")


if __name__ == "__main__":
    main(sys.argv[1:])
