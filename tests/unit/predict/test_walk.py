"""How far a reader has to walk to follow one record through `gulmfit-predict`, and that its letters are read once.

Counted are the files and functions of the package that are entered, or gone on with where they are generators:

- of a record: from the moment its file is opened until its row has been handed to the table;
- of the model: in `Predictor.load`, from its folder to a model that is ready.

Not counted are what a process works out once, such as tables of letters, functions that only wait meanwhile for those
they have called, what comes before and after (the words of the command, the locks and names of outputs), what counts
records for the bar and sees none of them, class bodies, and comprehensions.
"""

import importlib
import inspect
import sys
import tomllib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest

import gulmfit

PACKAGE = str(Path(gulmfit.__file__).parent)
Place = tuple[str, str]
LOAD, OPEN, WRITE = "Predictor.load", "_blocks", "tsv_table.<locals>.write"
ASIDE = "/predict/progress.py"


class Walk:
    """What `sys.setprofile` calls: the places where one record and one model come through, and how often."""

    def __init__(self) -> None:
        self.model: Counter[Place] = Counter()
        self.record: Counter[Place] = Counter()
        self._now: Counter[Place] | None = None

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        function = code.co_flags & inspect.CO_OPTIMIZED and (code.co_name == "<lambda>" or code.co_name[0] != "<")
        if not function or not code.co_filename.startswith(PACKAGE) or code.co_filename.endswith(ASIDE):
            return
        if event == "call":
            if code.co_qualname in (LOAD, OPEN):
                self._now = self.model if code.co_qualname == LOAD else self.record
            if self._now is not None:
                self._now[code.co_filename.removeprefix(PACKAGE), code.co_qualname] += 1
        if event == "return" and code.co_qualname in (LOAD, WRITE):
            self._now = None


def files(places: Counter[Place]) -> set[str]:
    return {file for file, _ in places}


@pytest.fixture
def walk(tmp_path: Path, make_model: Callable[..., Path], random_text: Callable[..., str],
         monkeypatch: pytest.MonkeyPatch) -> Walk:  # fmt: skip
    calibration = {"kind": "temperature", "temperature": 1.5, "knots": [], "threshold": 0.45}
    model, source, target = make_model(calibration=calibration), tmp_path / "in.fa", tmp_path / "out.tsv"
    source.write_text(f">r\n{random_text(60)}\n")
    words = ["gulmfit-predict", f"model={model}", f"input={source}", f"output={target}"]
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    module, _, name = project["scripts"]["gulmfit-predict"].partition(":")
    command = getattr(importlib.import_module(module), name)
    monkeypatch.setattr(sys, "argv", words)
    command()
    target.unlink()
    walk, before = Walk(), sys.getprofile()
    monkeypatch.setattr(sys, "argv", words)
    sys.setprofile(walk)
    try:
        command()
    finally:
        sys.setprofile(before)
    assert len(target.read_text().splitlines()) == 2
    return walk


def test_the_walk_of_a_record_is_short(walk: Walk) -> None:
    assert len(files(walk.record)) <= 12, sorted(walk.record)
    assert len(walk.record) <= 50, sorted(walk.record)


def test_the_walk_to_a_model_is_short(walk: Walk) -> None:
    assert len(files(walk.model)) <= 14, sorted(walk.model)
    assert len(walk.model) <= 43, sorted(walk.model)
    both = walk.model + walk.record
    assert (len(files(both)) <= 19, len(both) <= 91) == (True, True), sorted(both)


def test_letters_are_read_once_and_the_network_is_built_and_run_once(walk: Walk) -> None:
    for function in ("encode", "KmerTokenizer.encode", "SequenceClassifier.forward", "Calibration.apply"):
        assert [count for (_, name), count in walk.record.items() if name == function] == [1], function
    for function in ("AWDRNN.__init__", "SequenceClassifier.__init__", "KmerTokenizer.__init__"):
        assert [count for (_, name), count in walk.model.items() if name == function] == [1], function
