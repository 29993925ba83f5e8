"""Which data sets a panel has: pairs of DeepBind's files by their names, or the rows of a table."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from gulmfit.data.sources.peaks import read_deepbind
from gulmfit.errors import ConfigError, DataError, GulmfitError
from gulmfit.overrides import assign
from gulmfit.seq.formats.fasta import expand_paths, read_fasta
from gulmfit.seq.formats.tables import is_table, quoting, read_rows
from gulmfit.seq.splits.split import PARTS
from gulmfit.seq.text import open_text

TRAIN, TEST, SUFFIX = "_AC", "_B", ".seq.gz"
NAME = "name"
ONE_FILE_AT_LEAST = "a folder or glob of NAME_AC.seq.gz and NAME_B.seq.gz, or a table with the columns name and train"


@dataclass(frozen=True)
class DataSet:
    """One of them.

    Attributes:
        name: Unique within the panel; its run folder is called so.
        words: What its runs read, as overrides.
        sequences: Training sequences in its file, of DeepBind's the peaks; None where that is not known beforehand.
        files: DeepBind's files to train on; none where it comes from elsewhere.
        about: What is known of it: factor and cell, or other columns of the table.
        left_out: Why it is listed and not run; an empty text for one that is run.
    """

    name: str
    words: tuple[str, ...] = ()
    sequences: int | None = None
    files: tuple[Path, ...] = ()
    about: Mapping[str, str] = field(default_factory=dict)
    left_out: str = ""


def find_sets(path: str, least: int) -> list[DataSet]:
    """List the sets of a panel, those that are too small or lack a file too.

    Args:
        path: A folder or glob of `.seq.gz` files, or a table.
        least: Training sequences below which a set is not run.

    Raises:
        ConfigError: If nothing is found, or two sets share a name.
        GulmfitError: If the table cannot be read.
    """
    place = Path(path).expanduser()
    if place.is_file() and is_table(place):
        found = _of_table(place)
    else:
        found = _of_files(sorted(place.glob(f"*{SUFFIX}")) if place.is_dir() else expand_paths(path))
    if not found:
        raise ConfigError(f"panel.path={path}: no data set there. Give {ONE_FILE_AT_LEAST}.")
    names = [item.name for item in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"panel.path={path}: two sets are called {twice[0]!r}. Give each a name of its own.")
    return [_judged(item, least) for item in found]


def shard_of(sets: Sequence[DataSet], shard: str | None) -> list[DataSet]:
    """Return every n-th set from the i-th on, of `i/n`; all of them for None.

    Raises:
        ConfigError: If it is no such share.
    """
    if shard is None:
        return list(sets)
    at, _, count = shard.partition("/")
    if not (at.isdecimal() and count.isdecimal() and 1 <= int(at) <= int(count)):
        raise ConfigError(f"panel.shard={shard}: give i/n with i from 1 to n, such as 2/4.")
    return list(sets)[int(at) - 1 :: int(count)]


def _of_files(files: Iterable[Path]) -> list[DataSet]:
    """Pair files by their names, never by their order."""
    pairs: dict[str, dict[str, Path]] = {}
    odd: list[DataSet] = []
    for file in files:
        stem = file.name.removesuffix(SUFFIX)
        end = next((end for end in (TRAIN, TEST) if stem.endswith(end)), None)
        if end is None or stem == file.name:
            odd.append(DataSet(stem, left_out=f"{file.name} ends neither in {TRAIN}{SUFFIX} nor in {TEST}{SUFFIX}"))
            continue
        name = stem.removesuffix(end)
        if earlier := pairs.setdefault(name, {}).get(end):
            raise ConfigError(f"panel.path: {earlier} and {file} are both the {end} file of {name!r}.")
        pairs[name][end] = file
    return sorted([*(_pair(name, pair) for name, pair in pairs.items()), *odd], key=lambda item: item.name)


def _pair(name: str, pair: Mapping[str, Path]) -> DataSet:
    parts = name.split("_")
    about = dict(zip(("factor", "cell"), parts, strict=False)) if len(parts) > 1 else {}
    for end, other in ((TRAIN, TEST), (TEST, TRAIN)):
        if end not in pair:
            return DataSet(name, about=about, left_out=f"{pair[other].name} has no {name}{end}{SUFFIX} next to it")
    return DataSet(name, tuple(_peaks(pair[TRAIN], pair[TEST])), None, (pair[TRAIN],), about)


def _peaks(train: Path, test: Path | None) -> list[str]:
    words = ["data=chipseq", assign("data.path", train)]
    return words + ([assign("data.test", test), "split=column"] if test else [])


def _of_table(table: Path) -> list[DataSet]:
    """Read a set a row: `name`, `train` and perhaps `valid` and `test`; keys of the configuration; what is known."""
    with open_text(table, newline="") as handle:
        comma = table.name.lower().removesuffix(".gz").endswith(".csv")
        columns = next(csv.reader(handle, **quoting(comma)), [])
    if NAME not in columns:
        raise DataError(f"{table}: no column {NAME!r} among {', '.join(columns)}. Give {ONE_FILE_AT_LEAST}.")
    return [_row(table, place, row) for place, row in read_rows(table, {name: name for name in columns})]


def _row(table: Path, place: str, row: Mapping[str, str]) -> DataSet:
    if not row[NAME] or "/" in row[NAME]:
        raise DataError(f"{place}: the name {row[NAME]!r} is to be that of a folder; give one without '/'.")
    files = {part: _beside(table, row[part]) for part in PARTS if row.get(part)}
    own = {key: value for key, value in row.items() if value and key not in (NAME, *PARTS)}
    keys = {key: value for key, value in own.items() if "." in key or key in ("data", "split", "tokenizer", "arch")}
    about = {key: value for key, value in own.items() if key not in keys}
    words: list[str] = []
    train = files.get("train")
    if train is not None and train.name.endswith(SUFFIX):
        words += _peaks(train, files.get("test"))
    elif files:
        words += ["data=table", *(assign(f"data.{part}", file) for part, file in files.items())]
    groups = sorted(keys, key=lambda key: "." in key)  # a group before the keys in it
    words += [f"{key}={keys[key]}" for key in groups]
    if not words:
        return DataSet(row[NAME], about=about, left_out=f"{place} names no data: give train, or keys such as data.path")
    return DataSet(row[NAME], tuple(words), None, (train,) if train is not None else (), about)


def _beside(table: Path, name: str) -> Path:
    """Return a file as the table names it: from its own folder, or from where the command is given."""
    own = table.parent / Path(name).expanduser()
    return own if own.is_file() else Path(name).expanduser()


def _judged(item: DataSet, least: int) -> DataSet:
    """Count the training sequences; one that cannot be read is left to its run, which says why."""
    if item.left_out or not item.files:
        return item
    try:
        count = sum(_count(file) for file in item.files)
    except GulmfitError:
        return item
    told = f"{count:,} training sequences, fewer than panel.least={least:,}" if count < least else ""
    return replace(item, sequences=count, left_out=told)


def _count(file: Path) -> int:
    if file.name.endswith(SUFFIX):
        return sum(peak.bound for peak in read_deepbind(file))
    if is_table(file):
        return sum(1 for _ in read_rows(file, {}))
    return sum(1 for _ in read_fasta(file))
