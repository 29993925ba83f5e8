"""The page of `gulmfit-tokens`: tokenizers side by side on one corpus."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gulmfit.report.figures import DASHES, PALETTE, Sheet, legend, line_plot, name_rows
from gulmfit.report.html import Report, Section
from gulmfit.seq.alphabet import DNA, alphabet_named

Entries = Sequence[Mapping[str, Any]]

COLUMNS = {
    "tokenizer": "tokenizer",
    "vocabulary": "vocabulary",
    "used": "used",
    "bases_per_token": "bases/token",
    "quantiles": "5 to 95 %",
    "overlap": "shared",
    "entropy": "entropy (bits)",
    "entropy_per_base": "entropy/base",
    "tokens_per_second": "tokens/s",
    "bases_read": "bases read",
    "bits_per_base": "bits/base",
}
"""Keys of an entry that its row of the table shows, and what the table calls them."""

EXPLANATION = [
    "Vocabulary: tokens without the special ones; used: the share of them that occurs in the training part. "
    "Bases/token: new bases that a token adds, on average; 5 to 95 %: quantiles of the bases that it spells, with the "
    "median; shared: bases that neighbours have in common.",
    "Entropy: of the frequencies of tokens, in bits a token, and divided by the new bases. Above 2 a base it says that "
    "tokens repeat what those before them tell already (k-mers that overlap), or that this cut of the sequence is only "
    "one of several.",
    "Bits/base: of a small language model on the held-out part, exact; knowing nothing is 2 (of proteins 4.32). Every "
    "model reads as many bases, in windows of as many bases, with the same sizes and settings. With sub-words it is an "
    "upper bound: other cuts of the same sequence have a probability too, which is not counted. So small a model after "
    "so short a training ranks tokenizers for a quick start, not for a long run.",
]


def table_rows(entries: Entries) -> list[dict[str, object]]:
    """Return a row for each tokenizer, by the headings of the table."""
    return [{title: entry.get(key) for key, title in COLUMNS.items()} for entry in entries]


def tokens_report(results: Mapping[str, Any]) -> Report:
    """Lay out a comparison of tokenizers.

    Args:
        results: What `gulmfit.commands.tokens.compare_tokens` returns.
    """
    entries = results["tokenizers"]
    rows = table_rows(entries)
    table = (list(COLUMNS.values()), [list(row.values()) for row in rows])
    references = {"knowing nothing": alphabet_named(str(results.get("alphabet", DNA.name))).bits}
    if results.get("markov"):
        references["Markov model"] = float(results["markov"]["bits_per_base"])
    return Report(
        title="Tokenizers on one corpus",
        subtitle=str(results["input"]),
        verdict=str(results["verdict"]),
        sections=[
            Section("Tokenizers", EXPLANATION, [table]),
            Section(
                "Figures",
                figures=[
                    ("Bits per base of a small language model on the held-out part", bits_dots(entries, references)),
                    ("Bases that tokens of the training part spell", size_curves(entries)),
                    ("Frequency of tokens, the commonest first", frequency_curves(entries)),
                ],
            ),
        ],
    )


def bits_dots(entries: Entries, references: Mapping[str, float]) -> str:
    """Draw the bits per base of each tokenizer as a dot in a row of its own, with a line for each reference."""
    scored = [entry for entry in entries if entry.get("bits_per_base") is not None]
    with Sheet(panels=1 if scored else 0, height=1.2 + 0.42 * len(scored)) as sheet:
        for axes in sheet.axes:
            for place, entry in enumerate(scored):
                axes.plot(entry["bits_per_base"], place, "o", color=PALETTE[0], markersize=7)
            name_rows(axes, [str(entry["tokenizer"]) for entry in scored], "bits per base")
            for number, (name, value) in enumerate(references.items()):
                dashes = DASHES[(number + 1) % len(DASHES)]
                axes.axvline(value, color="#666666", linestyle=dashes, label=f"{name} {value:.3f}")
            legend(axes)
        return sheet.svg()


def size_curves(entries: Entries) -> str:
    """Draw for each tokenizer the share of tokens that spell one base, two, three …"""
    series = {
        str(entry["tokenizer"]): (np.arange(1, len(entry["sizes"]) + 1), entry["sizes"])
        for entry in entries
        if entry.get("sizes")
    }
    return line_plot(series, marker="o", xlabel="bases", ylabel="share of tokens")


def frequency_curves(entries: Entries) -> str:
    """Draw for each tokenizer how frequent its tokens are, by rank, both on logarithmic axes."""
    series = {}
    for entry in entries:
        if entry.get("frequencies"):
            ranks, shares = zip(*entry["frequencies"], strict=True)
            series[str(entry["tokenizer"])] = ranks, shares
    return line_plot(series, xscale="log", yscale="log", xlabel="rank", ylabel="share of tokens")
