"""Windows of a genome, cut by a rule at each of its labelled features, on the strand of the feature."""

import logging
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from gulmfit.errors import ConfigError, DataError
from gulmfit.seq.duplicates import unique_ids
from gulmfit.seq.formats.features import Feature
from gulmfit.seq.formats.tables import not_one_of
from gulmfit.seq.genome.contigs import check_contigs, contig_of, contigs_by_name, extract
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.labels.labelled import LabelledSequences, Locus

_log = logging.getLogger(__name__)

Window = tuple[str, int, int, str]  # contig, start, end, strand

_OUTSIDE, _SHORT = "reaches over the end of its contig", "shorter than window_bp"
_REPEATED, _CONFLICT = "same window and class as another one", "same window as one of another class"
_FURTHER = "a further class of such a window"

_CHOICES = {
    "window": ("feature", "around", "inside"),
    "anchor": ("start", "end", "centre"),
    "edges": ("drop", "error", "pad"),
    "conflicts": ("error", "warn", "drop"),
}
_USED_BY = {"upstream_bp": "around", "downstream_bp": "around", "window_bp": "inside"}


@dataclass(frozen=True, kw_only=True)
class WindowRule:
    """Which windows a feature gives.

    All follow the strand of the feature: on "-" its start is its last base on the forward strand, and upstream lies to
    the right. A feature without strand is read forward.

    Args:
        window: `feature`, the feature itself; `around`, from upstream_bp before to downstream_bp after its anchor;
            `inside`, windows of window_bp end to end from its start on, of which a shorter rest is left out.
        anchor: Of around: `start`, before the first base; `end`, after the last one; `centre`, between the two
            halves, the second of them the longer one.
        upstream_bp: Of around: bases before the anchor.
        downstream_bp: Of around: bases from the anchor on.
        window_bp: Of inside: bases of a window.
        flank_bp: Bases to add on either side of every window.
        jitter_bp: Move the windows of a feature by up to so many bases at random, in either direction, so that what it
            is centred on has no fixed index. Features at one place are moved alike.
        seed: Of that.
        edges: A window that reaches over the end of its contig is left out (`drop`), is an error (`error`), or has N
            there (`pad`), unless no base of it lies in the contig.
        conflicts: Features of different classes that give one and the same window are an error, or (`warn`) it is
            there once for each class and counted in a warning, or (`drop`) it is left out.

    Raises:
        ConfigError: A choice is unknown, a length is negative or of another `window`, or windows would be empty.
    """

    window: str = "feature"
    anchor: str = "start"
    upstream_bp: int = 0
    downstream_bp: int = 0
    window_bp: int = 0
    flank_bp: int = 0
    jitter_bp: int = 0
    seed: int = 0
    edges: str = "drop"
    conflicts: str = "error"

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ConfigError(f"data.{name}: {not_one_of(str(getattr(self, name)), allowed)}")
        for name in (*_USED_BY, "flank_bp", "jitter_bp"):
            if (length := getattr(self, name)) < 0:
                raise ConfigError(f"data.{name}={length} is not allowed: at least 0")
            if length and _USED_BY.get(name, self.window) != self.window:
                raise ConfigError(
                    f"data.{name}={length} is of no use with data.window={self.window}; it belongs to "
                    f"data.window={_USED_BY[name]}"
                )
        if self.window == "around" and not self.upstream_bp + self.downstream_bp + self.flank_bp:
            raise ConfigError("data.window=around needs data.upstream_bp or data.downstream_bp: a window has 1 base")
        if self.window == "inside" and not self.window_bp:
            raise ConfigError("data.window=inside needs data.window_bp, the length of its windows in bases")

    def spans(self, feature: Feature) -> list[tuple[int, int]]:
        """List the windows of a feature, [start, end) on the forward strand, in its reading order.

        They may reach over the ends of the contig.
        """
        length, flank = feature.end - feature.start, self.flank_bp
        if self.window == "feature":
            local = [(0, length)]
        elif self.window == "around":
            at = {"start": 0, "end": length, "centre": length // 2}[self.anchor]
            local = [(at - self.upstream_bp, at + self.downstream_bp)]
        else:
            size = self.window_bp
            local = [(at, at + size) for at in range(0, length - size + 1, size)]
        moved = self._shift(feature) if self.jitter_bp else 0
        local = [(start + moved, end + moved) for start, end in local]
        # Local positions count from the feature's own start, in its reading direction.
        if feature.strand == "-":
            return [(feature.end - end - flank, feature.end - start + flank) for start, end in local]
        return [(feature.start + start - flank, feature.start + end + flank) for start, end in local]

    def _shift(self, feature: Feature) -> int:
        """Draw by how much the windows of a feature are moved; the same for all features at its place."""
        place = [self.seed, zlib.crc32(feature.contig.encode()), feature.start, feature.end]
        return int(np.random.default_rng(place).integers(-self.jitter_bp, self.jitter_bp + 1))


@dataclass(frozen=True, eq=False)
class LabelledWindows:
    """N windows of features.

    Attributes:
        ids: "contig:start-end(strand)", 0-based half-open, as `bedtools getfasta` writes them (N).
        sequences: Letters ACGT and N (N).
        labels: Class of the feature (N).
        loci: What of each lies in the genome (N); shorter than the sequence where that was padded.
        features: Number of the feature that gave each (N).
        places: Where that feature stands, for messages (N).
        record: The rule, and the counts of features, of windows and of what was left out why; ready for JSON.
    """

    ids: list[str]
    sequences: list[str]
    labels: list[str]
    loci: list[Locus]
    features: list[int]
    places: list[str]
    record: dict[str, Any]

    def labelled(self, *, positive: str | int | None, files: list[str], ambiguity: str) -> LabelledSequences:
        """Return the windows as labelled sequences; several windows inside one feature belong together in a split.

        Raises:
            DataError: There are fewer than two classes, or a class is not a name.
            SequenceError: A window holds an ambiguous base where `ambiguity` is "error".
        """
        data = LabelledSequences.from_strings(
            self.ids, self.sequences, self.labels,
            positive=positive, files=files, loci=self.loci, places=self.places, ambiguity=ambiguity,
        )  # fmt: skip
        if len(set(self.features)) < len(self.features):
            data.groups = np.array(self.features, np.int64)
        return data


def cut_windows(features: Iterable[tuple[str, Feature]], store: GenomeStore, rule: WindowRule) -> LabelledWindows:
    """Cut the windows of features out of a genome.

    A window that two features of one class give is there once. `features` are pairs of class and feature.

    Raises:
        DataError: A contig is missing, a feature leaves its contig or gives an empty window, a window does what the
            rule refuses, or no window is left; names the place of the feature.
    """
    left_out = Counter(dict.fromkeys((_OUTSIDE, _SHORT, _REPEATED, _CONFLICT), 0))
    found: dict[Window, dict[str, tuple[int, Feature]]] = {}  # each window, by class
    features = list(features)
    places: dict[str, str] = {}
    for _, feature in features:
        places.setdefault(feature.contig, feature.place)
    check_contigs(store, places)
    for number, (label, feature) in enumerate(features):
        length = contig_of(store, feature).length
        spans = rule.spans(feature)
        left_out[_SHORT] += not spans
        for start, end in spans:
            if start == end:
                raise DataError(
                    f"{feature.place}: {start}-{end} of {feature.contig!r} holds no base; set data.flank_bp, or use "
                    "data.window=around"
                )
            if (start < 0 or end > length) and not _padded(start, end, length, rule, feature):
                left_out[_OUTSIDE] += 1
                continue
            key = (feature.contig, start, end, "-" if feature.strand == "-" else "+")
            classes = found.setdefault(key, {})
            if label in classes:
                left_out[_REPEATED] += 1
                continue
            if classes and rule.conflicts == "error":
                first_label, (_, first) = next(iter(classes.items()))
                raise DataError(
                    f"{feature.place}: a window of class {label!r} that {first.place} gives to {first_label!r}: "
                    f"{_id(key)}. Choose data.kinds or data.label so that a place has one class, or leave such windows "
                    "out with data.conflicts=drop"
                )
            classes[label] = (number, feature)
    contested = [key for key, classes in found.items() if len(classes) > 1]
    if contested:
        fate = "left out" if rule.conflicts == "drop" else "kept, once for each class"
        _log.warning(
            "%d windows have several classes, such as %s; they are %s", len(contested), _id(contested[0]), fate
        )
    if rule.conflicts == "drop":
        left_out[_CONFLICT] = len(contested)
        left_out[_FURTHER] += sum(len(found[key]) - 1 for key in contested)
        for key in contested:
            del found[key]
    record = {
        **{name: value for name, value in asdict(rule).items() if rule.jitter_bp or name not in ("jitter_bp", "seed")},
        "features": len(features),
        "windows": sum(map(len, found.values())),
        "left_out": dict(left_out),
    }
    if not found:
        raise DataError(
            f"{len(features)} feature(s) gave no window: {record['left_out']}; change data.window and its lengths"
        )
    kept = [(key, label, *given) for key, classes in found.items() for label, given in classes.items()]
    cut = [_read(store, key, feature) for key, _, _, feature in kept]
    labels = [label for _, label, _, _ in kept]
    return LabelledWindows(
        unique_ids([_id(key) for key, *_ in kept], labels, "class"),
        [sequence for sequence, _ in cut],
        labels,
        [locus for _, locus in cut],
        [number for _, _, number, _ in kept],
        [f"{feature.place}, window {_id(key)!r}" for key, _, _, feature in kept],
        record,
    )


def _padded(start: int, end: int, length: int, rule: WindowRule, feature: Feature) -> bool:
    """Tell whether a window that reaches over an end of its contig is padded; if not, it is left out."""
    if rule.edges == "error":
        raise DataError(
            f"{feature.place}: window {start}-{end} reaches over the end of contig {feature.contig!r} of {length:,} "
            "bases; leave such windows out (data.edges=drop) or fill them with N (data.edges=pad)"
        )
    return rule.edges == "pad" and start < length and end > 0


def _read(store: GenomeStore, key: Window, feature: Feature) -> tuple[str, Locus]:
    """Return the letters of a window, N where it reaches over an end, and what of it lies in the genome."""
    contig, start, end, strand = key
    length = contigs_by_name(store)[contig].length
    first, last = max(0, start), min(end, length)
    inside = extract(store, Feature(contig, first, last, strand, place=feature.place))
    before, after = "N" * (first - start), "N" * (end - last)
    text = before + inside + after if strand == "+" else after + inside + before
    return text, (contig, first, last, strand)


def _id(key: Window) -> str:
    contig, start, end, strand = key
    return f"{contig}:{start}-{end}({strand})"
