"""Draw the three stages for the README: docs/images/stages.svg.

python scripts/draw_stages.py
"""

from html import escape
from pathlib import Path
from typing import NamedTuple

OUTPUT = Path(__file__).resolve().parents[1] / "docs" / "images" / "stages.svg"
WIDTH, HEIGHT, GAP = 264, 150, 36
INK, PALE, GREY, BLUE = "#1f2933", "#eef3fa", "#66788a", "#2f6db5"


class Stage(NamedTuple):
    """A box of the picture: what comes in, what learns, and what is left."""

    title: str
    data: str
    lines: tuple[str, str, str]
    result: str


STAGES = (
    Stage(
        "1. pretrain",
        "genomes, FASTA",
        ("reads …ACG TTA GCC… and predicts", "the next word, on both strands;", "no labels"),
        "language model",
    ),
    Stage(
        "2. finetune",
        "your sequences",
        ("the same model reads on,", "in the sequences of the task;", "still no labels"),
        "tuned language model",
    ),
    Stage(
        "3. classify, or label",
        "20 to 1,000,000 labels",
        ("learns labels, and is judged next", "to its twin from scratch and to", "strong baselines on the same split"),
        "classifier, or labeller of bases",
    ),
    Stage(
        "use it",
        "tables, genomes, variants",
        ("predict, annotate, explain,", "score, embed, generate,", "export to ONNX"),
        "TSV, BED, bigWig, GFF3, VCF",
    ),
)


def text(x: float, y: float, words: str, *, size: int = 13, color: str = INK, weight: str = "normal") -> str:
    """Return a line of text that is centred at `x`."""
    return (
        f'<text x="{x}" y="{y}" font-size="{size}" fill="{color}" font-weight="{weight}" text-anchor="middle">'
        f"{escape(words)}</text>"
    )


def box(number: int, stage: Stage) -> list[str]:
    """Return a stage with the arrow to the next one."""
    left = 20 + number * (WIDTH + GAP)
    middle = left + WIDTH / 2
    drawn = [
        text(middle, 24, stage.data, color=GREY),
        f'<path d="M{middle} 32 V48" stroke="{GREY}" stroke-width="2" marker-end="url(#tip)"/>',
        f'<rect x="{left}" y="56" width="{WIDTH}" height="{HEIGHT}" rx="12" fill="{PALE}" stroke="{BLUE}"/>',
        text(middle, 84, stage.title, size=18, weight="bold"),
        *(text(middle, 112 + 20 * row, words) for row, words in enumerate(stage.lines)),
        text(middle, 188, stage.result, color=BLUE, weight="bold"),
    ]
    if number + 1 < len(STAGES):
        drawn.append(
            f'<path d="M{left + WIDTH + 4} 131 H{left + WIDTH + GAP - 12}" stroke="{BLUE}" stroke-width="3" '
            'marker-end="url(#tip)"/>'
        )
    return drawn


def draw() -> str:
    """Return the picture as SVG."""
    width = 40 + len(STAGES) * WIDTH + (len(STAGES) - 1) * GAP
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} 226" role="img"'
            ' font-family="Helvetica, Arial, sans-serif" aria-label="pretrain, finetune, classify or label, use">',
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="4" refY="4" markerWidth="4" markerHeight="4" orient="auto">'
            f'<path d="M0 0 L8 4 L0 8 z" fill="{GREY}"/></marker></defs>',
            f'<rect width="{width}" height="226" rx="8" fill="white"/>',
            *(line for number, stage in enumerate(STAGES) for line in box(number, stage)),
            "</svg>\n",
        ]
    )


if __name__ == "__main__":
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(draw(), encoding="utf-8")
    print(OUTPUT)
