"""Measured values of every base, such as the coverage of RNA-seq, as the channels that a labeller reads with them.

A BAM file has four channels: reads and introns of reads, of each strand. Two bigWig files of one library, a file for
each strand, have one channel each; a bigWig file that tells no strand has one. For the other strand the channels of a
pair change places, so which of the two files is which strand is for the labeller to learn.

Shapes: `A` channels, `L` bases.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml  # type: ignore[import-untyped]

from gulmfit.errors import CheckpointError, ConfigError, DataError
from gulmfit.seq.formats.fasta import expand_paths
from gulmfit.seq.genome.contigs import contigs_by_name, missing_contigs
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.genome.tracks import BamTrack, Track, Values

NORMS = ("log", "linear", "none")

_PARTNERS = {"forward": "reverse", "fwd": "rev", "plus": "minus", "pos": "neg"}
_PARTNERS |= {other: one for one, other in _PARTNERS.items()}
_STRAND = re.compile(rf"(?:^|(?<=[._\- ]))({'|'.join(_PARTNERS)})(?=$|[._\- ])", re.IGNORECASE)
_LINEAR = 100.0
_EXAMPLE = "{rnaseq: [sample.bam, other_forward.bw, other_reverse.bw]}"


@dataclass(frozen=True)
class Measured:
    """One library.

    Attributes:
        group: What it is one of, such as "rnaseq".
        name: Its own name, that of its files without the strand unless another is given.
        files: One file, or one for each strand.
        strands: What the names of the files say of their strands, "" where they say nothing.
    """

    group: str
    name: str
    files: tuple[Path, ...]
    strands: tuple[str, ...]

    @property
    def kind(self) -> str:
        """Return what stands for it in the model: "bam", "pair" or "single"."""
        if self.files[0].suffix.lower() == ".bam":
            return "bam"
        return "pair" if len(self.files) == 2 else "single"

    def described(self) -> dict[str, Any]:
        """Return what a model keeps of it."""
        return {"group": self.group, "name": self.name, "kind": self.kind, "strands": list(self.strands)}


_OTHER = {"bam": (1, 0, 3, 2), "pair": (1, 0), "single": (0,)}
"""Of each channel of a kind the one that has its values for the other strand."""


class Coverage:
    """Read the channels of a genome.

    Args:
        tracks: Files by group: a list, or a mapping of names to a file, or to two, a file for each strand.
        norm: `log` for ln(1 + x), `linear` for x / 100, or `none`. A base of which a file says nothing has 0.

    Raises:
        ConfigError: The norm is unknown, or the files are not given as above.
        DataError: A file is missing, damaged, of no known kind, not sorted or without index.
    """

    def __init__(self, tracks: Mapping[str, Any], norm: str = "log") -> None:
        if norm not in NORMS:
            raise ConfigError(f"norm={norm!r} is unknown; choose one of {', '.join(NORMS)}.")
        self.norm, self.measured = norm, [one for group, given in tracks.items() for one in _read_group(group, given)]
        if not self.measured:
            raise ConfigError(f"tracks: no file is named; give files by group, as {_EXAMPLE}.")
        self._tracks = [[Track.open(file) for file in one.files] for one in self.measured]

    @staticmethod
    def asked(text: str, trained: Mapping[str, Any] | None, store: GenomeStore) -> "Coverage | None":
        """Open the tracks that are given to a model for prediction.

        Args:
            text: As on the command line of training, `{rnaseq: [a.bam, ...]}`; "" for none.
            trained: What the model keeps of those that it was trained with.
            store: The genome.

        Raises:
            CheckpointError: What the model keeps is damaged.
            ConfigError: The model reads none, tracks are missing, swapped or other ones than in training.
            DataError: A file cannot be read, or is of another genome.
        """
        if not text and not trained:
            return None
        if trained and not _is_sound(trained):
            raise CheckpointError(f"the configuration of the model is damaged: tracks: {str(trained)[:200]}.")
        if not trained:
            raise ConfigError(f"tracks={text}: the model reads no tracks; leave tracks= out.")
        if not text:
            raise ConfigError(
                f"the model was trained with tracks, in this order: {_told(trained['tracks'])}. Give tracks=."
            )
        try:
            given = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"tracks={text}: not a list of files by group, as {_EXAMPLE}: {error}") from error
        if not isinstance(given, Mapping):
            raise ConfigError(f"tracks={text}: give files by group, as {_EXAMPLE}.")
        found = Coverage(given, str(trained["norm"]))
        found.check_same(trained)
        found.check_against(store)
        return found

    @property
    def files(self) -> list[str]:
        """Names of all files."""
        return [str(file) for one in self.measured for file in one.files]

    @property
    def other_channels(self) -> list[int]:
        """Of each channel the one that has its values for the other strand (A)."""
        found: list[int] = []
        for one in self.measured:
            found += [len(found) + place for place in _OTHER[one.kind]]
        return found

    def described(self) -> dict[str, Any]:
        """Return what a model keeps: names, order, strands and norm, as plain values."""
        tracks = [one.described() for one in self.measured]
        return {"norm": self.norm, "tracks": tracks, "other_channels": self.other_channels}

    def check_same(self, trained: Mapping[str, Any]) -> None:
        """Check that these are the tracks that a model was trained with.

        Raises:
            ConfigError: One is missing or more than was there, or they are swapped.
        """
        ours, theirs = [one.described() for one in self.measured], list(trained["tracks"])
        if [_names(one) for one in ours] != [_names(one) for one in theirs]:
            same = sorted(map(_names, ours)) == sorted(map(_names, theirs))
            why = "in another order" if same else "other ones"
            raise ConfigError(
                f"tracks: {_told(ours)} are {why} than the model was trained with: {_told(theirs)}. Give those in "
                "their order; a file of another name is given as {GROUP: {NAME: file}}, or as {GROUP: {NAME: [file, "
                "file]}}, a file for each strand."
            )
        for one, other in zip(ours, theirs, strict=True):
            swapped = one["strands"] != other["strands"] and any(one["strands"]) and any(other["strands"])
            if one["kind"] != other["kind"] or swapped:
                raise ConfigError(
                    f"tracks: {_told([one])} was trained as {_told([other])}: give the same kind of file, and the "
                    "files of both strands in the same order."
                )

    def check_against(self, store: GenomeStore) -> None:
        """Check that each file has the contigs of a genome, in their lengths; a BAM file has all of them.

        Raises:
            DataError: It is of another genome.
        """
        known = contigs_by_name(store)
        for track in (track for own in self._tracks for track in own):
            missing = [name for name in known if name not in track.contigs]
            if len(missing) == len(known):
                raise DataError(
                    f"{track.path}: {missing_contigs(track.contigs, known)}. Were the reads aligned to this genome? "
                    "Give that one, or rename the contigs on one side"
                )
            if missing and isinstance(track, BamTrack):  # others may lack a contig where nothing was measured
                raise DataError(
                    f"{track.path}: {len(missing)} of {len(known)} contigs of the genome are not in the file: "
                    f"{', '.join(map(repr, missing[:5]))}. Give the genome that the reads were aligned to"
                )
            track.check_lengths(known)

    def values(self, contig: str, start: int, end: int) -> Values:
        """Return the channels of bases [start, end) of a contig, float32 (A, end - start)."""
        rows: list[Values] = []
        for own in self._tracks:
            for track in own:
                if isinstance(track, BamTrack):
                    rows += list(track.by_strand(contig, start, end))
                elif contig in track.contigs:
                    rows.append(np.nan_to_num(track.values(contig, start, end), nan=0.0))
                else:
                    rows.append(np.zeros(end - start, np.float32))
        found = np.stack(rows)
        if self.norm == "log":
            return np.asarray(np.sign(found) * np.log1p(np.abs(found)), np.float32)
        return found / np.float32(_LINEAR) if self.norm == "linear" else found


def _is_sound(trained: Mapping[str, Any]) -> bool:
    """Tell whether a description, which a stranger may have written, is one that `described` gives."""
    tracks = trained.get("tracks") if isinstance(trained, Mapping) else None
    if not isinstance(tracks, list) or not tracks or trained.get("norm") not in NORMS:
        return False
    found: list[int] = []
    for one in tracks:
        if not isinstance(one, Mapping) or not isinstance(one.get("strands"), list):
            return False
        names = [one.get(key) for key in ("kind", "group", "name")] + one["strands"]
        if not all(isinstance(name, str) for name in names) or one["kind"] not in _OTHER:
            return False
        found += [len(found) + place for place in _OTHER[one["kind"]]]
    return trained.get("other_channels") == found


def _read_group(group: Any, given: Any) -> Iterator[Measured]:
    """Read the files of a group."""
    if isinstance(given, Mapping):
        for name, files in given.items():
            paths = [Path(str(file)) for file in ([files] if isinstance(files, str) else files or ())]
            if not 1 <= len(paths) <= 2 or (len(paths) == 2 and any(path.suffix.lower() == ".bam" for path in paths)):
                raise ConfigError(f"tracks: {group}: {name}: give one file, or two bigWig files, one for each strand.")
            yield Measured(str(group), str(name), tuple(paths), tuple(_strand(path) for path in paths))
        return
    if not isinstance(given, str | Sequence):
        raise ConfigError(f"tracks: {group}: {given!r}; give files by group, as {_EXAMPLE}.")
    waiting = [Path(file) for one in ([given] if isinstance(given, str) else given) for file in expand_paths(str(one))]
    while waiting:
        path = waiting.pop(0)
        strand = _strand(path)
        if not strand:
            yield Measured(str(group), path.stem, (path,), ("",))
            continue
        name = _STRAND.sub("", path.stem)
        partners = [
            at
            for at, one in enumerate(waiting)
            if _STRAND.sub("", one.stem) == name and _strand(one) == _PARTNERS[strand]
        ]
        if not partners:
            raise ConfigError(
                f"tracks: {path}: its name says {strand!r}, and no file of {group} is that of the other strand. Name "
                "it, or say with {NAME: file} that the file stands alone."
            )
        other = waiting.pop(partners[0])
        yield Measured(str(group), name.strip("._- "), (path, other), (strand, _strand(other)))


def _strand(path: Path) -> str:
    """Return the strand that the name of a file tells, "" if it tells none or is a BAM file, which holds both."""
    found = None if path.suffix.lower() == ".bam" else _STRAND.search(path.stem)
    return found[1].lower() if found else ""


def _names(one: Mapping[str, Any]) -> tuple[str, str]:
    return str(one["group"]), str(one["name"])


def _told(tracks: Sequence[Mapping[str, Any]]) -> str:
    """List tracks for a message: "rnaseq T0 (pair: forward, reverse)"."""
    told = []
    for one in tracks:
        strands = ", ".join(filter(None, one["strands"]))
        told.append(f"{one['group']} {one['name']} ({one['kind']}{f': {strands}' if strands else ''})")
    return "; ".join(told)
