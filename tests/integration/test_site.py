"""The documentation site: it builds without a warning, has every page, and nothing in it is fetched from elsewhere."""

import html
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .test_browser import BROWSER

ROOT = Path(__file__).resolve().parents[2]

pytest.importorskip("mkdocs", reason="mkdocs is not installed: pip install 'gulmfit[docs]'")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build it as `make docs` does; a warning, such as for a link into nowhere, is an error."""
    folder = tmp_path_factory.mktemp("site")
    result = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, timeout=600,
        check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "WARNING" not in result.stderr
    return folder


def test_every_document_is_a_page(site: Path) -> None:
    docs = ROOT / "docs"
    for page in [*docs.rglob("*.md"), *docs.rglob("*.ipynb")]:
        assert (site / page.relative_to(docs).with_suffix(".html")).is_file(), page


def test_nothing_is_fetched(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|iframe|source)\b[^>]*?\bsrc=\"([^\"]+)", text)
        loaded += re.findall(r"<link\b[^>]*?\bhref=\"([^\"]+)", text)
        assert loaded
        for target in loaded:
            path = f"{site}{target}" if re.match("/(?!/)", target) else page.parent / target  # 404.html's, from the top
            assert target.startswith("data:") or Path(path).exists(), f"{page}: {target}"
    for style in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(?:https?:)?//", style.read_text(encoding="utf-8")), style


def test_search_has_read_pages_docstrings_and_notebooks(site: Path) -> None:
    index = (site / "search" / "search_index.js").read_text(encoding="utf-8").removeprefix("var __index = ")
    found = {entry["location"].partition("#")[0] for entry in json.loads(index)["docs"]}
    assert {"workflow.html", "api.html", "contributing.html", "tutorials/few_labels.html"} <= found


def test_the_python_reference_has_docstrings(site: Path) -> None:
    text = (site / "api.html").read_text(encoding="utf-8")
    for name in ("gulmfit.api.Model.predict", "gulmfit.predict.predictor.Predictor", "gulmfit.errors.DataError"):
        assert f'id="{name}"' in text
    assert "&gt;&gt;&gt;" in text or 'class="gp"' in text
    assert "<blockquote>" not in text, "examples are code"


def test_tables_show_what_github_shows(site: Path) -> None:
    text = (site / "reference.html").read_text(encoding="utf-8")
    assert "<code>str | None</code>" in text
    for page in site.rglob("*.html"):
        article = page.read_text(encoding="utf-8").partition("<article")[2].partition("</article")[0]
        assert "\\|" not in "".join(re.findall(r"<td.*?</td>", article, re.DOTALL)), page


# Added to a page of the site: what the browser has fetched so far (files are not listed), and how wide it became.
PROBE = """<pre id="probe"></pre><script>
setInterval(() => {
  document.getElementById("probe").textContent = JSON.stringify({
    fetched: performance.getEntriesByType("resource").map(item => item.name),
    wider: document.documentElement.scrollWidth - innerWidth,
    found: document.querySelectorAll(".md-search-result__item").length,
  });
}, 200);
</script></body>"""


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine (Debian: apt install chromium)")
@pytest.mark.parametrize("width", [400, 1400])
def test_it_is_searched_in_a_folder_without_a_server(site: Path, tmp_path: Path, width: int) -> None:
    page = site / f"probed_{width}.html"
    page.write_text((site / "reference.html").read_text(encoding="utf-8").replace("</body>", PROBE), encoding="utf-8")
    result = subprocess.run(
        [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={width},900",
         "--virtual-time-budget=10000", "--dump-dom", f"--user-data-dir={tmp_path}", f"{page.as_uri()}?q=calibration"],
        capture_output=True, text=True, timeout=600, check=True,
    )  # fmt: skip
    probe = re.search(r'<pre id="probe">(.*?)</pre>', result.stdout, re.DOTALL)
    assert probe
    seen = json.loads(html.unescape(probe[1]))
    assert not seen["fetched"]
    assert seen["wider"] <= 1, "the page would scroll sideways"
    assert seen["found"] > 3
