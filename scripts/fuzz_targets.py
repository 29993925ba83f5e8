"""Every reader of files from outside: good examples, made here, and a reading of all that is in them.

Libraries are imported where they are used, so that a process takes only the memory that its own target needs.
"""

import contextlib
import gzip
import io
import json
import pickle
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from fuzz_engine import Target
from fuzz_mutate import Case, _bgzf

GENOME = {"chr1": "ACGTTGCAAGGTCCATNNACGTRYACGTTGACATGCCCATTTGACCA" * 2, "chr2": "TTGACAACGTACGTA"}
FASTA = b">chr1 a genome\nACGTNNACGT\nRYKMacgt\n>chr2\nTTGACA\n"
FASTQ = b"@r1 read\nACGTN\n+\nIIII!\n@r2\nAC\n+r2\n~~\n"
BED = b'track name="x"\n# c\nchr1\t0\t10\tg1\t500\t+\nchr1\t4\t20\tg2\t.\t-\nchr2\t1\t1\tg3\t0.5\t.\n'
BED12 = b"chr1\t0\t40\tg1\t0\t+\t5\t35\t255,0,0\t2\t10,20,\t0,20,\nchr1 3 9 x 1 - 3 9 0 1 6 0\n"
GFF = (
    b"##gff-version 3\nchr1\tsrc\tregion\t1\t90\t.\t+\t.\tID=r;Is_circular=true\n"
    b"chr1\tsrc\tCDS\t5\t20\t0.5\t-\t0\tID=c1;Name=a%3Bb;note=x,y\nchr1\tsrc\tCDS\t80\t99\t.\t?\t1\tID=c1\n###\n"
    b"chr2\tsrc\tgene\t1\t9\t.\t.\t.\t.\n##FASTA\n>x\nACGT\n"
)
GTF = (
    b'chr1\ts\texon\t1\t9\t.\t+\t.\tgene_id "g1"; transcript_id "t \\"1\\""; level 2;\n'
    b'chr2\ts\tCDS\t2\t5\t7\t-\t0\tgene_id "g2"; tag "a"; tag "b";\n'
)
VCF = (
    b"##fileformat=VCFv4.3\n##INFO=<ID=AF,Number=A,Type=Float,Description=\"x\">\n"
    b"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tS1\n"
    b"chr1\t3\trs1\tG\tA,GT\t50\tPASS\tAF=0.5\tGT\t0/1\nchr1\t9\t.\tA\t<DEL>,*\t.\t.\t.\tGT\t1|1\n"
    b"chr1\t11\t.\tGTC\tG\t9\tq\tAF=.;DB\tGT\t./.\nchr2\t1\tbnd\tT\tG]17:198982]\t.\t.\t.\tGT\t0\nchr2\t5\t.\tC\t.\t.\t.\t.\tGT\t0\n"
)  # fmt: skip
GENBANK = (
    b"LOCUS       chr1                      60 bp    DNA     circular BCT 01-JAN-2020\nDEFINITION  example.\n"
    b"ACCESSION   chr1\nVERSION     chr1.1\nKEYWORDS    .\nSOURCE      Escherichia coli\n"
    b"  ORGANISM  Escherichia coli\n            Bacteria.\nFEATURES             Location/Qualifiers\n"
    b"     source          1..60\n                     /organism=\"Escherichia coli\"\n"
    b"     CDS             complement(10..40)\n                     /gene=\"a\"\n                     /locus_tag=\"b1\"\n"
    b"     CDS             join(50..60,1..5)\n                     /gene=\"b\"\n"
    b"     CDS             <11..(30.33)\n     misc_feature    5^6\n     tRNA            order(3..4,J00194.1:7..9)\n"
    b"ORIGIN\n        1 acgttgcaag gtccatnnac gtryacgttg acatgcccat ttgaccaacg ttgcaaggtc\n//\n"
)  # fmt: skip
TABLE = b'id,sequence,label,split\nr1,ACGTACGT,pos,train\nr2,"acgtn",neg,test\nr3,GGGTTTAA,pos,valid\nr4,TTTTACGT,neg,train\n'
RECORDS = [dict(zip(("id", "sequence", "label", "split"), line.split(","), strict=True))
           for line in TABLE.decode().replace('"', "").split("\n")[1:-1]]  # fmt: skip
DEEPBIND = b"FoldID\tEventID\tseq\tBound\nA\tseq_00001_peak\tACGTACGT\t1\nA\tseq_00002_shuf\tTTTTACGN\t0\n"
SPLIT_DATA = (
    ["a", "b", "c", "d", "e", "f"],
    ["ACGTA", "CCGTA", "GGGTA", "TTTTA", "ACACA", "GTGTG"],
    [0, 1, 0, 1, 0, 1],
)
CONFIG = b"""stage: {name: pretrain}
init_from: null
run: {name: x}
seed: 1
data: {_target_: gulmfit.data.sources.FastaSource, path: [a.fa, b.fa], case: upper}
trainer:
  max_steps: 10
  limits: [1, 2.5, true, null, "text"]
"""
WORDS = (b"chr1", b"chr2", b"chr3", b"+", b"-", b".", b"?")


def features(path: Path) -> None:
    """Read features, put their parts together, and cut them out of a genome."""
    from gulmfit.errors import GulmfitError
    from gulmfit.seq.bed import bed_line
    from gulmfit.seq.intervals import extract, join_parts, read_features
    from gulmfit.seq.store import GenomeStore

    store = GenomeStore.from_sequences(list(GENOME), list(GENOME.values()))
    found = list(read_features(path))
    for feature in join_parts(found):
        bed_line(feature)
        with contextlib.suppress(GulmfitError):  # a wrong place of one is no reason not to look at the others
            extract(store, feature)
    if ".bed" not in path.name:
        for _ in read_features(path, ["CDS"]):
            pass


def fasta(folder: Path, case: Case) -> None:
    """Read records whole and in pieces, which must agree; make a store of them."""
    from gulmfit.seq.fasta import read_fasta, read_fasta_pieces
    from gulmfit.seq.store import GenomeStore

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
    from gulmfit.seq.genbank import genbank_store, promoter_windows

    for name in case:
        features(folder / name)
        genbank_store(folder / name)
        with contextlib.suppress(GulmfitError):  # few windows fit
            promoter_windows(folder / name, upstream_bp=3, downstream_bp=3, margin_bp=1)


def vcf(folder: Path, case: Case) -> None:
    """Read variants, check them against a genome, and cut windows around them."""
    from gulmfit.errors import GulmfitError
    from gulmfit.predict.variant_check import left_out, survey
    from gulmfit.seq.haplotypes import windows
    from gulmfit.seq.intervals import contigs_by_name
    from gulmfit.seq.store import GenomeStore
    from gulmfit.seq.vcf import Vcf, declared, described, with_info

    store = GenomeStore.from_sequences(list(GENOME), list(GENOME.values()))
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
        survey(calls, contigs, "genome") if _takes(survey, 3) else None


def table(folder: Path, case: Case) -> None:
    """Read labelled sequences of each kind."""
    from gulmfit.errors import GulmfitError
    from gulmfit.seq.labelled import read_sequences, read_table

    for name in case:
        for targets in ("label_sets", "values"):
            with contextlib.suppress(GulmfitError):
                read_table(folder / name, targets=targets)
        for _ in read_sequences(folder / name, id="id"):
            pass
        read_table(folder / name, id="id", split="split")


def deepbind(folder: Path, case: Case) -> None:
    """Read peaks."""
    from gulmfit.seq.deepbind import read_deepbind

    for name in case:
        for peak in read_deepbind(folder / name):
            str(peak.origin)


def lineages(folder: Path, case: Case) -> None:
    """Read lineages and name their ranks."""
    from gulmfit.seq.lineages import prefix_ranks, read_lineages

    for name in case:
        prefix_ranks(list(read_lineages(folder / name).values()))


def data_folder(folder: Path, case: Case) -> None:
    """Read a data set of the hub."""
    from gulmfit.data.folder import FolderSource

    FolderSource(path=str(folder)).labelled()


def split_file(folder: Path, case: Case) -> None:
    """Use a split that somebody has stored."""
    from gulmfit.seq.labelled import LabelledSequences
    from gulmfit.seq.split_file import FileSplit

    ids, sequences, labels = SPLIT_DATA
    data = LabelledSequences(ids, sequences, labels, ["no", "yes"])  # type: ignore[arg-type]
    split = FileSplit(str(folder / "split.tsv"))
    split.groups(data)
    split(data)
    split.folds(data, 2)


def split_seeds() -> list[Case]:
    """Write a split, with folds and without."""
    from gulmfit.seq.split_file import _digest

    rows = [
        *zip(SPLIT_DATA[0], ("train", "train", "valid", "valid", "test", "test"), "001122", SPLIT_DATA[1], strict=True)
    ]
    texts = [
        "id\tpart\tgroup\tfold\tdigest\n"
        + "".join(f"{name}\t{part}\t{group}\t{fold[i]}\t{_digest(letters)}\n" for i, (name, part, group, letters) in enumerate(rows))
        for fold in (["0", "0", "1", "1", "0", "1"], ["0", "1", "0", "0", "1", "1"])
    ]  # fmt: skip
    return [{"split.tsv": text.encode()} for text in texts]


STORE = "0" * 64


def store_seeds() -> list[Case]:
    """Build a store."""
    import tempfile

    from gulmfit.seq.store import GenomeStore

    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "g.fa").write_bytes(FASTA)
        built = GenomeStore.build(Path(place) / "g.fa", Path(place) / "cache")
        files = {path.name: path.read_bytes() for path in Path(place, "cache").glob(f"{built.digest}*")}
        del built
    digest = next(iter(files)).partition(".")[0]
    return [
        {name.replace(digest, STORE): data.replace(digest.encode(), STORE.encode()) for name, data in files.items()}
    ]


def store(folder: Path, case: Case) -> None:
    """Open a store, with and without its checksums, and look at all of it."""
    from gulmfit.errors import StoreError
    from gulmfit.seq.store import GenomeStore

    with contextlib.suppress(StoreError):
        GenomeStore.open(folder, STORE, [Path("g.fa")])
    opened = GenomeStore.open(folder, STORE, [Path("g.fa")], check=False)
    for how in ("split", "unk"):
        for contig, start, end in opened.clear_intervals(how):
            if not 0 <= opened.contigs[contig].start <= start < end <= opened.codes.size:
                raise AssertionError("an interval leaves its contig")
            int(opened.codes[start:end].max())
    opened.summary()


def tokenizer_seeds() -> list[Case]:
    """Write documents of both kinds."""
    vocabulary = {"<pad>": 0, "<unk>": 1, "<sep>": 2, "A": 3, "C": 4, "G": 5, "T": 6, "AC": 7, "ACG": 8}
    added = [{"id": number, "content": name, "special": True} for name, number in vocabulary.items() if name[0] == "<"]
    bpe = {"type": "BPE", "unk_token": "<unk>", "vocab": vocabulary, "merges": [["A", "C"], ["AC", "G"]]}
    unigram = {
        "type": "Unigram",
        "unk_id": 0,
        "vocab": [["<unk>", 0.0], *([x, -1.5] for x in ("A", "C", "G", "T", "GT"))],
    }
    old = {**bpe, "merges": ["A C", "AC G"], "dropout": None, "byte_fallback": False}
    return [
        {"tokenizer.json": json.dumps({"version": "1.0", "added_tokens": added, "model": model}).encode()}
        for model in (bpe, unigram, old)
    ]


def tokenizer(folder: Path, case: Case) -> None:
    """Read a tokenizer and use it."""
    from gulmfit.seq.alphabet import decode, encode
    from gulmfit.seq.subword_training import SubwordRecipe

    kind = "unigram" if b"Unigram" in case["tokenizer.json"] else "bpe"
    read = SubwordRecipe(kind=kind, path=str(folder / "tokenizer.json")).read()
    codes = encode("ACGTACGNNACGTTTGCA")
    ids = read.encode(codes)
    if read.spans(codes)[-1, 1] != len(codes) or len(read.spans(codes)) != len(ids):
        raise AssertionError("the tokens do not tile the sequence")
    if len(read) < 5000:
        read.bases(), read.sizes(), read.vocabulary(), decode(codes)


def _spec() -> dict[str, Any]:
    return {
        "arch": {"_target_": "gulmfit.models.awd_rnn.AWDRNN", "embed_size": 4, "hidden_size": 6, "num_layers": 2},
        "head": {"_target_": "gulmfit.models.classifier.SequenceClassifier", "hidden_size": 5},
        "dropout": {"embed_p": 0.1, "input_p": 0.1, "weight_p": 0.1, "hidden_p": 0.1, "output_p": 0.1, "drop_mult": 1.0},
        "tokenizer": {"_target_": "gulmfit.seq.tokenizer.KmerTokenizer", "k": 2, "stride": 1},
        "classes": ["no", "yes"],
        "positive": "yes",
    }  # fmt: skip


def _language_spec() -> dict[str, Any]:
    head = {"_target_": "gulmfit.models.language_model.LanguageModel", "legal_successors": True}
    return {**_spec(), "head": head, "classes": None, "positive": None}


def _state(spec: dict[str, Any]) -> dict[str, Any]:
    import torch

    from gulmfit.checkpoint import build_model

    torch.manual_seed(0)
    return build_model(spec)[0].state_dict()


def model_seeds() -> list[Case]:
    """Write model folders."""
    import safetensors.torch

    calibration = {"kind": "temperature", "knots": [], "temperature": 1.5, "threshold": 0.4}
    isotonic = {"kind": "isotonic", "knots": [[0.1, 0.2], [0.5, 0.6]], "temperature": 1.0, "threshold": None}
    subword = {"_target_": "gulmfit.seq.subword.SubwordTokenizer",
               "document": tokenizer_seeds()[0]["tokenizer.json"].decode()}  # fmt: skip
    cases = []
    for spec, beside in (
        (_spec(), calibration),
        (_language_spec(), None),
        ({**_spec(), "tokenizer": subword}, isotonic),
    ):
        case = {"config.json": json.dumps({"format": 1, **spec}).encode()}
        case["model.safetensors"] = safetensors.torch.save(_state(spec))
        if beside:
            case["calibration.json"] = json.dumps(beside).encode()
        cases.append(case)
    return cases


def model_folder(folder: Path, case: Case) -> None:
    """Load a model and predict or score with it."""
    from gulmfit.checkpoint import load
    from gulmfit.errors import SequenceError
    from gulmfit.predict.likelihood import LikelihoodScorer
    from gulmfit.predict.predictor import Predictor

    with contextlib.suppress(SequenceError):  # too short for this tokenizer
        if load(folder).classes:
            Predictor.load(folder, device="cpu").predict(["ACGTACGTTGACA"])
        else:
            LikelihoodScorer.load(folder, device="cpu").score(["ACGTACGTTGACA"])


def checkpoint_seeds() -> list[Case]:
    """Write checkpoints."""
    import torch

    cases = []
    for spec in (_spec(), _language_spec()):
        content = {
            "epoch": 1, "global_step": 7, "pytorch-lightning_version": "2.5", "hyper_parameters": {"spec": spec},
            "state_dict": {f"model.{name}": tensor for name, tensor in _state(spec).items()},
            "optimizer_states": [{"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 0.1}]}],
        }  # fmt: skip
        packed = io.BytesIO()
        torch.save(content, packed)
        cases.append({"last.ckpt": packed.getvalue()})
    return cases


def checkpoint(folder: Path, case: Case) -> None:
    """Look whether a run can be continued, and load the model."""
    from gulmfit.checkpoint import load, read_progress
    from gulmfit.train.durable import newest_sound

    load(folder / "last.ckpt")
    read_progress(folder / "last.ckpt")
    newest_sound(folder)


def fastai_seeds() -> list[Case]:
    """Write models as fastai does, in either form of torch's files."""
    import torch

    from gulmfit.exchange.fastai_names import to_fastai

    entries = ["xxunk", "xxpad", "xxbos", *(a + b for a in "ACGT" for b in "ACGT")]
    language = _language_spec()
    language["head"]["legal_successors"] = False
    cases = []
    for spec, classifier in ((language, False), (_spec(), True)):
        for zipped in (True, False):
            packed = io.BytesIO()
            torch.save(
                {"model": to_fastai(_state(spec), classifier=classifier), "opt": None},
                packed,
                _use_new_zipfile_serialization=zipped,
            )
            cases.append({"weights.pth": packed.getvalue(), "vocab.json": json.dumps(entries).encode()})
    return cases


def fastai(folder: Path, case: Case) -> None:
    """Import a model."""
    from gulmfit.exchange.fastai_format import import_fastai

    vocabulary = next(name for name in case if name.startswith("vocab"))
    import_fastai(
        weights=str(folder / "weights.pth"), vocab=str(folder / vocabulary), output=str(folder / "out"), k=2, stride=1
    )


def vocabulary_seeds() -> list[Case]:
    """Write vocabularies of each kind."""
    import numpy as np

    entries = ["xxunk", "xxpad", "AA", "AC", "AG", "AT"]
    array = io.BytesIO()
    np.save(array, np.array(entries))
    return [
        {"v.json": json.dumps(entries).encode()},
        {"v.txt": "\n".join(entries).encode()},
        {"v.npy": array.getvalue()},
        {"v.pkl": pickle.dumps(entries)},
        {"v.pickle": pickle.dumps(entries, protocol=0)},
    ]


def vocabulary(folder: Path, case: Case) -> None:
    """Read a vocabulary."""
    from gulmfit.exchange.vocabulary import read_vocabulary

    for name in case:
        read_vocabulary(folder / name)


def track(folder: Path, case: Case) -> None:
    """Open a track and read all of it."""
    from gulmfit.errors import GulmfitError
    from gulmfit.seq.store import GenomeStore
    from gulmfit.seq.tracks import Track

    genome = GenomeStore.from_sequences(list(GENOME), list(GENOME.values()))
    name = next(name for name in case if not name.endswith(".bai"))
    opened = Track.open(folder / name)
    with contextlib.suppress(GulmfitError):
        opened.check_against(genome)
    for contig, length in opened.contigs.items():
        end = min(length, 1000)  # a track may tell a contig of any length; callers read what the genome has
        if len(opened.values(contig, 0, end)) != end:
            raise AssertionError("not one value a base")


def bigwig_seeds() -> list[Case]:
    """Write a bigWig file."""
    import tempfile

    import pybigtools

    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "t.bw"
        values = [("chr1", start, start + 5, start / 10) for start in range(0, 60, 7)] + [("chr2", 2, 5, 1.0)]
        writer = pybigtools.open(str(path), "w")
        writer.write({"chr1": len(GENOME["chr1"]), "chr2": len(GENOME["chr2"])}, iter(values))
        return [{"t.bw": path.read_bytes()}]


def bam_seeds() -> list[Case]:
    """Write a BAM file and its index."""
    import tempfile

    import pysam

    header = {"HD": {"VN": "1.6", "SO": "coordinate"},
              "SQ": [{"SN": name, "LN": len(letters)} for name, letters in GENOME.items()]}  # fmt: skip
    with tempfile.TemporaryDirectory() as place:
        path = str(Path(place) / "t.bam")
        with pysam.AlignmentFile(path, "wb", header=header) as out:
            for number in range(6):
                read = pysam.AlignedSegment(out.header)
                read.query_name, read.query_sequence, read.flag = f"r{number}", "ACGTACGT", 16 * (number % 2)
                read.reference_id, read.reference_start, read.mapping_quality = number // 4, 3 * (number % 4), 60
                read.cigartuples = [(0, 4), (2, 2), (0, 4)] if number == 1 else [(0, 8)]
                out.write(read)
        pysam.index(path)
        return [{"t.bam": Path(path).read_bytes(), "t.bam.bai": Path(path + ".bai").read_bytes()}]


def run_folder(folder: Path, case: Case) -> None:
    """Read what a run was started with, and what it reached."""
    from gulmfit.exchange.card import _read_config, _read_json
    from gulmfit.report.predictions import Predictions
    from gulmfit.train.curves import read_curves
    from gulmfit.train.run import read_config

    if "config.yaml" in case:
        read_config(folder)
        _read_config(folder / "config.yaml")
    if "test.tsv" in case:
        Predictions.read(folder)
        read_curves(folder / "metrics.csv")
        _read_json(folder / "metrics.json")


RUN_RESULTS = {
    "test.tsv": b"id\tlabel\tgroup\tno\tyes\nr1\tno\t0\t0.9\t0.1\nr2\tyes\t1\t0.2\t0.8\n",
    "baselines.tsv": b"id\tgc:no\tgc:yes\tmajority:no\tmajority:yes\nr1\t0.5\t0.5\t1\t0\nr2\t0.4\t0.6\t1\t0\n",
    "metrics.csv": b"epoch,step,train/loss,val/accuracy\n0,1,0.7,\n0,2,0.6,0.5\n",
    "metrics.json": b'{"metrics": {"test/accuracy": 0.5}, "positive": "yes"}',
}


def parquet_seeds() -> list[Case]:
    """Write a table as Parquet, packed and not."""
    import pyarrow
    import pyarrow.parquet

    cases = []
    for compression in ("none", "snappy"):
        packed = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(RECORDS), packed, compression=compression)
        cases.append({"t.parquet": packed.getvalue()})
    return cases


def folder_seeds() -> list[Case]:
    """Write data sets of the hub: tables with a card, and Arrow files with their state."""
    import pyarrow
    import pyarrow.ipc

    card = b"---\ndataset_info:\n  features:\n  - name: label\n    dtype:\n      class_label:\n        names:\n          '0': no\n          '1': yes\n---\n"
    info = json.dumps({"features": {"label": {"names": ["no", "yes"]}}}).encode()
    rows = b"sequence,label\nACGTACGT,0\nTTTTACGT,1\nGGGGACGT,0\nCCCCACGT,1\n"
    records = [{"sequence": "ACGTACGT", "label": 0}, {"sequence": "TTTTACGT", "label": 1}]
    packed = io.BytesIO()
    columns = pyarrow.Table.from_pylist(records)
    with pyarrow.ipc.new_stream(packed, columns.schema) as writer:
        writer.write_table(columns)
    state = {"_data_files": [{"filename": "data-00000.arrow"}], "_indices_data_files": None}
    return [
        {"train.csv": rows, "test.csv": rows, "README.md": card},
        {"data-00000.arrow": packed.getvalue(), "state.json": json.dumps(state).encode(), "dataset_info.json": info},
        {"train.jsonl": "".join(json.dumps(record) + "\n" for record in records).encode(), "dataset_info.json": info},
    ]  # fmt: skip


def _both(name: str, *texts: bytes) -> list[Case]:
    """Give each text plain and gzipped."""
    return [case for text in texts for case in ({name: text}, {f"{name}.gz": gzip.compress(text, 1, mtime=0)})]


def _each(read: Callable[[Path], Any]) -> Callable[[Path, Case], None]:
    def read_all(folder: Path, case: Case) -> None:
        for name in case:
            read(folder / name)

    return read_all


def _takes(function: Callable[..., Any], count: int) -> bool:
    return function.__code__.co_argcount == count


JSON_WORDS = (b"_target_", b"os.system", b"gulmfit.cli.words.sys.exit", b"model", b"vocab", b"merges", b"null", b"true")
TARGETS: Iterable[Target] = (
    Target(
        "fasta", lambda: [*_both("a.fa", FASTA), {"b.fa.bgz": _bgzf(FASTA)}], fasta, (b">", b">chr1"), ("seq/fasta.py",)
    ),
    Target("fastq", lambda: _both("a.fq", FASTQ), fasta, (b"@", b"+", b"@r1"), ("seq/fasta.py", "seq/fastq.py")),
    Target(
        "genbank",
        lambda: _both("a.gb", GENBANK),
        genbank,
        (b"join(", b"complement(", b"1..", b"?", b"one-of(1,2)", b"//", b"ORIGIN", b"LOCUS  "),
        ("seq/genbank.py",),
        0.5,
    ),
    Target("bed", lambda: [*_both("a.bed", BED, BED12)], _each(features), WORDS, ("seq/bed.py", "seq/features.py")),
    Target(
        "gff",
        lambda: [*_both("a.gff3", GFF), {"a.gff": GTF}, {"a.gtf": GTF}],
        _each(features),
        (*WORDS, b"Is_circular=true", b"gene_id", b"%3B", b"%00", b"%FF", b"##FASTA", b"ID="),
        ("seq/gff.py",),
    ),
    Target(
        "vcf",
        lambda: [*_both("a.vcf", VCF), {"a.vcf.gz": _bgzf(VCF)}],
        vcf,
        (*WORDS, b"<DEL>", b"*", b"]1:2]", b"#CHROM", b"##"),
        ("seq/vcf.py", "seq/haplotypes.py"),
    ),
    Target(
        "csv",
        lambda: [*_both("t.csv", TABLE), {"t.tsv": TABLE.replace(b",", b"\t")}],
        table,
        (b"sequence", b"label", b"split", b'"', b'""', b"pos;neg", b"train"),
        ("seq/tables.py", "seq/labelled.py"),
    ),
    Target(
        "jsonl",
        lambda: _both("t.jsonl", "\n".join(map(json.dumps, RECORDS)).encode()),
        table,
        (b"sequence", b"label", b"{", b"}", b"[", b":"),
        ("seq/tables.py",),
    ),
    Target("parquet", parquet_seeds, table, (b"PAR1", b"sequence"), ("seq/tables.py",), 0.5),
    Target("deepbind", lambda: _both("a.seq", DEEPBIND), deepbind, (b"seq_1_peak", b"1", b"0"), ("seq/deepbind.py",)),
    Target(
        "lineages",
        lambda: _both("t.txt", b">r1 k__Bacteria; p__Firmicutes; g__\nr2\tA;B\n"),
        lineages,
        (b";", b"k__", b">", b"__"),
        ("seq/lineages.py",),
    ),
    Target("split", split_seeds, split_file, (b"train", b"valid", b"test", b"unused", b"fold"), ("seq/split_file.py",)),
    Target(
        "data_folder",
        folder_seeds,
        data_folder,
        (b"names:", b"- name:", b"_data_files", b"filename", b"features"),
        ("seq/dataset_folder.py", "data/folder.py"),
        0.5,
    ),
    Target("store", store_seeds, store, (b"contigs", b"length", b"counts"), ("seq/store.py",)),
    Target("tokenizer", tokenizer_seeds, tokenizer, JSON_WORDS, ("seq/subword.py",), 0.5),
    Target("model_folder", model_seeds, model_folder, JSON_WORDS, ("checkpoint.py",), 0.2),
    Target(
        "checkpoint", checkpoint_seeds, checkpoint, (b"cposix\nsystem\n", b"R.", b"\x80\x02"), ("checkpoint.py",), 0.2
    ),
    Target(
        "fastai",
        fastai_seeds,
        fastai,
        (b"xxbos", b"0.rnns.0.", b"\x80\x02"),
        ("exchange/fastai_format.py", "exchange/fastai_names.py"),
        0.2,
    ),
    Target(
        "vocabulary",
        vocabulary_seeds,
        vocabulary,
        (b"cposix\nsystem\n", b"S'x'\n", b"(lp0\n", b"R."),
        ("exchange/vocabulary.py",),
    ),
    Target(
        "bedgraph",
        lambda: _both("t.bedGraph", b"track type=bedGraph\nchr1 0 5 1.5\nchr1 7 9 -2\nchr2\t1\t3\tnan\n"),
        track,
        WORDS,
        ("seq/tracks.py",),
    ),
    Target("bigwig", bigwig_seeds, track, (), ("seq/tracks.py",), 0.5),
    Target("bam", bam_seeds, track, (b"BAM\x01",), ("seq/tracks.py",), 0.5),
    Target(
        "config",
        lambda: [{"config.yaml": CONFIG}],
        run_folder,
        (b"${oc.env:HOME}", b"${", b"&a ", b"*a", b"!!python/object/apply:os.system", b"- ", b": ", b"[", b"{", b"???"),
        ("train/run.py",),
        0.2,
    ),
    Target(
        "results",
        lambda: [RUN_RESULTS],
        run_folder,
        (b"labels", b"values", b"label", b"nan"),
        ("report/predictions.py", "train/curves.py"),
        0.5,
    ),
)
