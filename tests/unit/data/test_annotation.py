"""Windows of an annotated genome: their labels are those of their place, wherever and whenever they are cut."""

from pathlib import Path

import numpy as np
import pytest
import torch

from gulmfit.data.sequences import ClassificationDataModule, StretchDataset
from gulmfit.data.sources.annotation import AnnotationSource
from gulmfit.errors import ConfigError, DataError
from gulmfit.seq.alphabet import decode
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.labels.annotated import AnnotatedWindows
from gulmfit.seq.labels.gene_labels import labelled_contigs
from gulmfit.seq.labels.gene_models import read_genes
from gulmfit.seq.labels.track_labels import GENE_CLASSES, gene_tracks
from gulmfit.seq.splits.split_position import ContigSplit, PositionSplit
from gulmfit.seq.tokens.tokenizer import KmerTokenizer
from tests.made_up_genes import write_genome


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_genome(tmp_path_factory.mktemp("genome"), genes=40, contigs=3)


def windows(files: tuple[Path, Path], **options: object) -> AnnotatedWindows:
    genome, annotation = files
    options = {"window_bp": 500, "cache_dir": str(genome.parent / "store")} | options
    source = AnnotationSource(genome=str(genome), annotation=str(annotation), **options)  # type: ignore[arg-type]
    found = source.labelled()
    assert isinstance(found, AnnotatedWindows)
    return found


def test_windows_cover_every_base_once_with_the_labels_of_its_place(files: tuple[Path, Path]) -> None:
    data = windows(files)
    store = GenomeStore.build(files[0], files[0].parent / "store")
    wholes = {one.name: one for one in labelled_contigs(read_genes(files[1], store), store)}
    assert data.classes == GENE_CLASSES
    assert (data.code, data.decode, data.splits) == (11, "orfs", None)
    seen = {name: np.zeros(len(one.codes), int) for name, one in wholes.items()}
    for text, label, (name, start, end, strand) in zip(data.sequences, data.labels, data.loci or [], strict=True):
        assert strand == "+"
        assert 400 < end - start < 600
        assert text == decode(wholes[name].codes[start:end])
        assert (label[..., : end - start] == gene_tracks(wholes[name].labels)[..., start:end]).all()
        seen[name][start:end] += 1
    assert all((count == 1).all() for count in seen.values())
    assert [(one.contig, one.start, one.end) for one in data.stretches()] == [
        (name, 0, len(one.codes)) for name, one in sorted(wholes.items())
    ]


def test_shares_of_every_contig_are_cut_at_their_bases(files: tuple[Path, Path]) -> None:
    data = windows(files, valid_fraction=0.1, test_fraction=0.2)
    assert data.splits is not None
    for part, low, high in (("train", 0, 0.7), ("valid", 0.7, 0.8), ("test", 0.8, 1)):
        own = data.subset(data.splits == part)
        assert isinstance(own, AnnotatedWindows)
        for one in own.stretches():
            size = len(data.contigs[one.contig].codes)
            assert (one.start, one.end) == (round(size * low), round(size * high))
        for stretch, whole in zip(own.stretches(), own.labelled_parts(), strict=True):
            genes = data.contigs[stretch.contig].genes
            assert genes is not None
            inside = [g for g in genes.genes if stretch.start <= g.span[0] and g.span[1] <= stretch.end]
            assert [gene.three_prime + stretch.start for gene in whole.genes] == [gene.three_prime for gene in inside]


def test_contigs_are_dealt_by_name_and_splits_go_by_position(files: tuple[Path, Path]) -> None:
    data = windows(files, valid_contigs=["c2"], test_contigs=["c3"])
    assert data.splits is not None
    parts = {(part, locus[0]) for part, locus in zip(data.splits.tolist(), data.loci or [], strict=True)}
    assert parts == {("train", "c1"), ("valid", "c2"), ("test", "c3")}
    plain = windows(files)
    for split in (
        ContigSplit(0.3, 0.3, 0, keep_copies=False),
        PositionSplit(0.2, 0.2, 0, keep_copies=False, block_bp=2_000),
    ):
        found = split(plain)
        assert set(found.tolist()) == {"train", "valid", "test"}


def test_training_windows_move_inside_their_stretch(files: tuple[Path, Path]) -> None:
    data = windows(files, valid_fraction=0.1, test_fraction=0.2)
    assert data.splits is not None
    train, tokenizer = data.subset(data.splits == "train"), KmerTokenizer(3, 3)
    dataset = StretchDataset(train, tokenizer)
    bounds = {one.contig: (one.start, one.end) for one in train.stretches()}
    torch.manual_seed(0)
    seen = {name: np.zeros(len(own.codes), bool) for name, own in data.contigs.items()}
    starts = set()
    for _ in range(4):
        for index in range(len(dataset)):
            tokens, label, number = dataset[index]
            assert number == index
            contig, start, end, _ = (train.loci or [])[index]
            whole, (low, high) = data.contigs[contig], bounds[contig]
            fits = [
                at
                for at in range(max(low, start - (end - start)), min(high, end + (end - start)) - (end - start) + 1)
                if (whole.tracks[..., at : at + end - start] == label).all()
                and np.array_equal(tokenizer.encode(whole.codes[at : at + end - start]), tokens)
            ]
            assert len(fits) == 1, index
            assert abs(fits[0] - start) <= (end - start) / 2 + 1
            starts.add(fits[0] - start)
            seen[contig][fits[0] : fits[0] + end - start] = True
    assert len(starts) > 50
    for name, (low, high) in bounds.items():
        assert seen[name][low:high].mean() > 0.99
        assert not seen[name][high:].any()  # nothing of validation and test


def test_batches_hold_masked_labels_past_the_end(files: tuple[Path, Path]) -> None:
    data = windows(files, valid_fraction=0.1, test_fraction=0.2)
    assert data.splits is not None
    parts = {part: data.subset(data.splits == part) for part in ("train", "valid", "test")}
    module = ClassificationDataModule(parts, KmerTokenizer(3, 3), batch_size=4, seed=0)
    for loader in (module.train_dataloader(), module.val_dataloader()):
        batch = next(iter(loader))
        assert batch.labels.shape[:3] == (4, 2, 2)
        assert batch.labels.dtype == torch.int8
        assert int(batch.lengths.max()) * 3 <= batch.labels.shape[-1] < int(batch.lengths.max()) * 3 + 3


def test_types_of_features_are_classes(files: tuple[Path, Path]) -> None:
    data = windows(files, labels="features", features=["CDS", "gene"])
    assert data.classes == ["feature:none", "feature:CDS", "feature:gene"]
    genes = windows(files)
    coding = genes.labels[:, :, 0] == 2
    assert ((data.labels[:, :, 0] == 1) == coding).all()  # the genes are all CDS, so none is left for the others
    with pytest.raises(DataError, match="tRNA"):
        windows(files, labels="features", features=["CDS", "tRNA"])


def test_bad_input_is_refused(files: tuple[Path, Path], tmp_path: Path) -> None:
    genome, annotation = files
    with pytest.raises(ConfigError, match="genetic code 99"):
        windows(files, genetic_code=99)
    with pytest.raises(ConfigError, match=r"data\.decode"):
        windows(files, decode="viterbi")
    with pytest.raises(ConfigError, match="go together"):
        windows(files, test_fraction=0.2)
    with pytest.raises(DataError, match="'c9'"):
        windows(files, valid_contigs=["c1"], test_contigs=["c9"])
    renamed = tmp_path / "renamed.gff3"
    renamed.write_text(annotation.read_text().replace("\nc", "\nchrc"))
    with pytest.raises(DataError, match=r"data\.contigs=\{chrc1: c1, chrc2: c2, chrc3: c3\}"):
        windows((genome, renamed))
    mapped = windows((genome, renamed), contigs={"chrc1": "c1", "chrc2": "c2", "chrc3": None})
    assert {locus[0] for locus in mapped.loci or []} == {"c1", "c2"}
    # Another assembly: the same annotation on a genome that lacks a few hundred bases.
    other = tmp_path / "other.fa"
    records = (record.partition("\n") for record in genome.read_text()[1:].split(">"))
    other.write_text("".join(f">{name}\n{text.strip()[300:]}{'A' * 300}\n" for name, _, text in records))
    with pytest.raises(DataError, match=r"\d+ of \d+"):
        windows((other, annotation))
