"""Every sequence once, padded at the end, in batches of like length."""

import numpy as np
import pytest
import torch

from gulmfit.data.batches import collate, tokenise
from gulmfit.data.sequences import ClassificationDataModule, LengthBucketSampler, SequenceDataset
from gulmfit.errors import SequenceError
from gulmfit.seq.alphabet import reverse_complement_text
from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.seq.tokens.tokenizer import KmerTokenizer

TOKENIZER = KmerTokenizer(3, 1)


def sequences(count: int = 30) -> LabelledSequences:
    random = np.random.default_rng(0)
    texts = ["".join(random.choice(list("ACGT"), size=random.integers(3, 40))) for _ in range(count)]
    labels = ["a" if index % 2 else "b" for index in range(count)]
    return LabelledSequences.from_strings([f"s{index}" for index in range(count)], texts, labels)


def test_collate_pads_at_the_end() -> None:
    batch = collate([(torch.tensor([5, 6]), 1, 7), (torch.tensor([8]), 0, 3)], pad_id=0)
    assert batch.tokens.tolist() == [[5, 6], [8, 0]]
    assert batch.lengths.tolist() == [2, 1]
    assert (batch.labels.tolist(), batch.indices.tolist()) == ([1, 0], [7, 3])


@pytest.mark.parametrize("count", [1, 2, 5, 64, 65, 1000])
@pytest.mark.parametrize("training", [True, False])
def test_every_sequence_comes_once(count: int, training: bool) -> None:
    lengths = np.random.default_rng(1).integers(1, 100, count)
    sampler = LengthBucketSampler(lengths.tolist(), 8, training=training)
    batches = list(sampler)
    assert len(batches) == len(sampler)
    assert sorted(index for batch in batches for index in batch) == list(range(count))
    if training and count > 1:
        assert min(len(batch) for batch in batches) > 1
    if not training:
        flat = [lengths[index] for batch in batches for index in batch]
        assert flat == sorted(flat)


def test_epochs_shuffle_by_seed() -> None:
    lengths = list(range(100))
    a, b = (LengthBucketSampler(lengths, 8, training=True, seed=4) for _ in range(2))
    assert list(a) == list(b)
    b.set_epoch(1)
    assert list(a) != list(b)


@pytest.mark.parametrize("count", [7, 40, 41])
def test_ranks_share_the_batches(count: int) -> None:
    lengths = list(range(1, count + 1))
    training = [LengthBucketSampler(lengths, 4, training=True, rank=rank, world_size=2) for rank in range(2)]
    assert len(training[0]) == len(training[1]) == len(list(training[0])) == len(list(training[1]))
    assert {i for sampler in training for batch in sampler for i in batch} == set(range(count))
    judging = [LengthBucketSampler(lengths, 4, training=False, rank=rank, world_size=2) for rank in range(2)]
    assert sorted(i for sampler in judging for batch in sampler for i in batch) == list(range(count))


def test_padding_is_little() -> None:
    lengths = np.random.default_rng(2).integers(10, 1000, 5000)
    sampler = LengthBucketSampler(lengths.tolist(), 32, training=True)
    padded = sum(len(batch) * max(lengths[batch]) for batch in sampler)
    assert padded < 1.1 * lengths.sum()


def test_reverse_complement_training() -> None:
    data = sequences()
    dataset = SequenceDataset(data, TOKENIZER, reverse_complement_p=1.0)
    for index in range(len(data)):
        turned = tokenise(reverse_complement_text(data.sequences[index]), TOKENIZER, "")
        assert torch.equal(dataset[index][0], turned)
    assert torch.equal(SequenceDataset(data, TOKENIZER)[3][0], tokenise(data.sequences[3], TOKENIZER, ""))


def test_calibration_sees_the_same_sequences_on_every_rank() -> None:
    data = sequences()
    module = ClassificationDataModule({"train": data, "valid": data, "test": data}, TOKENIZER, batch_size=4, seed=0)
    seen = [index for batch in module.calibration_batches(10) for index in batch.indices.tolist()]
    assert len(set(seen)) == 10
    assert seen == [index for batch in module.calibration_batches(10) for index in batch.indices.tolist()]
    everything = [index for batch in module.calibration_batches(1000) for index in batch.indices.tolist()]
    assert sorted(everything) == list(range(len(data)))


def test_a_sequence_shorter_than_a_kmer_is_named() -> None:
    data = LabelledSequences.from_strings(["good", "short"], ["ACGTA", "AC"], ["a", "b"], files=["x.csv"])
    with pytest.raises(SequenceError, match=r"x\.csv, record 'short': 2 bases .*\(k=3\)"):
        SequenceDataset(data, TOKENIZER)
