"""What a stopped scan leaves is gone on with, or refused, or made anew; it is never believed when damaged."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gulmfit.errors import ConfigError, DataError
from gulmfit.predict.scans.partial import PartialScores

ASKED: dict[str, Any] = {"model": "m", "step_bp": 25, "max_ambiguous": 0.5}


def scores(count: int, first: int = 0) -> np.ndarray:
    values = np.arange(first * 6, (first + count) * 6, dtype=np.float64).reshape(count, 2, 3)
    values[0, 0, 0] = np.nan
    return values


def begin(folder: Path, **options: Any) -> PartialScores:
    return PartialScores(folder / ".a.tsv.partial", options.pop("asked", ASKED), (2, 3), **options)


def test_it_goes_on_where_it_stopped(tmp_path: Path) -> None:
    first = begin(tmp_path)
    first.append(scores(4))
    first.save()
    first.append(scores(2, 4))
    first._handle.flush()  # on the disk, but the journal does not say so: a kill before the next save
    second = begin(tmp_path)
    assert second.done == 4
    second.append(scores(3, 4))
    assert second.done == 7
    np.testing.assert_array_equal(second.read(0, 7), np.concatenate([scores(4), scores(3, 4)]))
    np.testing.assert_array_equal(second.read(5, 6), scores(3, 4)[1:2])
    second.remove()
    assert list(tmp_path.iterdir()) == []


def test_another_scan_is_refused_and_can_be_dropped(tmp_path: Path) -> None:
    first = begin(tmp_path)
    first.append(scores(4))
    first.leave()
    with pytest.raises(
        ConfigError, match=r"\.a\.tsv\.partial .*\b4 windows .*step_bp \(25 there, 50 here\).*restart=true"
    ):
        begin(tmp_path, asked={**ASKED, "step_bp": 50})
    assert begin(tmp_path).done == 4
    assert begin(tmp_path, asked={**ASKED, "step_bp": 50}, restart=True).done == 0


@pytest.mark.parametrize("damage", ["short", "changed", "journal", "format"])
def test_damage_is_seen(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    first = begin(tmp_path)
    first.append(scores(4))
    first.leave()
    file, journal = tmp_path / ".a.tsv.partial" / "scores", tmp_path / ".a.tsv.partial" / "journal.json"
    if damage == "short":
        file.write_bytes(file.read_bytes()[:-1])
    elif damage == "changed":
        file.write_bytes(file.read_bytes()[:-1] + b"!")
    elif damage == "journal":
        journal.write_text(journal.read_text()[:-9])
    else:
        journal.write_text(json.dumps({**json.loads(journal.read_text()), "format": 0}))
    assert begin(tmp_path).done == 0
    assert "damaged" in caplog.text


def test_nothing_stays_where_nothing_was_done(tmp_path: Path) -> None:
    begin(tmp_path).leave()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / ".a.tsv.partial").write_text("a file")
    with pytest.raises(DataError, match=r"\.a\.tsv\.partial: .*Errno .*output=.*\b0 windows"):
        begin(tmp_path)
