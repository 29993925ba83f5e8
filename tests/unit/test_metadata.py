"""What is noted about a result."""

import json
from pathlib import Path

import numpy as np
import pytest

from gulmfit.metadata import json_ready


def test_json_ready_gives_plain_values() -> None:
    value = {
        "a": np.float32(0.5),
        2: (np.int64(3), np.nan, [np.inf, True, None]),
        "m": np.array([[1, 2], [3, 4]]),
        "p": Path("x/y"),
    }
    plain = json_ready(value)
    assert plain == {"a": 0.5, "2": [3, None, [None, True, None]], "m": [[1, 2], [3, 4]], "p": "x/y"}
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    with pytest.raises(TypeError, match="complex"):
        json_ready([1j])
