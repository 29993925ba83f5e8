"""Accuracy by rank, against counting by hand and by brute force."""

import numpy as np
import pytest

from gulmfit.errors import DataError
from gulmfit.evaluate.taxonomy import accuracy_by_rank


def test_probabilities_add_up_below_a_taxon() -> None:
    """The best genus, C, is of the wrong family: A and B together are more probable."""
    classes = ["P;F;A", "P;F;B", "P;G;C"]
    found = accuracy_by_rank([0], [[0.35, 0.25, 0.4]], classes)
    assert found == {"1": 1.0, "2": 1.0, "3": 0.0}
    assert accuracy_by_rank([2], [[0.35, 0.25, 0.4]], classes) == {"1": 1.0, "2": 0.0, "3": 1.0}


def test_like_brute_force() -> None:
    rng = np.random.default_rng(0)
    classes = [f"{a};{a}{b};{a}{b}{c}" for a in "XYZ" for b in "12" for c in "abc"]
    classes = [classes[i] for i in rng.permutation(len(classes))]
    labels = rng.integers(len(classes), size=200)
    probabilities = rng.dirichlet(np.full(len(classes), 0.3), size=200)
    probabilities[np.arange(200), labels] += 0.2
    found = accuracy_by_rank(labels, probabilities, classes)
    for depth in (1, 2, 3):
        right = 0
        for label, row in zip(labels, probabilities, strict=True):
            sums: dict[str, float] = {}
            for name, chance in zip(classes, row, strict=True):
                taxon = ";".join(name.split(";")[:depth])
                sums[taxon] = sums.get(taxon, 0.0) + float(chance)
            right += max(sums, key=lambda taxon: sums[taxon]) == ";".join(classes[label].split(";")[:depth])
        assert found[str(depth)] == pytest.approx(right / 200)
    assert found["3"] == np.mean(probabilities.argmax(1) == labels)


def test_the_same_name_under_another_parent_is_another_taxon() -> None:
    classes = ["P;same", "Q;same"]
    assert accuracy_by_rank([0, 0], [[0.4, 0.6], [0.6, 0.4]], classes) == {"1": 0.5, "2": 0.5}


def test_prefixes_name_the_ranks_and_short_paths_are_their_own_taxon() -> None:
    assert list(accuracy_by_rank([0], [[1.0, 0.0]], ["k__A; g__B", "k__C; g__D"])) == ["kingdom", "genus"]
    assert accuracy_by_rank([1, 0], [[0.5, 0.3, 0.2], [0.6, 0.3, 0.1]], ["A", "A;B", "A;C"]) == {"1": 1.0, "2": 0.5}


def test_nothing_is_said_of_classes_that_are_no_paths() -> None:
    assert accuracy_by_rank([0, 1], np.eye(2), ["no", "yes"]) == {}
    assert accuracy_by_rank([], np.zeros((0, 2)), ["A;B", "A;C"]) == {}


def test_shapes_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(DataError, match=r"shape \(2, 2\) for 2 labels and 3 classes"):
        accuracy_by_rank([0, 1], np.eye(2), ["A;B", "A;C", "A;D"])
