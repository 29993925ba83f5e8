"""DeepBind's files of ChIP-seq peaks (`.seq.gz`): a peak, or a shuffle of one, on each line.

A file is gzipped and tab-separated, with the header `FoldID EventID seq Bound`. The 506 ENCODE experiments have a pair
each: `NAME_AC.seq.gz` to train on and `NAME_B.seq.gz` to test on. An event `seq_00017_peak` is the 17th strongest peak,
101 bp around its centre, `Bound` 1. Of the thousand strongest, those of odd rank are fold A and those of even rank fold
B; all weaker ones are fold C. So `_AC` has the ranks 1, 3, ..., 999 and then 1001, 1002, ..., and nothing that is not
bound; `_B` has the ranks 2, 4, ..., 1000, and behind them `seq_00002_shuf` and so on, `Bound` 0: an exact dinucleotide
shuffle of each. The column `FoldID` says A everywhere, also in `_B`.

Source: Alipanahi, Delong, Weirauch and Frey 2015, Nat Biotechnol 33:831; the files of its software release. A comment
in that release (`deepbind_train_encode.py`) calls the training ranks even and the test ranks odd, the help text of the
same script the reverse; the files agree with the help text, and with DFLM, which uses them as they are.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gulmfit.errors import DataError
from gulmfit.seq.limits import bounded_lines
from gulmfit.seq.text import READ_ERRORS, open_text, unreadable

HEADER = ("FoldID", "EventID", "seq", "Bound")


class Peak(NamedTuple):
    """One line.

    Attributes:
        event: EventID, unique in its file.
        sequence: Letters as they stand in the file.
        bound: Whether this is a peak; else it is a negative.
        place: Where it stands: "USF1_AC.seq.gz, line 7".
    """

    event: str
    sequence: str
    bound: bool
    place: str

    @property
    def origin(self) -> str:
        """What a peak and its shuffle have in common: `seq_00002` of `seq_00002_peak` and `seq_00002_shuf`."""
        return self.event.rpartition("_")[0] or self.event


def read_deepbind(path: Path) -> Iterator[Peak]:
    """Read a file of peaks, gzipped or not, in its order: that of falling strength where DeepBind wrote it.

    Raises:
        DataError: The file is unreadable, has another header, no peak, a line of another number of fields, an
            EventID that is empty or occurs twice, or a `Bound` that is neither 0 nor 1.
    """
    line, events = 0, dict[str, int]()
    try:
        with open_text(path) as handle:
            for line, text in enumerate(bounded_lines(handle, path), start=1):
                place, fields = f"{path}, line {line}", text.rstrip("\r\n").split("\t")
                if line == 1:
                    if tuple(fields) != HEADER:
                        raise DataError(
                            f"{place}: header {fields[:6]} is not {list(HEADER)}, separated by tabs: no DeepBind file"
                        )
                    continue
                if len(fields) != len(HEADER):
                    raise DataError(f"{place}: {len(fields)} field(s) where the header has {len(HEADER)}")
                _, event, sequence, bound = (field.strip() for field in fields)
                if bound not in ("0", "1"):
                    raise DataError(f"{place}: Bound {bound!r} is neither 0 nor 1")
                if not event:
                    raise DataError(f"{place}: empty EventID; every peak needs one")
                if (earlier := events.setdefault(event, line)) != line:
                    raise DataError(f"{place}: EventID {event!r} occurs on line {earlier} too; they must be unique")
                yield Peak(event, sequence, bound == "1", place)
    except READ_ERRORS as error:
        raise unreadable(path, f"line {line}", error) from error
    if not events:
        raise DataError(f"{path}: no peak in this file")
