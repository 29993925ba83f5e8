"""Shuffled ChIP-seq peaks: what composition alone still tells, and what it no longer may."""

import csv
import gzip
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gulmfit.evaluate.baselines.inputs import kmer_features
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.seq.negatives.making import make_negatives

genomic = partial(make_negatives, how="genomic")

FACTORS = ("SP1_GM12878", "MYC_H1-hESC", "FOXA1_HepG2")


def peaks(data_dir: Path, factor: str) -> LabelledSequences:
    """Return the 500 strongest peaks of the training file of a factor: 101 bp each, centred."""
    found = sorted((data_dir / "chipseq_encode").glob(f"{factor}_*_AC.seq.gz"))
    if not found:
        pytest.skip(f"no ChIP-seq peaks of {factor} in {data_dir}")
    with gzip.open(found[0], "rt") as handle:
        rows = [row for row in csv.DictReader(handle, delimiter="\t") if row["Bound"] == "1"][:500]
    return LabelledSequences(
        [row["EventID"] for row in rows], [row["seq"] for row in rows], np.zeros(len(rows), np.int64), ["peak"]
    )


def dinucleotide_auc(positives: LabelledSequences, k: int) -> float:
    """AUC of a logistic regression on dinucleotides; a peak and its shuffle are always scored together."""
    negatives = make_negatives(positives, k=k, seed=0)
    features = kmer_features(positives.sequences + negatives.sequences, 2)
    labels = np.repeat([1, 0], [len(positives), len(negatives.ids)])
    pairs = np.concatenate([np.arange(len(positives)), negatives.partners])
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    scores = cross_val_predict(model, features, labels, groups=pairs, cv=GroupKFold(5), method="predict_proba")
    return float(roc_auc_score(labels, scores[:, 1]))


@pytest.mark.real
@pytest.mark.parametrize("factor", FACTORS)
def test_dinucleotides_tell_peaks_from_letters_shuffled_but_not_from_dinucleotides_shuffled(
    data_dir: Path, factor: str
) -> None:
    positives = peaks(data_dir, factor)
    assert len(positives) == 500
    assert dinucleotide_auc(positives, k=1) > 0.6
    assert 0.45 < dinucleotide_auc(positives, k=2) < 0.55


@pytest.mark.real
def test_windows_of_a_real_genome_are_matched(data_dir: Path, tmp_path: Path) -> None:
    genome = data_dir / "yeast" / "Saccharomyces_cerevisiae.R64-1-1.dna.toplevel.fa.gz"
    if not genome.exists():
        pytest.skip(f"{genome} not found")
    positives = peaks(data_dir, FACTORS[2])
    found = genomic(positives, GenomeStore.build(genome, tmp_path), per_positive=4)
    assert len(found.ids) == 2000
    # Yeast has few windows as rich in G and C as the richest of these human peaks; what gives way is told.
    assert found.record["beyond_tolerance"] < 20
    assert found.record["gc_difference"]["mean"] < 0.02
