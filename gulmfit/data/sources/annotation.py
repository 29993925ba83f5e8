"""An annotated genome as windows with a label for every base of both strands."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from gulmfit.data.sources.base import Source
from gulmfit.errors import ConfigError, DataError
from gulmfit.seq.alphabet import AMBIGUOUS
from gulmfit.seq.formats.fasta import expand_paths
from gulmfit.seq.formats.tables import not_one_of
from gulmfit.seq.genome.contigs import check_contigs, is_genbank, read_features
from gulmfit.seq.genome.coverage import Coverage
from gulmfit.seq.genome.genbank import genbank_store
from gulmfit.seq.genome.genetic_code import genetic_code
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.labels.annotated import Annotated, AnnotatedWindows, cut_annotated
from gulmfit.seq.labels.gene_labels import feature_labels, labelled_contigs
from gulmfit.seq.labels.gene_models import mask_others, read_genes
from gulmfit.seq.labels.position_labels import IGNORED
from gulmfit.seq.labels.track_labels import GENE_CLASSES, TRACKS, gene_tracks
from gulmfit.seq.splits.split import PARTS, check_fractions

logger = logging.getLogger(__name__)

SCHEMES = ("genes", "features")
DECODERS = ("auto", "orfs", "genes")
LEAST_BP = 100  # what is shorter is not a window


@dataclass(kw_only=True)
class AnnotationSource(Source):
    """Windows of an annotated genome.

    Args:
        genome: FASTA, one file or several; GenBank may hold its own.
        annotation: GFF3, GTF, GenBank or NCBI's feature table (.tbl).
        labels: `genes` for two tracks, what a base is to a gene and its place in a codon; `features` for one, which of
            the `features` covers it.
        features: Types of features, those that come first before the others; for `labels=features`.
        contigs: Names in the genome by those in the annotation, null for one that is left out.
        genetic_code: Number of the code; null for what the annotation says of each CDS, else 1.
        genetic_codes: Numbers for single contigs of the genome.
        masked: Another annotation: genes that only it has are masked.
        min_intron_bp: The shortest intron.
        window_bp: Bases of a window, more or less.
        valid_contigs, test_contigs: Contigs of the genome that are for validation and test.
        valid_fraction, test_fraction: Or else: shares of every contig, the last for the test, before it for validation.
            Without either the split is made as `split` says.
        tracks: BAM, bigWig or bedGraph files by group, for `tune=head` (`gulmfit.seq.genome.coverage`).
        norm: How their values are normalised.
        regions: BED file of the intervals that windows are cut from, each with the name of its part: train, valid or
            test.
        test_annotation: Another annotation, which labels the test part.
        decode: How probabilities become genes: `orfs`, `genes` for those with introns, or `auto`, by whether any has.
        cache_dir: Folder of the genome's store.

    Attributes:
        windows: What the annotation holds, and what is masked; ready for JSON, empty before `labelled`.

    Raises:
        ConfigError: An option is unknown or out of range, or a file is missing.
    """

    targets: ClassVar[str] = TRACKS
    annotation: str = ""
    labels: str = "genes"
    features: Sequence[str] | None = None
    contigs: Mapping[str, str | None] | None = None
    genetic_code: int | None = None
    genetic_codes: Mapping[str, int] | None = None
    masked: str | None = None
    min_intron_bp: int = 20
    window_bp: int = 6000
    valid_contigs: Sequence[str] | None = None
    test_contigs: Sequence[str] | None = None
    valid_fraction: float = 0.0
    test_fraction: float = 0.0
    regions: str | None = None
    test_annotation: str | None = None
    tracks: Mapping[str, Any] | None = None
    norm: str = "log"
    decode: str = "auto"
    cache_dir: str = "outputs/store"
    stranded: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.annotation:
            raise ConfigError(
                "data.annotation is empty: give the GFF3, GTF, GenBank or .tbl file of the genome's genes."
            )
        if not self.genome and not is_genbank(Path(self.annotation)):
            raise ConfigError("data.genome is missing: give the FASTA file (or files) of the annotated genome.")
        for name, known in (("labels", SCHEMES), ("decode", DECODERS)):
            if getattr(self, name) not in known:
                raise ConfigError(f"data.{name}={getattr(self, name)!r} is unknown; choose one of {', '.join(known)}.")
        if (self.labels == "features") != bool(self.features):
            raise ConfigError("data.features names the types of features for data.labels=features, and for it alone.")
        for number in (self.genetic_code, *(self.genetic_codes or {}).values()):
            if number is not None:
                genetic_code(number)
        if self.window_bp < LEAST_BP:
            raise ConfigError(f"data.window_bp={self.window_bp}: {LEAST_BP} or more is needed.")
        check_fractions(self.valid_fraction, self.test_fraction)
        if bool(self.valid_contigs) != bool(self.test_contigs):
            raise ConfigError("data.valid_contigs and data.test_contigs go together: name contigs for both.")
        if bool(self.valid_fraction) != bool(self.test_fraction) or (self.test_contigs and self.test_fraction):
            raise ConfigError(
                "data.valid_fraction and data.test_fraction go together, and not with data.valid_contigs and "
                "data.test_contigs."
            )
        if self.regions and (self.test_fraction or self.test_contigs):
            raise ConfigError("data.regions says which part is which: leave out fractions and contigs of parts.")
        if self.test_annotation and (
            self.labels != "genes" or not (self.regions or self.test_fraction or self.test_contigs)
        ):
            raise ConfigError(
                "data.test_annotation labels the genes of a test part that is known beforehand: give data.labels=genes "
                "and data.regions, data.test_fraction or data.test_contigs."
            )
        self.windows: dict[str, Any] = {}

    def store(self, cache_dir: Path) -> GenomeStore:
        """Return the genome: that of `genome`, else that of the GenBank file."""
        files = expand_paths(self.genome or self.annotation)
        return genbank_store(files, case=self.case) if all(map(is_genbank, files)) else super().store(cache_dir)

    def _labelled(self) -> AnnotatedWindows:
        store = self.store(Path(self.cache_dir))
        contigs, classes, code, decode = self._genes(store) if self.labels == "genes" else self._features(store)
        parts = self._parts(contigs)
        if self.test_annotation:
            contigs = self._with_truth(contigs, parts, store)
        coverage = Coverage(self.tracks, self.norm) if self.tracks else None
        if coverage:
            coverage.check_against(store)
            contigs = {
                name: own._replace(coverage=coverage.values(name, 0, len(own.codes))) for name, own in contigs.items()
            }
        files = dict.fromkeys(
            str(file)
            for path in (self.genome, self.annotation, self.masked, self.regions, self.test_annotation)
            for file in (expand_paths(path) if path else ())
        )
        found = cut_annotated(contigs, parts, classes, window_bp=self.window_bp, files=files, least_bp=LEAST_BP)
        found.code, found.decode = code, decode
        if coverage:
            found.files += coverage.files
            found.tracks = coverage.described()
        logger.info("%s: %d windows; %s", self.annotation, len(found), self.windows)
        return found

    def _genes(self, store: GenomeStore) -> tuple[dict[str, Annotated], list[str], int, str]:
        models = read_genes(self.annotation, store, **self._reading())
        if self.masked:
            models = mask_others(models, read_genes(self.masked, store, **self._reading()))
        self.windows = {"genes": models.counts}
        wholes = {whole.name: whole for whole in labelled_contigs(models, store)}
        masked: dict[str, int] = {}
        for whole in wholes.values():
            for reason, count in whole.labels.masked_bases().items():
                masked[reason] = masked.get(reason, 0) + count
        self.windows |= {"masked_bases": masked, "genetic_code": models.code}
        introns = (end - start for gene in models.genes for start, end in gene.introns(len(wholes[gene.contig].codes)))
        spliced = any(size >= self.min_intron_bp for size in introns)
        decode = self.decode if self.decode != "auto" else "genes" if spliced else "orfs"
        contigs = {
            name: Annotated(np.asarray(whole.codes), gene_tracks(whole.labels), whole) for name, whole in wholes.items()
        }
        return contigs, GENE_CLASSES, models.code, decode

    def _reading(self) -> dict[str, Any]:
        """Return how annotations are read."""
        return {
            "code": self.genetic_code or 0,
            "codes": self.genetic_codes,
            "contigs": self.contigs,
            "min_intron_bp": self.min_intron_bp,
        }

    def _with_truth(
        self, contigs: Mapping[str, Annotated], parts: Mapping[str, Sequence[tuple[int, int, str]]], store: GenomeStore
    ) -> dict[str, Annotated]:
        """Give the intervals of the test part the labels and genes of another annotation."""
        truth = {
            one.name: one
            for one in labelled_contigs(read_genes(self.test_annotation or "", store, **self._reading()), store)
        }
        found = dict(contigs)
        for name, own in contigs.items():
            tested = [(start, end) for start, end, part in parts.get(name, ()) if part == "test"]
            if not tested or own.genes is None:
                continue
            if name not in truth:
                raise DataError(f"{self.test_annotation}: no feature on contig {name!r}, which is of the test part.")
            whole = own.genes.replaced(truth[name], tested)
            found[name] = own._replace(tracks=gene_tracks(whole.labels), genes=whole)
        return found

    def _features(self, store: GenomeStore) -> tuple[dict[str, Annotated], list[str], int, str]:
        kinds, given = tuple(map(str, self.features or ())), self.contigs or {}
        found = [
            feature._replace(contig=str(given.get(feature.contig, feature.contig)))
            for feature in read_features(self.annotation, set(kinds))
            if given.get(feature.contig, feature.contig) is not None
        ]
        check_contigs(store, {feature.contig: feature.place for feature in found})
        there = {feature.kind for feature in found}
        if missing := [kind for kind in kinds if kind not in there]:
            raise DataError(f"{self.annotation}: no feature of type {', '.join(map(repr, missing))} (data.features).")
        contigs = {}
        for contig in store.contigs:
            own = [feature for feature in found if feature.contig == contig.name]
            if not own:
                continue
            codes = np.asarray(store.codes[contig.start : contig.start + contig.length])
            labels = feature_labels(own, kinds, contig.name, contig.length).astype(np.int8)
            labels[:, codes == AMBIGUOUS] = IGNORED
            contigs[contig.name] = Annotated(codes, labels[:, None], None)
        self.windows = {"features": {kind: sum(feature.kind == kind for feature in found) for kind in kinds}}
        return contigs, [f"feature:{name}" for name in ("none", *kinds)], 1, ""

    def _parts(self, contigs: Mapping[str, Annotated]) -> dict[str, list[tuple[int, int, str]]]:
        """Return which intervals of each contig are of which part, "" where a split is made later."""
        if self.regions:
            return self._regions(contigs)
        if self.test_contigs and self.valid_contigs:
            sides = dict.fromkeys(map(str, self.test_contigs), "test")
            for name in map(str, self.valid_contigs):
                if sides.setdefault(name, "valid") == "test":
                    raise ConfigError(f"data.valid_contigs and data.test_contigs both name {name!r}.")
            if missing := sorted(set(sides) - set(contigs)):
                raise DataError(
                    f"data.valid_contigs or data.test_contigs names {not_one_of(missing[0], list(contigs))}, the "
                    f"contigs of the genome that {self.annotation} has features on"
                )
            return {name: [(0, len(own.codes), sides.get(name, "train"))] for name, own in contigs.items()}
        if not self.test_fraction:
            return {name: [(0, len(own.codes), "")] for name, own in contigs.items()}
        parts = {}
        for name, own in contigs.items():
            size = len(own.codes)
            first = round(size * (1 - self.valid_fraction - self.test_fraction))
            last = round(size * (1 - self.test_fraction))
            parts[name] = [(0, first, "train"), (first, last, "valid"), (last, size, "test")]
        return parts

    def _regions(self, contigs: Mapping[str, Annotated]) -> dict[str, list[tuple[int, int, str]]]:
        """Read which intervals are of which part; those of contigs without a feature are left out."""
        parts: dict[str, list[tuple[int, int, str]]] = {name: [] for name in contigs}
        for region in read_features(str(self.regions)):
            if region.name not in PARTS:
                raise DataError(f"{region.place}: name {not_one_of(region.name, PARTS)}, the part of the interval")
            if region.contig in contigs:
                length = len(contigs[region.contig].codes)
                if region.end > length:
                    raise DataError(
                        f"{region.place}: {region.start}-{region.end} does not lie in contig {region.contig!r} of "
                        f"{length:,} bases. Is this the genome of the intervals?"
                    )
                parts[region.contig].append((region.start, region.end, region.name))
        for name, own in parts.items():
            joined: list[tuple[int, int, str]] = []
            for start, end, part in sorted(own):
                last = joined[-1] if joined else (0, 0, "")
                if start < last[1]:
                    raise DataError(f"{self.regions}: {name}:{last[0]}-{last[1]} and {start}-{end} overlap")
                if (start, part) == last[1:]:
                    joined[-1] = (last[0], end, part)
                else:
                    joined.append((start, end, part))
            parts[name] = joined
        if not any(parts.values()):
            raise DataError(f"{self.regions}: no interval lies on a contig that {self.annotation} has features on")
        return parts
