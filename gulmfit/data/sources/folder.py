"""Labelled sequences from a folder with a table for each part, as data sets of the Hugging Face hub come."""

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from gulmfit.data.sources.base import Source
from gulmfit.errors import DataError
from gulmfit.seq.duplicates import check_distinct, unique_ids
from gulmfit.seq.labels.dataset_folder import (
    LABEL_COLUMNS,
    SEQUENCE_COLUMNS,
    choose_column,
    class_names,
    columns_of_file,
    find_parts,
    read_table_rows,
)
from gulmfit.seq.labels.labelled import LabelledSequences

logger = logging.getLogger(__name__)

_WHOLE = re.compile(r"-?\d+")


@dataclass(kw_only=True)
class FolderSource(Source):
    """A folder with tables called train, validation (or valid, val, dev) and test
    (`gulmfit.seq.labels.dataset_folder`).

    Without a test part, or with one part only, `split` must not be `column`.

    Args:
        path: The folder.
        sequence: Column of the sequence; by default the one called sequence, seq, dna or dna_sequence.
        label: Column of the label; by default the one called label, labels, class or target.
        id: Column of the id; the number of the record if null.
        positive: The positive one of two classes; by default the one that the names tell, else the last.
    """

    has_proteins: ClassVar[bool] = True
    needs_path: ClassVar[str] = "the folder that holds train.csv, test.csv and so on"
    path: str = ""
    sequence: str | None = None
    label: str | None = None
    id: str | None = None
    positive: str | int | None = None

    def _labelled(self) -> LabelledSequences:
        """Read all parts.

        Numbered labels that the folder has names for get these, in order of their number. Ids that are not given are
        the part and the number of the record in it.
        """
        folder = Path(self.path).expanduser()
        parts = find_parts(folder)
        files = [file for members in parts.values() for file in members]
        check_distinct(files)
        found, where = columns_of_file(files[0]), str(files[0])
        columns = {
            "sequence": choose_column(found, self.sequence, SEQUENCE_COLUMNS, where, "data.sequence"),
            "label": choose_column(found, self.label, LABEL_COLUMNS, where, "data.label"),
            "id": choose_column(found, self.id, (), where, "data.id") if self.id else None,
        }
        names = class_names(folder, files, str(columns["label"]))
        ids, sequences, labels, splits, places = (list[str]() for _ in range(5))
        for part, members in parts.items():
            before = len(ids)
            for place, row in (item for file in members for item in read_table_rows(file, columns)):
                if row.get("id") == "":
                    raise DataError(f"{place}: empty id; every record needs one, or set data.id=null")
                ids.append(row.get("id") or "/".join(filter(None, (part, str(len(ids) - before + 1)))))
                sequences.append(row["sequence"])
                labels.append(_named(row["label"], names, place))
                splits.append(part)
                places.append(place)
        shown = {part or "all": splits.count(part) for part in parts}
        logger.info("%s: %s; columns %s; classes named: %s", folder, shown, columns, names or "by their labels")
        options = self._options
        options["classes"] = [name for name in names if name in set(labels)] if names else None
        return LabelledSequences.from_strings(
            unique_ids(ids, splits),
            sequences,
            labels,
            splits=splits if len(parts) > 1 else None,
            files=[str(file) for file in files],
            places=places,
            column=str(columns["label"]),
            **options,
        )


def _named(label: str, names: list[str] | None, place: str) -> str:
    """Return the name of a numbered class."""
    if label == "-1":  # how test parts that hide their labels are published
        raise DataError(f"{place}: label -1 means that labels of this part are not published; take the part away")
    if not names or label in names:
        return label
    if not _WHOLE.fullmatch(label) or len(label) > 9 or not 0 <= int(label) < len(names):
        raise DataError(f"{place}: label {label!r} is neither a class nor its number; classes, from 0, are {names}")
    return names[int(label)]
