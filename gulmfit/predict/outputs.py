"""The files that predictions are written to: their names say what stands in them."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from gulmfit.errors import ConfigError
from gulmfit.predict.tracks import pybigtools
from gulmfit.predict.writers import pyarrow

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


def check_libraries(outputs: Sequence[Output]) -> None:
    """Make sure early that what the outputs need is installed.

    Raises:
        DataError: A library is missing.
    """
    if any(output.kind == "parquet" for output in outputs):
        pyarrow()
    if any(output.kind == "bigwig" for output in outputs):
        pybigtools()
