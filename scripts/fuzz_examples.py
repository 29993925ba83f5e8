"""Good examples of every kind of file that is read, all made here.

Libraries are imported where they are used, so that a process takes only the memory that its own target needs.
"""

import gzip
import io
import json
import pickle
from pathlib import Path
from typing import Any

from fuzz_mutate import Case

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
    b"     CDS             complement(10..40)\n                     /gene=\"a\"\n"
    b"                     /locus_tag=\"b1\"\n"
    b"     CDS             join(50..60,1..5)\n                     /gene=\"b\"\n"
    b"     CDS             <11..(30.33)\n     misc_feature    5^6\n     tRNA            order(3..4,J00194.1:7..9)\n"
    b"ORIGIN\n        1 acgttgcaag gtccatnnac gtryacgttg acatgcccat ttgaccaacg ttgcaaggtc\n//\n"
)  # fmt: skip
TABLE = (
    b'id,sequence,label,split\nr1,ACGTACGT,pos,train\nr2,"acgtn",neg,test\nr3,GGGTTTAA,pos,valid\n'
    b"r4,TTTTACGT,neg,train\n"
)
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
data: {_target_: gulmfit.data.sources.base.FastaSource, path: [a.fa, b.fa], case: upper}
trainer:
  max_steps: 10
  limits: [1, 2.5, true, null, "text"]
"""


def split_seeds() -> list[Case]:
    """Write a split, with folds and without."""
    from gulmfit.seq.splits.split_file import sequence_digest

    rows = [
        *zip(SPLIT_DATA[0], ("train", "train", "valid", "valid", "test", "test"), "001122", SPLIT_DATA[1], strict=True)
    ]
    texts = []
    for folds in ("001101", "010011"):
        lines = [
            f"{name}\t{part}\t{group}\t{fold}\t{sequence_digest(letters)}\n"
            for fold, (name, part, group, letters) in zip(folds, rows, strict=True)
        ]
        texts.append("id\tpart\tgroup\tfold\tdigest\n" + "".join(lines))
    return [{"split.tsv": text.encode()} for text in texts]


STORE = "0" * 64


def store_seeds() -> list[Case]:
    """Build a store."""
    import tempfile

    from gulmfit.seq.genome.store import GenomeStore

    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "g.fa").write_bytes(FASTA)
        built = GenomeStore.build(Path(place) / "g.fa", Path(place) / "cache")
        files = {path.name: path.read_bytes() for path in Path(place, "cache").glob(f"{built.digest}*")}
        del built
    digest = next(iter(files)).partition(".")[0]
    return [
        {name.replace(digest, STORE): data.replace(digest.encode(), STORE.encode()) for name, data in files.items()}
    ]


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


def classifier_spec() -> dict[str, Any]:
    return {
        "arch": {"_target_": "gulmfit.models.awd_rnn.AWDRNN", "embed_size": 4, "hidden_size": 6, "num_layers": 2},
        "head": {"_target_": "gulmfit.models.classifier.SequenceClassifier", "hidden_size": 5},
        "dropout": {"embed_p": 0.1, "input_p": 0.1, "weight_p": 0.1, "hidden_p": 0.1, "output_p": 0.1},
        "tokenizer": {"_target_": "gulmfit.seq.tokens.tokenizer.KmerTokenizer", "k": 2, "stride": 1},
        "classes": ["no", "yes"],
        "positive": "yes",
    }  # fmt: skip


def language_spec() -> dict[str, Any]:
    head = {"_target_": "gulmfit.models.language_model.LanguageModel", "legal_successors": True}
    return {**classifier_spec(), "head": head, "classes": None, "positive": None}


def state(spec: dict[str, Any]) -> dict[str, Any]:
    import torch

    from gulmfit.checkpoint import build_model

    torch.manual_seed(0)
    return build_model(spec)[0].state_dict()


def model_seeds() -> list[Case]:
    """Write model folders."""
    import safetensors.torch

    calibration = {"kind": "temperature", "knots": [], "temperature": 1.5, "threshold": 0.4}
    isotonic = {"kind": "isotonic", "knots": [[0.1, 0.2], [0.5, 0.6]], "temperature": 1.0, "threshold": None}
    subword = {"_target_": "gulmfit.seq.tokens.subword.SubwordTokenizer",
               "document": tokenizer_seeds()[0]["tokenizer.json"].decode()}  # fmt: skip
    cases = []
    for spec, beside in (
        (classifier_spec(), calibration),
        (language_spec(), None),
        ({**classifier_spec(), "tokenizer": subword}, isotonic),
    ):
        case = {"config.json": json.dumps({"format": 1, **spec}).encode()}
        case["model.safetensors"] = safetensors.torch.save(state(spec))
        if beside:
            case["calibration.json"] = json.dumps(beside).encode()
        cases.append(case)
    return cases


def checkpoint_seeds() -> list[Case]:
    """Write checkpoints."""
    import torch

    cases = []
    for spec in (classifier_spec(), language_spec()):
        content = {
            "epoch": 1, "global_step": 7, "pytorch-lightning_version": "2.5", "hyper_parameters": {"spec": spec},
            "state_dict": {f"model.{name}": tensor for name, tensor in state(spec).items()},
            "optimizer_states": [{"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 0.1}]}],
        }  # fmt: skip
        packed = io.BytesIO()
        torch.save(content, packed)
        cases.append({"last.ckpt": packed.getvalue()})
    return cases


def fastai_seeds() -> list[Case]:
    """Write models as fastai does, in either form of torch's files."""
    import torch

    from gulmfit.exchange.fastai_format import to_fastai

    entries = ["xxunk", "xxpad", "xxbos", *(a + b for a in "ACGT" for b in "ACGT")]
    language = language_spec()
    language["head"]["legal_successors"] = False
    cases = []
    for spec, classifier in ((language, False), (classifier_spec(), True)):
        for zipped in (True, False):
            packed = io.BytesIO()
            torch.save(
                {"model": to_fastai(state(spec), classifier=classifier), "opt": None},
                packed,
                _use_new_zipfile_serialization=zipped,
            )
            cases.append({"weights.pth": packed.getvalue(), "vocab.json": json.dumps(entries).encode()})
    return cases


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

    card = b"---\ndataset_info:\n  features:\n  - name: label\n    dtype:\n      class_label:\n"
    card += b"        names:\n          '0': no\n          '1': yes\n---\n"
    info = json.dumps({"features": {"label": {"names": ["no", "yes"]}}}).encode()
    rows = b"sequence,label\nACGTACGT,0\nTTTTACGT,1\nGGGGACGT,0\nCCCCACGT,1\n"
    records = [{"sequence": "ACGTACGT", "label": 0}, {"sequence": "TTTTACGT", "label": 1}]
    packed = io.BytesIO()
    columns = pyarrow.Table.from_pylist(records)
    with pyarrow.ipc.new_stream(packed, columns.schema) as writer:
        writer.write_table(columns)
    state = {"_data_files": [{"filename": "data-00000.arrow"}], "_indices_data_files": None}
    return [
        {"train.csv": rows, "test.csv": rows.replace(b"GGGG", b"GATT"), "README.md": card},
        {"data-00000.arrow": packed.getvalue(), "state.json": json.dumps(state).encode(), "dataset_info.json": info},
        {"train.jsonl": "".join(json.dumps(record) + "\n" for record in records).encode(), "dataset_info.json": info},
    ]  # fmt: skip


def both(name: str, *texts: bytes) -> list[Case]:
    """Give each text plain and gzipped."""
    return [case for text in texts for case in ({name: text}, {f"{name}.gz": gzip.compress(text, 1, mtime=0)})]
