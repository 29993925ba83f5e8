"""What `gulmfit-motifs` does: what a model looks at in many sequences, as motifs."""

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from gulmfit.commands.provenance import noted
from gulmfit.errors import ConfigError, DataError
from gulmfit.evaluate.motif_matches import Match, MotifScanner, Site, adjusted, enrichment, match_motif
from gulmfit.explain.attribution import Attribution, shuffles
from gulmfit.explain.explained import Explained
from gulmfit.explain.explainer import Explainer, Settings
from gulmfit.explain.seqlets import find_motifs
from gulmfit.files import claimed
from gulmfit.model_files import files_of
from gulmfit.models.hardware import keep_freed_memory
from gulmfit.predict.outputs.track_files import bed_line, write_lines
from gulmfit.predict.outputs.writers import Cell, Value, tsv_table
from gulmfit.predict.predictor import Record
from gulmfit.predict.progress import counting
from gulmfit.predict.records import check_input, open_records, sequence_records
from gulmfit.report.html import write_report
from gulmfit.report.motif_page import FoundMotif, motif_report
from gulmfit.seq.alphabet import Codes
from gulmfit.seq.formats.motif_databases import read_database
from gulmfit.seq.formats.motif_files import Motif, write_jaspar, write_meme

logger = logging.getLogger(__name__)

FEWEST_RECORDS = 40
ENRICHED_Q = 0.01
LIKE_Q = 0.01
MATCHES_SHOWN = 5
FILES = ("motifs.tsv", "motifs.meme", "motifs.jaspar", "matches.tsv", "sites.tsv", "sites.bed", "motifs.html")

RecordSite = tuple[Record, Site]


class _Counted(NamedTuple):
    """A motif, and how frequent it is."""

    motif: Motif
    sites: list[RecordSite]
    share: float
    background: float
    ratio: float
    p_value: float


def find_motifs_of(
    *,
    model: str,
    input: str,
    output: str,
    background: str = "",
    database: str = "",
    positive: str = "",
    method: Literal["mutagenesis", "gradients"] = "mutagenesis",
    strand: Literal["forward", "average"] = "forward",
    most: int = 20,
    batch_size: int = 64,
    precision: Literal["mixed", "32", "bf16", "auto"] = "mixed",
    sequence: str = "sequence",
    id: str = "",
    genome: str = "",
    features: str = "",
    seed: int = 0,
    cache_dir: str = "outputs/store",
    case: Literal["", "upper", "mask"] = "",
    ambiguity: Literal["", "split", "unk", "error"] = "",
) -> None:
    """Find the motifs that a model looks at in sequences.

    Every other sequence is explained, and stretches that contribute much are put together where they are alike; what
    they share is estimated from all sites in these sequences. A motif counts if its sites are more frequent in the
    other half of the sequences than in the background (q < 0.01).

    Args:
        model: Run folder, model folder or checkpoint of a classifier, or the name of one.
        input: Sequences that have what is looked for: FASTA, FASTQ or table, or with genome= features.
        output: Folder for motifs.tsv, .meme, .jaspar and .html, matches.tsv, sites.tsv and, of features, sites.bed.
        background: Sequences that do not have it; by default shuffles that keep pairs of neighbouring bases.
        database: Known motifs: a file in MEME's or JASPAR's format, JASPAR's SQLite database, or `jaspar`, the
            vertebrates of the release in pyjaspar (`jaspar:plants` for others); without it motifs have no names.
        positive: Class, label or value; needed where the model has several.
        method: As for gulmfit-explain.
        strand: `average` explains both strands.
        most: Motifs at most.
        batch_size: Sequences that are explained together.
        precision: `mixed` computes in 32 bits, and where the hardware is fast at bf16, in it what versions of a
            sequence change in an LSTM; `auto` takes `bf16` for everything there.
        sequence: Column of the sequence in a table.
        id: Column of the id in a table; the number of the record by default.
        genome: FASTA on which features lie.
        features: Types of features, separated by commas; all by default.
        seed: Of shuffles.
        cache_dir: Folder of genome stores.
        case: `mask` reads lower-case letters as ambiguous; as in training by default.
        ambiguity: `error` refuses ambiguous letters; as in training by default.

    Raises:
        ConfigError: If options are out of range, or the model has no single output to explain.
        GulmfitError: If the model, the input or the database cannot be read, or an output not be written.
    """
    asked = dict(locals())
    if most < 1:
        raise ConfigError(f"most={most}: 1 motif or more is needed.")
    check_input(input, genome, features)
    folder = Path(output)
    table, *more = (folder / name for name in FILES)
    read: list[str | Path] = [input, genome, background, database]
    with claimed(more, [*read, *files_of(model)]), noted([table], read, asked):
        keep_freed_memory()
        targets = read_database(database) if database else []
        explained = Explained.load(model, precision=precision, positive=positive)
        letters = explained.letters = explained.letters.asked(case, ambiguity)
        alphabet = explained.tokenizer.alphabet
        if not alphabet.complements:
            raise ConfigError(f"the model reads {alphabet.name} sequences; motifs of nucleotides are looked for.")
        if explained.language or len(explained.names) > 1:
            names = ", ".join(explained.names)
            raise ConfigError(
                f"{model}: motifs are those of one class, label or value. Say with positive= which: {names}."
            )
        explainer = Explainer(explained, Settings(method, strand, batch_size, seed=seed))
        start = time.perf_counter()
        store, stream = open_records(
            input, genome, features, sequence=sequence, id=id, alphabet=alphabet, letters=letters, cache_dir=cache_dir
        )
        records = list(stream)
        if len(records) < FEWEST_RECORDS:
            raise DataError(
                f"{input}: {len(records)} sequences are too few to find motifs and to test them; {FEWEST_RECORDS} or "
                "more are needed."
            )
        tested = records[1::2]
        if background:
            others = [
                one.codes
                for one in sequence_records(background, sequence=sequence, id=id, alphabet=alphabet, letters=letters)
            ]
            if not others:
                raise DataError(f"background={background}: there is no sequence in it.")
        else:
            others = [shuffles(one.codes, 1, explained.tokenizer, seed)[0] for one in tested]
        attributions = list(
            counting(explainer.explain(records[::2], f"{input}, "), "explain", "records", len(records[::2]))
        )
        motifs, seqlets = find_motifs(attributions, 0, most=most, seed=seed)
        counted = [_counted(motif, records, others) for motif in motifs]
        q_values = adjusted(np.array([one.p_value for one in counted]))
        kept = [(one, float(q)) for one, q in zip(counted, q_values, strict=True) if q < ENRICHED_Q]
        kept = [
            (one._replace(motif=one.motif._replace(name=f"m{number}")), q) for number, (one, q) in enumerate(kept, 1)
        ]
        found = [_described(one, q, match_motif(one.motif, targets), attributions) for one, q in kept]
        verdict = _verdict(found, len(records), seqlets, len(motifs) - len(kept))
        facts = {"model": model, "input": input, "background": background or "shuffles of pairs of bases",
                 "database": database, "method": method, "strand": strand, "seed": seed}  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder, kept, found, store is not None)
        write_report(folder / "motifs.html", motif_report([one for one, _ in found], verdict, facts))
        logger.info("%s (%.1f s)", verdict, time.perf_counter() - start)
        for one, _ in found:
            logger.info("%s", "  ".join(f"{name} {value}" for name, value in one.facts.items()))
        logger.info("%s", folder)


def _counted(motif: Motif, records: Sequence[Record], others: Sequence[Codes]) -> _Counted:
    """Count the sequences with a site in the half that the motif was not found in, and in the background."""
    scanner = MotifScanner(motif)
    by_record = [scanner.sites(record.codes) for record in records]
    sites = [(record, site) for record, found in zip(records, by_record, strict=True) for site in found]
    tested = by_record[1::2]
    own = sum(map(bool, tested))
    other = sum(bool(scanner.sites(codes)) for codes in others)
    ratio, p_value = enrichment(own, len(tested), other, len(others))
    return _Counted(motif, sites, own / len(tested), other / len(others), ratio, p_value)


def _described(
    one: _Counted, q_value: float, matches: Sequence[Match], attributions: Sequence[Attribution]
) -> tuple[FoundMotif, Sequence[Match]]:
    """Put together what tables and the page say of a motif."""
    motif, by_record = one.motif, {id(found.record): found for found in attributions}
    width = len(motif.probabilities)
    explained = [(by_record.get(id(record)), site) for record, site in one.sites]
    gained = [
        float(found.contributions[0, site.start : site.start + width].sum()) for found, site in explained if found
    ]
    alike = sum(match.q_value < LIKE_Q for match in matches)
    best = matches[0] if alike else None
    others = f", as are {alike - 1} others" if alike > 2 else ", as is 1 other" if alike == 2 else ""
    facts: dict[str, object] = {
        "motif": motif.name,
        "consensus": motif.consensus(),
        "seqlets": motif.sites,
        "in input": f"{one.share:.1%}",
        "in background": f"{one.background:.1%}",
        "enrichment": f"{one.ratio:.2f}",
        "q": f"{q_value:.2g}",
        "sites": len(one.sites),
        "contribution": f"{np.mean(gained) if gained else 0:.3g}",
        "like": f"{best.target.name} {best.target.other}, q {best.q_value:.1g}{others}" if best else "",
    }
    shown = [[m.target.name, m.target.other, f"{m.p_value:.1e}", f"{m.q_value:.1e}", m.strand]
             for m in matches[:MATCHES_SHOWN]]  # fmt: skip
    places = [(site.start + width / 2) / len(record.codes) for record, site in one.sites]
    turned = None if best is None else best.target if best.strand == "+" else best.target.turned()
    return FoundMotif(motif, facts, shown, turned, np.array(places)), matches


def _verdict(found: Sequence[tuple[FoundMotif, Sequence[Match]]], records: int, seqlets: int, dropped: int) -> str:
    """Say what was found."""
    left = f"; {dropped} were dropped: no more frequent than in the background" if dropped else ""
    if not found:
        return (
            f"No motif in {records:,} sequences ({seqlets:,} stretches contribute more than chance{left}). The model "
            "may have learned none, or the sequences have none in common"
        )
    named = [
        f"{one.motif.name} {one.motif.consensus()} ({one.facts['like'] or 'like no known one'})" for one, _ in found
    ]
    count = f"{len(found)} motif{'s' * (len(found) > 1)}"
    return f"{count} in {records:,} sequences, from {seqlets:,} stretches{left}: {', '.join(named[:5])}"


def _write(
    folder: Path,
    kept: Sequence[tuple[_Counted, float]],
    found: Sequence[tuple[FoundMotif, Sequence[Match]]],
    placed: bool,
) -> None:
    """Write tables and motifs."""
    motifs = [one.motif for one, _ in kept]
    write_meme(folder / "motifs.meme", motifs)
    write_jaspar(folder / "motifs.jaspar", motifs)
    columns = [("motif", str), ("consensus", str), ("seqlets", int), ("in_input", float), ("in_background", float),
               ("enrichment", Value), ("p", Value), ("q", Value), ("sites", int), ("like", str)]  # fmt: skip
    with tsv_table(folder / "motifs.tsv", columns) as write:
        for (one, q), (described, _) in zip(kept, found, strict=True):
            motif = one.motif
            write([[motif.name, motif.consensus(), motif.sites, one.share, one.background, one.ratio, one.p_value, q,
                    len(one.sites), str(described.facts["like"])]])  # fmt: skip
    columns = [
        ("motif", str),
        ("target", str),
        ("name", str),
        ("p", Value),
        ("q", Value),
        ("offset", int),
        ("strand", str),
    ]
    with tsv_table(folder / "matches.tsv", columns) as write:
        for described, matches in found:
            write([described.motif.name, m.target.name, m.target.other, m.p_value, m.q_value, m.offset, m.strand]
                  for m in matches if m.q_value < 0.5)  # fmt: skip
    lines: list[tuple[str, int, str]] = []
    columns = [("motif", str), ("id", str), ("start", int), ("end", int), ("strand", str), ("bits", float)]
    with tsv_table(folder / "sites.tsv", columns) as write:
        for one, _ in kept:
            width = len(one.motif.probabilities)
            for record, site in one.sites:
                row: list[Cell] = [one.motif.name, record.name, site.start, site.start + width, site.strand, site.score]
                write([row])
                if placed:
                    minus = record.strand == "-"
                    start = record.end - site.start - width if minus else record.start + site.start
                    strand = site.strand if not minus else "-+"["+-".index(site.strand)]
                    line = bed_line(
                        record.contig, start, start + width, one.motif.name, strand, site.score, scaled=False
                    )
                    lines.append((record.contig, start, line))
    if placed:
        write_lines(folder / "sites.bed", (line for _, _, line in sorted(lines)))
