"""A feature of a genome, and what the readers of its file formats share."""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from gulmfit.errors import DataError

STRANDS = ("+", "-", ".")

# Marks the two pieces of a feature that crosses the origin of a circular contig: no one interval holds them both.
CROSSES_ORIGIN = "crosses_origin"

# Names the keys, with commas between them, whose values in column 9 of GFF3 or GTF are not what they seem.
ODD_ATTRIBUTES = "odd_attributes"

_NO_ATTRIBUTES: Mapping[str, str] = MappingProxyType({})
_NAME_KEYS = ("Name", "gene_name", "gene", "locus_tag", "ID", "transcript_id", "gene_id")
_WHOLE = re.compile(r"-?\d{1,18}", re.ASCII)  # what 64 bits hold


class Feature(NamedTuple):
    """One interval of a contig, 0-based half-open, on the coordinates of the forward strand.

    Attributes:
        contig: Name of the contig, always text.
        start: First base.
        end: Base after the last one; equal to `start` for a place between two bases, which BED and GenBank can name.
        strand: "+", "-", or "." for neither.
        name: Column `name` of BED; elsewhere the first of the attributes Name, gene_name, gene, locus_tag, ID,
            transcript_id and gene_id.
        score: None where the file has none or ".".
        kind: Column `type` of GFF3 and GTF, feature key of GenBank; "" in BED.
        attributes: Attributes of GFF3 and GTF, qualifiers of GenBank, columns after `strand` of BED.
        place: Where it stands, for messages: "a.bed, line 7".
        phase: Bases before the first whole codon, as GFF3 and GTF have it; None where they do not, and for the pieces
            of a feature that crosses an origin.
    """

    contig: str
    start: int
    end: int
    strand: str
    name: str = ""
    score: float | None = None
    kind: str = ""
    attributes: Mapping[str, str] = _NO_ATTRIBUTES
    place: str = ""
    phase: int | None = None


def name_of(attributes: Mapping[str, str]) -> str:
    """Choose the name of a feature among its attributes; "" where none serves."""
    return next((attributes[key] for key in _NAME_KEYS if attributes.get(key)), "")


def name_is_odd(feature: Feature) -> bool:
    """Tell whether the name of a feature comes from an attribute that is not what it seems."""
    key = next((key for key in _NAME_KEYS if feature.attributes.get(key)), "")
    return bool(key) and key in feature.attributes.get(ODD_ATTRIBUTES, "").split(",")


def whole_number(text: str, column: str, place: str) -> int:
    """Read a coordinate; raise DataError if it is not a whole number."""
    if not _WHOLE.fullmatch(text):
        raise DataError(f"{place}: {column} {text[:40]!r} is not a whole number of at most 18 digits")
    return int(text)


def score_of(text: str, place: str) -> float | None:
    """Read a score, "." for none; raise DataError if it is not a number."""
    if text in (".", ""):
        return None
    try:
        if "_" in text:  # Python's own way to write long numbers: "1_5" is 15 there, and a slip of the pen here
            raise ValueError
        return float(text)
    except ValueError as error:
        raise DataError(f"{place}: score {text!r} is neither a number nor '.'") from error


def join_parts(features: Iterable[Feature]) -> list[Feature]:
    """Make one feature of all that are parts of one: its outer span, introns included.

    Parts agree in contig, strand, kind and ID (GFF3, GenBank) or transcript_id, else gene_id (GTF). The joined feature
    stands at the place of its first part and has its attributes. Features without such an attribute, and pieces on
    either side of the origin of a circular contig, which no one interval holds, stay as they are.
    """
    joined: dict[object, Feature] = {}
    for number, feature in enumerate(features):
        own = next((found for key in ("ID", "transcript_id", "gene_id") if (found := feature.attributes.get(key))), "")
        alone = not own or CROSSES_ORIGIN in feature.attributes
        key = number if alone else (feature.contig, feature.strand, feature.kind, own)
        first = joined.setdefault(key, feature)
        joined[key] = first._replace(start=min(first.start, feature.start), end=max(first.end, feature.end))
    return list(joined.values())
