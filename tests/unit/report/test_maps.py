"""The pages: what is said with the pictures is true."""

import numpy as np
import pytest

from gulmfit.evaluate.composition import spectrum
from gulmfit.evaluate.projections import map_scores, neighbour_map, principal_components
from gulmfit.report.html import render
from gulmfit.report.maps import SpectrumRow, map_report, spectrum_report, spectrum_table


def clouds(count: int = 60, distance: float = 8.0) -> tuple[np.ndarray, list[str]]:
    random = np.random.default_rng(0)
    labels = [f"cloud {number % 3}" for number in range(count)]
    centres = random.normal(size=(3, 10)) * distance
    return centres[np.arange(count) % 3] + random.normal(size=(count, 10)), labels


def test_labels_that_are_told_apart_and_labels_that_are_not() -> None:
    vectors, labels = clouds()
    apart = map_scores(vectors, labels)
    assert apart is not None
    assert apart.neighbours == 1
    assert apart.silhouette > 0.5
    assert apart.shuffled_neighbours == pytest.approx(1 / 3, abs=0.1)
    assert abs(apart.shuffled_silhouette) < 0.1
    mixed = map_scores(np.random.default_rng(1).normal(size=(60, 10)), labels)
    assert mixed is not None
    assert mixed.neighbours == pytest.approx(mixed.shuffled_neighbours, abs=0.2)


def test_neighbours_are_counted_by_hand() -> None:
    vectors, labels = clouds(40, distance=0.3)
    scaled = (vectors - vectors.mean(0)) / vectors.std(0)
    distances = ((scaled[:, None] - scaled) ** 2).sum(-1)
    np.fill_diagonal(distances, np.inf)
    right = 0
    for row, label in zip(distances, labels, strict=True):
        votes = [labels[at] for at in np.argsort(row)[:5]]
        right += max(sorted(set(labels)), key=votes.count) == label
    found = map_scores(vectors, labels)
    assert found is not None
    assert found.neighbours == pytest.approx(right / 40)


def test_one_label_and_labels_of_one_sequence_cannot_be_scored() -> None:
    vectors, _ = clouds(12)
    assert map_scores(vectors, ["one"] * 12) is None
    assert map_scores(vectors, list("abcdefghijkl")) is None


def test_principal_components_hold_the_variance_they_say() -> None:
    random = np.random.default_rng(0)
    line = random.normal(size=(50, 1)) * np.ones((1, 6)) + 1e-3 * random.normal(size=(50, 6))
    components, share = principal_components(line, 1)
    assert share > 0.999
    assert abs(np.corrcoef(components[:, 0], line[:, 0])[0, 1]) > 0.999
    turned, _ = principal_components(line, 1)
    np.testing.assert_array_equal(turned, components)
    constant, share = principal_components(np.ones((8, 3)), 2)
    assert share == 0
    assert not constant.any()


def test_a_map_keeps_neighbours_and_is_the_same_every_time() -> None:
    vectors, labels = clouds(30)
    layout = neighbour_map(vectors)
    np.testing.assert_array_equal(neighbour_map(vectors), layout)
    distances = ((layout[:, None] - layout) ** 2).sum(-1)
    np.fill_diagonal(distances, np.inf)
    assert all(labels[at] == labels[nearest] for at, nearest in enumerate(distances.argmin(1)))


@pytest.mark.parametrize("count", [6, 7, 30])
def test_a_page_for_few_sequences_and_for_many_labels(count: int) -> None:
    vectors, _ = clouds(count)
    labels = [f"<label> {number % 13}" for number in range(count)]
    page = render(map_report(vectors, labels, {"model": "a & b"}))
    assert page.count("<img src=") == 2
    assert "<label>" not in page
    bare = render(map_report(vectors, None, {"model": "m"}))
    assert "nearest neighbours" not in bare


def test_a_spectrum_page_holds_the_genome_to_itself() -> None:
    random = np.random.default_rng(0)
    genome = spectrum([random.integers(4, size=50_000).astype(np.uint8)])
    other = spectrum([random.integers(4, size=5_000).astype(np.uint8)])
    rows = [SpectrumRow("language model", other, 9), SpectrumRow("pieces of the genome", genome, 12)]
    header, cells = spectrum_table(rows, genome)
    assert [len(row) for row in cells] == [len(header)] * 3
    assert cells[1][1:7] == [0.0] * 6
    assert all(0 < float(str(value)) < 1 for value in cells[0][1:7])
    page = render(spectrum_report(rows, genome, {"model": "m"}))
    assert page.count("<img src=") == 2
    assert "as many bases of the genome itself are 0.000 from it" in page
