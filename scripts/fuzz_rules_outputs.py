"""Rules about what is written: outputs that are inputs, writers at once, names of labels and records, names of files.

`RULES` maps a name to a function that makes and checks one random case in an empty folder. It returns None where the
rule holds, and else one line that says what differs without an error.
"""

import os
import random
import string
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np

from gulmfit.errors import ConfigError, DataError, GulmfitError
from gulmfit.files import claimed, whole_file, write_whole
from gulmfit.predict.outputs.writers import parquet_table, tsv_table, write_tsv
from gulmfit.report.kinds.predictions import Predictions
from gulmfit.seq.formats.tables import read_rows
from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.seq.names import column_names, raw_names
from gulmfit.seq.splits.split_file import FileSplit, write_split

Rule = Callable[[random.Random, Path], str | None]

_SIGNS = string.ascii_letters[:6] + "0.:;,=\"'\t\n\r #&%$~-_()[]{}|/\\é\u00b5\u2028\x00\x1f\ud800"
_WORDS = (
    "id", "label", "labels", "values", "group", "start", "end", "stop", "strand", "contig", "sequence", "fold", "index",
    "record_id", "record_label", "raw:", "raw:a", "a", "gc:a", "model", "chrom", "GO:0003677", "None", "True", "nan:",
)  # fmt: skip


def _name(chance: random.Random) -> str:
    if chance.random() < 0.6:
        return chance.choice(_WORDS)
    return "".join(chance.choices(_SIGNS, k=chance.randint(1, 5)))


def _names(chance: random.Random, count: int) -> list[str]:
    found: dict[str, None] = {}
    while len(found) < count:
        found[_name(chance)] = None
    return list(found)


def _file_name(chance: random.Random) -> str:
    """Return a name that a file may have: any bytes but NUL and "/", up to the longest."""
    signs = [sign for sign in _SIGNS if sign not in "/\x00\ud800"] + ["\udce9"]
    name = "".join(chance.choices(signs, k=chance.randint(1, 8))) * chance.choice((1, 1, 1, 40))
    name = os.fsdecode(os.fsencode(name)[: 255 - 4])
    return name if name not in (".", "..") else "a"


def outputs_are_no_inputs(chance: random.Random, folder: Path) -> str | None:
    """What is read is never written, by whatever way it is named; everything else may be."""
    there = folder / "in"
    there.mkdir()
    files = [there / f"{number}.tsv" for number in range(chance.randint(1, 3))]
    for file in files:
        file.write_text(f"content of {file.name}")
    (folder / "linked").symlink_to(there, target_is_directory=True)
    target = chance.choice([*files, there / "new.tsv", folder / "new.tsv"])
    how = chance.choice(("plain", "dots", "linked folder", "symlink", "hard link", "relative"))
    output = target
    if how == "dots":
        output = target.parent / ".." / target.parent.name / target.name
    elif how == "linked folder" and target.parent == there:
        output = folder / "linked" / target.name
    elif how == "symlink":
        output = folder / "link.tsv"
        output.symlink_to(chance.choice((target, Path(os.path.relpath(target, folder)))))
    elif how == "hard link" and target.exists():
        output = folder / "hard.tsv"
        output.hardlink_to(target)
    elif how == "relative":
        output = Path(os.path.relpath(target))
    read = chance.sample(files, chance.randint(1, len(files)))
    by_pattern = len(read) == len(files) and chance.random() < 0.5
    inputs = [str(chance.choice((there, folder / "linked")) / "*.tsv")] if by_pattern else [str(file) for file in read]
    forbidden = target in read
    refused = False
    try:
        with claimed([output], inputs):
            write_whole(output, "new")
    except ConfigError:
        refused = True
    if damaged := [file.name for file in read if file.read_text() != f"content of {file.name}"]:
        return f"{damaged} was read and is overwritten through {how} (pattern: {by_pattern})"
    if refused != forbidden:
        return f"{how} of {target.name} for inputs {inputs}: refused {refused}, forbidden {forbidden}"
    if not refused and output.read_text() != "new":
        return f"{how}: the output was not written"
    return None


def writers_at_once(chance: random.Random, folder: Path) -> str | None:
    """Of several writers of one file, in any order of their steps, the last to end has written all of it."""
    path = folder / chance.choice(("a.tsv", "link.tsv"))
    (folder / "link.tsv").symlink_to("a.tsv")
    expected = "old"
    (folder / "a.tsv").write_text(expected)
    writers: list[tuple[str, ExitStack, Path]] = []
    for number in range(chance.randint(2, 4)):
        stack = ExitStack()
        stack.enter_context(suppress(KeyError))
        unfinished = stack.enter_context(whole_file(path, sync=False))
        writers.append((str(number), stack, unfinished))
    written = dict.fromkeys((text for text, _, _ in writers), "")
    while writers:
        text, stack, unfinished = chance.choice(writers)
        if chance.random() < 0.7:
            piece = text * chance.randint(1, 2000)
            with unfinished.open("a") as handle:
                handle.write(piece)
            written[text] += piece
        else:
            writers.remove((text, stack, unfinished))
            fails = chance.random() < 0.2
            if fails:
                stack.__exit__(KeyError, KeyError(), None)
            else:
                stack.close()
                expected = written[text]
        if path.read_text() != expected:
            return f"the file holds {path.read_text()[:20]!r}…, and the last whole one was {expected[:20]!r}…"
    if left := sorted(set(os.listdir(folder)) - {"a.tsv", "link.tsv"}):
        return f"left behind: {left}"
    return None if (folder / "link.tsv").is_symlink() else "the link was replaced by a file"


def commands_at_once(chance: random.Random, folder: Path) -> str | None:
    """Of two commands with one output the second is refused as long as the first works, and not after."""
    names = ["a.tsv", "b.tsv"]
    (folder / "link.tsv").symlink_to(chance.choice(names))
    target = {name: (folder / name).resolve() for name in [*names, "link.tsv"]}
    held: dict[Path, ExitStack] = {}
    for _ in range(8):
        name = chance.choice(list(target))
        path, key = folder / name, target[name]
        if key in held and chance.random() < 0.4:
            held.pop(key).close()
            continue
        stack = ExitStack()
        try:
            stack.enter_context(claimed([path], []))
        except DataError:
            if key not in held:
                return f"{name} was refused and nobody has it"
            continue
        if key in held:
            stack.close()
            return f"{name} was given to two"
        held[key] = stack
    for stack in held.values():
        stack.close()
    left = sorted(set(os.listdir(folder)) - {"link.tsv"})
    return f"left behind: {left}" if left else None


def labels_survive(chance: random.Random, folder: Path) -> str | None:
    """Names of classes, labels and records come back from every file, or are refused when labels are read."""
    count, targets = chance.randint(2, 4), chance.choice(("classes", "label_sets", "values"))
    classes, ids = _names(chance, count), _names(chance, count * 2)
    table = np.random.default_rng(chance.randrange(1 << 30)).random((len(ids), count)).round(6)
    labels = np.arange(len(ids)) % count if targets == "classes" else (table > 0.5).astype(int)
    if targets == "values":
        labels = table
    try:
        LabelledSequences(ids, ["ACGT"] * len(ids), labels, classes, targets=targets)
    except DataError:
        cut = any(sign in name for name in [*classes, *ids] for sign in "\t\n\r\ud800")
        odd = any(sign in name for name in classes for sign in "\u2028\x00\x1f")
        joined = targets == "label_sets" and any(";" in name for name in classes)
        return None if cut or odd or joined else f"{classes}, {ids} were refused as {targets}"
    found = Predictions(ids, labels, np.arange(len(ids)), classes, {"model": table, "gc": 1 - table}, targets=targets)
    for name, columns, rows in found.tables():
        write_tsv(folder / name, columns, rows)
    read = Predictions.read(folder)
    if (read.classes, read.ids, read.targets, list(read.by_model)) != (classes, ids, targets, ["model", "gc"]):
        return f"{classes}, {ids} came back as {read.classes}, {read.ids}, {read.targets}, {list(read.by_model)}"
    if not np.allclose(read.labels, labels, atol=1e-6) or not np.allclose(read.by_model["gc"], 1 - table, atol=1e-6):
        return f"{classes}: labels or values came back as others"
    scores = [*classes, *raw_names(classes)]
    columns = [*column_names(["id", "contig", "start", "end", "strand"], scores), *scores]
    if len(set(columns)) != len(columns):
        return f"{classes}: {columns} has a name twice"
    kinds = [(name, str if number < 5 else float) for number, name in enumerate(columns)]
    rows_out = [[name, "c", "1", "2", "+", *values, *values] for name, values in zip(ids, table.tolist(), strict=True)]
    for suffix, writer in ((".tsv", tsv_table), (".parquet", parquet_table)):
        with writer(folder / f"table{suffix}", kinds) as write:
            write(rows_out)
        if any(name != name.strip() for name in ids):
            continue  # cells of tables are read without the blanks around them
        asked = {"id": columns[0], **{f"class {number}": name for number, name in enumerate(classes)}}
        try:
            back = [row for _, row in read_rows(folder / f"table{suffix}", asked)]
        except DataError as error:  # to some programs quotes around a cell of a TSV belong to it, to others not
            quoted = any(name.startswith('"') and name.endswith('"') for name in [*classes, *ids])
            if suffix == ".tsv" and quoted and str(folder) in str(error):
                continue
            raise
        if [row["id"] for row in back] != ids:
            return f"{suffix}: ids {ids} came back as {[row['id'] for row in back]}"
        if not np.allclose([[float(row[f"class {number}"]) for number in range(count)] for row in back], table):
            return f"{suffix}: {classes} came back with other values"
    return None


def splits_survive(chance: random.Random, folder: Path) -> str | None:
    """A split comes back from its file for any ids, or is refused when it is written."""
    ids = [name for name in _names(chance, 6) if name == name.strip()]
    ids += [f"more {number}" for number in range(6 - len(ids))]
    try:
        data = LabelledSequences.from_strings(ids, ["ACGT", "CCGT", "GCGT", "TCGT", "AAGT", "ATGT"], ["a", "b"] * 3)
    except DataError:
        return None if any(sign in name for name in ids for sign in "\t\n\r\ud800") else f"{ids} were refused"
    parts = np.array(["train", "train", "valid", "valid", "test", "test"])
    order = list(range(6))
    chance.shuffle(order)
    write_split(folder / "split.tsv", data, parts, np.arange(6))
    back = FileSplit(str(folder / "split.tsv"))(data.subset(order)).tolist()
    return None if back == parts[order].tolist() else f"{ids}: {parts[order].tolist()} came back as {back}"


def paths_work(chance: random.Random, folder: Path) -> str | None:
    """A file of any name that the system allows is written and read back, and nothing is left beside it."""
    below = folder / _file_name(chance)
    path = below / (_file_name(chance) + chance.choice((".tsv", ".csv", "")))
    content = f"id\tsequence\n{chance.randrange(1000)}\tACGT\n"
    try:
        with claimed([path], [folder / "elsewhere"]):
            write_whole(path, content)
    except GulmfitError as error:
        return f"{path!r} was refused: {error}"
    if os.listdir(below) != [path.name]:
        return f"{path.name!r}: the folder holds {os.listdir(below)}"
    if path.read_text() != content:
        return f"{path.name!r} holds {path.read_text()!r}"
    if path.name.endswith(".tsv"):
        rows = [row for _, row in read_rows(path, {"id": "id", "sequence": "sequence"})]
        if [row["sequence"] for row in rows] != ["ACGT"]:
            return f"{path.name!r} is read as {rows}"
    try:
        with claimed([path], [path]):
            return f"{path.name!r} is an input and an output"
    except ConfigError:
        return None


RULES: dict[str, Rule] = {
    "outputs are no inputs": outputs_are_no_inputs,
    "writers at once": writers_at_once,
    "commands at once": commands_at_once,
    "labels survive": labels_survive,
    "splits survive": splits_survive,
    "paths work": paths_work,
}
