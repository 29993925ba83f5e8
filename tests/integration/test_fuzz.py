"""A short run of scripts/fuzz.py, what it has found before, and proof that it would find more."""

import importlib
import inspect
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from gulmfit.errors import DataError

from .conftest import ROOT, run_script

CASES = 10_000
MEMORY_MB = 128  # that no target may take beyond its libraries


@pytest.fixture
def fuzzing(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The harness itself, to be run on targets of the tests, with tighter limits."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    engine = importlib.import_module("fuzz_engine")
    for name, value in {"HANG_SECONDS": 0.1, "MINIMISE_SECONDS": 0.5, "MOST_HANGS": 2, "GROWTH_MB": 16}.items():
        monkeypatch.setattr(engine, name, value)
    return importlib.import_module("fuzz")


def test_no_reader_falls_over(tmp_path: Path) -> None:
    words = ["--findings", "findings", "--cases", str(CASES), "--seed", "1", "--jobs", "2", "--json", "f.json"]
    done = run_script("fuzz.py", *words, cwd=tmp_path)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    told = json.loads((tmp_path / "f.json").read_text())
    assert (told["cases"], told["unexpected"], told["hangs"]) == (pytest.approx(CASES, rel=0.01), 0, 0)
    for name, row in told["targets"].items():
        assert row["read"] > 0, f"{name}: every case is refused, so nothing behind the first check is reached"
        assert sum(row["refused"].values()) > 0, f"{name}: no case is refused, so nothing is tried"
        assert row["peak_mb"] - row["base_mb"] < MEMORY_MB
        for file, (reached, there) in row["lines"].items():
            assert 0 < reached <= there, file


def test_what_was_found_stays_mended(tmp_path: Path) -> None:
    done = run_script("fuzz.py", "--replay", cwd=tmp_path)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert any((ROOT / "tests" / "fuzz" / "findings").glob("*/*/*"))


def _broken_reader(folder: Path, case: dict[str, bytes]) -> None:
    """Fall over where a number is negative."""
    for line in (folder / "a.txt").read_bytes().splitlines():
        if line.count(b"\t") != 1:
            raise DataError(f"{line!r}: two columns are needed")
        if b"-1" in line:
            {}[line.partition(b"-1")[0]]


def _endless_reader(folder: Path, case: dict[str, bytes]) -> None:
    while b"-1" in (folder / "a.txt").read_bytes():
        pass


def _sleeping_reader(folder: Path, case: dict[str, bytes]) -> None:
    if b"-1" in (folder / "a.txt").read_bytes():
        time.sleep(600)


def _dying_reader(folder: Path, case: dict[str, bytes]) -> None:
    if b"-1" in (folder / "a.txt").read_bytes():
        os.abort()


def _greedy_reader(folder: Path, case: dict[str, bytes]) -> None:
    if b"-1" in (folder / "a.txt").read_bytes():
        bytearray(24 << 20)


def _planted(fuzzing: Any, read: Any, **options: Any) -> tuple[Any, dict[str, Any]]:
    target = fuzzing.Target("planted", lambda: [{"a.txt": b"7\t5\nchr1\t12\nchr2\t8\n"}], read)
    told = fuzzing.fuzz([target], 1500, seed=3, **options)
    assert told["found"], "nothing was found"
    return target, told


def test_a_planted_exception_is_found_and_made_small(
    fuzzing: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It ends much earlier where it may; half a second of a busy core may not be enough.
    monkeypatch.setattr(importlib.import_module("fuzz_engine"), "MINIMISE_SECONDS", 60.0)
    target, told = _planted(fuzzing, _broken_reader)
    assert (told["unexpected"], told["hangs"]) == (1, 0), "one finding for one mistake"
    assert told["targets"]["planted"]["refused"]["DataError"] > 0
    (found,) = told["found"]
    assert found.kind == "KeyError"
    assert b"-1" in found.case["a.txt"]
    assert len(found.case["a.txt"]) <= 4
    found.save(tmp_path)
    assert "KeyError" in fuzzing.replay(tmp_path, [target])[0]
    mended = fuzzing.Target("planted", target.seeds, lambda folder, case: None)
    assert fuzzing.replay(tmp_path, [mended]) == []


def test_a_planted_hang_is_found(fuzzing: Any) -> None:
    _, told = _planted(fuzzing, _endless_reader)
    assert told["hangs"] == 1
    assert b"-1" in told["found"][0].case["a.txt"]


def test_a_planted_wait_is_found(fuzzing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzzing, "MOST_CRASHES", 1)
    _, told = _planted(fuzzing, _sleeping_reader, stall=6.0)
    assert told["hangs"] == 1
    assert b"-1" in told["found"][0].case["a.txt"]


def test_a_planted_crash_is_found_and_the_run_goes_on(fuzzing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzzing, "MOST_CRASHES", 2)
    _, told = _planted(fuzzing, _dying_reader)
    assert [found.kind for found in told["found"]] == ["crash", "crash"]
    assert "SIGABRT" in told["found"][0].detail
    assert b"-1" in told["found"][0].case["a.txt"]


FEAST = """
import sys
from pathlib import Path

import fuzz
import fuzz_engine

{reader}
fuzz_engine.HANG_SECONDS, fuzz_engine.MINIMISE_SECONDS, fuzz_engine.GROWTH_MB = 0.1, 0.5, 16
target = fuzz.Target("planted", lambda: [{{"a.txt": b"7\\t5\\nchr1\\t12\\nchr2\\t8\\n"}}], _greedy_reader)
sys.stdout.write(fuzz.fuzz([target], 1500, seed=3)["found"][0].kind)
"""


def test_a_planted_feast_is_found(tmp_path: Path) -> None:
    """In a process of its own, without much in it: the most that a process has held never falls."""
    script = tmp_path / "feast.py"
    script.write_text(FEAST.format(reader=inspect.getsource(_greedy_reader)), encoding="utf-8")
    environment = {**_environment(), "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "scripts")])}
    done = subprocess.run([sys.executable, str(script)], env=environment, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, "memory"), done.stderr


def test_the_same_seed_gives_the_same_cases(fuzzing: Any) -> None:
    told = [_planted(fuzzing, _broken_reader)[1]["targets"]["planted"] for _ in range(2)]
    assert told[0]["refused"] == told[1]["refused"]
    assert told[0]["findings"] != []


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
