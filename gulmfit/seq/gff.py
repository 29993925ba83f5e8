"""GFF3 and GTF, the annotations of a genome: 1-based closed intervals, turned into 0-based half-open features."""

import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from urllib.parse import unquote

from gulmfit.errors import DataError
from gulmfit.seq.features import CROSSES_ORIGIN, STRANDS, Feature, name_of, numbered_lines, score_of, whole_number

_COLUMNS = 9
# key "value"; or key value; a semicolon within quotes ends nothing, and a quote after a backslash closes nothing.
_GTF_ATTRIBUTE = re.compile(r'\s*(?P<key>[^\s";]+)\s+(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^\s";]+))\s*(?:;|$)')


def read_gff(path: Path, kinds: Collection[str] | None = None) -> Iterator[Feature]:
    """Stream the lines of a GFF3 or GTF file as features.

    A name ending in .gtf or .gff3 says how attributes are written; for .gff the first line that has some does.
    Comments and directives are passed over; `##FASTA` or a line with ">" ends the features. Values of GFF3 are freed of
    URL escapes. A key that is repeated in a line of GTF gives its values with commas between them. Strand "?" is ".".
    A feature that reaches over the end of a contig marked `Is_circular=true` comes in two pieces, the one before and
    the one after the origin.

    Args:
        path: File, plain, gzip or bgzip.
        kinds: Types to keep; all if None. Lines of the others are not checked.

    Raises:
        DataError: A line has not 9 columns, a coordinate, score, strand or attribute is wrong, or the file is
            unreadable or holds no feature.

    Source: https://github.com/The-Sequence-Ontology/Specifications/blob/master/gff3.md,
        https://mblab.wustl.edu/GTF22.html.
    """
    name = path.name.lower().removesuffix(".gz").removesuffix(".bgz")
    parse: Callable[[str, str], dict[str, str]] | None
    parse = gtf_attributes if name.endswith(".gtf") else gff3_attributes if name.endswith(".gff3") else None
    circular: dict[str, int] = {}
    seen = False
    for number, line in numbered_lines(path):
        if line.startswith((">", "##FASTA")):
            break
        if not line.strip() or line.startswith("#"):
            continue
        place, seen = f"{path}, line {number}", True
        cells = line.split("\t")
        if len(cells) != _COLUMNS:
            raise DataError(
                f"{place}: {len(cells)} column(s): {line[:80]!r}; expected {_COLUMNS} with tabs between them"
            )
        contig, _, kind, first, last, score, strand, _, text = cells
        contig = contig if parse is gtf_attributes else unquote(contig)
        chosen = kinds is None or kind in kinds
        if not chosen and "Is_circular=true" not in text:
            continue
        start, end = whole_number(first, "start", place) - 1, whole_number(last, "end", place)
        if start < 0 or end <= start:
            raise DataError(f"{place}: start {first}, end {last}; positions count from 1 and need 1 <= start <= end")
        if parse is None and text.strip(" .;"):
            parse = gtf_attributes if _GTF_ATTRIBUTE.match(text) else gff3_attributes
        attributes = parse(text, place) if parse else {}
        if attributes.get("Is_circular") == "true":
            circular[contig] = end
        if not chosen:
            continue
        strand = "." if strand == "?" else strand
        if strand not in STRANDS:
            raise DataError(f"{place}: strand {strand!r} is not one of {', '.join(STRANDS)} or ?")
        feature = Feature(
            contig, start, end, strand, name_of(attributes), score_of(score, place), kind, attributes, place
        )
        length = circular.get(contig, end)
        if end <= length:
            yield feature
        elif start >= length or end > start + length:
            raise DataError(f"{place}: {first}-{last} does not lie in circular contig {contig!r} of {length:,} bases")
        else:
            pieces = feature._replace(attributes={**attributes, CROSSES_ORIGIN: "true"})
            yield from (pieces._replace(end=length), pieces._replace(start=0, end=end - length))
    if not seen:
        raise DataError(f"{path}: no feature in this file")


def gff3_attributes(text: str, place: str) -> dict[str, str]:
    """Read column 9 of GFF3: `key=value;key=value`, URL escapes undone.

    Raises:
        DataError: A part has no "=", or a key occurs twice.
    """
    attributes: dict[str, str] = {}
    for part in filter(None, map(str.strip, text.split(";"))):
        key, equals, value = part.partition("=")
        if part == ".":
            continue
        if not equals or not key:
            raise DataError(f"{place}: attribute {part[:80]!r} is not key=value; write ';' inside a value as %3B")
        if unquote(key) in attributes:
            raise DataError(f"{place}: attribute {key!r} occurs twice; GFF3 puts several values behind one key")
        attributes[unquote(key)] = unquote(value)
    return attributes


def gtf_attributes(text: str, place: str) -> dict[str, str]:
    r"""Read column 9 of GTF: `key "value"; key number;`. \" and \\ in quotes are the characters themselves.

    Raises:
        DataError: A part is not of this form.
    """
    attributes: dict[str, str] = {}
    position, text = 0, text.strip()
    while position < len(text) and text != ".":
        match = _GTF_ATTRIBUTE.match(text, position)
        if match is None:
            raise DataError(f'{place}: attribute {text[position : position + 80]!r} is not key "value";')
        key, value = match["key"], match["bare"]
        if value is None:
            value = re.sub(r'\\(["\\])', r"\1", match["quoted"])
        attributes[key] = f"{attributes[key]},{value}" if key in attributes else value
        position = match.end()
    return attributes
