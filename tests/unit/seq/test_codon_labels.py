"""Classes of codons cover a genetic code, and whatever is chosen among them translates back."""

import numpy as np
import pytest
from Bio.Data import CodonTable
from hypothesis import given
from hypothesis import strategies as st

from gulmfit.errors import DataError
from gulmfit.seq.alphabet import PROTEIN, encode
from gulmfit.seq.genome.genetic_code import CODONS, genetic_code
from gulmfit.seq.labels.codon_labels import CodonClasses, Codons, codon_classes
from gulmfit.seq.labels.position_labels import END, IGNORED
from gulmfit.seq.labels.targets import target_kind

NUMBERS = sorted(CodonTable.unambiguous_dna_by_id)
CLASSES = CodonClasses(codon_classes(genetic_code(11)))


@pytest.mark.parametrize("number", NUMBERS)
def test_each_codon_has_its_class_in_every_code(number: int) -> None:
    code = genetic_code(number)
    names = codon_classes(code)
    inside = [name for name in names if not name.startswith("start:")]
    assert sorted(name[2:] for name in inside) == sorted(CODONS)
    meaning = dict(zip(CODONS, code.residues.decode(), strict=False))
    assert all(meaning[name[2:]] == name[0] for name in inside)
    starts = [name[6:] for name in names if name.startswith("start:")]
    assert starts == [codon for codon, starts in zip(CODONS, code.is_start, strict=False) if starts]
    classes = CodonClasses(names)
    assert set(classes.rows) == {*PROTEIN.letters, "*", "start"}
    for index, name in enumerate(names):
        row = classes.rows[name.partition(":")[0]]
        assert classes.row[index] == row
        assert classes.first[row] <= index < classes.first[row] + classes.count[row]
    assert classes.width == max(classes.count)


@given(st.text(PROTEIN.letters, min_size=1, max_size=30), st.sampled_from(NUMBERS), st.integers(0, 10**6))
def test_every_choice_translates_back(protein: str, number: int, seed: int) -> None:
    code = genetic_code(number)
    classes = CodonClasses(codon_classes(code))
    options = classes.options(classes.rows_of(f"{protein}*"))
    drawn = [np.random.default_rng([seed, at]).choice(row[row >= 0]) for at, row in enumerate(options)]
    bases = "".join(CODONS[classes.codons[one]] for one in drawn)
    translated = code.translate(encode(bases))
    if protein[0] != "M":  # a codon that can start is read as M where it stands first
        translated = code.residues.decode()[classes.codons[drawn[0]]] + translated[1:]
    assert translated == f"{protein}*"
    if protein[0] == "M" or not code.is_start[classes.codons[drawn[0]]]:
        labels = classes.labels(f"{protein}*", bases)
        assert labels == drawn
        assert Codons().text(np.array([*labels, END]), classes.names) == bases
        places = classes.places(np.array(labels))
        assert (classes.chosen(np.array(labels), places) == labels).all()


def test_recoded_residues_have_no_label() -> None:
    labels = CLASSES.labels("MUO*", "GTGTGATAGTAA")
    assert labels == [CLASSES.names.index("start:GTG"), IGNORED, IGNORED, CLASSES.names.index("*:TAA")]
    stop = CLASSES.rows["*"]
    assert CLASSES.rows_of("MUMX").tolist() == [CLASSES.rows["start"], stop, CLASSES.rows["M"], -1]


def test_texts_are_read_again() -> None:
    kind = target_kind("codons")
    assert isinstance(kind, Codons)
    rows = [CLASSES.labels("MUM*", "ATGTGAATGTAA"), CLASSES.labels("KM", "AAAATG")]
    labels = kind.array(rows)
    texts = [kind.text(row, CLASSES.names) for row in labels]
    assert texts == ["ATG...ATGTAA", "AAAATG"]
    assert (kind.parse(texts, CLASSES.names, "test.tsv") == labels).all()
    with pytest.raises(DataError, match=r"test\.tsv, line 2.*'ATN'"):
        kind.parse(["AAAATN"], CLASSES.names, "test.tsv")
    with pytest.raises(DataError, match="data=codons"):
        kind.read([["AAA"]], ["label"], ["x"], "a.csv")
