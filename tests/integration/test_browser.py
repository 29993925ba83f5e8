"""Reports in a real browser: nothing is fetched, nothing complains, every figure is seen, on a phone and on a desk."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from .conftest import Trained, run

BROWSER = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine (Debian: apt install chromium)")

# Added to a copy of the page, which itself holds no script: what the browser makes of it.
PROBE = """<pre id="probe"></pre><script>
addEventListener("load", () => {
  const pictures = [...document.querySelectorAll("img, figure svg")];
  document.getElementById("probe").textContent = JSON.stringify({
    width: innerWidth,
    page: document.documentElement.scrollWidth,
    requests: performance.getEntriesByType("resource").map(item => item.name).filter(name => !name.startsWith("data:")),
    empty: (() => {
      const main = document.querySelector("main").getBoundingClientRect(), shares = [];
      const boxes = [...document.querySelectorAll("main p, main .scroll, main img, main pre, main summary")]
        .map(item => item.getBoundingClientRect()).filter(box => box.width > 0);
      for (let y = main.top; y < main.bottom; y += 10) {
        const right = Math.max(0, ...boxes.filter(box => box.top <= y && y <= box.bottom).map(box => box.right));
        if (right) shares.push(1 - (right - main.left) / main.width);
      }
      return shares.reduce((sum, share) => sum + share, 0) / shares.length;
    })(),
    pictures: pictures.map(item => {
      const box = item.getBoundingClientRect();
      return {width: box.width, height: box.height, broken: item.tagName === "IMG" && item.naturalWidth === 0};
    }),
  });
});
</script>"""


def look(page: Path, tmp_path: Path, width: int) -> tuple[dict, str]:  # type: ignore[type-arg]
    """Open a page and return what the probe saw and what the browser complained of."""
    probed = tmp_path / f"probed_{width}.html"
    text = page.read_text(encoding="utf-8")
    assert "default-src 'none'" in text, "the page forbids itself to fetch or run anything"
    text = text.replace("default-src 'none'", "default-src 'none'; script-src 'unsafe-inline'")
    probed.write_text(text.replace("</body>", f"{PROBE}</body>"), encoding="utf-8")
    flags = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --hide-scrollbars --enable-logging=stderr --dump-dom"
    )
    result = subprocess.run(
        [str(BROWSER), *flags.split(), f"--window-size={width},900", f"--user-data-dir={tmp_path / 'profile'}",
         f"file://{probed}"],
        capture_output=True, text=True, timeout=900, check=True,
    )  # fmt: skip
    found = re.search(r'<pre id="probe">(.*?)</pre>', result.stdout, re.DOTALL)
    assert found, result.stderr
    complaints = "\n".join(line for line in result.stderr.splitlines() if "CONSOLE" in line)
    return json.loads(found[1].replace("&amp;", "&")), complaints


@pytest.fixture(scope="module")
def pages(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    compared = tmp_path_factory.mktemp("compared")
    run(str(trained.folder), f"output={compared}", cwd=trained.cwd, command="compare", rendered=True)
    names = {"ulmfit": "", "classify": "classify", "pretrain": "pretrain"}
    reports = {name: trained.folder / folder / "report.html" for name, folder in names.items()}
    return {**reports, "compare": compared / "comparison.html"}


@pytest.mark.parametrize("width", [400, 1024, 1400])
@pytest.mark.parametrize("name", ["ulmfit", "classify", "pretrain", "compare"])
def test_every_figure_is_seen(pages: dict[str, Path], tmp_path: Path, name: str, width: int) -> None:
    seen, complaints = look(pages[name], tmp_path, width)
    assert not complaints
    assert not seen["requests"]
    assert seen["page"] <= seen["width"] + 1, "the page is wider than the window: it would scroll sideways"
    assert width < 1400 or seen["empty"] <= 0.2, "to the right of what is shown a fifth of the page is empty"
    assert len(seen["pictures"]) >= 2
    for picture in seen["pictures"]:
        assert not picture["broken"]
        assert 150 < picture["width"] <= seen["width"]
        assert picture["height"] > 60
    assert pages[name].stat().st_size < 5_000_000
