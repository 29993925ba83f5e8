"""Windows at features against windows cut by hand, and their mirror images on the other strand."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gulmfit.errors import ConfigError, DataError, SequenceError
from gulmfit.seq.alphabet import reverse_complement_text
from gulmfit.seq.formats.features import Feature
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.labels.feature_windows import LabelledWindows, WindowRule, cut_windows

LENGTH = 60
GENOME = "".join(np.random.default_rng(3).choice(list("ACGT"), LENGTH))
STORE = GenomeStore.from_sequences(["1"], [GENOME])
AROUND = {"window": "around", "upstream_bp": 4, "downstream_bp": 2}


def cut(features: list[Feature], labels: list[str] | None = None, **rule: object) -> LabelledWindows:
    return cut_windows(zip(labels or ["x"] * len(features), features, strict=True), STORE, WindowRule(**rule))  # type: ignore[arg-type]


def gene(start: int, end: int, strand: str = "+", line: int = 1) -> Feature:
    return Feature("1", start, end, strand, place=f"a.bed, line {line}")


@pytest.mark.parametrize(
    ("rule", "plus", "minus"),
    [
        ({}, [(20, 31)], [(20, 31)]),
        ({"flank_bp": 3}, [(17, 34)], [(17, 34)]),
        (AROUND, [(16, 22)], [(29, 35)]),
        ({**AROUND, "anchor": "end"}, [(27, 33)], [(18, 24)]),
        ({**AROUND, "anchor": "centre"}, [(21, 27)], [(24, 30)]),
        ({**AROUND, "flank_bp": 1}, [(15, 23)], [(28, 36)]),
        ({"window": "inside", "window_bp": 4}, [(20, 24), (24, 28)], [(27, 31), (23, 27)]),
        ({"window": "inside", "window_bp": 11}, [(20, 31)], [(20, 31)]),
    ],
)
def test_windows_of_a_feature_worked_out_by_hand(
    rule: dict[str, object], plus: list[tuple[int, int]], minus: list[tuple[int, int]]
) -> None:
    for strand, spans in (("+", plus), ("-", minus)):
        made = cut([gene(20, 31, strand)], **rule)
        assert made.loci == [("1", start, end, strand) for start, end in spans]
        texts = [GENOME[start:end] for start, end in spans]
        assert made.sequences == (texts if strand == "+" else list(map(reverse_complement_text, texts)))
        assert made.ids == [f"1:{start}-{end}({strand})" for start, end in spans]
    assert cut([gene(20, 31, ".")], **rule).loci == [("1", start, end, "+") for start, end in plus]


def test_windows_are_moved_alike_at_one_place_and_every_way() -> None:
    genes = [gene(start, start + 6) for start in range(10, 44)]

    def moved(seed: int) -> list[int]:
        made = [cut([one], jitter_bp=2, seed=seed) for one in genes]
        assert [one.sequences for one in made] == [[GENOME[start:end]] for one in made for _, start, end, _ in one.loci]
        assert all(end - start == 6 for one in made for _, start, end, _ in one.loci)
        return [one.loci[0][1] - feature.start for one, feature in zip(made, genes, strict=True)]

    assert set(moved(3)) == {-2, -1, 0, 1, 2}
    assert moved(3) == moved(3) != moved(4)
    with pytest.raises(DataError, match="conflicts=drop"):  # still one window, though moved
        cut([gene(20, 26), gene(20, 26, line=2)], ["a", "b"], jitter_bp=9)
    with pytest.raises(ConfigError, match="jitter_bp"):
        WindowRule(jitter_bp=-1)


@given(st.data())
def test_the_mirrored_genome_gives_the_same_windows(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, LENGTH - 1))
    end = data.draw(st.integers(start + 1, LENGTH))
    rule = WindowRule(
        **data.draw(
            st.one_of(
                st.fixed_dictionaries({"flank_bp": st.integers(0, 9)}),
                st.fixed_dictionaries({"window": st.just("inside"), "window_bp": st.integers(1, end - start)}),
                st.fixed_dictionaries(
                    {
                        "window": st.just("around"),
                        "upstream_bp": st.integers(1, 9),
                        "downstream_bp": st.integers(1, 9),
                        "anchor": st.sampled_from(["start", "end", "centre"]),
                    }
                ),
            )
        ),
        edges="pad",
    )
    mirror = GenomeStore.from_sequences(["1"], [reverse_complement_text(GENOME)])
    there = cut_windows([("x", gene(start, end, "+"))], STORE, rule)
    back = cut_windows([("x", gene(LENGTH - end, LENGTH - start, "-"))], mirror, rule)
    assert there.sequences == back.sequences


@pytest.mark.parametrize("strand", ["+", "-"])
def test_windows_over_an_end(strand: str) -> None:
    features = [gene(0, 5, strand), gene(30, 35, strand), gene(LENGTH - 5, LENGTH, strand)]
    dropped = cut(features, flank_bp=3)
    assert dropped.loci == [("1", 27, 38, strand)]
    assert dropped.record["left_out"]["reaches over the end of its contig"] == 2
    assert (dropped.record["features"], dropped.record["windows"]) == (3, 1)
    assert json.loads(json.dumps(dropped.record)) == dropped.record
    padded = cut(features, flank_bp=3, edges="pad")
    assert padded.loci == [("1", 0, 8, strand), ("1", 27, 38, strand), ("1", LENGTH - 8, LENGTH, strand)]
    texts = ["NNN" + GENOME[:8], GENOME[27:38], GENOME[-8:] + "NNN"]
    assert padded.sequences == (texts if strand == "+" else list(map(reverse_complement_text, texts)))
    assert padded.record["left_out"]["reaches over the end of its contig"] == 0
    with pytest.raises(DataError, match=r"a\.bed, line 1: window -3-8 .*contig '1' .*\b60 bases.*data\.edges=drop"):
        cut(features, flank_bp=3, edges="error")


def test_a_window_without_any_base_of_its_contig_is_never_padded() -> None:
    made = cut([gene(0, 9), gene(30, 39)], window="around", upstream_bp=5, edges="pad")
    assert made.loci == [("1", 25, 30, "+")]
    assert made.record["left_out"]["reaches over the end of its contig"] == 1


def test_short_features_hold_no_window_and_are_counted() -> None:
    made = cut([gene(0, 9), gene(10, 20)], window="inside", window_bp=10)
    assert made.loci == [("1", 10, 20, "+")]
    assert made.record["left_out"]["shorter than window_bp"] == 1


def test_a_place_between_two_bases_has_windows_but_is_none() -> None:
    insertion = gene(20, 20)
    assert cut([insertion], **AROUND).loci == [("1", 16, 22, "+")]
    assert cut([insertion], flank_bp=2).loci == [("1", 18, 22, "+")]
    with pytest.raises(DataError, match=r"a\.bed, line 1: 20-20 .*'1' .*data\.flank_bp"):
        cut([insertion])


def test_a_window_is_there_once_and_with_one_class() -> None:
    twice = [gene(1, 9), gene(1, 9, ".", 2), gene(1, 9, "-", 3), gene(11, 19, "+", 4)]
    made = cut(twice, ["a", "a", "b", "b"])
    assert made.loci == [("1", 1, 9, "+"), ("1", 1, 9, "-"), ("1", 11, 19, "+")]
    assert (made.labels, made.features) == (["a", "b", "b"], [0, 2, 3])
    assert made.record["left_out"]["same window and class as another one"] == 1
    with pytest.raises(DataError, match=r"a.bed, line 2: .* class 'b' that a.bed, line 1 gives to 'a': 1:1-9\(\+\)"):
        cut(twice, ["a", "b", "b", "b"])
    made = cut(twice, ["a", "b", "b", "b"], conflicts="drop")
    assert made.loci == [("1", 1, 9, "-"), ("1", 11, 19, "+")]
    assert made.record["left_out"]["same window as one of another class"] == 1


def test_all_contigs_are_checked_before_anything_is_cut() -> None:
    wrong = [gene(0, 100), Feature("2", 0, 1, "+", place="a.bed, line 2"), Feature("3", 0, 1, "+")]
    with pytest.raises(DataError, match=r"^a\.bed, line 2: 2 contig\(s\) .*genome: '2', '3'"):
        cut(wrong)
    with pytest.raises(DataError, match=r"a\.bed, line 1: 0-100 .*contig '1', .*\b60 bases"):
        cut(wrong[:1], edges="pad")


def test_nothing_left_is_an_error_that_says_why() -> None:
    with pytest.raises(DataError, match=r"\b1 feature\(s\) .*window: .*window_bp': 1\b.*data\.window"):
        cut([gene(0, 5)], window="inside", window_bp=6)
    with pytest.raises(DataError, match=r"\b0 feature\(s\) .*window: .*window_bp': 0\b.*data\.window"):
        cut([])


def test_windows_inside_one_feature_stay_together() -> None:
    made = cut([gene(0, 8), gene(10, 14)], ["a", "b"], window="inside", window_bp=4)
    data = made.labelled(positive="a", files=["a.bed"], ambiguity="error")
    assert (data.classes, data.positive, data.labels.tolist()) == (["a", "b"], "a", [0, 0, 1])
    assert data.groups is not None
    assert data.groups.tolist() == [0, 0, 1]
    assert data.loci == made.loci
    single = cut([gene(0, 8), gene(10, 14)], ["a", "b"]).labelled(positive=None, files=[], ambiguity="unk")
    assert single.groups is None


def test_ambiguous_bases_are_refused_where_asked() -> None:
    made = cut([gene(0, 8), gene(30, 34)], ["a", "b"], flank_bp=1, edges="pad")
    with pytest.raises(SequenceError, match=r"a.bed, line 1, window '1:-1-9\(\+\)', position 0: 'N' is ambiguous"):
        made.labelled(positive=None, files=[], ambiguity="error")


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"window": "arround"}, r"data\.window: 'arround' .*\]; .*'around'"),
        ({"anchor": "stop"}, r"data\.anchor: 'stop' .*\['start', 'end', "),
        ({"edges": "clip"}, r"data\.edges: 'clip' .*\['drop', 'error', "),
        ({"conflicts": "keep"}, r"data\.conflicts: 'keep' .*\['error', 'warn', "),
        ({"flank_bp": -1}, r"data\.flank_bp=-1 .*\b0\b"),
        ({"upstream_bp": 5}, r"data\.upstream_bp=5 .*data\.window=feature; .*data\.window=around"),
        (
            {"window": "around", "upstream_bp": 5, "window_bp": 5},
            r"data\.window_bp=5 .*data\.window=around; .*data\.window=inside",
        ),
        ({"window": "around"}, "data.window=around needs"),
        ({"window": "inside"}, "data.window=inside needs data.window_bp"),
    ],
)
def test_rules_that_cannot_work(rule: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        WindowRule(**rule)  # type: ignore[arg-type]
