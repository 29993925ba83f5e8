"""Every reader gives back as many records as a file holds, less those that it counts with a reason."""

import gzip
import json
import logging
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from gulmfit.data.sources.folder import FolderSource
from gulmfit.data.sources.peaks import read_deepbind
from gulmfit.predict.variant_check import survey
from gulmfit.seq.alphabet import encode
from gulmfit.seq.formats.bed import read_bed
from gulmfit.seq.formats.fasta import read_fasta, read_fasta_pieces
from gulmfit.seq.formats.gff import read_gff
from gulmfit.seq.formats.tables import read_rows
from gulmfit.seq.formats.vcf import Vcf
from gulmfit.seq.genome.genbank import genbank_store, read_genbank
from gulmfit.seq.labels.labelled import read_sequences
from gulmfit.seq.labels.lineages import read_lineages

COUNT = 40
NOTES = ['"alpha', 'beta"', "N/A", 'a "b" c', "#x", "d'e", ""]  # of columns that nobody asks for
COLUMNS = {"sequence": "sequence"}
GENBANK = """LOCUS       {name}                 12 bp    DNA     linear   BCT 01-JAN-2020
DEFINITION  {note}
ACCESSION   {name}
VERSION     {name}.1
FEATURES             Location/Qualifiers
     gene            1..6
                     /note="{note}"
ORIGIN
        1 acgtacgtac gt
//
"""


def note(index: int) -> str:
    return NOTES[index % len(NOTES)]


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


FILES: dict[str, tuple[Callable[[int], str], str]] = {
    "a.fa": (lambda i: f">r{i} {note(i)}\nACGT\nAC\n", ""),
    "a.fq": (lambda i: f"@r{i // 2} {1 + i % 2}:N:0\nACGT\n+\n@+>\"\n", ""),
    "a.csv": (lambda i: f"{i},{quoted(note(i))},ACGT\n", "id,note,sequence\n"),
    "b.csv": (lambda i: f"{i},{quoted(note(i) + chr(10) + 'more')},ACGT\r\n", "id,note,sequence\r\n"),
    "a.tsv": (lambda i: f"{i}\t{note(i)}\tACGT\n", "id\tnote\tsequence\n"),
    "a.jsonl": (lambda i: json.dumps({"note": note(i), "sequence": "ACGT"}) + "\n", ""),
    "a.parquet": (note, ""),
    "a.bed": (lambda i: f"c\t{i}\t{i + 4}\t{note(i) or '.'}\n", ""),
    "a.gff3": (lambda i: f"c\ts\tgene\t{i + 1}\t{i + 4}\t.\t+\t.\tID=g{i};note={note(i)}; {note(i)};note=x\n", ""),
    "a.gtf": (lambda i: f'c\ts\tgene\t{i + 1}\t{i + 4}\t.\t+\t.\tgene_id "g{i}"; note {note(i)}\n', ""),
    "a.gb": (lambda i: GENBANK.format(name=f"R{i:04}", note=f"µ{i}"), ""),
    "a.vcf": (
        lambda i: f"c\t{i + 1}\t.\t{'AN'[i % 2]}\t{('C', '<DEL>', 'G', '*')[i % 4]}\t.\t.\t{note(i)}\n",
        "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n",
    ),
    "a.seq": (lambda i: f"A\tseq_{i:05}_peak\tACGT\t1\n", "FoldID\tEventID\tseq\tBound\n"),
    "taxonomy.txt": (lambda i: f"S{i}\t{'k__A; p__B' if i % 5 else 'Unassigned'}\n", ""),
}  # fmt: skip


def reader(path: Path) -> Callable[[], int]:
    """Return what counts the records that come out of a file."""
    by_suffix: dict[str, Callable[[], int]] = {
        ".fa": lambda: len(list(read_fasta(path))),
        ".fq": lambda: len({record.id for record in read_fasta(path)}),
        ".bed": lambda: len(list(read_bed(path))),
        ".gff3": lambda: len(list(read_gff(path))),
        ".gtf": lambda: len(list(read_gff(path))),
        ".gb": lambda: len(list(read_genbank(path))),
        ".vcf": lambda: len(list(Vcf(path).records())),
        ".seq": lambda: len(list(read_deepbind(path))),
        ".txt": lambda: len(read_lineages(path)),
    }
    suffix = Path(path.name.removesuffix(".gz")).suffix
    return by_suffix.get(suffix, lambda: len(list(read_rows(path, COLUMNS))))


def write(path: Path, name: str) -> Path:
    make, header = FILES[name]
    if name.endswith(".parquet"):
        pa = pytest.importorskip("pyarrow")
        import pyarrow.parquet

        columns = {"note": [make(i) for i in range(COUNT)], "sequence": ["ACGT"] * COUNT}
        pyarrow.parquet.write_table(pa.table(columns), path / name)
        return path / name
    encoding = "latin-1" if name.endswith(".gb") else "utf-8"
    data = (header + "".join(map(make, range(COUNT)))).encode(encoding)
    packed = path / f"{name}.gz"
    packed.write_bytes(gzip.compress(data))
    (path / name).write_bytes(data)
    return path / name


@pytest.mark.parametrize("name", FILES)
def test_what_goes_in_comes_out_or_is_counted(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path, name)
    for file in (path, *tmp_path.glob(f"{name}.gz")):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            found = reader(file)()
        left_out = re.search(r"(\d+) id\(s\) have no lineage and are left out", caplog.text)
        assert found + (int(left_out[1]) if left_out else 0) == COUNT
        assert bool(left_out) == name.startswith("taxonomy")


@pytest.mark.parametrize("name", ["a.fa", "a.fq", "a.csv", "b.csv", "a.tsv", "a.jsonl", "a.parquet"])
def test_prediction_reads_as_many(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name)
    assert len(list(read_sequences(path))) == COUNT
    if name[-2:] in ("fa", "fq"):
        assert len({piece.id for piece in read_fasta_pieces(path)}) == COUNT


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl"])
def test_folders_read_as_many(tmp_path: Path, suffix: str) -> None:
    for part, count in (("train", COUNT), ("test", 10)):
        rows = [("ACGT" + "ACGT"[i % 4] * (count // 10), "xy"[i % 2], note(i)) for i in range(count)]
        columns = ("sequence", "label", "note")
        if suffix == ".jsonl":
            text = "".join(json.dumps(dict(zip(columns, row, strict=True))) + "\n" for row in rows)
        else:
            mark, cell = (",", quoted) if suffix == ".csv" else ("\t", str)
            text = "".join(mark.join(map(cell, row)) + "\n" for row in [columns, *rows]).replace(
                '"sequence","label","note"', "sequence,label,note"
            )
        (tmp_path / f"{part}{suffix}").write_text(text)
    assert len(FolderSource(path=str(tmp_path)).labelled()) == COUNT + 10


def test_variants_are_scored_or_have_a_reason(tmp_path: Path) -> None:
    calls = Vcf(write(tmp_path, "a.vcf"))
    found = survey(calls, {"c": encode("A" * (COUNT + 1))}, "genome")
    alleles = sum(len(record.alts) for record in calls.records())
    symbolic = sum(alt[0] in "<*" for record in calls.records() for alt in record.alts)
    assert (found.records, found.alleles + symbolic, found.mismatches) == (COUNT, alleles, 0)
    assert symbolic == COUNT // 2


def test_genbank_gives_all_its_sequences(tmp_path: Path) -> None:
    assert len(genbank_store(write(tmp_path, "a.gb")).contigs) == COUNT
