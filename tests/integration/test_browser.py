"""Reports in a real browser: nothing is fetched, nothing complains, all is seen, on a phone, a desk and paper."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from .conftest import ROOT, Trained, run, run_script

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
    dark: matchMedia("(prefers-color-scheme: dark)").matches,
    faint: (() => {  // text that stands out from what is behind it by less than WCAG 2.1 AA asks of any size
      const parts = colour => (colour.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
      const over = (top, below) => [0, 1, 2].map(i => top[i] * (top[3] ?? 1) + below[i] * (1 - (top[3] ?? 1)));
      const light = colour => colour.map(part => part / 255)
        .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
        .reduce((sum, part, i) => sum + part * [0.2126, 0.7152, 0.0722][i], 0);
      const behind = item => item ? over(parts(getComputedStyle(item).backgroundColor), behind(item.parentElement))
        : [255, 255, 255];
      const walk = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT), found = [];
      while (walk.nextNode()) {
        const item = walk.currentNode.parentElement;
        if (!walk.currentNode.data.trim() || item.closest("svg, script") || !item.getClientRects().length) continue;
        const below = behind(item), text = over(parts(getComputedStyle(item).color), below);
        const [dim, bright] = [light(text), light(below)].sort((a, b) => a - b);
        const contrast = (bright + 0.05) / (dim + 0.05);
        if (contrast < 4.5) found.push([walk.currentNode.data.trim().slice(0, 40), contrast]);
      }
      return found;
    })(),
    cut: [...document.querySelectorAll("main *")].filter(item => !item.closest("svg")).filter(item => {
      const box = item.getBoundingClientRect();
      return box.width && (box.right > innerWidth + 1 || item.scrollWidth > item.clientWidth + 1 && item.clientWidth);
    }).map(item => item.outerHTML.slice(0, 80)),
    unseen: [...document.querySelectorAll("details pre")].filter(item => !item.checkVisibility()).length,
    pictures: pictures.map(item => {
      const box = item.getBoundingClientRect();
      return {width: box.width, height: box.height, broken: item.tagName === "IMG" && item.naturalWidth === 0};
    }),
  });
});
</script>"""


def look(page: Path, tmp_path: Path, width: int, *, paper: bool = False, dark: bool = False) -> tuple[dict, str]:  # type: ignore[type-arg]
    """Open a page and return what the probe saw and what the browser complained of.

    Args:
        page: A report.
        tmp_path: Folder for a copy of it, and for the browser.
        width: Of the window.
        paper: Lay it out by the rules for printing.
        dark: Prefer dark colours.
    """
    probed = tmp_path / f"probed_{width}.html"
    text = page.read_text(encoding="utf-8")
    if paper:
        assert "@media print" in text
        text = text.replace("@media print", "@media all")
    assert "default-src 'none'" in text, "the page forbids itself to fetch or run anything"
    text = text.replace("default-src 'none'", "default-src 'none'; script-src 'unsafe-inline'")
    probed.write_text(text.replace("</body>", f"{PROBE}</body>"), encoding="utf-8")
    flags = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --hide-scrollbars --enable-logging=stderr --dump-dom"
    )
    result = subprocess.run(
        [str(BROWSER), *flags.split(), f"--window-size={width},900", f"--user-data-dir={tmp_path / 'profile'}",
         f"--blink-settings=preferredColorScheme={0 if dark else 1}", f"file://{probed}"],
        capture_output=True, text=True, timeout=900, check=True,
    )  # fmt: skip
    found = re.search(r'<pre id="probe">(.*?)</pre>', result.stdout, re.DOTALL)
    assert found, result.stderr
    complaints = "\n".join(line for line in result.stderr.splitlines() if "CONSOLE" in line)
    return json.loads(html.unescape(found[1])), complaints


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
    assert not seen["dark"]
    assert not seen["faint"]
    assert len(seen["pictures"]) >= 2
    for picture in seen["pictures"]:
        assert not picture["broken"]
        assert 150 < picture["width"] <= seen["width"]
        assert picture["height"] > 60
    assert pages[name].stat().st_size < 5_000_000


@pytest.mark.parametrize("name", ["ulmfit", "classify", "pretrain", "compare"])
def test_paper_holds_everything_and_the_dark_is_readable(pages: dict[str, Path], tmp_path: Path, name: str) -> None:
    """At the width of an A4 page between its margins; in the dark, since that is one more look saved."""
    margins = re.search(r"@page \{ size: A4; margin: \d+mm (\d+)mm; \}", pages[name].read_text(encoding="utf-8"))
    assert margins
    seen, complaints = look(pages[name], tmp_path, int((210 - 2 * int(margins[1])) / 25.4 * 96), paper=True, dark=True)
    assert not complaints
    assert seen["dark"]
    assert not seen["faint"]
    assert not seen["cut"]
    assert not seen["unseen"], "what is folded on a screen has to be unfolded on paper"
    assert seen["page"] <= seen["width"] + 1
    assert all(not picture["broken"] and picture["width"] > 100 for picture in seen["pictures"])


def test_a_picture_is_the_part_of_a_page(pages: dict[str, Path], tmp_path: Path) -> None:
    output = tmp_path / "part.png"
    words = ["--width", "600", "--top", "40", "--height", "300"]
    result = run_script("picture.py", str(pages["compare"]), str(output), *words, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    with Image.open(output) as picture:
        assert picture.size == (600, 300)
        assert len(set(picture.convert("L").tobytes())) > 10, "it is not blank"
    assert all(path.stat().st_size < 200_000 for path in (ROOT / "docs" / "images").iterdir())
