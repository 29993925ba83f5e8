"""Take the picture of a page for the documents, with headless Chromium: a part of it, as a small PNG.

    python scripts/picture.py PAGE OUTPUT [--width 1100] [--top 0] [--height 700]

Those in docs/images were taken so; `python scripts/fetch.py promoters_ecoli_regulondb` fetches the data:

    python train.py experiment=regulondb run.name=regulondb
    gzip -dc data/promoters_ecoli_regulondb/promoter.fasta.gz | \\
        grep -A1 --no-group-separator "SIGMA70 STRONG" | head -n 80 | \\
        gulmfit-explain model=outputs/classify/regulondb input=- output=outputs/promoters.html sanity=false
    python scripts/picture.py outputs/classify/regulondb/report.html docs/images/report.png --width 1400 --height 812
    python scripts/picture.py outputs/promoters.html docs/images/explain.png --width 900 --top 2040 --height 645
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
COLOURS = 128


def take(page: Path, output: Path, width: int, top: int, height: int) -> None:
    """Write the part of a page from `top` on, in pixels, that is `width` wide and `height` high.

    Raises:
        SystemExit: If no Chromium is installed.
    """
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        raise SystemExit(f"None of {', '.join(BROWSERS)} is installed (Debian: apt install chromium).")
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole.png"
        subprocess.run(
            [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
             "--blink-settings=preferredColorScheme=1", f"--user-data-dir={folder}/profile",
             f"--window-size={width},{top + height}", f"--screenshot={whole}", page.resolve().as_uri()],
            check=True, capture_output=True, timeout=300,
        )  # fmt: skip
        with Image.open(whole) as image:
            part = image.convert("RGB").crop((0, top, width, top + height))
    part.quantize(COLOURS, dither=Image.Dither.NONE).save(output, optimize=True)


def main() -> None:
    """Read the words, and take the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--width", type=int, default=1100)
    parser.add_argument("--top", type=int, default=0)
    parser.add_argument("--height", type=int, default=700)
    given = parser.parse_args()
    take(given.page, given.output, given.width, given.top, given.height)
    sys.stdout.write(f"{given.output}: {given.output.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main()
