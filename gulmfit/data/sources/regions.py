"""Features of a genome as labelled windows: a file of features for each class, or one whose records tell it."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gulmfit.data.sources.base import Paths, Source
from gulmfit.data.sources.positives import POSITIVE, NegativeSettings
from gulmfit.errors import ConfigError, DataError
from gulmfit.seq.alphabet import clean_sequence
from gulmfit.seq.duplicates import check_distinct
from gulmfit.seq.formats.fasta import expand_paths
from gulmfit.seq.formats.features import ODD_ATTRIBUTES, Feature, join_parts, name_is_odd
from gulmfit.seq.genome.contigs import has_kinds, is_genbank, read_features
from gulmfit.seq.genome.genbank import genbank_store
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.labels.feature_windows import WindowRule, cut_windows
from gulmfit.seq.labels.labelled import LabelledSequences

logger = logging.getLogger(__name__)

ATTRIBUTE = "attribute:"
LABELS = ("name", "score", "kind", f"{ATTRIBUTE}KEY")


@dataclass(kw_only=True)
class IntervalsSource(Source):
    """Windows at the features of a genome: BED, GFF3, GTF or GenBank with FASTA, or GenBank alone.

    Args:
        path: Files of features: one, several, or a glob. `label` says which class each has; without it all are
            positives, and `negatives` are made for them.
        classes: Instead of path: name of the class to its file, files or glob.
        label: `name` or `score` of a feature, its `kind`, or `attribute:KEY`, as in attribute:gene_biotype.
        kinds: Types of features to take from GFF3, GTF and GenBank, such as [CDS, tRNA]; all if null.
        join: Whether parts of one feature, such as the exons of a transcript, count as one from first to last base.
        window, anchor, upstream_bp, downstream_bp, window_bp, flank_bp, jitter_bp, edges: As in
            `gulmfit.seq.labels.feature_windows.WindowRule`.
        conflicts: One window with two classes: `error`, the default, `warn`, which keeps one for each class, or `drop`.
            The same letters at two places with two classes: `warn`, the default, `error` or `drop`.
        positive: The positive one of two classes; the last by default.
        negatives: Arguments of `gulmfit.data.sources.positives.NegativeSettings`; `how` is null where none are made.
        cache_dir: Folder of the genome's store.
        seed: Of the negatives and the jitter. It belongs to the data, so it does not follow the seed of a run.

    Attributes:
        windows: The rule, and the counts of windows and of what was left out; ready for JSON, empty before `labelled`.
        record: How the negatives were made, ready for JSON; empty where there are none.

    Raises:
        ConfigError: Options are unknown, missing or do not go together.
    """

    path: Paths | None = None
    classes: Mapping[str, Paths] | None = None
    label: str | None = None
    kinds: Sequence[str] | None = None
    join: bool = False
    window: str = "feature"
    anchor: str = "start"
    upstream_bp: int = 0
    downstream_bp: int = 0
    window_bp: int = 0
    flank_bp: int = 0
    jitter_bp: int = 0
    edges: str = "drop"
    positive: str | int | None = None
    negatives: Mapping[str, Any] = field(default_factory=dict)
    cache_dir: str = "outputs/store"
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if bool(self.path) == bool(self.classes):
            raise ConfigError(
                "data=intervals needs either data.path (features, with data.label or data.negatives) or "
                "data.classes={name: file, ...}."
            )
        if self.classes and (self.label or len(self.classes) < 2):
            raise ConfigError("data.classes names two classes or more by their files, and data.label is null with it.")
        key = str(self.label or "name")
        if key not in LABELS[:3] and (not key.startswith(ATTRIBUTE) or key == ATTRIBUTE):
            raise ConfigError(f"data.label={key!r} is unknown; choose {', '.join(LABELS)}.")
        made = self.negatives.get("how")
        if bool(made) != bool(self.path and not self.label):
            raise ConfigError(
                "data.path without data.label gives positives alone: set data.negatives.how=genomic, mixed or shuffle; "
                "or name the classes with data.label=name, score, kind or attribute:KEY, or with data.classes."
                if self.path and not self.label
                else f"data.negatives.how={made}: this data has classes of its own; set it to null."
            )
        if not self.genome and not all(map(is_genbank, self._files())):
            raise ConfigError("data.genome is missing: give the FASTA file (or files) that the windows are cut from.")
        check_distinct(self._files())
        lengths = ("upstream_bp", "downstream_bp", "window_bp", "flank_bp", "jitter_bp")
        rule = {name: getattr(self, name) for name in ("window", "anchor", *lengths, "seed", "edges")}
        self._rule = WindowRule(**rule, conflicts=self.conflicts or "error")
        self._settings = NegativeSettings.of(self.negatives) if made else None
        self.windows: dict[str, Any] = {}
        self.record: dict[str, Any] = {}

    def store(self, cache_dir: Path) -> GenomeStore:
        """Return the genome: that of `genome`, FASTA or GenBank, else that of the GenBank files of features."""
        files = expand_paths(self.genome) if self.genome else self._files()
        return genbank_store(files, case=self.case) if all(map(is_genbank, files)) else super().store(cache_dir)

    def _labelled(self) -> LabelledSequences:
        """Cut the windows, and make negatives where there is one class."""
        store = self.store(Path(self.cache_dir))
        cut = cut_windows(self._features(), store, self._rule)
        self.windows = cut.record
        files = [str(file) for file in (*self._files(), *(expand_paths(self.genome) if self.genome else ()))]
        reasons = "; ".join(f"{count:,} {why}" for why, count in cut.record["left_out"].items() if count)
        logger.info(
            "%s: %s windows of %s features%s", ", ".join(files), f"{len(cut.ids):,}", f"{cut.record['features']:,}",
            f"; left out: {reasons}" if reasons else "",
        )  # fmt: skip
        if self._settings is None:
            return cut.labelled(positive=self.positive, files=files, ambiguity=self.ambiguity)
        sequences = [
            clean_sequence(text, place, ambiguity=self.ambiguity)
            for text, place in zip(cut.sequences, cut.places, strict=True)
        ]
        labels = np.zeros(len(cut.ids), np.int64)
        positives = LabelledSequences(cut.ids, sequences, labels, [POSITIVE], files=files, loci=cut.loci)
        data, self.record = self._settings.add_to(positives, seed=self.seed, cache_dir=self.cache_dir, case=self.case)
        data.groups = np.array(cut.features, np.int64)[data.groups]  # those of one feature stay together in a split
        return data

    def _files(self) -> list[Path]:
        groups = self.classes.values() if self.classes else [self.path or []]
        return [file for paths in groups for file in expand_paths(paths)]

    def _features(self) -> Iterator[tuple[str, Feature]]:
        """Yield the class and the feature of every record."""
        wanted = None if self.kinds is None else {str(kind) for kind in self.kinds}
        seen: Counter[str] = Counter()
        for name, paths in (self.classes or {POSITIVE: self.path or []}).items():
            for file in expand_paths(paths):
                features: Iterable[Feature] = read_features(file, wanted if has_kinds(file) else None)
                for feature in join_parts(features) if self.join else features:
                    seen[feature.kind] += 1
                    yield self._class(feature) if self.label else str(name), feature
        if missing := sorted((wanted or set()) - set(seen)):
            there = Counter(feature.kind for file in self._files() for feature in read_features(file) if feature.kind)
            raise DataError(
                f"data.kinds: no feature of kind {', '.join(map(repr, missing))} in "
                f"{', '.join(map(str, self._files()))}; there are "
                f"{dict(there.most_common(20)) or 'none, as in every BED file'}"
            )

    def _class(self, feature: Feature) -> str:
        """Read the class of a feature where `label` says that it stands."""
        key = str(self.label).removeprefix(ATTRIBUTE)
        if key in feature.attributes.get(ODD_ATTRIBUTES, "").split(",") or (key == "name" and name_is_odd(feature)):
            raise DataError(
                f"{feature.place}: {self.label} cannot be read from column 9, where a value holds ';' or a key comes "
                "twice; write ';' inside a value as %3B, and every key once"
            )
        if str(self.label).startswith(ATTRIBUTE):
            found = feature.attributes.get(key)
            known = f"; it has {', '.join(map(repr, feature.attributes)) or 'none'}"
        else:
            value = getattr(feature, key)
            found, known = value if isinstance(value, str) or value is None else f"{value:g}", ""
        if not found:
            raise DataError(
                f"{feature.place}: no {self.label}{known}. Choose another data.label, or with data.kinds the "
                "features that have it"
            )
        return found
