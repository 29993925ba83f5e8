"""Windows of annotated contigs, which know where they come from: training cuts them anew, and genes span them.

Shapes: `N` windows, `L` bases.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gulmfit.seq.alphabet import Codes, decode
from gulmfit.seq.labels.gene_labels import LabelledContig
from gulmfit.seq.labels.labelled import LabelledSequences, Locus
from gulmfit.seq.labels.targets import Labels


class GaplessWindows(NamedTuple):
    """Windows that follow each other without a gap.

    Attributes:
        contig: Name of their contig.
        start, end: The bases that they cover.
        windows: Their indices, from left to right.
    """

    contig: str
    start: int
    end: int
    windows: list[int]


class Annotated(NamedTuple):
    """A contig with its labels.

    Attributes:
        codes: Its bases (L,).
        tracks: Their labels (2, K, L), as of `gulmfit.seq.labels.track_labels`.
        genes: What is known of its genes; None where labels are not of genes.
        coverage: Measured values (A, L), as of `gulmfit.seq.genome.coverage`; None without.
    """

    codes: Codes
    tracks: Labels
    genes: LabelledContig | None
    coverage: npt.NDArray[np.float32] | None = None


@dataclass(eq=False)
class AnnotatedWindows(LabelledSequences):
    """Windows, and the contigs that they were cut from.

    Attributes:
        contigs: Whole contigs by name.
        window_bp: Bases of a window, more or less.
        code: Number of the genetic code.
        decode: How probabilities become genes, `orfs` or `genes`; empty where labels are not of genes.
        tracks: What a model keeps of the measured values that it reads; empty where there are none.
    """

    contigs: Mapping[str, Annotated] = field(default_factory=dict)
    window_bp: int = 0
    code: int = 1
    decode: str = ""
    tracks: Mapping[str, Any] = field(default_factory=dict)

    def stretches(self) -> list[GaplessWindows]:
        """Join windows that follow each other, in the order of contigs and positions."""
        found: list[GaplessWindows] = []
        loci = self.loci or []
        for index in sorted(range(len(loci)), key=lambda one: loci[one][:2]):
            contig, start, end, _ = loci[index]
            if found and (found[-1].contig, found[-1].end) == (contig, start):
                found[-1] = found[-1]._replace(end=end, windows=[*found[-1].windows, index])
            else:
                found.append(GaplessWindows(contig, start, end, [index]))
        return found

    def labelled_parts(self) -> list[LabelledContig]:
        """Return the stretches with the genes that lie wholly in each; none where labels are not of genes."""
        wholes = ((self.contigs[one.contig].genes, one) for one in self.stretches())
        return [whole.part(one.start, one.end) for whole, one in wholes if whole is not None]


def cut_annotated(
    contigs: Mapping[str, Annotated],
    parts: Mapping[str, Sequence[tuple[int, int, str]]],
    classes: Sequence[str],
    *,
    window_bp: int,
    files: Iterable[str],
    least_bp: int,
) -> AnnotatedWindows:
    """Cut contigs into windows of equal size, each as near to `window_bp` as its interval allows.

    Args:
        contigs: By name.
        parts: Of each contig the intervals (start, end, part), of which no window crosses an end; the part is "" where
            a split is made later.
        classes: Names of the classes of all tracks.
        window_bp: Bases of a window.
        files: What they were read from.
        least_bp: Intervals that are shorter are left out.
    """
    loci: list[Locus] = []
    splits: list[str] = []
    for name in contigs:
        for start, end, part in parts[name]:
            if end - start < least_bp:
                continue
            edges = np.linspace(start, end, max(1, round((end - start) / window_bp)) + 1).astype(np.int64).tolist()
            loci += [(name, low, high, "+") for low, high in pairwise(edges)]
            splits += [part] * (len(edges) - 1)
    labels = [contigs[name].tracks[:, :, start:end] for name, start, end, _ in loci]
    width = max(label.shape[-1] for label in labels)
    return AnnotatedWindows(
        [f"{name}:{start}-{end}" for name, start, end, _ in loci],
        [decode(contigs[name].codes[start:end]) for name, start, end, _ in loci],
        np.stack([np.pad(one, ((0, 0), (0, 0), (0, width - one.shape[-1])), constant_values=-1) for one in labels]),
        list(classes),
        splits=np.array(splits) if all(splits) else None,
        files=list(files),
        loci=loci,
        targets="tracks",
        contigs=contigs,
        window_bp=window_bp,
    )
