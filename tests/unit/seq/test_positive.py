"""The positive one of two classes is the one that the names tell."""

import numpy as np
import pytest

from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.seq.names import default_positive


@pytest.mark.parametrize(
    ("classes", "positive"),
    [
        (["enhancer", "non"], "enhancer"),
        (["Promoter", "nonpromoter"], "Promoter"),
        (["0", "1"], "1"),
        (["1", "0"], "1"),
        (["True", "false"], "True"),
        (["negative", "positive"], "positive"),
        (["cds", "not_cds"], "cds"),
        (["no", "yes"], "yes"),
        (["background", "site"], "site"),
        (["bound", "control"], "bound"),
        (["enhancer", "silencer"], "enhancer"),
        (["bound", "notch"], "notch"),  # a name, not a denial
        (["nucleosome", "nothing"], "nothing"),
        (["enhancer", "promoter"], "promoter"),
        (["a", "b"], "b"),
        (["positive", "b", "c"], "c"),
        (["alone"], "alone"),
    ],
)
def test_names_tell(classes: list[str], positive: str) -> None:
    assert default_positive(classes) == positive
    ids = [str(number) for number in range(len(classes))]
    data = LabelledSequences(ids, ["ACGT"] * len(ids), np.arange(len(ids)), classes)
    assert data.positive == positive
    assert (
        LabelledSequences(ids, ["ACGT"] * len(ids), np.arange(len(ids)), classes, positive=classes[0]).positive
        == (classes[0])
    )
