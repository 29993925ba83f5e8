"""Compare how well motifs tell sequences from their shuffles: which profile of a family describes peaks best.

    python scripts/profiles.py USF1.fa motifs/motifs.meme=m1 jaspar.meme=USF1,TFEC,TFE3

Prints for each motif the area under the ROC curve of its best site's log-odds, for the sequences of a FASTA file
against shuffles of them that keep pairs of neighbouring bases. Motifs are named by either of their names.
"""

import sys
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from gulmfit.errors import DataError, GulmfitError
from gulmfit.seq.alphabet import AMBIGUOUS, Codes, decode, encode
from gulmfit.seq.formats.fasta import read_fasta
from gulmfit.seq.formats.motif_databases import read_database
from gulmfit.seq.formats.motif_files import Motif
from gulmfit.seq.negatives.shuffle import shuffle

Floats = npt.NDArray[np.float64]

NOWHERE = -1e9  # below the log-odds of every site


def best_site(motif: Motif, codes: Codes, background: Floats) -> float:
    """Return the log-odds in bits of the best site of a sequence `(L,)`, on either strand; `NOWHERE` if too short."""
    starts = len(codes) - len(motif.probabilities) + 1
    if starts < 1:
        return NOWHERE
    found = []
    for one in (motif, motif.turned()):
        odds = np.pad(np.log2((one.probabilities + 0.01) / 1.04 / background), ((0, 0), (0, 1)))  # ambiguous: 0
        found.append(sum(row[codes[at : at + starts]] for at, row in enumerate(odds)).max())
    return float(max(found))


def chosen(path: str, names: str) -> Iterator[Motif]:
    """Yield the motifs of a file that have one of the names, separated by commas.

    Raises:
        DataError: No motif has one of them.
    """
    motifs = read_database(path)
    for name in names.split(","):
        found = [motif for motif in motifs if name in (motif.name, motif.other)]
        if not found:
            raise DataError(f"{path}: no motif is called {name!r}")
        yield from found


def areas(path: str, motifs: Sequence[Motif], seed: int = 0) -> list[float]:
    """Return the area under the ROC curve of each motif, for the sequences of a FASTA file against their shuffles."""
    from sklearn.metrics import roc_auc_score

    records = list(read_fasta(path))
    texts = [decode(encode(one.sequence, where=f"{one.path}, record {one.id!r}")) for one in records]
    rng = np.random.default_rng(seed)
    sequences = [encode(text) for text in [*texts, *(shuffle(text, 2, rng) for text in texts)]]
    counts = np.bincount(np.concatenate(sequences), minlength=AMBIGUOUS)[:AMBIGUOUS] + 1.0
    background = (counts + counts[::-1]) / (2 * counts.sum())
    own = np.repeat([1, 0], len(texts))
    return [float(roc_auc_score(own, [best_site(motif, one, background) for one in sequences])) for motif in motifs]


def main(words: list[str]) -> int:
    """Return 0, 1 where something cannot be read, or 2 where it was called wrongly."""
    if len(words) < 2 or not all("=" in word for word in words[1:]):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        motifs = [motif for word in words[1:] for motif in chosen(word.partition("=")[0], word.partition("=")[2])]
        for motif, area in zip(motifs, areas(words[0], motifs), strict=True):
            print(f"{motif.name} {motif.other}\t{area:.3f}")
    except (GulmfitError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
