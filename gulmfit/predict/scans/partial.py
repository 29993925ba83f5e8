"""What a long scan has found so far, kept beside its output, so that a killed one goes on where it stopped.

A folder `.<output>.partial/` holds `scores` (window after window, or base after base) and `journal.json` (what was
asked, how many windows are done, and their checksum). The journal is written after the scores are on the disk, so that
what it says is there is there.

Shape letters: `N` windows, `S` strands, `C` classes.
"""

import json
import logging
import os
import shutil
import time
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gulmfit.errors import ConfigError, DataError
from gulmfit.files import write_whole

logger = logging.getLogger(__name__)

FORMAT = 1
# Scores that are not yet on the disk are at most this old, and those of one block.
SYNC_SECONDS = 1.0
_CHUNK_BYTES = 1 << 22

Scores = npt.NDArray[Any]


class PartialScores:
    """Scores of the first windows of a scan, in a folder.

    Args:
        folder: Where they are kept; made if missing.
        asked: All that decides what a score is. A folder that was made for something else is not gone on with.
        shape: `(S, C)` of a window.
        restart: Drop what is there.
        dtype: Of the numbers on the disk.
        unit: What has scores.

    Raises:
        ConfigError: The folder holds scores of another scan.
        DataError: It cannot be read or written.
    """

    def __init__(
        self,
        folder: Path,
        asked: Mapping[str, Any],
        shape: tuple[int, int],
        *,
        restart: bool = False,
        dtype: str = "<f8",
        unit: str = "windows",
    ) -> None:
        self.folder, self.asked, self.shape = folder, dict(asked), shape
        self.dtype, self.unit = np.dtype(dtype), unit
        self.done = self._checksum = 0
        self._saved = time.monotonic()
        self._record = self.dtype.itemsize * shape[0] * shape[1]
        self._scores, self._journal = folder / "scores", folder / "journal.json"
        try:
            if restart:
                shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True, exist_ok=True)
            self._recall()
            self._handle = self._scores.open("r+b" if self._scores.exists() else "w+b")
            self._handle.truncate(self.done * self._record)
            self._handle.seek(0, os.SEEK_END)
            self.save()
        except OSError as error:
            raise self._trouble(error) from error

    def append(self, scores: Scores) -> None:
        """Keep the scores `(N, S, C)` of the next windows; on the disk within `SYNC_SECONDS` of the next call."""
        content = np.ascontiguousarray(scores, dtype=self.dtype).tobytes()
        try:
            self._handle.write(content)
            self._checksum = zlib.crc32(content, self._checksum)
            self.done += len(scores)
            if time.monotonic() - self._saved > SYNC_SECONDS:
                self.save()
        except OSError as error:
            raise self._trouble(error) from error

    def save(self) -> None:
        """Bring all scores to the disk, then write the journal."""
        self._handle.flush()
        os.fsync(self._handle.fileno())
        entry = {"format": FORMAT, "windows": self.done, "crc32": self._checksum, "asked": self.asked}
        write_whole(self._journal, json.dumps(entry, indent=2), kind=None)
        self._saved = time.monotonic()

    def read(self, first: int, last: int) -> Scores:
        """Return the scores of windows number `first` up to `last`, `(N, S, C)`.

        Raises:
            DataError: They cannot be read.
        """
        try:
            self._handle.flush()
            count = (last - first) * self.shape[0] * self.shape[1]
            flat = np.fromfile(self._scores, dtype=self.dtype, count=count, offset=first * self._record)
        except OSError as error:
            raise self._trouble(error) from error
        return flat.reshape(last - first, *self.shape)

    def leave(self) -> None:
        """Keep what is done for another process; nothing stays where nothing is."""
        if not self.done:
            self.remove()
            return
        with suppress(OSError):
            self.save()
        self._handle.close()

    def remove(self) -> None:
        """Drop all, once it is no longer needed."""
        self._handle.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _recall(self) -> None:
        """Find out how many windows are done."""
        if not self._journal.exists():
            return
        try:
            journal = json.loads(self._journal.read_text(encoding="utf-8"))
            before, windows, checksum = journal["asked"], int(journal["windows"]), int(journal["crc32"])
            whole = journal["format"] == FORMAT
        except (ValueError, LookupError, TypeError):
            before, windows, checksum, whole = self.asked, 0, 0, False
        check_same(self.folder, f"{windows:,} {self.unit}", before, self.asked)
        if not whole or checksum != self._checksum_of(windows):
            logger.warning("%s is damaged; starting anew.", self.folder)
            return
        self.done, self._checksum = windows, checksum

    def _checksum_of(self, windows: int) -> int | None:
        """Return the checksum of the first windows, None where they are not all there."""
        left, checksum = windows * self._record, 0
        if not self._scores.exists() or self._scores.stat().st_size < left:
            return None
        with self._scores.open("rb") as handle:
            while left and (content := handle.read(min(left, _CHUNK_BYTES))):
                checksum = zlib.crc32(content, checksum)
                left -= len(content)
        return checksum

    def _trouble(self, error: OSError) -> DataError:
        return DataError(
            f"{self.folder}: what the scan has found cannot be kept there: {error}. Make room or choose another "
            f"output=; the same command then goes on after {self.done:,} {self.unit}."
        )


def check_same(folder: Path, holds: str, before: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Refuse to go on with what another command has left in a folder.

    Raises:
        ConfigError: What was asked then is not what is asked now.
    """
    # What JSON does to numbers and pairs must not make a difference.
    now = json.loads(json.dumps(asked))
    if differing := [key for key in sorted({*before, *now}) if before.get(key) != now.get(key)]:
        changes = ", ".join(f"{key} ({before.get(key)} there, {now.get(key)} here)" for key in differing)
        raise ConfigError(
            f"{folder} holds {holds} of another scan, with a different {changes}. Repeat that command to finish it, "
            "choose another output=, or drop it with restart=true."
        )
