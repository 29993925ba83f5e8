"""What makes genes of the probabilities of a labeller: a decoder with the weights that suit the model.

It is kept in the model folder as plain values (`decoder.json`), and works through contigs of any length, piece by
piece: `OrfDecoder` on pieces that overlap by more than a gene, `GeneDecoder` on blocks that it reads as it goes.

Shapes: `L` bases, `C` classes of both tracks; an axis of 2 is the strand, "+" and "-".
"""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from math import isfinite
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from gulmfit.checkpoint import DECODER
from gulmfit.errors import CheckpointError, GulmfitError
from gulmfit.evaluate.baselines.gene_markov import PeriodicMarkov
from gulmfit.files import write_whole
from gulmfit.predict.genes.exon_scores import with_exon_scores
from gulmfit.predict.genes.gene_hmm import GeneDecoder
from gulmfit.predict.genes.intron_choice import EVIDENCE, IntronChoice
from gulmfit.predict.genes.orfs import Candidates, OrfDecoder, frame_log_odds
from gulmfit.predict.genes.splice_sites import ACCEPTOR, ANY, BRANCH_BP, DONOR, SpliceSites
from gulmfit.predict.genes.start_choice import StartChoice
from gulmfit.predict.genes.start_sites import BEFORE, GAP_LEAST, GAP_MOST, MOTIF, StartSites
from gulmfit.predict.genes.tuning import GeneCalibration
from gulmfit.predict.genes.untranslated import UntranslatedEnds
from gulmfit.seq.alphabet import Codes
from gulmfit.seq.genome.genes import GeneModel
from gulmfit.seq.genome.genetic_code import stop_codons
from gulmfit.seq.labels.gene_labels import CLASSES, PHASES
from gulmfit.seq.limits import parse_json
from gulmfit.seq.simulate.markov import MAX_ORDER

logger = logging.getLogger(__name__)

Probabilities = npt.NDArray[np.floating[Any]]
Read = Callable[[int, int], Probabilities]
"""Gives the probabilities of the bases [start, end) of a contig, classes and then phases, (end - start, 2, C)."""

DECODERS: Mapping[str, type[OrfDecoder] | type[GeneDecoder]] = {"orfs": OrfDecoder, "genes": GeneDecoder}
UNTUNED: Mapping[str, Mapping[str, Any]] = {"orfs": {"temperature": 0.05, "constant": -3.0}, "genes": {}}
"""What a decoder weighs where nothing was tuned."""

PIECE_BP = 1 << 21
LONGEST_BP = 1 << 17  # by which pieces overlap on each side; longer genes may be missed where two meet

_LEAST = 1e-7  # probabilities are kept in 16 bits, which have nothing between this and 0
_CLASSES, _PHASES = slice(0, len(CLASSES)), slice(len(CLASSES), len(CLASSES) + len(PHASES))


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """A decoder, and what goes with it.

    Attributes:
        decoder: Finds genes.
        calibration: Turns what a gene is worth into a probability; without it a gene of `OrfDecoder` has 1 / (1 +
            e^-worth), and one of `GeneDecoder` the mean probability of its coding bases.
        exons: Turns what speaks for the coding part of an exon into a probability (`exon_scores`); without it each has
            the score of its gene.
        markov: Log-odds of bases that are added to those of the network, for `OrfDecoder`.
        markov_weight: What they are multiplied by.
    """

    decoder: OrfDecoder | GeneDecoder
    calibration: GeneCalibration | None = None
    markov: PeriodicMarkov | None = None
    markov_weight: float = 0.0
    exons: GeneCalibration | None = None

    @classmethod
    def untuned(cls, kind: str) -> Self:
        """Return one of `DECODERS` with weights that suit most models."""
        return cls(decoder=DECODERS[kind](**UNTUNED[kind]))

    @property
    def kind(self) -> str:
        """Return the name in `DECODERS`."""
        return next(name for name, own in DECODERS.items() if isinstance(self.decoder, own))

    def changed(self, **weights: Any) -> Self:
        """Return it with other arguments of its decoder.

        Raises:
            ConfigError: The decoder refuses them.
        """
        return replace(self, decoder=replace(self.decoder, **weights))

    def __call__(
        self, codes: Codes, read: Read, contig: str, progress: Callable[[int], object] = lambda bases: None
    ) -> list[GeneModel]:
        """Return the genes of a contig by position, with scores from 0 to 1, also of the coding parts of exons.

        Args:
            codes: Its bases (L,).
            read: Gives its probabilities.
            contig: Its name.
            progress: Called with the number of bases of either strand that were gone through since its last call, 2 L
                in all.
        """
        found = self._genes(codes, read, contig, progress)
        return with_exon_scores(found, self.exons, len(codes), read) if self.exons else found

    def _genes(self, codes: Codes, read: Read, contig: str, progress: Callable[[int], object]) -> list[GeneModel]:
        if isinstance(self.decoder, GeneDecoder):
            found = [
                gene
                for strand, (classes, phases) in strand_logs(read, len(codes), progress).items()
                for gene in self.decoder.on_strand(codes, strand, classes, phases, contig)
            ]
            found.sort(key=lambda gene: (gene.span, gene.strand))
            return self.calibration(found) if self.calibration else found
        found = self.decoder.decode(self._candidates(self.decoder, codes, read, progress), contig)
        return (self.calibration or GeneCalibration(1.0, 0.0))(found)

    def log_odds(self, codes: Codes, probabilities: Probabilities) -> list[npt.NDArray[np.float32]]:
        """Return the log-odds of the places in a codon (2, 3, L), an array for each class of genes.

        Args:
            codes: Bases (L,).
            probabilities: (L, 2, C).
        """
        logs = np.log(np.maximum(probabilities.astype(np.float32), np.float32(_LEAST))).transpose(1, 2, 0)
        own = frame_log_odds(logs[:, _CLASSES], logs[:, _PHASES])
        if not self.markov or not self.markov_weight:
            return [own]
        return [own + np.float32(self.markov_weight) * other for other in self.markov(codes)]

    def _candidates(
        self, decoder: OrfDecoder, codes: Codes, read: Read, progress: Callable[[int], object]
    ) -> Candidates:
        """List the candidates of a contig: of each piece those that begin in it, on the forward strand."""
        length, parts = len(codes), []
        for first in range(0, max(1, length), PIECE_BP):
            low, high = max(0, first - LONGEST_BP), min(length, first + PIECE_BP + LONGEST_BP)
            found = decoder.candidates(codes[low:high], self.log_odds(codes[low:high], read(low, high)))
            left, right = found.left + low, found.right + low
            # What runs over an edge of the piece alone is not a candidate.
            at_cut = ((low > 0) & (left < low + 3)) | ((high < length) & (right > high - 3))
            cut = (found.open_start | found.open_end) & at_cut
            kept = (left >= first) & (left < first + PIECE_BP) & ~cut
            moved = replace(found, left=left, right=right)
            parts.append([getattr(moved, one.name)[kept] for one in fields(Candidates)])
            progress(2 * (min(first + PIECE_BP, length) - first))
        return Candidates(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def to_plain(self) -> dict[str, Any]:
        """Return it as plain values."""
        content = {"kind": self.kind, **asdict(self)}
        plain: dict[str, Any] = _plain(content)
        return plain

    def save(self, folder: Path) -> None:
        """Write it into a model folder.

        Raises:
            CheckpointError: It cannot be written.
        """
        write_whole(folder / DECODER, json.dumps(self.to_plain()) + "\n", kind=CheckpointError)

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """Read it from a model folder; None if that has none.

        Raises:
            CheckpointError: It is damaged.
        """
        file = folder / DECODER
        if not file.is_file():
            return None
        try:
            return cls.from_plain(parse_json(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, CheckpointError) as error:
            raise CheckpointError(f"{file} is damaged: {error} Without this file the model has no decoder.") from error

    @classmethod
    def from_plain(cls, content: Any) -> Self:
        """Make it from what `to_plain` gave.

        Raises:
            CheckpointError: The values do not make one.
        """
        try:
            kind, weights = DECODERS[content["kind"]], {**content["decoder"]}
            calibration, markov = content["calibration"], content["markov"]
            read: dict[str, Any] = {
                name: reader(own) for name, reader in _READERS.items() if (own := weights.pop(name, None))
            }
            if bonus := weights.pop("untranslated_bonus", 0.0):  # of older models, the same at any distance
                read["ending"] = UntranslatedEnds(before=_number(bonus), after=_number(bonus))
            starts = weights.pop("starts")
            introns = {str(ends): _number(value) for ends, value in weights.pop("introns", {}).items()}
            plain: Any = {name: _number(value) for name, value in weights.items()}
            plain |= {**read, "starts": tuple(map(str, starts)), **({"introns": introns} if introns else {})}
            exons = content.get("exons")  # which older models lack
            return cls(
                decoder=kind(**plain),
                calibration=calibration and _calibration(calibration),
                exons=exons and _calibration(exons),
                markov=markov and _markov(markov),
                markov_weight=float(_number(content["markov_weight"])),
            )
        except (AttributeError, LookupError, OverflowError, TypeError, ValueError, GulmfitError) as error:
            raise CheckpointError(f"these values make no decoder: {error!r}.") from error


def strand_logs(
    read: Read, length: int, progress: Callable[[int], object] = lambda bases: None
) -> "dict[str, tuple[_Strand, _Strand]]":
    """Return the log-probabilities of both tracks (4, L) of a contig by strand, in its reading direction.

    Args:
        read: Gives the probabilities of the contig.
        length: Its bases.
        progress: Called with the number of bases whose class is looked at for the first time, in reading direction.
    """
    return {
        strand: (_Strand(read, length, row, _CLASSES, progress), _Strand(read, length, row, _PHASES))
        for row, strand in enumerate("+-")
    }


def in_code(decoding: Decoding, code: int) -> Decoding:
    """Return a decoder of genes of a genetic code, 0 for its own; other stop codons than the model learned are logged.

    Raises:
        ConfigError: There is no such genetic code.
    """
    own = decoding.decoder.code
    if decoding.calibration and code and (stops := stop_codons(code)) != (learned := stop_codons(own)):
        logger.warning(
            "genetic_code=%d: its stop codons are %s, those of the genes that the model learned (code %d) %s. Leave "
            "genetic_code= out if the genome has the model's code.",
            code, ", ".join(stops), own, ", ".join(learned),
        )  # fmt: skip
    return decoding.changed(code=code) if code else decoding


class _Strand:
    """The log-probabilities of one track (4, L) on one strand, in its reading direction, read as they are looked at."""

    def __init__(
        self,
        read: Read,
        length: int,
        row: int,
        columns: slice,
        progress: Callable[[int], object] = lambda bases: None,
    ) -> None:
        self.read, self.length, self.row, self.columns = read, length, row, columns
        self.progress, self.furthest = progress, 0

    def __getitem__(self, key: tuple[Any, slice]) -> npt.NDArray[np.float32]:
        lines, where = key
        if where.stop > self.furthest:
            self.progress(where.stop - self.furthest)
            self.furthest = where.stop
        first, last = (self.length - where.stop, self.length - where.start) if self.row else (where.start, where.stop)
        values = self.read(first, last)[:, self.row, self.columns].T.astype(np.float32)
        logs = np.log(np.maximum(values, np.float32(_LEAST)))
        found: npt.NDArray[np.float32] = (logs[:, ::-1] if self.row else logs)[lines]
        return found


def _calibration(content: Any) -> GeneCalibration:
    return GeneCalibration(*(_number(content[name]) for name in ("slope", "offset")))


def _markov(content: Any) -> PeriodicMarkov:
    if not 0 <= (order := int(_number(content["order"]))) <= MAX_ORDER:
        raise ValueError(f"a Markov model of order {order}")
    shape = (len(content["log_odds"]), 3, 4 ** (order + 1))
    return PeriodicMarkov(order, _array(content["log_odds"], np.float32, shape))


def _start_sites(content: Any) -> StartSites:
    before = _number(content.get("before", BEFORE))
    if not 0 <= before <= len(content["matrix"]) - 3:
        raise ValueError(f"a start codon after {before} of {len(content['matrix'])} places")
    return StartSites(
        matrix=_array(content["matrix"], np.float64, (len(content["matrix"]), 5)),
        motif=_array(content["motif"], np.float64, (len(MOTIF) + 1,)),
        gaps=_array(content["gaps"], np.float64, (GAP_MOST - GAP_LEAST + 1,)),
        far=float(_number(content["far"])),
        before=int(before),
    )


def _splice_sites(content: Any) -> SpliceSites:
    shapes = {"donor": (sum(DONOR), 5), "acceptor": (sum(ACCEPTOR), 5), "branch": (BRANCH_BP, 5)}
    matrices = {name: _array(content[name], np.float64, shape) for name, shape in shapes.items()}
    return SpliceSites(
        **matrices,
        usual=float(_number(content["usual"])),
        least_donor=float(_number(content.get("least_donor", ANY))),
        least_acceptor=float(_number(content.get("least_acceptor", ANY))),
    )


def _start_choice(content: Any) -> StartChoice:
    weights = {name: float(_number(content[name])) for name in ("bases_weight", "sites_weight", "length_weight")}
    return StartChoice(sites=_start_sites(content["sites"]), **weights)


def _ending(content: Any) -> UntranslatedEnds:
    return UntranslatedEnds(**{str(name): float(_number(value)) for name, value in content.items()})


def _intron_choice(content: Any) -> IntronChoice:
    return IntronChoice(
        splicing=_splice_sites(content["splicing"]),
        starting=_start_sites(content["starting"]),
        weights=_array(content["weights"], np.float64, (EVIDENCE,)),
        threshold=float(_number(content["threshold"])),
        longest_bp=int(_number(content["longest_bp"])),
        bases_weight=float(_number(content.get("bases_weight", 0.0))),
    )


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "ending": _ending,
    "markov": _markov,
    "sites": _start_sites,
    "splicing": _splice_sites,
    "splitting": _intron_choice,
    "starting": _start_choice,
}


def _number(value: Any) -> Any:
    """Return a number, if it is a finite one."""
    if not isinstance(value, int | float) or not isfinite(value):
        raise ValueError(f"{str(value)[:40]!r} is not a number")
    return value


def _array(values: Any, kind: type, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return an array of finite numbers, if it has a shape."""
    found: npt.NDArray[Any] = np.array(values, kind)
    if found.shape != shape or not np.isfinite(found).all():
        raise ValueError(f"{found.shape}, not {shape} finite numbers")
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
