"""Labelled sequences as batches: tokenised once, bucketed by length, padded at the end.

Shape letters: `B` batch, `T` tokens. The label of a sequence is a number, or a list of them where its kind of target
has several.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from gulmfit.data.batches import SequenceBatch, collate, tokenise
from gulmfit.data.stream import Position, ResumableDataModule
from gulmfit.errors import DataError
from gulmfit.seq.labels.annotated import AnnotatedWindows
from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.seq.tokens.tokenizer import Tokenizer

Item = tuple[Any, ...]

# Batches whose sequences are sorted by length together: enough for little padding, few enough to stay random.
BUCKET_BATCHES = 50


class SequenceDataset(Dataset[Item]):
    """Labelled sequences, tokenised once; an item has the tokens, the label, and its index.

    Args:
        data: The sequences.
        tokenizer: Bases to tokens.
        reverse_complement_p: Probability of giving the other strand of a sequence instead; for training.
    """

    def __init__(self, data: LabelledSequences, tokenizer: Tokenizer, reverse_complement_p: float = 0.0) -> None:
        where = ", ".join(data.files) or "data"
        names = [f"{where}, record {name!r}" for name in data.ids]
        pairs = list(zip(data.sequences, names, strict=True))
        self.pad_id = tokenizer.pad_id
        self.labels, self.kind, self.data = data.labels, data.kind, data
        self.forward = [tokenise(sequence, tokenizer, name) for sequence, name in pairs]
        self.reverse_complement_p = reverse_complement_p
        self.backward = (
            [tokenise(sequence, tokenizer, name, reverse=True) for sequence, name in pairs]
            if reverse_complement_p
            else self.forward
        )
        self.lengths = [len(tokens) for tokens in self.forward]

    def __len__(self) -> int:
        return len(self.forward)

    def __getitem__(self, index: int) -> Item:
        turned = self.reverse_complement_p > 0 and float(torch.rand(())) < self.reverse_complement_p
        label = self.kind.turned(self.labels[index]) if turned else self.labels[index]
        tokens = (self.backward if turned else self.forward)[index]
        return tokens, label.tolist(), index, *self._measured(index)

    def _measured(self, index: int) -> tuple[Any, ...]:
        """Return the measured values (A, L) of a sequence, if there are any."""
        if not isinstance(self.data, AnnotatedWindows):
            return ()
        contig, start, end, _ = (self.data.loci or [])[index]
        found = self.data.contigs[contig].coverage
        return () if found is None else (found[:, start:end],)

    def collate(self, items: Sequence[Item]) -> SequenceBatch:
        """Pad items into a batch."""
        measured = [item[3] for item in items if len(item) > 3]
        return collate([item[:3] for item in items], self.pad_id, self.kind.batch, measured)


class StretchDataset(SequenceDataset):
    """Annotated windows for training, each moved by up to half its length whenever it is read.

    A window stays inside the stretch of those that follow each other, so it holds no base of another part. The other
    strand is not drawn: both are labelled in one pass, with the same head.

    Args:
        data: The windows.
        tokenizer: Bases to tokens.
    """

    def __init__(self, data: AnnotatedWindows, tokenizer: Tokenizer) -> None:
        self.data: LabelledSequences = data
        self.annotated, self.tokenizer = data, tokenizer
        self.pad_id, self.kind = tokenizer.pad_id, data.kind
        self.bounds = {index: (one.start, one.end) for one in data.stretches() for index in one.windows}
        self.lengths = [len(text) for text in data.sequences]

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> Item:
        contig, start, end, _ = (self.annotated.loci or [])[index]
        low, high = self.bounds[index]
        size = end - start
        moved = start + round((float(torch.rand(())) - 0.5) * size)
        first = max(low, min(moved, high - size))
        whole = self.annotated.contigs[contig]
        tokens = self.tokenizer.encode(whole.codes[first : first + size])
        here = slice(first, first + size)
        measured = () if whole.coverage is None else (whole.coverage[:, here],)
        return torch.from_numpy(tokens), whole.tracks[:, :, here], index, *measured


class LengthBucketSampler(Sampler[list[int]]):
    """Batches of sequences of similar length.

    In training the order is drawn anew each epoch from `seed` and the epoch; otherwise sequences come shortest first.
    No sequence is dropped: a rest of a single sequence, on which BatchNorm cannot be trained, joins the batch before
    it. Under DDP every rank gets the same number of batches, some of them repeated in training.

    Args:
        lengths: Tokens of each sequence.
        batch_size: Sequences in a batch.
        training: Shuffle, by `seed`.
        rank, world_size: Number of this process, and of all.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        batch_size: int,
        *,
        training: bool,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.lengths = np.asarray(lengths)
        # Lightning wants a batch on every rank, however few sequences there are to judge.
        self.batch_size = batch_size if training else max(1, min(batch_size, len(lengths) // world_size))
        self.training, self.seed = training, seed
        self.rank, self.world_size = rank, world_size
        self.epoch = 0
        self.step = 0
        self._resumed = False

    def position(self) -> Position:
        """Return the epoch and how many of its batches have been given."""
        return {"epoch": self.epoch, "step": self.step}

    def seek(self, position: Position) -> None:
        """Begin the next iteration behind the batches that have been given."""
        self.epoch, self.step = position["epoch"], position["step"]
        self._resumed = self.step < len(self)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next."""
        self.epoch = epoch

    def _batches(self) -> list[list[int]]:
        count = len(self.lengths)
        random = np.random.default_rng([self.seed, self.epoch])
        order = random.permutation(count) if self.training else np.arange(count)
        bucket = self.batch_size * BUCKET_BATCHES if self.training else max(1, count)
        batches: list[list[int]] = []
        for start in range(0, count, bucket):
            part = order[start : start + bucket]
            part = part[np.argsort(self.lengths[part], kind="stable")]
            batches += [part[i : i + self.batch_size].tolist() for i in range(0, len(part), self.batch_size)]
        if self.training:
            single = next((batch for batch in batches if len(batch) == 1), None)
            if single is not None and len(batches) > 1:
                batches.remove(single)
                batches[-1] += single
            batches = [batches[index] for index in random.permutation(len(batches))]
        return batches

    def __iter__(self) -> Iterator[list[int]]:
        batches = self._batches()
        if self.training:
            batches += batches[: len(self) * self.world_size - len(batches)]
        self.step = self.step if self._resumed else 0
        self._resumed = False
        for batch in batches[self.rank :: self.world_size][self.step :]:
            self.step += 1
            yield batch

    def __len__(self) -> int:
        count = len(self._batches())
        if self.training:
            return -(-count // self.world_size)
        return len(range(self.rank, count, self.world_size))


class ClassificationDataModule(ResumableDataModule):
    """Train, validation and test parts of labelled sequences.

    Args:
        parts: The sequences of `train`, `valid` and `test`.
        tokenizer: Bases to tokens.
        batch_size: Sequences in a batch of each process.
        seed: Of the shuffling.
        reverse_complement_p: Probability of training on the other strand of a sequence.

    Raises:
        DataError: If training has fewer than two sequences.
    """

    def __init__(
        self,
        parts: dict[str, LabelledSequences],
        tokenizer: Tokenizer,
        *,
        batch_size: int,
        seed: int,
        reverse_complement_p: float = 0.0,
    ) -> None:
        super().__init__()
        if len(parts["train"].ids) < 2:
            raise DataError("training needs two labelled sequences or more.")
        self.batch_size, self.seed = batch_size, seed
        self.datasets = {
            name: StretchDataset(part, tokenizer)
            if name == "train" and isinstance(part, AnnotatedWindows)
            else SequenceDataset(part, tokenizer, reverse_complement_p if name == "train" else 0.0)
            for name, part in parts.items()
        }

    def _loader(self, name: str, training: bool) -> DataLoader[Item]:
        dataset = self.datasets[name]
        rank, world_size = 0, 1
        if self.trainer is not None:
            rank, world_size = self.trainer.global_rank, self.trainer.world_size
        sampler = LengthBucketSampler(
            dataset.lengths, self.batch_size, training=training, seed=self.seed, rank=rank, world_size=world_size
        )
        if training:
            self.resume(sampler)
        # A generator of its own: DataLoader would draw a number from the global one whenever it begins, and a
        # resumed run begins once more often than one that was never interrupted.
        return DataLoader(
            dataset,
            batch_sampler=sampler,
            collate_fn=dataset.collate,
            generator=torch.Generator().manual_seed(self.seed),
        )

    def train_dataloader(self) -> DataLoader[Item]:
        """Return shuffled, bucketed batches of the training part."""
        return self._loader("train", training=True)

    def val_dataloader(self) -> DataLoader[Item]:
        """Return the validation part."""
        return self._loader("valid", training=False)

    def calibration_batches(self, limit: int) -> Iterator[SequenceBatch]:
        """Yield up to `limit` training sequences, the same ones on every rank, for re-estimating BatchNorm."""
        dataset = self.datasets["train"]
        chosen = np.random.default_rng(self.seed).permutation(len(dataset))[:limit]
        chosen = chosen[np.argsort(np.asarray(dataset.lengths)[chosen], kind="stable")]
        for start in range(0, len(chosen), self.batch_size):
            rows = chosen[start : start + self.batch_size]
            yield dataset.collate([(dataset.forward[i], dataset.labels[i].tolist(), int(i)) for i in rows])
