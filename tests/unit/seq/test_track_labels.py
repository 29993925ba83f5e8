"""Labels of both strands in several tracks: shapes, masks, the other strand, and what is refused."""

import numpy as np
import pytest

from gulmfit.errors import DataError
from gulmfit.seq.genome.genes import GeneModel
from gulmfit.seq.labels.gene_labels import gene_labels
from gulmfit.seq.labels.gene_models import GeneModels, Masked
from gulmfit.seq.labels.position_labels import END, IGNORED
from gulmfit.seq.labels.track_labels import GENE_CLASSES, Tracks, gene_tracks

NAMES = ["class:no", "class:yes", "phase:none", "phase:0", "phase:1"]


def labels(lengths: list[int]) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [
        np.stack([generator.integers(0, 2, (2, size)), generator.integers(2, 5, (2, size))], axis=1) for size in lengths
    ]


def test_labels_are_padded_trimmed_and_batched() -> None:
    kind, rows = Tracks(), labels([5, 9, 3])
    found = kind.array(rows)
    assert found.shape == (3, 2, 2, 9)
    assert found.dtype == np.int8
    for row, own in zip(found, rows, strict=True):
        assert (row[..., : own.shape[-1]] == own).all()
        assert (row[..., own.shape[-1] :] == END).all()
    assert kind.array(found[[0, 2]]).shape == (2, 2, 2, 5)
    batch = kind.batch([found[0], found[2]])
    assert batch.shape == (2, 2, 2, 5)
    assert (batch[1, ..., 3:] == IGNORED).all()
    kind.check(found, NAMES, ["a", "b", "c"])
    kind.fits(found, ["A" * 5, "A" * 9, "A" * 3], ["a", "b", "c"])


def test_the_other_strand_is_the_first_one_there() -> None:
    kind = Tracks()
    (row,) = kind.array(labels([6]))
    padded = np.concatenate([row, np.full((2, 2, 2), END, np.int8)], axis=-1)
    turned = kind.turned(padded)
    for strand, track, at in np.ndindex(2, 2, 6):
        assert turned[strand, track, at] == row[1 - strand, track, 5 - at]
    assert (turned[..., 6:] == END).all()
    assert (kind.turned(turned) == padded).all()


def test_counts_are_those_of_every_strand() -> None:
    kind, rows = Tracks(), labels([5, 9])
    found = kind.array(rows)
    found[0, 1, 0, 2] = IGNORED
    expected = {name: int(sum((row == at).sum() for row in found)) for at, name in enumerate(NAMES)}
    assert kind.counts(found, NAMES) == expected
    assert kind.held(found, 6).tolist() == [True] * 5 + [False]
    assert len(kind.text(found[0], NAMES)) == 4 * 5 + 3


def test_what_does_not_fit_is_refused() -> None:
    kind = Tracks()
    found = kind.array(labels([5]))
    for strand, track, value in ((0, 0, 2), (1, 1, 1), (0, 1, 5), (0, 0, -3)):
        wrong = found.copy()
        wrong[0, strand, track, 3] = value
        with pytest.raises(DataError, match=r"'a' at position 3"):
            kind.check(wrong, NAMES, ["a"])
    with pytest.raises(DataError, match=r"record a: \[5, 5, 5, 5\] .*\b6 letters"):
        kind.fits(found, ["A" * 6], ["record a"])
    with pytest.raises(DataError, match="data=annotation"):
        kind.read([["ab"]], ["label"], ["line 2"], "x.tsv")
    one_class = np.where(found < 2, 0, found)
    with pytest.raises(DataError, match="class:no"):
        kind.check_training(one_class, NAMES, "x.gff")
    kind.check_training(found, NAMES, "x.gff")


def test_gene_tracks_leave_out_what_is_masked() -> None:
    genes = [GeneModel("c", "+", ((10, 40),)), GeneModel("c", "-", ((60, 90),)), GeneModel("c", "+", ((35, 65),))]
    masked = [Masked("c", "-", 5, 20, "pseudogene", "p", "")]
    codes = np.random.default_rng(0).integers(0, 4, 100).astype(np.uint8)
    codes[95] = 4
    known = gene_labels(GeneModels(genes, masked, ["c"]), "c", codes)
    found = gene_tracks(known)
    assert found.shape == (2, 2, 100)
    for strand, at in np.ndindex(2, 100):
        one, phase = found[strand, :, at]
        assert one == (IGNORED if known.masked[strand, at] else known.classes[strand, at])
        assert phase == (IGNORED if known.phase_masked[strand, at] else known.phases[strand, at] + 4)
        assert phase == IGNORED or GENE_CLASSES[phase].startswith("phase:")
    assert (found[1, :, 5:20] == IGNORED).all()
    assert (found[:, :, 95] == IGNORED).all()
    assert (found[0, 0, 35:40] == 2).all()  # two genes in different frames: the class is known,
    assert (found[0, 1, 35:40] == IGNORED).all()  # the phase is not
