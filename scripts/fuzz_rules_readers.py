"""Rules of the readers: labels, encodings, repeated content, counts. What is given is read, or is refused."""

import csv
import gzip
import io
import json
import random
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gulmfit.data.sources.folder import FolderSource
from gulmfit.data.sources.peaks import read_deepbind
from gulmfit.errors import GulmfitError
from gulmfit.seq.formats.bed import read_bed
from gulmfit.seq.formats.fasta import read_fasta
from gulmfit.seq.formats.gff import read_gff
from gulmfit.seq.formats.tables import read_rows
from gulmfit.seq.formats.vcf import Vcf
from gulmfit.seq.labels.labelled import read_fasta_classes, read_table, read_table_splits
from gulmfit.seq.labels.lineages import read_lineages

ODD_TEXTS = (
    "cpg", "CpG", " cpg", "tata box", "NA", "nan", "None", "null", "", " ", "1", "01", "1.0", "-1", "1_5", "True", "id",
    "label", "sequence", "a;b", "a,b", "a\tb", 'say "x"', '"', "'", "['cpg']", "[0, 1]", "{}", "b'x'", "é", "e\u0301",
    "µ", "日本", "a|b", "=1+1", "#x", "\\n", "a\nb", "\u00a0x", "x\u200b", "(other)", "[2Fe-2S]", "5'-UTR",
)  # fmt: skip
ODD_VALUES: tuple[Any, ...] = (
    None, 0, 1, 7, -3, 1.0, 2.5, True, False, [], ["a"], ["a", "b"], ["b", "a"], ["a;b"], [""], [0, 1, 1], [1], [True],
    [3, 5],     ["a", 1], [1.5], [["a"]], {"a": 1}, {}, float("nan"), float("inf"), 10**30,
)  # fmt: skip


def _letters(rng: random.Random, least: int = 8, most: int = 16) -> str:
    return "".join(rng.choices("ACGT", k=rng.randint(least, most)))


def _text(rng: random.Random) -> str:
    if rng.random() < 0.5:
        return rng.choice(ODD_TEXTS)
    return "".join(rng.choices(string.ascii_letters + string.digits + " _-;,.\"'\té[]{}", k=rng.randint(1, 8)))


def _write_table(path: Path, header: list[str], rows: list[list[str]], kind: str) -> None:
    if kind == "csv":
        with open(path, "w", newline="", encoding="utf-8") as handle:
            csv.writer(handle).writerows([header, *rows])
    else:
        path.write_text("".join("\t".join(row) + "\n" for row in [header, *rows]), encoding="utf-8", newline="")


# What a program prints of a list, a set, bytes and a one-hot vector: how it begins and ends.
PRINTED = {"['": "]", "{'": "}", "b'": "'", "[0": "]"}


def labels(rng: random.Random, folder: Path) -> str | None:
    """Labels of text come out of a CSV, TSV or JSONL as they went in, but for white space around them."""
    given = [_text(rng) for _ in range(rng.randint(2, 6))]
    rows = [[_letters(rng), label] for label in given]
    kind = rng.choice(("csv", "tsv", "jsonl"))
    if kind == "tsv" and any(set(label) & set("\t\n\r") for label in given):
        kind = "csv"  # TSV cannot hold these
    path = folder / f"t.{kind}"
    if kind == "jsonl":
        path.write_text("".join(json.dumps({"sequence": a, "label": b}) + "\n" for a, b in rows), encoding="utf-8")
    else:
        _write_table(path, ["sequence", "label"], rows, kind)
    sets = rng.random() < 0.3
    try:
        data = read_table(path, targets="label_sets" if sets else "classes")
    except GulmfitError:
        return None
    found = [data.kind.text(label, data.classes) for label in data.labels]
    if data.sequences != [row[0] for row in rows]:
        return f"{kind}: sequences {data.sequences} of {rows}"
    if any(label[-1:] == PRINTED.get(label[:2]) and len(label) > 3 for label in found):
        return f"{kind}: {found} holds what a program printed"
    wanted = [label.strip() for label in given]
    if sets:
        wanted = [";".join(sorted(name.strip() for name in label.split(";") if label)) for label in wanted]
        found = [";".join(sorted(label.split(";"))) for label in found]
    return None if found == wanted else f"{kind}{' sets' if sets else ''}: {wanted} became {found}"


def label_types(rng: random.Random, folder: Path) -> str | None:
    """A label that is not text is a number, a truth value or a set of names, or is refused with its line."""
    given = [rng.choice(ODD_VALUES) for _ in range(rng.randint(2, 4))]
    targets = rng.choice(("classes", "label_sets", "values"))
    path = folder / "t.jsonl"
    path.write_text("".join(json.dumps({"sequence": _letters(rng), "label": label}) + "\n" for label in given))
    try:
        data = read_table(path, targets=targets)
    except GulmfitError as error:
        return None if str(path) in str(error) else f"{error} names no file for {given}"
    for value, label in zip(given, data.labels, strict=True):
        text = data.kind.text(label, data.classes)
        if targets == "values":
            good = isinstance(value, int | float) and not isinstance(value, bool) and float(value) == float(text)
        elif isinstance(value, list):
            names = set(map(str, value))
            good = targets == "label_sets" and set(filter(None, text.split(";"))) == names and set(value) != {0, 1}
        else:
            good = not isinstance(value, dict | float) and text == ("" if value is None else str(value))
            good = good and (value is not None or targets == "label_sets")
        if not good:
            return f"{targets}: {value!r} became {text!r}"
    return None


def encodings(rng: random.Random, folder: Path) -> str | None:
    """Text in any encoding is read as it was, or is refused with the name of its file."""
    names = [rng.choice(("µ", "é", "ß", "Ω", "日本", "a")) + rng.choice("xyz") + str(index) for index in range(3)]
    encoding = rng.choice(("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "latin-1"))
    kind = rng.choice(("csv", "tsv", "jsonl", "bed", "gff3", "fasta", "lineages", "deepbind"))
    end = rng.choice(("\n", "\r\n"))
    letters = [_letters(rng) for _ in names]
    pairs = list(zip(letters, names, strict=True))
    text = {
        "csv": lambda: "sequence,label\n" + "".join(f"{a},{b}\n" for a, b in pairs),
        "tsv": lambda: "sequence\tlabel\n" + "".join(f"{a}\t{b}\n" for a, b in pairs),
        "jsonl": lambda: "".join(json.dumps({"sequence": a, "label": b}, ensure_ascii=False) + "\n" for a, b in pairs),
        "bed": lambda: "".join(f"chr1\t{i}\t{i + 5}\t{b}\n" for i, (_, b) in enumerate(pairs)),
        "gff3": lambda: "".join(f"c\ts\tgene\t{i + 1}\t{i + 5}\t.\t+\t.\tName={b}\n" for i, (_, b) in enumerate(pairs)),
        "fasta": lambda: "".join(f">{b} x\n{a}\n" for a, b in pairs),
        "lineages": lambda: "".join(f"{b}\tA;B\n" for _, b in pairs),
        "deepbind": lambda: "FoldID\tEventID\tseq\tBound\n" + "".join(f"A\t{b}\t{a}\t1\n" for a, b in pairs),
    }[kind]()
    try:
        data = text.replace("\n", end).encode(encoding)
    except UnicodeEncodeError:
        return None
    path = folder / f"t.{'txt' if kind == 'lineages' else kind}"
    path.write_bytes(gzip.compress(data, 1) if rng.random() < 0.3 else data)
    try:
        if kind in ("csv", "tsv", "jsonl"):
            found = [row["label"] for _, row in read_rows(path, {"sequence": "sequence", "label": "label"})]
        elif kind == "bed":
            found = [feature.name for feature in read_bed(path)]
        elif kind == "gff3":
            found = [feature.name for feature in read_gff(path)]
        elif kind == "fasta":
            found = [record.id for record in read_fasta(path)]
        elif kind == "lineages":
            found = list(read_lineages(path))
        else:
            found = [peak.event for peak in read_deepbind(path)]
    except GulmfitError as error:
        return None if str(path) in str(error) else f"{kind} in {encoding}: {error} does not name the file"
    return None if found == names else f"{kind} in {encoding}: {names} became {found}"


def duplicates(rng: random.Random, folder: Path) -> str | None:
    """The same content twice among the inputs is refused, naming both files; different content is read whole."""
    same, way = rng.random() < 0.6, rng.choice(("table", "parts", "fasta", "classes", "folder"))
    count = rng.randint(2, 4)
    rows = [(_letters(rng, 20, 20), "ab"[index % 2]) for index in range(2 * count)]
    others = [(_letters(rng, 20, 20), label) for _, label in rows]
    fasta = way in ("fasta", "classes")

    def write(name: str, content: list[tuple[str, str]], packed: bool) -> Path:
        if fasta:
            text = "".join(f">r{index}\n{letters}\n" for index, (letters, _) in enumerate(content))
        else:
            text = "sequence,label\n" + "".join(f"{letters},{label}\n" for letters, label in content)
        path = folder / (name + (".gz" if packed else ""))
        data = text.encode()
        path.write_bytes(gzip.compress(data, rng.choice((1, 9))) if packed else data)
        return path

    names = ("a.fa", "b.fa") if fasta else ("train.csv", "test.csv")
    if way == "folder" and same and rng.random() < 0.5:
        names = ("train.csv", "train.csv")
        first, second = write(names[0], rows, False), write(names[1], rows, True)
        write("test.csv", others, False)
    else:
        packed = [rng.random() < 0.5, rng.random() < 0.5]
        first, second = write(names[0], rows, packed[0]), write(names[1], rows if same else others, packed[1])
    read: dict[str, Callable[[], int]] = {
        "table": lambda: len(read_table([first, second])),
        "parts": lambda: len(read_table_splits(first, second)),
        "fasta": lambda: sum(1 for _ in read_fasta([first, second])),
        "classes": lambda: len(read_fasta_classes({"a": first, "b": second})),
        "folder": lambda: len(FolderSource(path=str(folder)).labelled()),
    }
    try:
        found = read[way]()
    except GulmfitError as error:
        if not same:
            return f"{way}: refused, though they differ: {error}"
        return None if str(first) in str(error) and str(second) in str(error) else f"{way}: not both named: {error}"
    if same:
        return f"{way}: {first.name} and {second.name} hold the same, and {found} records were read"
    return None if found == len(rows) + len(others) else f"{way}: {found} records of {len(rows) + len(others)}"


def counts(rng: random.Random, folder: Path) -> str | None:
    """As many rows come out as went in, whatever stands in the columns that nobody asks for."""
    count, kind = rng.randint(1, 12), rng.choice(("csv", "tsv", "jsonl", "fasta", "fastq", "bed", "gff3", "vcf"))
    letters = [_letters(rng) for _ in range(count)]
    notes = [rng.choice(('"alpha', 'beta"', '""', "a'b", "x", "", "N/A", 'q "r" s', "# no comment")) for _ in letters]
    path = folder / f"t.{kind}"
    if kind == "jsonl":
        rows = [json.dumps({"note": note, "sequence": one}) for note, one in zip(notes, letters, strict=True)]
        text = "\n".join(rows) + "\n"
    elif kind == "csv":
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator=rng.choice(("\n", "\r\n")))
        broken = [note + rng.choice(("", "\n", "\nmore\n")) for note in notes]
        writer.writerows(
            [["id", "note", "sequence"], *([i, a, b] for i, (a, b) in enumerate(zip(broken, letters, strict=True)))]
        )
        text = buffer.getvalue()
    elif kind == "tsv":
        rows = [f"{i}\t{note}\t{one}" for i, (note, one) in enumerate(zip(notes, letters, strict=True))]
        text = "\n".join(["id\tnote\tsequence", *rows]) + "\n"
    elif kind == "fasta":
        text = "".join(f">r{i} {note}\n{one}\n" for i, (note, one) in enumerate(zip(notes, letters, strict=True)))
    elif kind == "fastq":
        mates = rng.random() < 0.5
        names = [f"r{i // 2} {1 + i % 2}:N:0" if mates else f"r{i}" for i in range(count)]
        qualities = ["".join(rng.choices('@+>I"', k=len(one))) for one in letters]
        text = "".join(f"@{a}\n{b}\n+\n{c}\n" for a, b, c in zip(names, letters, qualities, strict=True))
    elif kind == "bed":
        text = "".join(f"c\t{i}\t{i + 9}\t{note or '.'}\n" for i, note in enumerate(notes))
    elif kind == "gff3":
        text = "".join(
            f"c\ts\tgene\t{i + 1}\t{i + 9}\t.\t+\t.\tID=g{i};note={note}; {note}\n" for i, note in enumerate(notes)
        )
    else:
        header = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
        text = header + "".join(f"c\t{i + 1}\t.\tA\t<DEL>\t.\t.\tX={note}\n" for i, note in enumerate(notes))
    path.write_text(text, encoding="utf-8", newline="")
    columns = {"sequence": "sequence"}
    try:
        if kind in ("csv", "tsv", "jsonl"):
            found: list[str] = [row["sequence"] for _, row in read_rows(path, columns)]
        elif kind in ("fasta", "fastq"):
            records = list(read_fasta(path))
            if len({record.id for record in records}) < count:
                return f"{kind}: ids {[record.id for record in records]} are not distinct"
            found = [record.sequence for record in records]
        else:
            reader: dict[str, Callable[[], int]] = {
                "bed": lambda: sum(1 for _ in read_bed(path)),
                "gff3": lambda: sum(1 for _ in read_gff(path)),
                "vcf": lambda: sum(1 for _ in Vcf(path).records()),
            }
            number = reader[kind]()
            return None if number == count else f"{kind}: {number} of {count} records"
    except GulmfitError as error:
        return f"{kind}: refused: {error}"
    return None if found == letters else f"{kind}: {len(found)} of {count} rows: {text!r}"


RULES = {
    "labels": labels,
    "label_types": label_types,
    "encodings": encodings,
    "duplicates": duplicates,
    "counts": counts,
}
