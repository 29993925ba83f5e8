"""Run the notebooks of docs/tutorials again, and write what they print and draw into them.

python scripts/notebooks.py [NAME ...]
"""

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "tutorials"


def executed(path: Path, folder: Path, *more: str) -> nbformat.NotebookNode:
    """Run a notebook in a folder, on one thread, and return it with its outputs.

    Args:
        path: The notebook.
        folder: What it writes goes there.
        more: Code of cells to run after its own.
    """
    notebook = nbformat.read(path, as_version=4)
    notebook.cells += [nbformat.v4.new_code_cell(code) for code in more]
    quiet = {
        "TQDM_DISABLE": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONWARNINGS": "ignore",
        "IPYTHONDIR": str(folder / ".ipython"),
    }
    client = NotebookClient(notebook, timeout=900, record_timing=False, resources={"metadata": {"path": str(folder)}})
    client.execute(env={**os.environ, **quiet})
    return notebook


def main() -> None:
    """Run all, or those that are named."""
    for path in [FOLDER / f"{name}.ipynb" for name in sys.argv[1:]] or sorted(FOLDER.glob("*.ipynb")):
        with tempfile.TemporaryDirectory(prefix="gulmfit-notebook-") as folder:
            nbformat.write(executed(path, Path(folder)), path)
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
