"""GFF3 and GTF, the annotations of a genome: 1-based closed intervals, turned into 0-based half-open features."""

import logging
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from urllib.parse import unquote

from gulmfit.errors import DataError
from gulmfit.seq.formats.features import (
    CROSSES_ORIGIN,
    ODD_ATTRIBUTES,
    STRANDS,
    Feature,
    name_of,
    score_of,
    whole_number,
)
from gulmfit.seq.text import numbered_lines

_log = logging.getLogger(__name__)

_COLUMNS = 9
_PHASES = ("0", "1", "2")
# key "value"; or key value; a semicolon within quotes ends nothing, and a quote after a backslash closes nothing.
_GTF_ATTRIBUTE = re.compile(r'\s*(?P<key>[^\s";]+)\s+(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^\s";]+))\s*(?:;|$)')


def read_gff(path: Path, kinds: Collection[str] | None = None, *, skip_empty_utrs: bool = False) -> Iterator[Feature]:
    """Stream the lines of a GFF3 or GTF file as features.

    A name ending in .gtf or .gff3 says how attributes are written; for .gff the first line that has some does.
    Comments and directives are skipped; `##FASTA` or a line with ">" ends the features. Values of GFF3 are freed of
    URL escapes and of quotes around them. A key that is repeated in a line gives its values with commas between them.
    Strand "?" is ".". What of column 9 is
    not an attribute is skipped and counted in a warning; the feature has the attribute `ODD_ATTRIBUTES`, which names
    the keys that may be touched by it, and those that GFF3 has twice.
    A feature that reaches over the end of a contig marked `Is_circular=true` comes in two pieces, the one before and
    the one after the origin.

    Args:
        path: File, plain, gzip or bgzip.
        kinds: Types to keep; all if None. Lines of the others are not checked.
        skip_empty_utrs: Whether an untranslated region of no base, which ends before its start, is skipped rather than
            refused.

    Raises:
        DataError: A line has not 9 columns, a coordinate, score or strand is wrong, or the file is unreadable or holds
            no feature.

    Source: https://github.com/The-Sequence-Ontology/Specifications/blob/master/gff3.md,
        https://mblab.wustl.edu/GTF22.html.
    """
    name = path.name.lower().removesuffix(".gz").removesuffix(".bgz")
    parse: Callable[[str], dict[str, str]] | None
    parse = gtf_attributes if name.endswith(".gtf") else gff3_attributes if name.endswith(".gff3") else None
    circular: dict[str, int] = {}
    seen, odd = False, list[str]()
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
        contig, _, kind, first, last, score, strand, phase, text = cells
        contig = contig if parse is gtf_attributes else unquote(contig)
        chosen = kinds is None or kind in kinds
        if not chosen and "Is_circular=true" not in text:
            continue
        start, end = whole_number(first, "start", place) - 1, whole_number(last, "end", place)
        if skip_empty_utrs and end == start and "utr" in kind.lower():
            continue
        if start < 0 or end <= start:
            raise DataError(f"{place}: start {first}, end {last}; positions count from 1 and need 1 <= start <= end")
        text = _unquoted(text)
        if parse is None and text.strip(" .;"):
            parse = gtf_attributes if _GTF_ATTRIBUTE.match(text) else gff3_attributes
        attributes = parse(text) if parse else {}
        if chosen and ODD_ATTRIBUTES in attributes:
            odd.append(f"{place}: {text[:80]!r}" if not odd else "")
        if attributes.get("Is_circular") == "true":
            circular[contig] = end
        if not chosen:
            continue
        strand = "." if strand == "?" else strand
        if strand not in STRANDS:
            raise DataError(f"{place}: strand {strand!r} is not one of {', '.join(STRANDS)} or ?")
        feature = Feature(
            contig, start, end, strand, name_of(attributes), score_of(score, place), kind, attributes, place,
            int(phase) if phase in _PHASES else None,
        )  # fmt: skip
        length = circular.get(contig, end)
        if end <= length:
            yield feature
        elif start >= length or end > start + length:
            raise DataError(f"{place}: {first}-{last} does not lie in circular contig {contig!r} of {length:,} bases")
        else:
            pieces = feature._replace(attributes={**attributes, CROSSES_ORIGIN: "true"}, phase=None)
            yield from (pieces._replace(end=length), pieces._replace(start=0, end=end - length))
    if odd:
        _log.warning(
            "%s: column 9 of %d feature(s) is not key=value or key \"value\", or has a key twice; what is not an "
            "attribute there is skipped. The first: %s",
            path, len(odd), odd[0],
        )  # fmt: skip
    if not seen:
        raise DataError(f"{path}: no feature in this file")


def gff3_attributes(text: str) -> dict[str, str]:
    """Read column 9 of GFF3: `key=value;key=value`, URL escapes and quotes around a value undone.

    Where a part is not key=value, which a ";" inside a value leaves behind, or a key comes twice, `ODD_ATTRIBUTES`
    names the key before that part, or that comes twice.
    """
    attributes: dict[str, str] = {}
    odd: dict[str, None] = {}
    last = ""
    for part in filter(None, map(str.strip, text.split(";"))):
        key, equals, value = part.partition("=")
        if part == ".":
            continue
        if not equals or not key.strip():
            odd[last] = None
            continue
        last, value = unquote(key.strip()), unquote(_unquoted(value))
        if last in attributes:
            odd[last] = None
        attributes[last] = f"{attributes[last]},{value}" if last in attributes else value
    return attributes | ({ODD_ATTRIBUTES: ",".join(odd)} if odd else {})


def gtf_attributes(text: str) -> dict[str, str]:
    r"""Read column 9 of GTF: `key "value"; key number;`. \" and \\ in quotes are the characters themselves.

    Where a part is not of this form, `ODD_ATTRIBUTES` names the key before it.
    """
    attributes: dict[str, str] = {}
    odd: dict[str, None] = {}
    position, text, last = 0, text.strip(), ""
    while position < len(text) and text != ".":
        match = _GTF_ATTRIBUTE.match(text, position)
        if match is None:
            odd[last] = None
            position = text.find(";", position) + 1 or len(text)
            continue
        last, value = match["key"], match["bare"]
        if value is None:
            value = re.sub(r'\\(["\\])', r"\1", match["quoted"])
        attributes[last] = f"{attributes[last]},{value}" if last in attributes else value
        position = match.end()
    return attributes | ({ODD_ATTRIBUTES: ",".join(odd)} if odd else {})


def _unquoted(text: str) -> str:
    """Take away quotes around a whole text, as programs that write CSV put them there, and undouble those inside."""
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] == '"' and '"' not in text[1:-1].replace('""', ""):
        return text[1:-1].replace('""', '"')
    return text
