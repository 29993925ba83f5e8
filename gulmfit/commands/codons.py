"""What `gulmfit-codons` does: write coding sequences for proteins."""

import logging
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gulmfit.commands.provenance import noted
from gulmfit.errors import CheckpointError, ConfigError, SequenceError
from gulmfit.files import whole_file
from gulmfit.models.codon_labeller import CodonLabeller
from gulmfit.models.hardware import keep_freed_memory
from gulmfit.predict.predictor import PositionPredictor, Predictor, Record
from gulmfit.predict.progress import counting
from gulmfit.seq.alphabet import PROTEIN, encode
from gulmfit.seq.formats.tables import not_one_of
from gulmfit.seq.genome.coding_sequences import RECODED
from gulmfit.seq.genome.genetic_code import CODONS
from gulmfit.seq.labels.codon_labels import START, START_RESIDUE, STOP, CodonClasses
from gulmfit.seq.labels.labelled import read_sequences

logger = logging.getLogger(__name__)

LINE_BP = 60
BATCHES_AHEAD = 8  # so many are sorted by length, for little padding
MODEL, NONE = "model", "none"


def choose_codons(
    *,
    model: str,
    input: str,
    output: str,
    temperature: float = 0.0,
    seed: int = 0,
    start: str = "model",
    stop: str = "model",
    batch_size: int = 64,
    sequence: str = "sequence",
    id: str = "",
) -> int:
    """Write a coding sequence for every protein of a file.

    Each codon spells its residue, whatever the model and the temperature: the sequences translate back, always. U
    (selenocysteine) becomes TGA and O (pyrrolysine) TAG, where these are stop codons.

    Args:
        model: Run folder (outputs/label/mine), model folder or checkpoint of a model of codons (data=codons).
        input: Proteins: FASTA or a table (CSV, TSV, JSONL, Parquet), plain or gzip. A "*" may end a protein.
        output: `.fasta`, `.fa` or `.fna`.
        temperature: 0 takes the likeliest codon of each residue, 1 draws with the model's probabilities, more evens
            them out.
        seed: Of the draws; a sequence depends on it, on its protein and on its place in the file alone.
        start: Codon of an M that begins a protein: `model` lets the model choose a start codon; or one, such as ATG.
        stop: Codon after the last residue: `model` lets the model choose, `none` writes none; or one, such as TAA.
        batch_size: Proteins that are run at once.
        sequence: Column of the proteins in a table.
        id: Column of the ids in a table; the number of the record by default.

    Returns:
        How many sequences were written.

    Raises:
        ConfigError: If an option is out of range, or the output's name is none of a FASTA.
        SequenceError: If a residue has no codon, naming record and position.
        GulmfitError: If the model or the input cannot be read, or the output not be written.
    """
    asked = dict(locals())
    target = Path(output)
    if target.suffix.lower() not in (".fasta", ".fa", ".fna"):
        raise ConfigError(f"output={output}: sequences are written as .fasta, .fa or .fna. Name the file so.")
    if temperature < 0 or seed < 0 or batch_size < 1:
        raise ConfigError(
            f"temperature={temperature:g} seed={seed} batch_size={batch_size}: 0 or more, and a batch of 1 or more."
        )
    with noted([target], [input], asked):
        keep_freed_memory()
        predictor = Predictor.load(model, positions=True)
        if not isinstance(predictor, PositionPredictor) or not isinstance(predictor.model, CodonLabeller):
            found = type(predictor.model).__name__
            raise CheckpointError(
                f"{model} is a {found}, and this needs a model of codons: train one with stage=label data=codons."
            )
        chooser = _Chooser(predictor, temperature=temperature, seed=seed, start=start, stop=stop)
        begin, count = time.perf_counter(), 0
        header = f"temperature={temperature:g} seed={seed}" if temperature else "temperature=0"
        with whole_file(target) as unfinished, unfinished.open("w", encoding="utf-8", newline="\n") as handle:
            chosen = chooser.each(_proteins(input, sequence, id, chooser.classes), batch_size)
            for name, bases in counting(chosen, "codons", "proteins"):
                handle.write(f">{name} {header}\n")
                handle.writelines(f"{bases[at : at + LINE_BP]}\n" for at in range(0, len(bases), LINE_BP))
                count += 1
        logger.info("%s: %d coding sequences in %.1f s", output, count, time.perf_counter() - begin)
        return count


class _Chooser:
    """Choose codons with a model; arguments as of `choose_codons`."""

    def __init__(self, predictor: PositionPredictor, *, temperature: float, seed: int, start: str, stop: str) -> None:
        self.predictor, self.temperature, self.seed = predictor, temperature, seed
        self.classes = CodonClasses(predictor.classes)
        self.start = self._fixed("start", start, START, (MODEL,))
        self.stop = self._fixed("stop", stop, STOP, (MODEL, NONE))

    def _fixed(self, option: str, asked: str, residue: str, words: Sequence[str]) -> str:
        """Return the codon that is asked for, or "model" or "none"; ConfigError if it is not one."""
        codons = [name.partition(":")[2] for name in self.classes.names if name.startswith(f"{residue}:")]
        codon = asked.upper().replace("U", "T")
        if asked not in words and codon not in codons:
            raise ConfigError(f"{option}={asked} {not_one_of(asked, [*words, *codons])}")
        return asked if asked in words else codon

    def each(self, proteins: Iterator[tuple[str, str]], batch_size: int) -> Iterator[tuple[str, str]]:
        """Yield the names of proteins, each ending in "*", and their coding sequences, in order."""
        number = 0
        while group := list(islice(proteins, batch_size * BATCHES_AHEAD)):
            records = (Record(name, encode(protein, alphabet=PROTEIN)) for name, protein in group)
            labelled = self.predictor.label(records, batch_size=batch_size)
            for (name, protein), (_, probabilities) in zip(group, labelled, strict=True):
                yield name, self._bases(protein, probabilities, number)
                number += 1

    def _bases(self, protein: str, probabilities: npt.NDArray[np.float64], number: int) -> str:
        """Return the coding sequence of a protein from the probabilities of its codons (L, K)."""
        options = self.classes.options(self.classes.rows_of(protein))
        if self.temperature:
            with np.errstate(divide="ignore"):
                logits = np.where(options >= 0, np.log(probabilities) / self.temperature, -np.inf)
            # The largest of logits with Gumbel noise is a draw with their probabilities.
            logits += np.random.default_rng([self.seed, number]).gumbel(size=logits.shape)
        else:
            logits = np.where(options >= 0, probabilities, -1.0)
        classes = np.take_along_axis(options, logits.argmax(axis=1)[:, None], axis=1)[:, 0]
        codons = [
            RECODED.get(residue) or CODONS[self.classes.codons[one]]
            for residue, one in zip(protein, classes, strict=True)
        ]
        if protein[0] == START_RESIDUE and self.start != MODEL:
            codons[0] = self.start
        if self.stop != MODEL:
            codons[-1:] = [] if self.stop == NONE else [self.stop]
        return "".join(codons)


def _proteins(input: str, sequence: str, id: str, classes: CodonClasses) -> Iterator[tuple[str, str]]:
    """Yield names and proteins, each ending in "*"; SequenceError where a residue has no codon."""
    known = {*PROTEIN.letters, *(residue for residue, codon in RECODED.items() if f"{STOP}:{codon}" in classes.names)}
    for name, text in read_sequences(input, sequence=sequence, id=id or None, alphabet=PROTEIN.name):
        protein = text.removesuffix(STOP)
        wrong = next((at for at, letter in enumerate(protein) if letter not in known), None if protein else 0)
        if wrong is not None:
            raise SequenceError(
                f"{input}, record {name!r}, position {wrong}: {text[wrong]!r} has no codon; those of "
                f"{''.join(sorted(known))} have, and '*' may end a protein. Correct or remove it."
            )
        yield name, protein + STOP
