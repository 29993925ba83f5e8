"""The sketch of a corpus, against minimizers that are looked for one window at a time."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gulmfit.errors import DataError, SequenceError
from gulmfit.seq.alphabet import encode, reverse_complement_text
from gulmfit.seq.related import sketch as module
from gulmfit.seq.related.sketch import Sketch

K, WINDOW = 9, 6
COVERED = K + WINDOW - 1


def random_bases(count: int, seed: int, letters: str = "ACGT") -> str:
    return "".join(np.random.default_rng(seed).choice(list(letters), count))


def sketch_of(text: str, k: int = K, window: int = WINDOW) -> Sketch:
    return Sketch.build(encode(text), [(0, len(text))], k=k, window=window)


def minimizer_positions(text: str, k: int = K, window: int = WINDOW) -> set[int]:
    """Positions of k-mers that are the smallest of some window, by looking at each."""
    hashes = module._hashes(encode(text), k)
    return {int(start + np.argmin(hashes[start : start + window])) for start in range(max(1, len(hashes) - window + 1))}


def test_holds_the_minimizers_and_no_others() -> None:
    text = random_bases(2_000, 0)
    hashes = module._hashes(encode(text), K)
    wanted = np.unique(module._fingerprints(hashes[sorted(minimizer_positions(text))]))
    np.testing.assert_array_equal(sketch_of(text).prints, wanted)


def test_the_size_of_pieces_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    text = random_bases(3_000, 1, "ACGTN")
    whole = sketch_of(text)
    monkeypatch.setattr(module, "_PIECE", 61)
    np.testing.assert_array_equal(sketch_of(text).prints, whole.prints)


@given(st.integers(0, 10_000), st.integers(COVERED, 60), st.booleans(), st.integers(0, 20))
def test_what_shares_enough_bases_is_found(seed: int, length: int, reverse: bool, start: int) -> None:
    """Copies of `covered` bases or more, on either strand, wherever they are cut out."""
    text = random_bases(100, seed)
    copy = text[start : start + length]
    assert sketch_of(text).stand_in([reverse_complement_text(copy) if reverse else copy]).tolist() == [True]


@given(st.integers(0, 10_000), st.integers(K, COVERED - 1), st.booleans())
def test_a_shorter_copy_is_found_if_it_holds_a_minimizer(seed: int, length: int, reverse: bool) -> None:
    text = random_bases(60, seed)
    there = minimizer_positions(text)
    hashes = module._hashes(encode(text), K)
    known = {int(hashes[place]) for place in there}
    starts = range(len(text) - length + 1)
    copies = [text[start : start + length] for start in starts]
    found = sketch_of(text).stand_in([reverse_complement_text(copy) if reverse else copy for copy in copies])
    for start in starts:
        inside = range(start, start + length - K + 1)
        if there & set(inside):
            assert found[start]
        elif not known & {int(hashes[place]) for place in inside}:
            assert not found[start]


def test_one_call_is_as_many_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    text = random_bases(4_000, 2)
    sequences = [text[100:180], "ACGT", random_bases(90, 3), text[7:17], "", "NNNNNNNNNNNNNNNNNNNN", text[500:3_000]]
    sequences += [text[300:320] + "N" + text[900:920], random_bases(3_000, 4)]
    found = sketch_of(text)
    together = found.stand_in(sequences)
    assert together.tolist() == [bool(found.stand_in([one])[0]) for one in sequences]
    assert together[[0, 6, 7]].all()
    assert not together[[1, 2, 4, 5, 8]].any()
    monkeypatch.setattr(module, "_AT_ONCE", 100)
    assert found.stand_in(sequences).tolist() == together.tolist()
    assert found.stand_in([]).tolist() == []


def test_share_is_that_of_minimizers() -> None:
    text = random_bases(50_000, 5)
    found = sketch_of(text, 20, 30)
    mixed = text[:30_000] + random_bases(20_000, 6)  # 60 % known
    assert [bool(found.stand_in([mixed], share)[0]) for share in (0.3, 0.55, 0.65, 1.0)] == [True, True, False, False]
    for share in (0.0, 1.1):
        with pytest.raises(DataError, match="share"):
            found.stand_in([mixed], share)


def test_strangers_are_not_found_and_the_size_is_as_told() -> None:
    """Of w k-mers in a row one in (w + 1) / 2 is kept, which is known of random order (Schleimer et al., 2003)."""
    text = random_bases(200_000, 7)
    found = Sketch.build(encode(text), [(0, len(text))])
    assert len(found.prints) == pytest.approx(2 / (found.window + 1) * len(text), rel=0.05)
    assert found.covered == 100
    strangers = [random_bases(length, 1_000 + number) for number, length in enumerate([60, 81, 100, 300] * 200)]
    assert found.stand_in(strangers).sum() <= 1
    copies = [text[start : start + 100] for start in range(0, 199_900, 97)]
    assert found.stand_in(copies).all()


def test_only_what_was_read_is_in_it() -> None:
    text = random_bases(3_000, 8)
    found = Sketch.build(encode(text), [(0, 1_000), (2_000, 3_000)], k=20, window=30)
    assert found.stand_in([text[100:300], text[1_100:1_900], text[2_100:2_500]]).tolist() == [True, False, True]


def test_kept_in_a_file(tmp_path: Path) -> None:
    text, path = random_bases(100_000, 9), tmp_path / "corpus.npz"
    found = Sketch.build(encode(text), [(0, len(text))])
    found.save(path)
    read = Sketch.open(path)
    np.testing.assert_array_equal(read.prints, found.prints)
    assert (read.k, read.window) == (found.k, found.window)
    content = path.read_bytes()
    found.save(path)
    assert path.read_bytes() == content  # no time of day in it
    empty = Sketch(np.empty(0, np.uint32))
    empty.save(path)
    assert Sketch.open(path).stand_in([text[:200], text[:30]]).tolist() == [False, False]


@pytest.mark.parametrize("damage", ["cut", "text", "bomb", "format", "order"])
def test_a_damaged_file_is_named(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "corpus.npz"
    sketch_of(random_bases(1_000, 10)).save(path)
    about = np.array([1, K, WINDOW])
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-40])
    elif damage == "text":
        path.write_text("{}")
    elif damage == "bomb":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("planes.npy", bytes(10_000_000))
    elif damage == "format":
        np.savez_compressed(path, about=about + np.array([1, 0, 0]), planes=np.zeros((4, 1), np.uint8))
    else:
        np.savez_compressed(path, about=about, planes=np.full((4, 3), 255, np.uint8))
    with pytest.raises(DataError, match=r"corpus\.npz"):
        Sketch.open(path)


def test_a_foreign_letter_is_refused() -> None:
    with pytest.raises(SequenceError):
        sketch_of(random_bases(100, 11)).stand_in(["ACGTACGTXACGT"])
