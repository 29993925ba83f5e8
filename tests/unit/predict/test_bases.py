"""Every base has the mean of the windows that see it at a distance from their edges, however the work is cut."""

from collections.abc import Sequence

import numpy as np
import pytest

from gulmfit.errors import ConfigError
from gulmfit.predict.scans import bases
from gulmfit.predict.scans.bases import BaseScan
from gulmfit.seq.alphabet import AMBIGUOUS, Codes, encode
from gulmfit.seq.genome.store import GenomeStore


class Reader:
    """Says of a base what depends on it, on its place in the window and on the window's length."""

    min_bases = 5
    unknown = np.array([0.5, 0.25, 0.25], np.float32)

    def __init__(self) -> None:
        self.windows = 0

    def read(self, windows: Sequence[Codes], coverage: Sequence[np.ndarray] = ()) -> np.ndarray:
        self.windows += len(windows)
        found = np.full((len(windows), 2, max(map(len, windows)), 3), np.nan, np.float32)
        for row, codes in zip(found, windows, strict=True):
            row[:, : len(codes)] = said(codes)
        return found


def said(codes: Codes) -> np.ndarray:
    place = np.arange(len(codes)) / len(codes)
    return np.array(
        [[codes + place, codes * place, np.full(len(codes), len(codes))], [place, place**2, -codes.astype(float)]]
    ).transpose(0, 2, 1)


def by_hand(text: str, window: int, overlap: int, edge: int) -> np.ndarray:
    """Look at every window and every base of one contig, (L, 2, C)."""
    codes, length, step = encode(text), len(text), window - overlap
    if length < Reader.min_bases:
        return np.tile(Reader.unknown, (length, 2, 1))
    starts = [0]
    while starts[-1] + window < length:
        starts.append(min(starts[-1] + step, length - window))
    found = np.zeros((length, 2, 3))
    for base in range(length):
        values = []
        for start in starts:
            end = min(length, start + window)
            inside = start <= base < end
            if inside and (start == 0 or base >= start + edge) and (end == length or base < end - edge):
                values.append(said(codes[start:end])[:, base - start])
        found[base] = np.mean(values, axis=0)
    run = 0
    for base in range(length + 1):
        if base < length and codes[base] == AMBIGUOUS:
            run += 1
            continue
        if run >= bases.GAP_BP:
            found[base - run : base] = Reader.unknown
        run = 0
    return found


def genome(seed: int = 0) -> dict[str, str]:
    generator = np.random.default_rng(seed)
    texts = {
        name: "".join(generator.choice(list("ACGTacgtNn"), length, p=[0.12] * 8 + [0.02] * 2))
        for name, length in {"a": 203, "tiny": 3, "b": 40, "c": 39, "d": 41, "e": 5, "tail": 2}.items()
    }
    texts["gaps"] = texts["a"][:50] + "N" * 30 + texts["a"][50:90] + "N" * 29 + texts["a"][:20] + "n" * 100
    return texts


@pytest.mark.parametrize(("window", "overlap"), [(40, 0), (40, 8), (40, 20), (40, 36), (300, 100), (5, 1)])
def test_bases_have_the_mean_of_their_windows(window: int, overlap: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bases, "_PIECE_BP", 17)
    texts = genome()
    store = GenomeStore.from_sequences(list(texts), list(texts.values()))
    expected = np.concatenate([by_hand(text, window, overlap, overlap // 4) for text in texts.values()])
    for run_bp in (1, 230, 1 << 23):
        monkeypatch.setattr(bases, "RUN_BP", run_bp)
        scan = BaseScan(Reader(), store, window, overlap, 3)
        runs = scan.runs()
        assert [contig for run in runs for contig in run] == store.contigs
        pieces = [piece for run in runs for piece in scan.probabilities(run, run[0].start)]
        assert max(map(len, pieces)) <= 17
        np.testing.assert_allclose(np.concatenate(pieces), expected, rtol=1e-5)


def test_it_goes_on_from_any_base_to_the_last_bit() -> None:
    texts = genome(1)
    store = GenomeStore.from_sequences(list(texts), list(texts.values()))
    scan = BaseScan(Reader(), store, 40, 20, 3)
    (run,) = scan.runs()
    whole = np.concatenate(list(scan.probabilities(run, 0)))
    for begin in range(0, len(whole), 7):
        rest = scan._replace(reader=Reader())
        found = np.concatenate(list(rest.probabilities(run, begin)))
        np.testing.assert_array_equal(found, whole[begin:])
    assert rest.reader.windows < 10  # the others are not read again


@pytest.mark.parametrize(
    ("words", "told"),
    [((4, 0, 1), "window_bp=4"), ((10, 10, 1), "overlap_bp=10"), ((10, -1, 1), "overlap_bp=-1"), ((9, 1, 0), "=0")],
)
def test_numbers_out_of_range_are_refused(words: tuple[int, int, int], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        BaseScan(Reader(), GenomeStore.from_sequences(["a"], ["ACGT"]), *words).check()
