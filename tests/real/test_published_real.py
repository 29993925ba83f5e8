"""DeepBind's ENCODE files and the 16S genes as they are published: the rules that the readers state."""

import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from gulmfit.data.sources.folder import FolderSource
from gulmfit.data.sources.peaks import ChipSeqSource, read_deepbind
from gulmfit.data.sources.reads import ReadsSource
from gulmfit.seq.related.overlap import kmers_by_sequence

pytestmark = pytest.mark.real


def pairs(data_dir: Path) -> list[tuple[Path, Path]]:
    found = sorted((data_dir / "chipseq_encode").glob("*_AC.seq.gz"))
    if not found:
        pytest.skip(f"no ChIP-seq peaks in {data_dir}")
    return [(path, path.with_name(path.name.replace("_AC.", "_B."))) for path in found]


def rank(event: str) -> int:
    match = re.fullmatch(r"seq_(\d{5})_(peak|shuf)", event)
    assert match is not None, event
    return int(match[1])


def test_odd_ranks_train_and_even_ones_test(data_dir: Path) -> None:
    for training, test in pairs(data_dir):
        peaks = list(read_deepbind(training))
        ranks = [rank(peak.event) for peak in peaks]
        assert all(peak.bound for peak in peaks)
        assert ranks == sorted(ranks)
        assert ranks[:500] == list(range(1, 1000, 2))
        assert min(ranks[500:]) == 1001
        held_out = list(read_deepbind(test))
        assert [rank(peak.event) for peak in held_out] == [*range(2, 1001, 2)] * 2
        assert [peak.bound for peak in held_out] == [True] * 500 + [False] * 500


def test_the_shuffles_of_the_test_files_are_exact(data_dir: Path) -> None:
    _, test = pairs(data_dir)[0]
    peaks = list(read_deepbind(test))
    for peak, shuffled in zip(peaks[:500], peaks[500:], strict=True):
        assert peak.origin == shuffled.origin
        assert peak.sequence != shuffled.sequence
        assert Counter(pairwise(peak.sequence)) == Counter(pairwise(shuffled.sequence))


def test_peaks_of_other_factors_are_matched_and_strangers(data_dir: Path) -> None:
    training, test = next(pair for pair in pairs(data_dir) if "CTCFL" in pair[0].name)
    others = [str(path) for path, _ in pairs(data_dir) if "SP1" in path.name]
    source = ChipSeqSource(path=str(training), test=str(test), negatives="matched", others=others, strongest=500)
    data = source.labelled()
    assert data.splits is not None
    assert {part: np.bincount(data.labels[data.splits == part]).tolist() for part in ("train", "test")} == {
        "train": [500, 500],
        "test": [500, 500],
    }
    assert source.record["beyond_tolerance"] <= 5
    assert source.record["gc_difference"]["mean"] < 0.002
    bound = data.labels == 1
    kmers, owners = kmers_by_sequence(data.sequences, 20)
    assert not set(kmers[bound[owners]].tolist()) & set(kmers[~bound[owners]].tolist())


def test_reads_of_a_hundred_genera(data_dir: Path) -> None:
    folder = data_dir / "rrna_16s"
    if not folder.is_dir():
        pytest.skip(f"no 16S genes in {data_dir}")
    ranks = ["class", "order", "family", "genus"]
    settings = {"path": str(folder / "1000seq.fasta.gz"), "ranks": ranks, "rank": "genus", "reads_per_sequence": 2}
    source = ReadsSource(**settings)
    data = source.labelled()
    assert (source.record["genes"], source.record["different_genes"], len(data.classes)) == (1000, 949, 100)
    table = ReadsSource(**settings, labels=str(folder / "taxonomy.txt.gz")).labelled()
    assert (table.ids, table.labels.tolist()) == (data.ids, data.labels.tolist())


@pytest.mark.parametrize(("task", "sizes"), [("tf_0", (32378, 1000, 1000)), ("prom_core_tata", (4904, 613, 613))])
def test_a_task_of_gue_is_a_folder(data_dir: Path, task: str, sizes: tuple[int, int, int]) -> None:
    folder = data_dir / "gue" / task
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    data = FolderSource(path=str(folder)).labelled()
    assert data.splits is not None
    assert tuple(int((data.splits == part).sum()) for part in ("train", "valid", "test")) == sizes
    assert data.classes == ["0", "1"]
