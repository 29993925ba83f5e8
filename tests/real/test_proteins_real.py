"""The proteome of E. coli: what is known of it without learning, and who is related to whom."""

import gzip
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from Bio import SeqIO

from gulmfit.seq.alphabet import PROTEIN
from gulmfit.seq.genome.holdout import hold_out
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.related.homology import cluster_by_shared_kmers
from gulmfit.seq.simulate.markov import MarkovModel

pytestmark = pytest.mark.real


def test_the_proteome_of_ecoli(data_dir: Path) -> None:
    proteins: dict[str, str] = {}
    with gzip.open(data_dir / "ecoli_k12" / "GCF_000005845.2_ASM584v2_genomic.gbff.gz", "rt") as handle:
        for feature in next(SeqIO.parse(handle, "genbank")).features:
            if feature.type == "CDS" and "translation" in feature.qualifiers:
                proteins.setdefault(feature.qualifiers["locus_tag"][0], feature.qualifiers["translation"][0])
    store = GenomeStore.from_sequences(list(proteins), list(proteins.values()), alphabet="protein")
    assert store.summary()["contigs"] == 4288
    assert store.counts["U"] == store.summary()["ambiguous"] == 3  # the selenocysteines of three formate dehydrogenases
    seen = Counter("".join(proteins.values()))
    assert {letter: store.counts[letter] for letter in seen} == seen
    shares = np.array([seen[letter] for letter in PROTEIN.letters]) / sum(seen[letter] for letter in PROTEIN.letters)
    entropy = -(shares * np.log2(shares)).sum()

    holdout = hold_out(store.clear_intervals("split"), margin_bp=0)
    train, valid = ([(part.start, part.end) for part in half] for half in (holdout.train, holdout.valid))
    markov = MarkovModel.fit(store.codes, train, alphabet=PROTEIN)
    # Neighbours tell little of a residue: the best model of this kind is a few hundredths of a bit below none at all.
    assert entropy - 0.05 < markov.bits_per_base(store.codes, valid) < entropy

    groups = cluster_by_shared_kmers(list(proteins.values()), 9, PROTEIN)
    sizes = np.sort(np.bincount(groups))[::-1]
    assert sizes[0] == 72  # the ATPases of transporters, by their motifs; the next are regulators and transposases
    assert np.count_nonzero(sizes == 1) > 3000
