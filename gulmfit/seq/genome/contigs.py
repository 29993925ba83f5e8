"""Features of a genome: read from BED, GFF3, GTF, GenBank or .tbl files, found in a genome store, cut out of it."""

import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path

import yaml  # type: ignore[import-untyped]

from gulmfit.errors import ConfigError, DataError
from gulmfit.seq.alphabet import Codes, decode, reverse_complement
from gulmfit.seq.formats.bed import read_bed
from gulmfit.seq.formats.feature_table import read_feature_table
from gulmfit.seq.formats.features import Feature as Feature
from gulmfit.seq.formats.features import join_parts as join_parts
from gulmfit.seq.formats.gff import read_gff
from gulmfit.seq.genome.gatherer import Contig
from gulmfit.seq.genome.genbank import read_genbank
from gulmfit.seq.genome.store import GenomeStore

_SHOWN = 5  # names of contigs in a message
_BED = (".bed", ".narrowpeak", ".broadpeak")
_GENBANK = (".gb", ".gbk", ".gbff")
_GFF = (".gff", ".gff3", ".gtf")
_READERS: dict[str, Callable[[Path, Collection[str] | None], Iterator[Feature]]] = {
    **dict.fromkeys(_GFF, read_gff),
    ".tbl": read_feature_table,
    **dict.fromkeys(_GENBANK, read_genbank),
}

_tables: weakref.WeakKeyDictionary[GenomeStore, dict[str, Contig]] = weakref.WeakKeyDictionary()


def read_features(path: str | Path, kinds: Collection[str] | None = None) -> Iterator[Feature]:
    """Stream the features of one file, in its order; its name says of what kind it is.

    A feature of several parts (lines of GFF3 or GTF with one ID, a `join` of GenBank) comes part by part;
    `join_parts` puts them together.

    Args:
        path: .bed, .narrowPeak, .broadPeak, .gff, .gff3, .gtf, .tbl, .gb, .gbk or .gbff, each also with .gz or .bgz.
        kinds: Types to keep, such as CDS and tRNA; all if None. BED has none.

    Raises:
        DataError: The name is none of these, kinds are asked of BED, or the file is unreadable or broken; names
            file, line and value.
    """
    path = Path(path)
    if not is_features(path):
        raise DataError(
            f"{path}: not a file of features by its name; allowed are {', '.join([*_BED, *_READERS])}, each "
            "with .gz or .bgz or without"
        )
    if not has_kinds(path):
        if kinds is not None:
            raise DataError(f"{path}: a BED file has no kinds, so {sorted(kinds)} cannot be chosen; leave kinds out")
        return read_bed(path)
    return _READERS[_suffix(path)](path, kinds)


def is_features(path: Path) -> bool:
    """Tell by its name whether a file holds features: whether `read_features` takes it."""
    return _suffix(path) in (*_BED, *_READERS)


def has_kinds(path: Path) -> bool:
    """Tell by its name whether the features of a file have kinds: not those of BED."""
    return _suffix(path) not in _BED


def is_gff(path: Path) -> bool:
    """Tell by its name whether a file is GFF3 or GTF."""
    return _suffix(path) in _GFF


def is_genbank(path: Path) -> bool:
    """Tell by its name whether a file is GenBank, which holds features and sequence."""
    return _suffix(path) in _GENBANK


def extract(store: GenomeStore, feature: Feature) -> str:
    """Return the letters of a feature, ACGT and N for every ambiguous base; otherwise as `feature_codes`."""
    return decode(feature_codes(store, feature))


def feature_codes(store: GenomeStore, feature: Feature) -> Codes:
    """Cut the sequence of a feature out of a genome.

    Returns:
        As many base codes as the feature has bases; on "-" those of the reverse complement.

    Raises:
        DataError: The genome lacks the contig or has it twice, or the feature is empty or leaves its contig; names
            the place of the feature.
    """
    contig = contig_of(store, feature)
    if feature.start == feature.end:
        raise DataError(
            f"{_where(feature)}: {feature.start}-{feature.end} of contig {contig.name!r} holds no base; give it "
            "a window around its place"
        )
    codes = store.codes[contig.start + feature.start : contig.start + feature.end]
    return reverse_complement(codes) if feature.strand == "-" else codes


def contig_of(store: GenomeStore, feature: Feature) -> Contig:
    """Find the contig in which a feature lies.

    Raises:
        DataError: The genome lacks the contig or has it twice, or the feature does not lie in it.
    """
    known = contigs_by_name(store)
    contig = known.get(feature.contig)
    if contig is None:
        raise _unknown({feature.contig: feature.place}, known)
    if not 0 <= feature.start <= feature.end <= contig.length:
        raise DataError(
            f"{_where(feature)}: {feature.start}-{feature.end} does not lie in contig {contig.name!r}, which has "
            f"{contig.length:,} bases (0-based). Is this the genome of the features?"
        )
    return contig


def contigs_by_name(store: GenomeStore) -> Mapping[str, Contig]:
    """Return the contigs of a genome by name; raise DataError if a name occurs twice."""
    if (table := _tables.get(store)) is None:
        table = {}
        for contig in store.contigs:
            if contig.name in table:
                raise DataError(
                    f"contig {contig.name!r} occurs twice in the genome ({table[contig.name].path or 'memory'} and "
                    f"{contig.path or 'memory'}), so features on it are not clear; rename one of them"
                )
            table[contig.name] = contig
        _tables[store] = table
    return table


def check_contigs(store: GenomeStore, places: Mapping[str, str]) -> None:
    """Raise one DataError for all contigs that a genome lacks, given where each name occurs first."""
    known = contigs_by_name(store)
    if missing := {name: place for name, place in places.items() if name not in known}:
        raise _unknown(missing, known)


def missing_contigs(missing: Collection[str], known: Collection[str]) -> str:
    """Say which contigs are missing, which are known, and whether "chr" makes the difference."""
    message = f"{len(missing)} contig(s) are not in the genome: {_few(missing)}; it has {_few(known)}"
    for name in missing:
        if name.startswith("chr") and name.removeprefix("chr") in known:
            return f"{message} (no 'chr': {name.removeprefix('chr')!r} for {name!r})"
        if f"chr{name}" in known:
            return f"{message} (with 'chr': {f'chr{name}'!r} for {name!r})"
    if all(name.startswith("chr") for name in missing) and not any(name.startswith("chr") for name in known):
        return f"{message} (no name there begins with 'chr')"
    if all(name.startswith("chr") for name in known) and not any(name.startswith("chr") for name in missing):
        return f"{message} (every name there begins with 'chr')"
    return message


def contig_names(
    found: Mapping[str, str], store: GenomeStore, given: Mapping[str, str | None], path: Path
) -> dict[str, str | None]:
    """Return the name in the genome of each contig of an annotation.

    Args:
        found: Where each contig of the annotation is first named.
        store: The genome.
        given: Its name there of a contig, None for one that is left out; others have the same name in both.
        path: The annotation, for messages.

    Raises:
        DataError: The genome has no contig of a name.
    """
    known = contigs_by_name(store)
    names = {name: given.get(name, name) for name in found}
    if missing := {name: found[name] for name, to in names.items() if to is not None and to not in known}:
        guess = {name: to for name in missing for to in _alike(name, known)}
        if not guess and len(names) == len(known) == 1:
            guess = dict(zip(missing, known, strict=True))
        others = [name for name in missing if name not in guess]
        shown = [*(f"{name}: {to}" for name, to in guess.items()), *(f"{name}: null" for name in others[:1])]
        raise DataError(
            f"{next(iter(missing.values()))}: {missing_contigs([str(names[name]) for name in missing], known)}. Map "
            f"each name of {path.name} to one of the genome, or to null to leave it out: data.contigs="
            f"{{{', '.join(shown)}{', …' if len(others) > 1 else ''}}} (contigs= of gulmfit-pseudolabel)"
        )
    return names


def asked_names(text: str) -> dict[str, str | None]:
    """Return the names in the genome by those in the annotation that a command is given; none for "".

    Raises:
        ConfigError: The text is no such mapping.
    """
    try:
        given = yaml.safe_load(text) if text else {}
    except yaml.YAMLError:
        given = None
    if not isinstance(given, Mapping) or not all(isinstance(to, str | int | None) for to in given.values()):
        raise ConfigError(
            f"contigs={text}: give names of the genome by those of the annotation, as {{chrI: I, chrM: null}}."
        )
    return {str(name): None if to is None else str(to) for name, to in given.items()}


def _alike(name: str, known: Iterable[str]) -> list[str]:
    """List names that differ by "chr" or, if there is one such, by the version of an accession."""
    known = list(known)
    same = [to for to in known if to.split(".")[0] == name.split(".")[0]]
    return [to for to in (name.removeprefix("chr"), f"chr{name}") if to in known] or (same if len(same) == 1 else [])


def _unknown(missing: Mapping[str, str], known: Collection[str]) -> DataError:
    first = next(iter(missing.values()))
    return DataError(
        f"{first}{': ' if first else ''}{missing_contigs(missing, known)}. Give the genome of the features, or "
        "rename the contigs on one side"
    )


def _few(names: Iterable[str]) -> str:
    named = list(names)
    rest = len(named) - _SHOWN
    return ", ".join(map(repr, islice(named, _SHOWN))) + (f" and {rest} more" if rest > 0 else "")


def _where(feature: Feature) -> str:
    return feature.place or f"feature {feature.name!r}"


def _suffix(path: Path) -> str:
    """Return the suffix that tells the format of a file, in lower case, without .gz or .bgz: ".gff3"."""
    return Path(path.name.lower().removesuffix(".gz").removesuffix(".bgz")).suffix
