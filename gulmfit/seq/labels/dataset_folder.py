"""Data sets that are folders, laid out as on the Hugging Face hub: a table for each part, and names of the classes.

Read are `train.csv` (also .tsv, .jsonl, each with .gz or not, .parquet), shards like `train-00000-of-00002.parquet`, a
folder for each part, all that inside `data/`, and what `save_to_disk` of the `datasets` library writes (`state.json`
and .arrow files). Class names of numbered labels come from the table itself, `dataset_info.json`, or the head of
`README.md`.
"""

import csv
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from gulmfit.errors import DataError
from gulmfit.libraries import library
from gulmfit.seq.formats.tables import is_table, not_one_of, quoting, read_rows, row_texts
from gulmfit.seq.limits import bounded_lines, parse_json
from gulmfit.seq.text import READ_ERRORS, open_text, unreadable

_log = logging.getLogger(__name__)

PART_WORDS = {
    "train": "train", "training": "train", "validation": "valid", "valid": "valid", "val": "valid", "dev": "valid",
    "test": "test", "testing": "test",
}  # fmt: skip
SEQUENCE_COLUMNS = ("sequence", "seq", "dna", "dna_sequence")
LABEL_COLUMNS = ("label", "labels", "class", "target")

_WORD = re.compile(r"[A-Za-z]+")
# "train", "train-00000-of-00002" with or without a fingerprint behind it, "train_3", "train.part7"
_SHARD = re.compile(r"[A-Za-z]+([-_.]?(part|shard)?[-_.]?\d+([-_.]of[-_.]\d+)?(-[0-9a-f]{16})?)?", re.IGNORECASE)


def find_parts(folder: Path) -> dict[str, list[Path]]:
    """Find the tables of each part.

    The part is told by the first word of a file's name ("train-00000-of-00002.parquet") or of its folder's. Where none
    tells it, all tables are one part without a name, "". Other files and folders are skipped. Files whose names say
    more than their part, such as "train_old.csv", are skipped with a warning where others do not; they may be a
    part where each comes alone.

    Returns:
        Files, sorted, by "train", "valid" and "test", in this order; or by "".

    Raises:
        DataError: The folder is missing or has no table, a part comes in two formats, or two files of one part have
            names that say more than the part.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder (looked for in {Path.cwd()}); give that of the data set")
    inside = [path for path in (*folder.iterdir(), *folder.glob("data/*")) if path.is_dir() and _word(path.name)]
    files = [file for place in (folder, folder / "data", *inside) if place.is_dir() for file in _tables(place)]
    if not files:
        names = sorted(path.name for path in folder.iterdir())[:10]
        raise DataError(
            f"{folder}: no table; needed are train, validation and test as .csv, .tsv, .jsonl (each with .gz or not), "
            f".parquet or .arrow. Found: {', '.join(names) or 'nothing'}"
        )
    named = [(part, file) for file in files if (part := _part(file, folder))]
    parts: dict[str, list[Path]] = {}
    for part, file in sorted(named) if named else [("", file) for file in sorted(files)]:
        parts.setdefault(part, []).append(file)
    if named:
        parts = {part: _members(part, members, folder) for part, members in parts.items()}
    for part, members in parts.items():
        if len({_format(file) for file in members}) > 1:
            raise DataError(
                f"{folder}: {part or 'the data'} come in several formats, {', '.join(file.name for file in members)}: "
                "leave one, or all would be read twice"
            )
    if passed := sorted(set(files) - {file for members in parts.values() for file in members}):
        _log.info("%s: of no part, so skipped: %s", folder, ", ".join(file.name for file in passed))
    return {part: parts[part] for part in ("train", "valid", "test", "") if part in parts}


def columns_of_file(path: Path) -> list[str]:
    """Return the columns of a table, those of its first record in JSON lines; raise DataError where it has none."""
    try:
        if path.suffix in (".arrow", ".parquet"):
            return list(_schema(path).names)
        with open_text(path, newline="") as handle:
            kind = Path(path.name.removesuffix(".gz")).suffix
            if kind == ".jsonl":
                record = parse_json(next(line for line in bounded_lines(handle, path) if line.strip()))
                return list(record) if isinstance(record, dict) else []
            return next(csv.reader(bounded_lines(handle, path), **quoting(kind == ".csv")))
    except READ_ERRORS as error:
        raise unreadable(path, "", error) from error
    except (ValueError, csv.Error, StopIteration) as error:
        raise DataError(f"{path}: its first line cannot be read: {error or 'an empty file'}") from error


def choose_column(found: Sequence[str], given: str | None, usual: Sequence[str], where: str, key: str) -> str:
    """Return the column that is named, or else the only one with a usual name, in capitals or not.

    Args:
        found: The columns that there are.
        given: The one that is wanted, if that is known.
        usual: Names to look for.
        where: What messages begin with.
        key: What the configuration calls it, for messages: "data.sequence".

    Raises:
        DataError: There is no such column, or more than one.
    """
    if given is not None:
        if given not in found:
            raise DataError(f"{where}: {key}: column {not_one_of(given, found)}")
        return given
    matches = [name for name in found if name.lower() in usual]
    if len(matches) != 1:
        reason = f"more than one column is called like it, {matches}" if matches else f"none is called {list(usual)}"
        raise DataError(f"{where}: which column is meant? {reason}; found {list(found)}. Say {key}=COLUMN.")
    return matches[0]


def read_table_rows(path: Path, columns: Mapping[str, str | None]) -> Iterator[tuple[str, dict[str, str]]]:
    """Read any of the tables row by row, as `gulmfit.seq.formats.tables.read_rows` does, .arrow files too."""
    if path.suffix != ".arrow":
        yield from read_rows(path, columns)
        return
    named = {role: column for role, column in columns.items() if column}
    for column in named.values():
        if column not in (found := columns_of_file(path)):
            raise DataError(f"{path}: column {not_one_of(column, found)}")
    for number, row in enumerate(_arrow_rows(path, list(named.values())), start=1):
        place = f"{path}, row {number}"
        yield place, row_texts(row, named, place)


def class_names(folder: Path, files: Sequence[Path], label: str) -> list[str] | None:
    """Find the names of numbered classes, in order of their number; None where nothing names them.

    Raises:
        DataError: A `dataset_info.json` is not JSON.
    """
    infos = [place / "dataset_info.json" for place in dict.fromkeys([folder, *(file.parent for file in files)])]
    features: list[Any] = [_features_of(file) for file in files[:1] if file.suffix in (".arrow", ".parquet")]
    for info in infos:
        if info.is_file():
            try:
                found = parse_json(info.read_text(encoding="utf-8"))
            except ValueError as error:
                raise DataError(f"{info}: not JSON: {error}") from error
            # Older ones hold one entry for each configuration.
            entries = [found, *found.values()] if isinstance(found, dict) else []
            features += [entry.get("features") for entry in entries if isinstance(entry, dict)]
    for feature in features:
        column = feature.get(label) if isinstance(feature, dict) else None
        names = column.get("names") if isinstance(column, dict) else None
        if names and isinstance(names, list):
            return [str(name) for name in names]
    readme = folder / "README.md"
    return _readme_names(readme.read_text(encoding="utf-8", errors="replace"), label) if readme.is_file() else None


def _tables(place: Path) -> list[Path]:
    """Return the tables of one folder; of a folder that `save_to_disk` wrote, those that its state names."""
    state = place / "state.json"
    if not state.is_file():
        return [file for file in place.iterdir() if file.is_file() and (is_table(file) or file.suffix == ".arrow")]
    try:
        content = parse_json(state.read_text(encoding="utf-8"))
        names = [str(entry["filename"]) for entry in content["_data_files"]]
        # All of them lie beside their state; a name that leads elsewhere would read what is none of the data set's.
        if outside := [name for name in names if name in ("", ".", "..") or Path(name).name != name]:
            raise ValueError(f"{outside[0]!r} is not the name of a file in this folder")
        indexed = content.get("_indices_data_files")
        missing = [name for name in names if not (place / name).is_file()]
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise DataError(f"{state}: not what save_to_disk writes: {error!r}") from error
    if indexed:
        raise DataError(f"{state}: rows are chosen by an index; save the data set again after flatten_indices()")
    if missing:
        raise DataError(f"{state}: names files that are missing: {', '.join(missing)}")
    return [place / name for name in names]


def _members(part: str, files: list[Path], folder: Path) -> list[Path]:
    """Choose among the files that may belong to a part: not a copy, an older state or predictions that lie with it."""
    plain = [file for file in files if not _word(file.name) or _SHARD.fullmatch(_stem(file))]
    more = [file for file in files if file not in plain]
    names = ", ".join(file.name for file in more)
    if plain and more:
        _log.warning("%s: not taken for %s, since their names say more than that: %s", folder, part, names)
    elif len(more) > 1 and len({re.sub(r"\d+", "#", _stem(file)) for file in more}) > 1:
        raise DataError(
            f"{folder}: which is the {part} part? {names}. Call it {part}{_format(more[0])}, or move the others"
        )
    return plain or more


def _part(file: Path, folder: Path) -> str:
    return _word(file.name) or ("" if file.parent == folder else _word(file.parent.name))


def _word(name: str) -> str:
    """Return the part that the first word of a name tells, or ""."""
    found = _WORD.match(name)
    return PART_WORDS.get(found[0].lower(), "") if found else ""


def _stem(file: Path) -> str:
    return Path(file.name.removesuffix(".gz")).stem


def _format(file: Path) -> str:
    return Path(file.name.removesuffix(".gz")).suffix


def _schema(path: Path) -> Any:
    pyarrow = _pyarrow(path)
    try:
        if path.suffix == ".parquet":
            return pyarrow.parquet.read_schema(path)
        with pyarrow.OSFile(str(path)) as handle:
            return _reader(handle).schema
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"{path}: not a readable {path.suffix} file: {error}") from error


def _arrow_rows(path: Path, columns: list[str]) -> Iterator[dict[str, Any]]:
    pyarrow = _pyarrow(path)
    try:
        with pyarrow.OSFile(str(path)) as handle:
            reader = _reader(handle)
            stream = hasattr(reader, "read_next_batch")
            batches = reader if stream else (reader.get_batch(i) for i in range(reader.num_record_batches))
            for batch in batches:
                # Offsets are taken as they stand in the file: wrong ones would read memory that is none of the table's.
                chosen = batch.select(columns)
                chosen.validate(full=True)
                yield from chosen.to_pylist()
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"{path}: not a readable .arrow file: {error}") from error


def _reader(handle: Any) -> Any:
    """Open Arrow data: a stream, as `datasets` writes, or a file."""
    import pyarrow.ipc

    try:
        return pyarrow.ipc.open_stream(handle)
    except pyarrow.ArrowInvalid:
        handle.seek(0)
        return pyarrow.ipc.open_file(handle)


def _pyarrow(path: Path) -> Any:
    return library("pyarrow.parquet", "parquet", f"{path}: reading {path.suffix}")


def _features_of(path: Path) -> Any:
    """Return what `datasets` wrote into a table about its columns."""
    metadata = (_schema(path).metadata or {}).get(b"huggingface")
    try:
        return parse_json(metadata)["info"]["features"] if metadata else None
    except (ValueError, LookupError, TypeError):  # written by something else
        return None


def _readme_names(text: str, label: str) -> list[str] | None:
    """Read the class names of a column from the YAML head of a data set card; None where it is damaged, or has none."""
    try:
        # The base loader leaves every value a text: a class may be called no.
        info = yaml.load(text.split("\n---", 1)[0], yaml.BaseLoader)["dataset_info"] if text.startswith("---") else []
        for entry in info if isinstance(info, list) else [info]:  # one for each configuration
            for feature in entry["features"]:
                if feature["name"] == label:
                    names = {int(number): name for number, name in feature["dtype"]["class_label"]["names"].items()}
                    return [names[number] for number in range(len(names))] or None
    except (yaml.YAMLError, LookupError, TypeError, ValueError, AttributeError, RecursionError):
        return None
    return None
