"""Hold the calls of a genome scan against its annotation, and against as many calls at random places.

    python scripts/scan_report.py calls=hits.bed annotation=genome.gff.gz split=outputs/classify/mine/split.tsv

calls=       calls of `gulmfit-predict` (BED); or windows of a scan (TSV, bedGraph) with threshold= and merge_bp=
class=       column of the TSV; the last one by default
annotation=  GFF3, GTF or GenBank with CDS features
split=       split.tsv of a classifier whose ids are loci (contig:start-end:strand:label, or as of data=intervals
             contig:start-end(strand)): starts and calls that stand in its training or validation part are counted apart
within_bp=   a start is found if a call on its strand has a base within so many of it; 0 if it must cover it
json=        file for the numbers; permutations= (1000) and seed= are those of the random calls

A call is right if it finds a start, or if its summit lies between genes, straight upstream of a CDS of its strand.
Calls without a strand are held against both. Random calls have the number, lengths and strands of the real ones,
anywhere on their contig; shown is their mean with the middle 95 % of them.
"""

import csv
import json
import logging
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gulmfit.cli.words import arguments, command
from gulmfit.errors import ConfigError, DataError
from gulmfit.predict.scans.calls import merge
from gulmfit.report.table import format_table
from gulmfit.seq.genome.contigs import join_parts, read_features

LOCUS = re.compile(r"(.+):(-?\d+)-(\d+)(?::([+-])(?::|$)|\(([+.-])\)$)")
WHOLE_CONTIG = {"region", "source"}
SEEN, UNSEEN = "seen in training", "not seen"
Counts = dict[str, tuple[int, int]]


class Calls(NamedTuple):
    """Calls of one contig: arrays `(N,)`."""

    starts: np.ndarray
    ends: np.ndarray
    summits: np.ndarray
    strands: np.ndarray

    def moved(self, length: int, random: np.random.Generator) -> "Calls":
        """Put each call at a random place of a contig."""
        starts = random.integers(0, np.maximum(1, length - (self.ends - self.starts) + 1))
        shift = starts - self.starts
        return self._replace(starts=starts, ends=self.ends + shift, summits=self.summits + shift)


class Contig:
    """What is annotated on one contig, for each strand."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.genic = np.zeros(length, dtype=bool)
        self.seen = np.zeros(length, dtype=bool)
        self.coding: list[tuple[int, int, str]] = []
        self.parts: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)

    def prepare(self) -> None:
        """Work out starts and the gaps upstream of them."""
        self.seen_before = np.concatenate([[0], np.cumsum(self.seen)])
        starts: dict[str, set[int]] = {"+": set(), "-": set()}
        for start, end, strand in self.coding:
            starts[strand].add(start if strand == "+" else end - 1)
        self.starts = {strand: np.array(sorted(own), dtype=int) for strand, own in starts.items()}
        self.upstream = {strand: np.zeros(self.length, dtype=bool) for strand in "+-"}
        edges = np.flatnonzero(np.diff(np.concatenate([[True], self.genic, [True]]).astype(np.int8)))
        for low, high in edges.reshape(-1, 2):
            self.upstream["+"][low:high] = np.isin(high, self.starts["+"])
            self.upstream["-"][low:high] = np.isin(low - 1, self.starts["-"])

    def part_of(self, base: int, strand: str) -> str:
        """Return the part of the split that has a window around a start."""
        for part in ("train", "valid", "test"):
            if any(low <= base < high for low, high in self.parts[part, strand]):
                return part
        return "no part"


def count(contigs: dict[str, Contig], calls: dict[str, Calls], within: int, labels: dict, split: bool) -> Counts:
    """Count, for each row of the table, what was found and how much there is."""
    counts: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(2, dtype=int))
    for name, contig in contigs.items():
        own = calls.get(name, Calls(*(np.empty(0, dtype=int) for _ in range(3)), np.empty(0, dtype=str)))
        right = np.zeros((2, len(own.starts)), dtype=bool)
        for strand in "+-":
            chosen = (own.strands == strand) | (own.strands == ".")
            starts = contig.starts[strand]
            low = np.searchsorted(starts, own.starts[chosen] - within)
            high = np.searchsorted(starts, own.ends[chosen] + within)
            right[0, chosen] |= high > low
            right[1, chosen] |= contig.upstream[strand][own.summits[chosen]]
            edges = np.zeros(len(starts) + 1, dtype=int)
            np.add.at(edges, low, 1)
            np.add.at(edges, np.maximum(low, high), -1)
            found = np.cumsum(edges)[:-1] > 0
            parts = labels[name, strand]
            for part in ("all", *(np.unique(parts) if split else ())):
                chosen_starts = (parts == part) | (part == "all")
                counts[f"starts found: {part}"] += found[chosen_starts].sum(), chosen_starts.sum()
        seen = contig.seen_before[own.ends] > contig.seen_before[own.starts]
        for part, mask in {"all": seen | True, **({SEEN: seen, UNSEEN: ~seen} if split else {})}.items():
            total = mask.sum()
            counts[f"calls at a start: {part}"] += right[0, mask].sum(), total
            counts[f"calls upstream, between genes: {part}"] += right[1, mask].sum(), total
            counts[f"calls at either: {part}"] += right.any(axis=0)[mask].sum(), total
    return {name: (int(found), int(total)) for name, (found, total) in counts.items()}


def read_contigs(annotation: Path, split: str) -> dict[str, Contig]:
    """Read the annotation, and which loci a classifier has learned."""
    features = join_parts(read_features(annotation))
    lengths: dict[str, int] = defaultdict(int)
    for feature in features:
        lengths[feature.contig] = max(lengths[feature.contig], feature.end)
    contigs = {name: Contig(length) for name, length in lengths.items()}
    for feature in features:
        contig = contigs[feature.contig]
        if feature.kind not in WHOLE_CONTIG:
            contig.genic[feature.start : feature.end] = True
        if feature.kind == "CDS" and feature.strand in "+-":
            contig.coding.append((feature.start, feature.end, feature.strand))
    if not any(contig.coding for contig in contigs.values()):
        raise DataError(f"{annotation}: no CDS in this file")
    for identity, part in read_split(Path(split)) if split else ():
        if not (match := LOCUS.match(identity)) or match[1] not in contigs:
            raise DataError(
                f"{split}: {identity!r} is not a locus of {annotation} (contig:start-end:strand:label, or "
                "of data=intervals contig:start-end(strand))"
            )
        contig, low, high = contigs[match[1]], max(0, int(match[2])), int(match[3])
        for strand in (match[4] or match[5]).replace(".", "+-"):
            contig.parts[part, strand].append((low, high))
        if part in ("train", "valid"):
            contig.seen[low:high] = True
    for contig in contigs.values():
        contig.prepare()
    return contigs


def read_split(path: Path) -> Iterator[tuple[str, str]]:
    """Yield id and part of each sequence of a split."""
    with path.open(encoding="utf-8", newline="") as handle:
        for row in csv.DictReader(handle, delimiter="\t"):
            yield row["id"], row["part"]


def read_calls(path: Path, threshold: str, merge_bp: int, column: str) -> dict[str, Calls]:
    """Read calls, or make them of the windows of a scan."""
    found: dict[str, list[tuple[int, int, int, str]]] = defaultdict(list)
    if path.suffix == ".bed":
        for feature in read_features(path):
            best = [int(feature.attributes.get(key, value)) for key, value in
                    (("column7", feature.start), ("column8", feature.end))]  # fmt: skip
            found[feature.contig].append((feature.start, feature.end, sum(best) // 2, feature.strand))
    else:
        if not threshold:
            raise ConfigError(f"calls={path}: windows become calls with a threshold=.")
        for (contig, strand), rows in sorted(read_windows(path, column).items()):
            starts, ends, scores = (np.array(cells) for cells in zip(*sorted(rows), strict=True))
            for call in merge([(starts, ends, scores)], float(threshold), merge_bp):
                found[contig].append((call.start, call.end, (call.best_start + call.best_end) // 2, strand))
    return {name: Calls(*(np.array(cells) for cells in zip(*calls, strict=True))) for name, calls in found.items()}


def read_windows(path: Path, column: str) -> dict[tuple[str, str], list[tuple[int, int, float]]]:
    """Read the windows of a TSV or bedGraph of a scan, by contig and strand."""
    windows: dict[tuple[str, str], list[tuple[int, int, float]]] = defaultdict(list)
    with path.open(encoding="utf-8", newline="") as handle:
        if path.suffix == ".tsv":
            for row in csv.DictReader(handle, delimiter="\t"):
                value = float(row[column] if column else list(row.values())[-1])
                windows[row["contig"], row["strand"]].append((int(row["start"]), int(row["end"]), value))
            return windows
        strand = {".plus": "+", ".minus": "-"}.get(Path(path.stem).suffix, ".")
        for contig, start, end, text in csv.reader(handle, delimiter="\t"):
            windows[contig, strand].append((int(start), int(end), float(text)))
    return windows


@command
def main() -> None:
    """Read, count, shuffle, print."""
    known = {
        "calls": "", "annotation": "", "split": "", "threshold": "", "merge_bp": 0, "class": "", "within_bp": 0,
        "permutations": 1000, "seed": 0, "json": "",
    }  # fmt: skip
    words = arguments(__doc__ or "", known, ("calls", "annotation"))
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    contigs = read_contigs(Path(words["annotation"]), words["split"])
    calls = read_calls(Path(words["calls"]), words["threshold"], words["merge_bp"], words["class"])
    if missing := sorted(set(calls) - set(contigs)):
        raise DataError(f"{words['calls']}: {missing} are not contigs of {words['annotation']}: {sorted(contigs)}")
    for name, own in calls.items():
        if own.ends.max() > contigs[name].length:
            raise DataError(f"{words['calls']}: {own.ends.max()} is behind the end of {name!r}")
    labels = {
        (name, strand): np.array([contig.part_of(base, strand) for base in contig.starts[strand].tolist()], dtype=str)
        for name, contig in contigs.items()
        for strand in "+-"
    }
    split = bool(words["split"])
    counts = count(contigs, calls, words["within_bp"], labels, split)
    random = np.random.default_rng(words["seed"])
    drawn: dict[str, list[float]] = defaultdict(list)
    for _ in range(words["permutations"]):
        moved = {name: own.moved(contigs[name].length, random) for name, own in calls.items()}
        for name, (found, total) in count(contigs, moved, words["within_bp"], labels, split).items():
            drawn[name].append(found / total if total else np.nan)
    rows = []
    for name, (found, total) in counts.items():
        at_random = np.array(drawn[name])[~np.isnan(drawn[name])]
        expected = [at_random.mean(), *np.quantile(at_random, [0.025, 0.975])] if at_random.size else None
        row = {"what": name, "found": found, "of": total, "share": found / total if total else None}
        rows.append({**row, "at random [95 %]": expected and tuple(map(float, expected))})
    sys.stdout.write(format_table(rows, list(rows[0])) + "\n")
    if words["json"]:
        Path(words["json"]).write_text(json.dumps({"words": words, "rows": rows}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
