"""The notebooks of docs/tutorials: they run, show what the files show, and find what they are about."""

import functools
import importlib
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
import pytest

from .forked import Forked

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "tutorials"

pytest.importorskip("ipykernel", reason="ipykernel is not installed: pip install 'gulmfit[dev]'")

# Run behind the cells of each: what has to hold whatever the machine rounds.
MUST_HOLD = {
    "case_study": """
assert tokens[1] == 64
assert len(trials) == 3 and all(trial["state"] == "complete" for trial in trials)
assert scored["model"]["auroc"] > scored["majority"]["auroc"] + 0.2
assert len(compared["runs"]) == 2 and len(values) == len(promoter) == 81
assert sum(2 < one["alpha"] for one in matrices) > len(matrices) / 2
""",
    "few_labels": """
assert transferred.results["leakage"]["corpus"]["test"]["fraction"] < 0.1
assert scores["from bacteria"][0] > max(value for name, (value, _) in scores.items() if name != "from bacteria") + 0.05
assert test["p_value"] < 0.001
""",
    "peaks_to_motifs": """
sites = [genome.find(word, start, start + 60) for start in starts[3:4] for word in ("TGACTCA", "TGAGTCA")]
strongest = int(np.argmax(np.convolve(found["contribution"], np.ones(7), "valid")))
assert abs(strongest + starts[3] - max(sites)) <= 1
assert motifs["like"][0].startswith("AP-1")
assert motifs["in_input"][0] > 0.7 and motifs["in_background"][0] < 0.1
""",
}

AFRESH = "peaks_to_motifs"  # its kernel is started as a reader's is
THOROUGH = "few_labels"  # shows how good its baselines are
# What a notebook reads that is not in this project.
READ = {"case_study": "promoters_ecoli_regulondb"}


class Kernel(Forked):
    """IPython's own kernel, forked with all imported, with the rest of what is asked of its process."""

    stdin = stdout = stderr = None

    def __init__(self, command: Sequence[str], *, cwd: str, env: dict[str, str], thorough: bool, **rest: Any) -> None:
        module = importlib.import_module("ipykernel_launcher")
        assert "ipykernel_launcher" in command
        # A fresh kernel shows figures since matplotlib is not imported yet; here it is.
        words = [*command[command.index("ipykernel_launcher") + 1 :], "--matplotlib=inline"]
        super().__init__(Path(str(module.__file__)), "kernel", words, Path(cwd), env, joined=True, thorough=thorough)
        while os.getpgid(self.pid) != self.pid:  # the group is what is told to end: until then it is that of the tests
            time.sleep(0.01)


@pytest.fixture
def notebooks(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("notebooks")


def shown(cell: Any) -> list[tuple[str, str]]:
    """Return what a cell has given: kinds of content, with texts."""
    found = []
    for output in cell.get("outputs", []):
        content = output.get("data", {"text/plain": output.get("text", "")})
        found += [(kind, text if kind == "text/plain" else "") for kind, text in sorted(content.items())]
    return found


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"(?<![\w.])[+-]?\d*\.\d+(?![\w.])", text)]


def test_every_notebook_is_checked() -> None:
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(MUST_HOLD)


@pytest.mark.slow
@pytest.mark.parametrize("name", MUST_HOLD)
def test_a_notebook_runs_and_is_current(
    notebooks: ModuleType, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = FOLDER / f"{name}.ipynb"
    if name in READ:
        data = Path(os.environ.get("GULMFIT_DATA", ROOT.parent / "shared" / "data"))
        if not (data / READ[name]).is_dir():
            pytest.skip("real data not found: set GULMFIT_DATA")
        monkeypatch.setenv("GULMFIT_DATA", str(data))
    if sys.platform == "linux" and name != AFRESH:
        launch = functools.partial(Kernel, thorough=name == THOROUGH)
        monkeypatch.setattr("jupyter_client.provisioning.local_provisioner.launch_kernel", launch)
    kept = nbformat.read(path, as_version=4).cells
    run = notebooks.executed(path, tmp_path, MUST_HOLD[name]).cells
    assert any(shown(cell) for cell in kept)
    for old, new in zip(kept, run[: len(kept)], strict=True):
        before, now = shown(old), shown(new)
        assert [kind for kind, _ in now] == [kind for kind, _ in before], "run python scripts/notebooks.py"
        for (_, text), (_, written) in zip(now, before, strict=True):
            assert numbers(text) == pytest.approx(numbers(written), abs=0.1), "run python scripts/notebooks.py"
    assert path.stat().st_size < 100_000
