"""Variant Call Format: a streaming reader of its fixed columns, and a writer that adds to INFO and nothing else.

Positions are 1-based in the file and in messages, 0-based here. Bytes that are not UTF-8 pass through unchanged.

Source: The Variant Call Format Specification, VCFv4.3 and VCFv4.4, section 1.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from gulmfit.errors import DataError
from gulmfit.seq.alphabet import NUCLEOTIDE_LETTERS
from gulmfit.seq.limits import bounded_lines, is_whole_number
from gulmfit.seq.text import READ_ERRORS, open_text, unreadable

FIXED = ("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO")
VCF_SUFFIXES = (".vcf", ".vcf.gz", ".vcf.bgz")

_LETTERS = frozenset(NUCLEOTIDE_LETTERS + NUCLEOTIDE_LETTERS.lower())
_INFO = FIXED.index("INFO")
_AS_IS = "surrogateescape"  # bytes that are not UTF-8 are written as they were read


class VcfRecord(NamedTuple):
    """One line of a VCF."""

    fields: tuple[str, ...]
    """All columns as they stand in the file, samples included."""
    contig: str
    start: int
    """0-based position of the first base of REF; -1 for POS 0, which stands before a contig."""
    ref: str
    alts: tuple[str, ...]
    """Alternative alleles as they stand in the file; none where ALT is `.`."""
    place: str
    """Where it stands ("a.vcf, line 7")."""

    @property
    def locus(self) -> str:
        """Where it lies, as the file says it: `contig:position`, 1-based."""
        return f"{self.contig}:{self.start + 1}"


class Vcf:
    """A VCF, plain, gzip or bgzip, by its first bytes and not by its name; its lines may end as in Windows.

    Args:
        path: The file.

    Attributes:
        header: Its lines up to and with the column names, without line ends.

    Raises:
        DataError: If the file cannot be read, is not VCF, or has no line of column names.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.header: list[str] = []
        with self._lines() as lines:
            for line in lines:
                if not line.startswith("##"):
                    break
                self.header.append(line)
            else:
                line = ""
        names = line.split("\t")
        if tuple(names[: len(FIXED)]) != FIXED:
            raise DataError(
                f"{self.path}, line {len(self.header) + 1}: {line[:80]!r} where the column names are to stand, after "
                f"the lines that begin with ##: {' '.join(FIXED)}, with tabs between. Add them, or give a VCF "
                "(bcftools view makes one of a BCF)."
            )
        self.header.append(line)
        self._columns = len(names)

    def records(self) -> Iterator[VcfRecord]:
        """Stream the records in order, again and again; a damaged line is a DataError with file, line and value."""
        with self._lines() as lines:
            for number, line in enumerate(lines, start=1):
                if number > len(self.header) and line:
                    yield self._record(f"{self.path}, line {number}", line.split("\t"))

    def _record(self, place: str, fields: list[str]) -> VcfRecord:
        if len(fields) != self._columns:
            raise DataError(
                f"{place}: {len(fields)} column(s) where the line of column names has {self._columns}: "
                f"{' '.join(fields)[:80]!r}. Columns are separated by single tabs."
            )
        contig, position, _, ref, alt = fields[:5]
        if not is_whole_number(position):
            raise DataError(f"{place}: POS {_shown(position)} is not a position: a whole number, 1 for the first base.")
        if not ref or not set(ref) <= _LETTERS:
            raise DataError(f"{place}: REF {_shown(ref)} holds {_foreign(ref)}; allowed are ACGTN.")
        alts = () if alt == "." else tuple(alt.split(","))
        for allele in alts:
            if not unsequenced(allele) and not (allele and set(allele) <= _LETTERS):
                raise DataError(
                    f"{place}: ALT {_shown(allele)} holds {_foreign(allele)}; allowed are ACGTN, `*`, `.`, symbolic "
                    "alleles such as <DEL>, and breakends."
                )
        return VcfRecord(tuple(fields), contig, int(position) - 1, ref, alts, place)

    @contextmanager
    def _lines(self) -> Iterator[Iterator[str]]:
        """Lend the lines without their ends."""
        try:
            if self.path.exists() and not self.path.is_file():
                raise DataError(f"{self.path}: not a regular file; a VCF is read twice, so write it to one first.")
            with open_text(self.path, newline="\n", errors=_AS_IS) as text:
                yield (line.rstrip("\r\n") for line in bounded_lines(text, self.path))
        except READ_ERRORS as error:
            raise unreadable(self.path, "", error) from error


def unsequenced(allele: str) -> str:
    """Name the kind of an alternative allele that spells no bases; "" for one that does.

    `missing` (`.`), `spanning_deletion` (`*`), `symbolic` (`<DEL>`, `<NON_REF>`, `<*>`), `breakend` (`G]17:198982]`,
    or a single one: `.TGCA`).
    """
    if allele == ".":
        return "missing"
    if allele == "*":
        return "spanning_deletion"
    if "[" in allele or "]" in allele or allele.startswith(".") or allele.endswith("."):
        return "breakend"
    return "symbolic" if allele.startswith("<") and allele.endswith(">") else ""


def described(header: Sequence[str], lines: Sequence[str]) -> list[str]:
    """Put meta lines (`##...`) into a header, before the column names."""
    return [*header[:-1], *lines, header[-1]]


def declared(header: Sequence[str]) -> set[str]:
    """Return the INFO keys that a header declares."""
    start = "##INFO=<ID="
    return {line.removeprefix(start).partition(",")[0].rstrip(">") for line in header if line.startswith(start)}


def with_info(record: VcfRecord, info: Mapping[str, Sequence[str]]) -> str:
    """Spell a record with more keys in its INFO column, each with one value an alternative allele."""
    fields = list(record.fields)
    added = [f"{key}={','.join(values)}" for key, values in info.items()]
    given = fields[_INFO].strip(";")  # "AC=1;" is common, and ";;" is forbidden
    fields[_INFO] = ";".join([*([] if given in (".", "") else [given]), *added]) or "."
    return "\t".join(fields)


@contextmanager
def vcf_file(path: Path, *, zipped: bool) -> Iterator[Callable[[str], None]]:
    """Lend a function that writes lines to a new file, plain or zipped as bgzip does it, so that tabix can index it."""
    with open(path, "wb") if not zipped else _block_gzip(path) as handle:

        def write(line: str) -> None:
            handle.write(f"{line}\n".encode("utf-8", _AS_IS))

        yield write


def _block_gzip(path: Path) -> BinaryIO:
    from Bio import bgzf

    return cast(BinaryIO, bgzf.BgzfWriter(str(path), "wb"))  # type: ignore[no-untyped-call]


def _foreign(allele: str) -> str:
    found = next((letter for letter in allele if letter not in _LETTERS), "")
    return f"{found!r}, which is not a nucleotide letter" if found else "no base"


def _shown(allele: str) -> str:
    return repr(allele if len(allele) <= 40 else allele[:40] + "…")
