"""A VCF against the genome that it is scored on: every record, before the first is scored."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gulmfit.errors import DataError
from gulmfit.seq.alphabet import AMBIGUOUS, Codes, decode, encode
from gulmfit.seq.formats.vcf import Vcf, VcfRecord, unsequenced

SHOWN = 20

Contigs = Mapping[str, Codes]
NO_BASES = encode("")  # of a contig that is not there


@dataclass
class Survey:
    """What the first reading of a VCF found."""

    records: int = 0
    alleles: int = 0
    """Alternative alleles that spell bases, in records that agree with the genome."""
    mismatches: int = 0
    """Records whose REF is not in the genome."""
    shown: list[str] = field(default_factory=list)
    """The first of them."""
    first: dict[str, str] = field(default_factory=dict)
    """For each reason to leave an allele out, where the first one is."""

    def message(self, vcf: Path) -> str:
        """Tell of the mismatches."""
        hint = " Wrong genome build, or 0-based positions?" if 2 * self.mismatches > self.records else ""
        rest = self.mismatches - len(self.shown)
        return "\n  ".join(
            [
                f"{vcf}: {self.mismatches} of {self.records} records have a REF that is not in the genome.{hint}",
                *self.shown,
                *([f"… and {rest} more"] if rest else []),
            ]
        )


def survey(
    calls: Vcf, contigs: Contigs, genome: str, note: Callable[[Iterable[Sequence[str | int]]], None] | None = None
) -> Survey:
    """Check all records.

    Args:
        calls: The VCF.
        contigs: Base codes of each contig.
        genome: What messages call the genome.
        note: Takes rows (place, contig, 1-based position, REF, what the genome has) of mismatches.

    Raises:
        DataError: If a line is damaged; or a contig is not in the genome, or a REF lies outside its contig, in a
            record with an allele that spells bases.
    """
    found, unknown = Survey(), Counter[str]()
    for record in calls.records():
        found.records += 1
        if record.contig not in contigs and not all(map(unsequenced, record.alts)):
            unknown[record.contig] += 1
            continue
        reasons = left_out(record, contigs.get(record.contig, NO_BASES))
        if "ref_mismatch" in reasons:
            found.mismatches += 1
            there = decode(_there(record, contigs[record.contig]))
            if len(found.shown) < SHOWN:
                found.shown.append(f"{record.place}, {record.locus}: REF {record.ref[:40]!r}, genome {there[:40]!r}")
            if note:
                note([(record.place, record.contig, record.start + 1, record.ref, there)])
        found.alleles += reasons.count("")
        for reason, alt in zip(reasons, record.alts, strict=True):
            if reason:
                found.first.setdefault(reason, f"{record.place}, {record.locus}, ALT {alt[:40]!r}")
    if unknown:
        raise DataError(_unknown_contigs(calls.path, unknown, list(contigs), genome))
    return found


def left_out(record: VcfRecord, codes: Codes) -> list[str]:
    """Say for each alternative allele why it cannot be scored; "" where it can.

    Args:
        record: A record.
        codes: Base codes of its contig, `(L,)`. An ambiguous base there agrees with every REF.

    Raises:
        DataError: If REF lies outside the contig; not where no allele spells bases, whatever REF is: callers of
            structural variants write N there.
    """
    reasons = [unsequenced(alt) for alt in record.alts]
    if all(reasons):
        return reasons
    there = _there(record, codes)
    if len(there) < len(record.ref):
        raise DataError(
            f"{record.place}, {record.locus}: REF of {len(record.ref)} base(s) is not within contig {record.contig!r}, "
            f"which has the positions 1 to {len(codes)}. Another genome build?"
        )
    agrees = (there == encode(record.ref)) | (there == AMBIGUOUS)
    return reasons if agrees.all() else [reason or "ref_mismatch" for reason in reasons]


def _there(record: VcfRecord, codes: Codes) -> Codes:
    """Return what the genome has in the place of REF, less where that lies outside the contig."""
    return codes[max(record.start, 0) : record.start + len(record.ref)]


def _unknown_contigs(path: Path, unknown: Counter[str], known: list[str], genome: str) -> str:
    listed = ", ".join(f"{name!r} ({count} records)" for name, count in unknown.most_common(5))
    swapped = {name.removeprefix("chr") if name.startswith("chr") else f"chr{name}" for name in unknown}
    hint = " They differ by 'chr': bcftools annotate --rename-chrs mends that." if swapped & set(known) else ""
    return (
        f"{path}: contig {listed}{', …' if len(unknown) > 5 else ''} is not in {genome}, which has "
        f"{', '.join(map(repr, known[:10]))}{', …' if len(known) > 10 else ''}.{hint} Give the genome that the "
        "variants were called on, or leave those contigs out."
    )
