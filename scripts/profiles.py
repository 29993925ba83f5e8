"""Compare how well motifs tell sequences from their shuffles: which profile of a family describes peaks best.

    python scripts/profiles.py USF1.fa motifs/motifs.meme=m1 jaspar.meme=USF1,TFEC,TFE3

Prints for each motif the area under the ROC curve of its best site's log-odds, for sequences of one length against
shuffles that keep pairs of neighbouring bases. Motifs are named by either of their names.
"""

import sys

import numpy as np
import numpy.typing as npt

from gulmfit.errors import GulmfitError
from gulmfit.seq.alphabet import Codes, decode, encode
from gulmfit.seq.formats.motif_databases import read_database
from gulmfit.seq.formats.motif_files import Motif
from gulmfit.seq.negatives.shuffle import shuffle

Floats = npt.NDArray[np.float64]


def best_sites(motif: Motif, codes: Codes, background: Floats) -> Floats:
    """Return the log-odds of the best site of each sequence `(N, L)`, on either strand."""
    odds = np.log2((motif.probabilities + 0.01) / 1.04 / background)
    starts = codes.shape[1] - len(odds) + 1
    strands = [sum(row[codes[:, at : at + starts]] for at, row in enumerate(rows)) for rows in (odds, odds[::-1, ::-1])]
    best: Floats = np.maximum(*strands).max(1)
    return best


def main(words: list[str]) -> int:
    """Return 0, 1 where something cannot be read, or 2 where it was called wrongly."""
    from scipy.stats import mannwhitneyu

    if len(words) < 2 or not all("=" in word for word in words[1:]):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        with open(words[0], encoding="utf-8") as file:
            texts = [line.strip().upper() for line in file if not line.startswith(">")]
        texts = [text for text in texts if len(text) == len(texts[0]) and set(text) <= set("ACGT")]
        rng = np.random.default_rng(0)
        own, other = (np.stack([encode(text) for text in some])
                      for some in (texts, [decode(encode(shuffle(text, 2, rng))) for text in texts]))  # fmt: skip
        counts = np.bincount(own.ravel(), minlength=4)
        background = (counts + counts[::-1]) / (2 * counts.sum())
        for word in words[1:]:
            path, _, names = word.partition("=")
            for motif in read_database(path):
                if {motif.name, motif.other} & set(names.split(",")):
                    scores = [best_sites(motif, codes, background) for codes in (own, other)]
                    area = mannwhitneyu(*scores).statistic / len(own) / len(other)
                    print(f"{motif.name} {motif.other}\t{area:.3f}")
    except (GulmfitError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
