"""The genome store: all contigs of a corpus as base codes in one memory-mapped file, keyed by its content.

A store is three files in the cache folder, named by the digest of what they were built from:
`<digest>.codes` (one byte a base, contigs end to end), `<digest>.runs.npy` (runs of ambiguous bases) and
`<digest>.json` (contigs, letter counts and checksums; written last, so it marks a complete store).

Coordinates are 0-based half-open; "store coordinates" count from the first base of the first contig.
"""

import hashlib
import io
import json
import logging
import math
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from gulmfit.errors import ConfigError, SequenceError, StoreError
from gulmfit.files import locked, remove_unfinished, whole_file
from gulmfit.seq.alphabet import DNA, Alphabet, Codes, encode, held_alphabet
from gulmfit.seq.checksums import checksums
from gulmfit.seq.formats.fasta import expand_paths, read_fasta_pieces
from gulmfit.seq.genome.gatherer import Contig, Gatherer
from gulmfit.seq.limits import parse_json
from gulmfit.seq.text import opener

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1

_SUFFIXES = (".codes", ".runs.npy", ".json")  # in the order in which they are put in place
_GZIP_RATIO = 4  # nucleotide text is about this much longer than its gzip file


class Interval(NamedTuple):
    """A stretch [start, end) of one contig in store coordinates; `contig` is its index in the table."""

    contig: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file that a store was built from: its name without folder, its size in bytes, its SHA-256."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, eq=False)
class GenomeStore:
    """The base codes of a corpus with their table of contigs.

    Attributes:
        codes: uint8 (L,), all contigs end to end; a read-only memory map when the store was built from files.
        contigs: the contigs in file order.
        runs: int64 (n, 2), each [start, end) of ambiguous bases in store coordinates; sorted, and none across
            two contigs.
        counts: how often each letter was seen, both cases together: A, C, G and T always, U and IUPAC letters
            where they occur; and "lower_case", how many letters were lower case.
        digest: SHA-256 in hexadecimal of what the store was built from.
        sources: the files that it was built from; empty for a store in memory.
        alphabet: what the codes mean; of RNA, which is kept as DNA, that of DNA.
    """

    codes: Codes
    contigs: list[Contig]
    runs: npt.NDArray[np.int64]
    counts: dict[str, int]
    digest: str
    sources: tuple[SourceFile, ...] = ()
    alphabet: Alphabet = DNA

    @classmethod
    def build(
        cls,
        paths: str | Path | Sequence[str | Path],
        cache_dir: str | Path,
        *,
        case: str = "upper",
        alphabet: str = DNA.name,
    ) -> Self:
        """Build the store of FASTA files, or reuse the one that was built from the same content.

        The digest covers the files' bytes and names in order, the case policy and the format version. Memory does
        not grow with the files, and a file is read again only if it was changed since it was last checked (see
        `gulmfit.seq.checksums`). Of several processes that want the same store one builds it and
        the others wait.

        Args:
            paths: files or patterns, as `gulmfit.seq.formats.fasta.expand_paths` takes them.
            cache_dir: folder of the store's files; made if missing.
            case: "upper", or "mask" to make lower-case letters ambiguous.
            alphabet: name of the letters: dna, rna or protein.

        Raises:
            ConfigError: if `case` or `alphabet` is unknown.
            SequenceError: if a file cannot be read, is not FASTA or holds a letter outside the alphabet.
            StoreError: if the store cannot be written; nothing half-written is left.
        """
        letters = held_alphabet(alphabet)
        encode(b"", case=case)  # a wrong case policy is told before any file is read
        files, folder = expand_paths(paths), Path(cache_dir).expanduser()
        with checksums(folder) as sha256:
            sources = tuple(_describe(path, sha256) for path in files)
            digest = _digest(case, letters, [(source.name, source.sha256) for source in sources])
            if (folder / f"{digest}.json").exists():
                try:
                    return cls.open(folder, digest, files)
                except StoreError as error:
                    logger.warning("%s Rebuilding it now.", error)
                    with suppress(OSError):
                        (folder / f"{digest}.json").unlink()
            _write_store(folder, digest, files, sources, case, letters)
            return cls.open(folder, digest, files, check=False)

    @classmethod
    def open(cls, cache_dir: str | Path, digest: str, paths: Sequence[Path], *, check: bool = True) -> Self:
        """Open a built store, its codes memory-mapped read-only.

        Args:
            cache_dir: the folder it was built in.
            digest: its digest.
            paths: its source files in the order of building, wherever they are now; they give `Contig.path`.
            check: whether to compare checksums; a file that is unchanged since it was last checked is not read.

        Raises:
            StoreError: if one of its files is missing, of another format version, short or damaged.
        """
        codes_path, runs_path, table_path = (Path(cache_dir) / f"{digest}{suffix}" for suffix in _SUFFIXES)
        try:
            table = parse_json(table_path.read_text(encoding="utf-8"))
            if (table["format_version"], table["digest"]) != (FORMAT_VERSION, digest):
                raise ValueError(f"{table_path.name} is of another format version or store")
            with checksums(Path(cache_dir)) as sha256:
                for path in (codes_path, runs_path) if check else ():
                    if sha256(path) != table["sha256"][path.name.removeprefix(digest)]:
                        raise ValueError(f"{path.name} has {path.stat().st_size:,} bytes that fail its checksum")
            sources = tuple(SourceFile(**source) for source in table["sources"])
            names, files, lengths = (table["contigs"][column] for column in ("name", "file", "length"))
            starts = np.cumsum([0, *lengths])[:-1].tolist()
            contigs = [
                Contig(str(name), str(paths[file]), start, length)
                for name, file, start, length in zip(names, files, starts, lengths, strict=True)
            ]
            # Mapped first: a file that tells of more numbers than it has takes no memory.
            runs = np.array(np.load(runs_path, mmap_mode="r", allow_pickle=False))
            alphabet = held_alphabet(table.get("alphabet", DNA.name))
            opened = cls(_map_codes(codes_path), contigs, runs, dict(table["counts"]), digest, sources, alphabet)
            opened._check(files, len(paths))
            return opened
        except Exception as error:  # a damaged file can raise nearly anything
            raise StoreError(
                f"{table_path}: the genome store is incomplete or damaged ({error}). "
                f"Building it again replaces it; or delete {table_path.with_suffix('.*')}."
            ) from error

    @classmethod
    def from_sequences(
        cls,
        names: Sequence[str],
        sequences: Sequence[str | bytes],
        *,
        case: str = "upper",
        alphabet: str = DNA.name,
    ) -> Self:
        """Make a store in memory, one contig for each sequence.

        Raises:
            ConfigError: if `case` is unknown.
            SequenceError: if there is no sequence, a name is missing or repeated, or a sequence is empty or
                holds a letter outside the alphabet.
        """
        if len(names) != len(sequences) or not names or len(set(names)) != len(names):
            raise SequenceError(
                f"{len(names)} names ({len(set(names))} different) for {len(sequences)} sequences. "
                "Give at least one sequence, and each a name of its own."
            )
        held = held_alphabet(alphabet)
        gathered, parts, content = Gatherer(case, held), [], []
        for name, sequence in zip(names, sequences, strict=True):
            letters = sequence if isinstance(sequence, bytes) else sequence.encode("utf-8")
            if not letters:
                raise SequenceError(f"record {name!r}: an empty sequence. Remove it.")
            parts.append(gathered.add(name, "", sequence))
            content.append((name, hashlib.sha256(letters).hexdigest()))
        codes = np.concatenate(parts)
        digest = _digest(case, held, content)
        return cls(codes, gathered.contigs, gathered.runs(), gathered.counts(), digest, alphabet=held)

    def clear_intervals(self, ambiguity: str) -> list[Interval]:
        """List the stretches that may be read as one sequence, none of them empty or across two contigs.

        Args:
            ambiguity: "split" cuts the runs of ambiguous bases out; "unk" keeps contigs whole, and their
                ambiguous bases are to be read as unknown; "error" refuses any ambiguous base.

        Returns:
            The intervals in store order and store coordinates.

        Raises:
            ConfigError: if `ambiguity` is none of the three.
            SequenceError: if it is "error" and there is an ambiguous base; names file, contig and the
                position of the first one in its contig.
        """
        if ambiguity not in ("split", "unk", "error"):
            raise ConfigError(f"ambiguity={ambiguity!r} is not a policy. Use 'split', 'unk' or 'error'.")
        if ambiguity == "error" and len(self.runs):
            raise SequenceError(self._first_ambiguous())
        cuts = self.runs if ambiguity == "split" else self.runs[:0]
        contig_starts = np.array([contig.start for contig in self.contigs], dtype=np.int64)
        contig_ends = np.append(contig_starts[1:], self.codes.size)
        # A clear stretch starts at a contig's start or a run's end, and ends at a run's start or a contig's
        # end; sorted, the i-th start belongs to the i-th end, and runs at a contig's edge leave empty pairs.
        starts = np.sort(np.concatenate([contig_starts, cuts[:, 1]]))
        ends = np.sort(np.concatenate([cuts[:, 0], contig_ends]))
        kept = ends > starts
        starts, ends = starts[kept], ends[kept]
        indices = np.searchsorted(contig_starts, starts, side="right") - 1
        return [Interval(*row) for row in zip(indices.tolist(), starts.tolist(), ends.tolist(), strict=True)]

    def summary(self) -> dict[str, int | float]:
        """Count files, contigs, bases (or residues), ambiguous and lower_case ones, and of nucleotides give gc.

        `gc` is the share of G and C among all A, C, G, T and U seen in either case, in [0, 1]; nan where there is none.
        """
        counted: dict[str, int | float] = {
            "files": len(self.sources),
            "contigs": len(self.contigs),
            "bases": int(self.codes.size),
            "ambiguous": int((self.runs[:, 1] - self.runs[:, 0]).sum()),
            "lower_case": self.counts["lower_case"],
        }
        if self.alphabet.complements:
            strong = self.counts["G"] + self.counts["C"]
            known = strong + self.counts["A"] + self.counts["T"] + self.counts.get("U", 0)
            counted["gc"] = strong / known if known else math.nan
        return counted

    def _check(self, files: Sequence[int], num_files: int) -> None:
        """Raise ValueError where the parts of a store that was read do not fit each other."""
        lengths = [contig.length for contig in self.contigs]
        if not all(type(number) is int and number > 0 for number in lengths) or sum(lengths) != self.codes.size:
            raise ValueError(f"its contigs do not add up to {self.codes.size:,} bases")
        if not all(type(file) is int and 0 <= file < num_files for file in files):
            raise ValueError("a contig is of no file")
        flat = self.runs.reshape(-1)
        inside = (flat >= 0).all() and (flat <= self.codes.size).all()
        pairs = self.runs.dtype == np.int64 and self.runs.ndim == 2 and self.runs.shape[1] == 2
        if not (pairs and inside and (np.diff(self.runs) > 0).all() and (np.diff(flat) >= 0).all()):
            raise ValueError("its runs of ambiguous bases do not ascend, or leave it")
        counts = [self.counts[name] for name in (*self.alphabet.letters, "lower_case")]
        if not all(type(number) is int for number in (*counts, *self.counts.values())):
            raise ValueError("its counts of letters are not numbers")

    def _first_ambiguous(self) -> str:
        first = int(self.runs[0, 0])
        contig = next(contig for contig in self.contigs if first < contig.start + contig.length)
        place = f"{contig.path}, record {contig.name!r}" if contig.path else f"record {contig.name!r}"
        return (
            f"{place}, position {first - contig.start}: an ambiguous {self.alphabet.unit} ({self.alphabet.unknown}, "
            "another IUPAC letter, or a masked lower-case letter). Remove it, or choose ambiguity='split' or 'unk'."
        )

    def __getstate__(self) -> dict[str, Any]:
        # A memory map would be pickled base by base into each worker process; its path is enough.
        state = dict(self.__dict__)
        if isinstance(self.codes, np.memmap):
            state["codes"] = self.codes.filename
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if isinstance(state["codes"], str | os.PathLike):
            state["codes"] = _map_codes(Path(state["codes"]))
        self.__dict__.update(state)


def _write_store(
    folder: Path, digest: str, files: Sequence[Path], sources: Sequence[SourceFile], case: str, alphabet: Alphabet
) -> None:
    """Write a store that is not there, unless another process does so first; on any failure nothing of it is left."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / f"{digest}.lock", wait=True):
            if not (folder / f"{digest}.json").exists():
                _write_files(folder, digest, files, sources, case, alphabet)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error
        raise StoreError(
            f"{folder}: the genome store cannot be written ({reason}). "
            f"It needs about {_bytes_needed(files):,} bytes, {_bytes_free(folder):,} are free. "
            "Make room there, or choose another cache folder that you may write to."
        ) from error


def _write_files(
    folder: Path, digest: str, files: Sequence[Path], sources: Sequence[SourceFile], case: str, alphabet: Alphabet
) -> None:
    """Parse the files into the three files of a store, in the order of `_SUFFIXES`; the caller holds its lock."""
    final = {suffix: folder / f"{digest}{suffix}" for suffix in _SUFFIXES}
    for path in final.values():
        remove_unfinished(path)
    logger.info("building the genome store %s from %d files", digest[:12], len(files))
    with ExitStack() as stack:
        stack.callback(_drop_unmarked, final)
        # Left in reverse order: the table, whose presence means that all is there, is put in place last.
        table_path, runs_path, codes_path = (
            stack.enter_context(whole_file(final[suffix], kind=None)) for suffix in reversed(_SUFFIXES)
        )
        gathered = Gatherer(case, alphabet)
        codes_hash = hashlib.sha256()
        with codes_path.open("wb") as handle:
            for piece in read_fasta_pieces(files):
                codes = gathered.add(piece.id, piece.path, piece.letters, piece.start)
                codes_hash.update(codes.data)
                handle.write(codes.data)
        runs = io.BytesIO()
        np.save(runs, gathered.runs())
        runs_path.write_bytes(runs.getbuffer())
        index = {str(path): position for position, path in enumerate(files)}
        table = {
            "format_version": FORMAT_VERSION,
            "digest": digest,
            "case": case,
            "alphabet": alphabet.name,
            "sources": [{"name": source.name, "size": source.size, "sha256": source.sha256} for source in sources],
            "contigs": {
                "name": [contig.name for contig in gathered.contigs],
                "file": [index[contig.path] for contig in gathered.contigs],
                "length": [contig.length for contig in gathered.contigs],
            },
            "counts": gathered.counts(),
            "sha256": {".codes": codes_hash.hexdigest(), ".runs.npy": hashlib.sha256(runs.getbuffer()).hexdigest()},
        }
        table_path.write_bytes(json.dumps(table).encode("utf-8"))


def _drop_unmarked(final: Mapping[str, Path]) -> None:
    """Remove the files of a store whose table is not in place."""
    if not final[".json"].exists():
        for path in final.values():
            with suppress(OSError):  # missing, most of the time; and no clean-up hides what went wrong before
                path.unlink()


def _map_codes(path: Path) -> Codes:
    return np.memmap(path, dtype=np.uint8, mode="r")


def _describe(path: Path, sha256: Callable[[Path], str]) -> SourceFile:
    if not path.is_file():
        raise SequenceError(f"{path}: not a regular file, and a store reads its files twice. Save it to a file first.")
    try:
        return SourceFile(path.name, path.stat().st_size, sha256(path))
    except OSError as error:
        raise SequenceError(f"{path}: the file cannot be read ({error.strerror}). Check its permissions.") from error


def _digest(case: str, alphabet: Alphabet, content: Sequence[tuple[str, str]]) -> str:
    """Hash the format version, the policies and the (name, SHA-256) of each part in order."""
    read_as = [case] if alphabet == DNA else [case, alphabet.name]
    return hashlib.sha256(json.dumps([FORMAT_VERSION, *read_as, content]).encode("utf-8")).hexdigest()


def _bytes_needed(files: Sequence[Path]) -> int:
    return sum(path.stat().st_size * (1 if opener(path) is open else _GZIP_RATIO) for path in files)


def _bytes_free(folder: Path) -> int:
    existing = next(parent for parent in [folder, *folder.absolute().parents] if parent.is_dir())
    return shutil.disk_usage(existing).free
