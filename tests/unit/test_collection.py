"""Tests have the same names on every machine and in every worker, whatever the clock and the locale say."""

import inspect
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def line(item: Any) -> str:
    """Tell the name of a test, and its plain parameters."""
    given = item.callspec.params if hasattr(item, "callspec") else {}
    plain = {name: value for name, value in given.items() if isinstance(value, (bytes, str, int, float))}
    return f"{item.nodeid!a} {plain!a}"


# `time` as it will be elsewhere, without waiting for a second to pass. A test that asks for the time of day while it is
# collected, directly or through gzip, is seen. Some versions of pytest write a parameter into the name of its test,
# others number it: plain parameters must be equal, too.
LATER = f"""
import sys, time
later, now, now_ns = float(sys.argv.pop(1)), time.time, time.time_ns
time.time, time.time_ns = lambda: now() + later, lambda: now_ns() + int(later * 1e9)
import pytest

from typing import Any
{inspect.getsource(line)}
class Tell:
    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items):
        print(*map(line, items), sep="\\n")

sys.exit(pytest.main(sys.argv[1:], plugins=[Tell()]))
"""
HERE = {"PYTHONHASHSEED": "1", "LC_ALL": "C.UTF-8", "TZ": "UTC", "HOME": "/", "OMP_NUM_THREADS": "1", "USER": "one"}
ELSEWHERE = {
    "PYTHONHASHSEED": "2", "LC_ALL": "C", "TZ": "Pacific/Kiritimati", "HOME": "/root", "OMP_NUM_THREADS": "2",
    "USER": "two", "CI": "true",
}  # fmt: skip


def names(places: list[Path], folder: Path, later: float, umask: int, **environment: str) -> list[str]:
    """Collect in a process of its own, from a folder of its own; return the tests, with plain parameters, in order."""
    folder.mkdir()
    # Names do not follow from assertions, which take half of the time to be rewritten, nor from the constants of the
    # source, which Hypothesis collects.
    options = ["--collect-only", "-qq", "-p", "no:cacheprovider", "-p", "no:xdist", "--assert=plain"]
    options += ["-p", "no:hypothesispytest"]
    options += [f"--rootdir={ROOT}"]
    options += ["-o", "addopts=--import-mode=importlib --strict-markers"]  # a second -q would leave the names out
    command = [sys.executable, "-c", LATER, str(later), "-c", str(ROOT / "pyproject.toml"), *options]
    unset = {"LANG", "LANGUAGE", "CI", "PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", "PYTEST_CURRENT_TEST"}
    inherited = {name: value for name, value in os.environ.items() if name not in unset}
    done = subprocess.run(
        [*command, *map(str, places)], cwd=folder, umask=umask, capture_output=True, text=True, encoding="utf-8",
        env={**inherited, "TMPDIR": str(folder), "PYTHONPATH": str(ROOT), **environment}, timeout=1800,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return [line for line in done.stdout.splitlines() if line.startswith(("'", '"')) and "::" in line]


def twice(places: list[Path], tmp_path: Path) -> list[list[str]]:
    with ThreadPoolExecutor(2) as both:
        here = both.submit(names, places, tmp_path / "here", 0.0, 0o022, **HERE)
        there = both.submit(names, places, tmp_path / "with a blank and ü", 86_461.0, 0o077, **ELSEWHERE)
        return [here.result(), there.result()]


def collected_here(request: pytest.FixtureRequest) -> list[str] | None:
    """Return the tests of this very run, as `names` tells them; None where it is not asked for all."""
    option = request.config.option
    if (
        option.keyword
        or option.markexpr
        or {(ROOT / name).resolve() for name in request.config.args} != {ROOT / "tests"}
    ):
        return None
    return [line(item) for item in request.session.items]


@pytest.mark.slow
def test_the_suite_has_the_same_names_everywhere(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """A run of all tests has collected them once, whatever its clock and its seed of hashes are."""
    there = names([ROOT / "tests"], tmp_path / "with a blank and ü", 86_461.0, 0o077, **ELSEWHERE)
    here = collected_here(request) or names([ROOT / "tests"], tmp_path / "here", 0.0, 0o022, **HERE)
    assert len(here) > 1000
    assert here == there, sorted({*here} ^ {*there})[:10]


DEPENDENT = {
    "clock": "[gzip.compress(b'ACGT')]",
    "clock_in_what_is_too_long_for_a_name": "[gzip.compress(b'ACGT') * 50]",
    "hashes": "{'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l'}",
    "time_zone": "[time.strftime('%Z')]",
    "locale": "[locale.setlocale(locale.LC_CTYPE, '')]",
    "temporary": "[tempfile.gettempdir()]",
    "home": "[str(Path.home())]",
    "folder": "[os.getcwd()]",
    "umask": "[os.umask(0o22)]",
    "threads": "range(int(os.environ['OMP_NUM_THREADS']))",
}


def test_a_name_that_depends_on_the_machine_is_seen(tmp_path: Path) -> None:
    text = "import gzip, locale, os, tempfile, time\nfrom pathlib import Path\nimport pytest\n"
    for name, values in DEPENDENT.items():
        text += f"@pytest.mark.parametrize('x', {values})\ndef test_{name}(x): pass\n"
    (tmp_path / "test_names.py").write_text(text, encoding="utf-8")
    here, there = twice([tmp_path / "test_names.py"], tmp_path)
    for name in DEPENDENT:
        one, other = ([line for line in lines if f"::test_{name}[" in line] for lines in (here, there))
        assert one, name
        assert one != other, name
