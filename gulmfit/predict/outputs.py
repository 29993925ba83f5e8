"""The files that predictions are written to: their names say what stands in them."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from gulmfit.errors import ConfigError
from gulmfit.predict.tracks import pybigtools
from gulmfit.predict.writers import cannot_be_written, pyarrow

TABLES = ("tsv", "parquet")
TRACKS = ("bedgraph", "bigwig")

_KINDS = {
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".bed": "bed",
    ".bedgraph": "bedgraph",
    ".bg": "bedgraph",
    ".bw": "bigwig",
    ".bigwig": "bigwig",
}


class Output(NamedTuple):
    """One file."""

    path: Path
    kind: str
    """tsv, parquet, bed (a line for each interval), calls, bedgraph or bigwig."""

    def by_strand(self, strands: str) -> dict[str, Path]:
        """Return the file of each strand: where a track has two of them, `a.plus.bw` and `a.minus.bw` for `a.bw`."""
        if self.kind not in TRACKS or len(strands) == 1:
            return {strands: self.path}
        names = zip(strands, ("plus", "minus"), strict=True)
        return {strand: self.path.with_name(f"{self.path.stem}.{name}{self.path.suffix}") for strand, name in names}


def parse_outputs(text: str, *, scan: bool) -> list[Output]:
    """Read the names of `output=`, parted by commas.

    Of a scan `.bed` holds calls and `.windows.bed` every window.

    Raises:
        ConfigError: A name occurs twice or has no known suffix.
    """
    outputs: list[Output] = []
    for name in filter(None, (part.strip() for part in text.split(","))):
        path = Path(name)
        kind = _KINDS.get(path.suffix.lower())
        if kind is None:
            raise ConfigError(f"output={name}: no format has this suffix. Choose from {', '.join(_KINDS)}.")
        if kind == "bed" and scan and not path.stem.lower().endswith(".windows"):
            kind = "calls"
        outputs.append(Output(path, kind))
    if not outputs:
        raise ConfigError(f"output={text}: no file is named.")
    return outputs


def check_writable(paths: Sequence[Path]) -> None:
    """Make the folders of files, and make sure early that all can be written.

    Raises:
        ConfigError: Two files are the same.
        DataError: A folder cannot be made or written to, or a folder has the name of a file.
    """
    seen: set[Path] = set()
    for path in paths:
        if path.resolve() in seen:
            raise ConfigError(f"output={path}: two outputs have this name. Give each its own.")
        seen.add(path.resolve())
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_be_written(path, error) from error
        if path.is_dir():
            raise cannot_be_written(path, "a folder has this name")
        if not os.access(path.parent, os.W_OK):
            raise cannot_be_written(path, "its folder is read-only")


def check_libraries(outputs: Sequence[Output]) -> None:
    """Make sure early that what the outputs need is installed.

    Raises:
        DataError: A library is missing.
    """
    if any(output.kind == "parquet" for output in outputs):
        pyarrow()
    if any(output.kind == "bigwig" for output in outputs):
        pybigtools()
