"""Every reader of files from outside, and how all that is in a file is read.

Libraries are imported where they are used, so that a process takes only the memory that its own target needs.
"""

import contextlib
import json
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

from fuzz_engine import Target
from fuzz_examples import (
    BED,
    BED12,
    CONFIG,
    DEEPBIND,
    FASTA,
    FASTQ,
    GENBANK,
    GENOME,
    GFF,
    GTF,
    RECORDS,
    RUN_RESULTS,
    SPLIT_DATA,
    STORE,
    TABLE,
    VCF,
    bam_seeds,
    bigwig_seeds,
    both,
    checkpoint_seeds,
    fastai_seeds,
    folder_seeds,
    model_seeds,
    parquet_seeds,
    split_seeds,
    store_seeds,
    tokenizer_seeds,
    vocabulary_seeds,
)
from fuzz_mutate import Case, bgzf

WORDS = (b"chr1", b"chr2", b"chr3", b"+", b"-", b".", b"?")


@cache
def genome() -> Any:
    """Make the genome that features and variants lie on."""
    from gulmfit.seq.genome.store import GenomeStore

    return GenomeStore.from_sequences(list(GENOME), list(GENOME.values()))


def features(path: Path) -> None:
    """Read features, put their parts together, and cut them out of a genome."""
    from gulmfit.errors import GulmfitError
    from gulmfit.seq.genome.contigs import extract, join_parts, read_features

    store = genome()
    found = list(read_features(path))
    for feature in join_parts(found):
        with contextlib.suppress(GulmfitError):  # a wrong place of one is not a reason not to look at the others
            extract(store, feature)
    if ".bed" not in path.name:
        for _ in read_features(path, ["CDS"]):
            pass


def fasta(folder: Path, case: Case) -> None:
    """Read records whole and in pieces, which must agree; make a store of them."""
    from gulmfit.seq.formats.fasta import read_fasta, read_fasta_pieces
    from gulmfit.seq.genome.store import GenomeStore

    for name in case:
        whole = {record.id: record.sequence for record in read_fasta(folder / name)}
        pieces: dict[str, bytes] = {}
        for piece in read_fasta_pieces(folder / name):
            pieces[piece.id] = pieces.get(piece.id, b"") + piece.letters
        if {key: letters.decode() for key, letters in pieces.items()} != whole:
            raise AssertionError("pieces differ from records")
        GenomeStore.from_sequences(list(whole), list(whole.values())).clear_intervals("split")


def genbank(folder: Path, case: Case) -> None:
    """Read features and sequences, and cut promoters."""
    from gulmfit.errors import GulmfitError
    from gulmfit.seq.genome.genbank import genbank_store
    from gulmfit.seq.labels.gene_starts import promoter_windows

    for name in case:
        features(folder / name)
        genbank_store(folder / name)
        with contextlib.suppress(GulmfitError):  # few windows fit
            promoter_windows(folder / name, upstream_bp=3, downstream_bp=3, margin_bp=1)


def vcf(folder: Path, case: Case) -> None:
    """Read variants, check them against a genome, and cut windows around them."""
    from gulmfit.errors import GulmfitError
    from gulmfit.predict.variant_check import left_out, survey
    from gulmfit.seq.formats.vcf import Vcf, declared, described, with_info
    from gulmfit.seq.genome.contigs import contigs_by_name
    from gulmfit.seq.genome.haplotypes import windows

    store = genome()
    contigs = contigs_by_name(store)
    for name in case:
        calls = Vcf(folder / name)
        declared(described(calls.header, ["##x"]))
        for record in calls.records():
            with_info(record, {"X": ["1"] * len(record.alts)}).encode("utf-8", "surrogateescape")
            if record.contig in contigs:
                contig = contigs[record.contig]
                codes = store.codes[contig.start : contig.start + contig.length]
                with contextlib.suppress(GulmfitError):
                    for alt, reason in zip(record.alts, left_out(record, codes), strict=True):
                        if not reason and max(len(record.ref), len(alt)) < 12:
                            for reverse in (False, True):
                                cut = windows(codes, record.start, record.ref, alt, 12, reverse=reverse)
                                if len(cut.reference) > 12 or len(cut.alternative) > 12:
                                    raise AssertionError("a window is longer than asked for")
        places = {name: store.codes[item.start : item.start + item.length] for name, item in contigs.items()}
        survey(calls, places, "genome")


def table(folder: Path, case: Case) -> None:
    """Read labelled sequences of each kind."""
    from gulmfit.errors import GulmfitError
    from gulmfit.seq.labels.labelled import read_sequences, read_table

    for name in case:
        for targets in ("label_sets", "values"):
            with contextlib.suppress(GulmfitError):
                read_table(folder / name, targets=targets)
        for _ in read_sequences(folder / name, id="id"):
            pass
        read_table(folder / name, id="id", split="split")


def deepbind(folder: Path, case: Case) -> None:
    """Read peaks."""
    from gulmfit.data.sources.peaks import read_deepbind

    for name in case:
        for peak in read_deepbind(folder / name):
            str(peak.origin)


def lineages(folder: Path, case: Case) -> None:
    """Read lineages and name their ranks."""
    from gulmfit.seq.labels.lineages import prefix_ranks, read_lineages

    for name in case:
        prefix_ranks(list(read_lineages(folder / name).values()))


def data_folder(folder: Path, case: Case) -> None:
    """Read a data set of the hub."""
    from gulmfit.data.sources.folder import FolderSource

    FolderSource(path=str(folder)).labelled()


def split_file(folder: Path, case: Case) -> None:
    """Use a split that somebody has stored."""
    from gulmfit.seq.labels.labelled import LabelledSequences
    from gulmfit.seq.splits.split_file import FileSplit

    ids, sequences, labels = SPLIT_DATA
    data = LabelledSequences(ids, sequences, labels, ["no", "yes"])  # type: ignore[arg-type]
    split = FileSplit(str(folder / "split.tsv"))
    split.groups(data)
    split(data)
    split.folds(data, 2)


def store(folder: Path, case: Case) -> None:
    """Open a store, with and without its checksums, and look at all of it."""
    from gulmfit.errors import StoreError
    from gulmfit.seq.genome.store import GenomeStore

    with contextlib.suppress(StoreError):
        GenomeStore.open(folder, STORE, [Path("g.fa")])
    opened = GenomeStore.open(folder, STORE, [Path("g.fa")], check=False)
    for how in ("split", "unk"):
        for contig, start, end in opened.clear_intervals(how):
            if not 0 <= opened.contigs[contig].start <= start < end <= opened.codes.size:
                raise AssertionError("an interval leaves its contig")
            int(opened.codes[start:end].max())
    opened.summary()


def tokenizer(folder: Path, case: Case) -> None:
    """Read a tokenizer and use it."""
    from gulmfit.seq.alphabet import decode, encode
    from gulmfit.seq.tokens.subword_training import SubwordRecipe

    kind = "unigram" if b"Unigram" in case["tokenizer.json"] else "bpe"
    read = SubwordRecipe(kind=kind, path=str(folder / "tokenizer.json")).read()
    codes = encode("ACGTACGNNACGTTTGCA")
    ids = read.encode(codes)
    if read.spans(codes)[-1, 1] != len(codes) or len(read.spans(codes)) != len(ids):
        raise AssertionError("the tokens do not tile the sequence")
    if len(read) < 5000:
        read.bases(), read.sizes(), read.vocabulary(), decode(codes)


def model_folder(folder: Path, case: Case) -> None:
    """Load a model and predict or score with it."""
    from gulmfit.checkpoint import load
    from gulmfit.errors import SequenceError
    from gulmfit.predict.language.likelihood import LikelihoodScorer
    from gulmfit.predict.predictor import Predictor

    with contextlib.suppress(SequenceError):  # too short for this tokenizer
        if load(folder).classes:
            Predictor.load(folder, device="cpu").predict(["ACGTACGTTGACA"])
        else:
            LikelihoodScorer.load(folder, device="cpu").score(["ACGTACGTTGACA"])


def checkpoint(folder: Path, case: Case) -> None:
    """Look whether a run can be continued, and load the model."""
    from gulmfit.checkpoint import load, read_progress
    from gulmfit.train.survive.durable import newest_sound

    load(folder / "last.ckpt")
    read_progress(folder / "last.ckpt")
    newest_sound(folder)


def fastai(folder: Path, case: Case) -> None:
    """Import a model."""
    from gulmfit.exchange.fastai_format import import_fastai

    vocabulary = next(name for name in case if name.startswith("vocab"))
    import_fastai(
        weights=str(folder / "weights.pth"), vocab=str(folder / vocabulary), output=str(folder / "out"), k=2, stride=1
    )


def vocabulary(folder: Path, case: Case) -> None:
    """Read a vocabulary."""
    from gulmfit.exchange.vocabulary import read_vocabulary

    for name in case:
        read_vocabulary(folder / name)


def track(folder: Path, case: Case) -> None:
    """Open a track and read all of it."""
    from gulmfit.errors import GulmfitError
    from gulmfit.seq.genome.tracks import Track

    name = next(name for name in case if not name.endswith(".bai"))
    opened = Track.open(folder / name)
    with contextlib.suppress(GulmfitError):
        opened.check_against(genome())
    for contig, length in opened.contigs.items():
        end = min(length, 1000)  # a track may tell a contig of any length; callers read what the genome has
        if len(opened.values(contig, 0, end)) != end:
            raise AssertionError("not one value a base")


def run_folder(folder: Path, case: Case) -> None:
    """Read what a run was started with, and what it reached."""
    from gulmfit.exchange.card import _read_config, _read_json
    from gulmfit.report.kinds.predictions import Predictions
    from gulmfit.train.run import read_config
    from gulmfit.train.survive.curves import read_curves

    if "config.yaml" in case:
        read_config(folder)
        _read_config(folder / "config.yaml")
    if "test.tsv" in case:
        Predictions.read(folder)
        read_curves(folder / "metrics.csv")
        _read_json(folder / "metrics.json")


def _each(read: Callable[[Path], Any]) -> Callable[[Path, Case], None]:
    def read_all(folder: Path, case: Case) -> None:
        for name in case:
            read(folder / name)

    return read_all


TORCH = "gulmfit.train.run"  # imports torch and all that comes with it
PICKLE_WORDS = (b"cposix\nsystem\n", b"S'x'\n", b"(lp0\n", b"R.", b"\x80\x02")
JSON_WORDS = (b"_target_", b"os.system", b"gulmfit.cli.words.sys.exit", b"model", b"vocab", b"merges", b"null", b"true")
TARGETS: Iterable[Target] = (
    Target(
        "fasta",
        lambda: [*both("a.fa", FASTA), {"b.fa.bgz": bgzf(FASTA)}],
        fasta,
        (b">", b">chr1"),
        ("seq/formats/fasta.py",),
    ),
    Target(
        "fastq",
        lambda: both("a.fq", FASTQ),
        fasta,
        (b"@", b"+", b"@r1"),
        ("seq/formats/fasta.py", "seq/formats/fasta.py"),
    ),
    Target(
        "genbank",
        lambda: both("a.gb", GENBANK),
        genbank,
        (b"join(", b"complement(", b"1..", b"?", b"one-of(1,2)", b"//", b"ORIGIN", b"LOCUS  "),
        ("seq/genome/genbank.py",),
        0.5,
    ),
    Target(
        "bed",
        lambda: [*both("a.bed", BED, BED12)],
        _each(features),
        WORDS,
        ("seq/formats/bed.py", "seq/formats/features.py"),
    ),
    Target(
        "gff",
        lambda: [*both("a.gff3", GFF), {"a.gff": GTF}, {"a.gtf": GTF}],
        _each(features),
        (*WORDS, b"Is_circular=true", b"gene_id", b"%3B", b"%00", b"%FF", b"##FASTA", b"ID="),
        ("seq/formats/gff.py",),
    ),
    Target(
        "vcf",
        lambda: [*both("a.vcf", VCF), {"a.vcf.gz": bgzf(VCF)}],
        vcf,
        (*WORDS, b"<DEL>", b"*", b"]1:2]", b"#CHROM", b"##"),
        ("seq/formats/vcf.py", "seq/genome/haplotypes.py"),
    ),
    Target(
        "csv",
        lambda: [*both("t.csv", TABLE), {"t.tsv": TABLE.replace(b",", b"\t").replace(b'"', b"")}],
        table,
        (b"sequence", b"label", b"split", b'"', b'""', b"pos;neg", b"train"),
        ("seq/formats/tables.py", "seq/labels/labelled.py"),
    ),
    Target(
        "jsonl",
        lambda: both("t.jsonl", "\n".join(map(json.dumps, RECORDS)).encode()),
        table,
        (b"sequence", b"label", b"{", b"}", b"[", b":"),
        ("seq/formats/tables.py",),
    ),
    Target("parquet", parquet_seeds, table, (b"PAR1", b"sequence"), ("seq/formats/tables.py",), 0.5),
    Target(
        "deepbind", lambda: both("a.seq", DEEPBIND), deepbind, (b"seq_1_peak", b"1", b"0"), ("data/sources/peaks.py",)
    ),
    Target(
        "lineages",
        lambda: both("t.txt", b">r1 k__Bacteria; p__Firmicutes; g__\nr2\tA;B\n"),
        lineages,
        (b";", b"k__", b">", b"__"),
        ("seq/labels/lineages.py",),
    ),
    Target(
        "split",
        split_seeds,
        split_file,
        (b"train", b"valid", b"test", b"unused", b"fold"),
        ("seq/splits/split_file.py",),
    ),
    Target(
        "data_folder",
        folder_seeds,
        data_folder,
        (b"names:", b"- name:", b"_data_files", b"filename", b"features"),
        ("seq/labels/dataset_folder.py", "data/sources/folder.py"),
        0.5,
    ),
    Target("store", store_seeds, store, (b"contigs", b"length", b"counts"), ("seq/genome/store.py",)),
    Target("tokenizer", tokenizer_seeds, tokenizer, JSON_WORDS, ("seq/tokens/subword.py",), 0.5),
    Target("model_folder", model_seeds, model_folder, JSON_WORDS, ("checkpoint.py",), 0.2, TORCH),
    Target(
        "checkpoint",
        checkpoint_seeds,
        checkpoint,
        (b"cposix\nsystem\n", b"R.", b"\x80\x02"),
        ("checkpoint.py",),
        0.2,
        TORCH,
    ),
    Target(
        "fastai",
        fastai_seeds,
        fastai,
        (b"xxbos", b"0.rnns.0.", b"\x80\x02"),
        ("exchange/fastai_format.py", "exchange/fastai_format.py"),
        0.2,
        TORCH,
    ),
    Target(
        "vocabulary",
        vocabulary_seeds,
        vocabulary,
        PICKLE_WORDS,
        ("exchange/vocabulary.py",),
    ),
    Target(
        "bedgraph",
        lambda: both("t.bedGraph", b"track type=bedGraph\nchr1 0 5 1.5\nchr1 7 9 -2\nchr2\t1\t3\tnan\n"),
        track,
        WORDS,
        ("seq/genome/tracks.py",),
    ),
    Target("bigwig", bigwig_seeds, track, (), ("seq/genome/tracks.py", "seq/formats/track_checks.py"), 0.5),
    Target("bam", bam_seeds, track, (b"BAM\x01",), ("seq/genome/tracks.py", "seq/formats/track_checks.py"), 0.5),
    Target(
        "config",
        lambda: [{"config.yaml": CONFIG}],
        run_folder,
        (b"${oc.env:HOME}", b"${", b"&a ", b"*a", b"!!python/object/apply:os.system", b"- ", b": ", b"[", b"{", b"???"),
        ("train/run.py",),
        0.2,
        TORCH,
    ),
    Target(
        "results",
        lambda: [RUN_RESULTS],
        run_folder,
        (b"labels", b"values", b"label", b"nan"),
        ("report/kinds/predictions.py", "train/survive/curves.py"),
        0.5,
        TORCH,
    ),
)
