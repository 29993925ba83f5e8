"""Coding sequences with the proteins that they spell, from GenBank files or FASTA of coding sequences.

What cannot be read codon by codon is left out and counted by its reason. Shape letter: `L` residues, stop included.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from gulmfit.errors import DataError, SequenceError
from gulmfit.seq.alphabet import encode
from gulmfit.seq.formats.fasta import FastaRecord, Paths, expand_paths, read_fasta
from gulmfit.seq.formats.features import name_of
from gulmfit.seq.genome.genbank import CodingFeature, coding_features
from gulmfit.seq.genome.genetic_code import GeneticCode
from gulmfit.seq.text import READ_ERRORS, open_text, unreadable

RECODED = {"U": "TGA", "O": "TAG"}
"""Residues that a stop codon stands for where a gene says so: selenocysteine and pyrrolysine."""

_AMINO_ACIDS = {"Sec": "U", "Pyl": "O", "Met": "M"}
_EXCEPTION = re.compile(r"pos:\s*(?:complement\()?(\d+)[\d.]*\)?\s*,\s*aa:\s*(\w+)")
_FIELD = re.compile(r"\[(\w+)=(.*?)\](?=\s|$)")  # of NCBI's headers


class CodingSequence(NamedTuple):
    """A protein and the codons it is spelled by."""

    id: str
    protein: str
    """`(L,)`, M at its start whatever codon starts it, "*" at its end where there is a stop codon."""
    bases: str
    """`(3 L,)`, upper-case ACGT."""


class _Found(NamedTuple):
    """A coding sequence before it was looked at."""

    id: str
    bases: str
    place: str
    remark: str = ""
    """Why its file says that it cannot be used."""
    exceptions: Mapping[int, str] = {}
    """Residues that codons do not spell, by index."""
    translation: str = ""


def read_coding_sequences(paths: Paths, code: GeneticCode) -> tuple[list[CodingSequence], dict[str, int]]:
    """Read the coding sequences of GenBank files, or of FASTA files that hold nothing else, plain or gzip.

    Args:
        paths: One or several, or a glob.
        code: What codons mean.

    Returns:
        Those that can be read codon by codon, and how many others there were, by reason.

    Raises:
        DataError: A file is damaged, or no coding sequence is left.
        SequenceError: A file is missing or damaged.
    """
    found: list[CodingSequence] = []
    reasons: Counter[str] = Counter()
    for one in _every(paths, code):
        protein, reason = _spelled(one, code)
        if reason:
            reasons[reason] += 1
        else:
            found.append(CodingSequence(one.id, protein, one.bases.upper().replace("U", "T")))
    if not found:
        raise DataError(
            f"{paths}: no coding sequence can be read codon by codon (left out: {told(reasons) or 'none'}). Give a "
            "GenBank file with CDS features, or a FASTA of coding sequences, and the right data.genetic_code "
            f"(here {code.number}, {code.name})."
        )
    return found, dict(reasons)


def _every(paths: Paths, code: GeneticCode) -> Iterator[_Found]:
    for path in expand_paths(paths):
        try:
            with open_text(path, errors="replace") as handle:
                first = handle.read(4096).lstrip()
        except READ_ERRORS as error:
            raise unreadable(path, "its beginning", error) from error
        if first.startswith("LOCUS"):
            yield from (_of_feature(feature, code) for feature in coding_features(path))
        else:
            yield from map(_of_record, read_fasta(path, repeated_ids=True))


def _of_feature(feature: CodingFeature, code: GeneticCode) -> _Found:
    """Read a CDS of a GenBank file."""
    notes, location = feature.qualifiers, feature.location
    start = {"2": 1, "3": 2}.get(notes.get("codon_start", ""), 0)
    remark = ""
    if "pseudo" in notes or "pseudogene" in notes:
        remark = "pseudogene"
    elif feature.partial:
        remark = "partial"
    elif (table := notes.get("transl_table", str(code.number))) != str(code.number):
        remark = f"genetic code {table}"
    elif any(part.ref for part in location.parts):
        remark = "in another record"
    bases = "" if remark else str(location.extract(feature.genome))[start:]  # type: ignore[no-untyped-call]
    exceptions: dict[int, str] = {}
    if "transl_except" in notes and not remark:
        places = list(location)[start:]
        for at, name in _EXCEPTION.findall(notes["transl_except"]):
            # Of the three positions of a codon the lowest stands first, whatever the strand.
            exceptions[places.index(int(at) - 1) // 3 if int(at) - 1 in places else -1] = name
    name = notes.get("locus_tag") or notes.get("protein_id") or name_of(notes) or feature.place.rpartition(", ")[2]
    return _Found(name, bases, feature.place, remark, exceptions, "".join(notes.get("translation", "").split()))


def _of_record(record: FastaRecord) -> _Found:
    """Read a record of a FASTA of coding sequences; headers may say what those of NCBI do."""
    notes = dict(_FIELD.findall(record.description))
    remark = "pseudogene" if notes.get("pseudo") == "true" else "partial" if "partial" in notes else ""
    exceptions = {(int(at) - 1) // 3: name for at, name in _EXCEPTION.findall(notes.get("transl_except", ""))}
    return _Found(record.id, record.sequence, f"{record.path}, record {record.id!r}", remark, exceptions)


def _spelled(found: _Found, code: GeneticCode) -> tuple[str, str]:
    """Return the protein that codons spell, and why it cannot be used, where that is so."""
    bases = found.bases.upper().replace("U", "T")
    if found.remark:
        return "", found.remark
    if len(bases) < 3 or len(bases) % 3:
        return "", "length not a multiple of 3"
    if set(bases) - set("ACGT"):
        try:
            encode(bases, where=found.place)
        except SequenceError as error:
            raise SequenceError(f"{error} Is this a FASTA of proteins? data.path takes coding sequences.") from error
        return "", "ambiguous letters"
    protein = code.translate(encode(bases))
    for index, name in found.exceptions.items():
        residue = _AMINO_ACIDS.get(name, "")
        codon = bases[3 * index : 3 * index + 3] if index >= 0 else ""
        if index == 0 and residue == protein[0]:
            continue
        if RECODED.get(residue) != codon:
            return "", "a codon read in another way"
        protein = protein[:index] + residue + protein[index + 1 :]
    if "*" in protein[:-1]:
        return "", "inner stop codon"
    if protein == "*":
        return "", "no residue"
    if found.translation and found.translation != protein.removesuffix("*"):
        return "", "unlike its /translation"
    return protein, ""


def told(reasons: Mapping[str, int]) -> str:
    """Say how many were left out, and why, the commonest reason first."""
    return ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items(), key=lambda item: -item[1]))
