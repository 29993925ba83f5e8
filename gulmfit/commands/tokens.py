"""`gulmfit-tokens`: what tokenizers make of one corpus, and what a small language model learns from each."""

import logging
import tempfile
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch.optim.lr_scheduler import OneCycleLR

from gulmfit.checkpoint import load_tokenizer
from gulmfit.config import compose, instantiate, plain
from gulmfit.data.corpus import LanguageModelDataModule, thin_out
from gulmfit.errors import ConfigError, DataError, TokenizerError
from gulmfit.files import claimed, write_whole
from gulmfit.metadata import write_json
from gulmfit.model_files import files_of
from gulmfit.models.encoder import detach
from gulmfit.models.language_model import initialise_bias
from gulmfit.report.html import write_report
from gulmfit.report.table import format_table
from gulmfit.report.token_page import table_rows, tokens_report
from gulmfit.seq.alphabet import Codes
from gulmfit.seq.formats.tables import is_table, read_rows
from gulmfit.seq.genome.holdout import Holdout, hold_out
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.limits import is_whole_number
from gulmfit.seq.simulate.markov import MarkovModel
from gulmfit.seq.tokens.subword import KINDS, SubwordTokenizer
from gulmfit.seq.tokens.subword_training import SubwordRecipe
from gulmfit.seq.tokens.tokenizer import KmerTokenizer, Tokenizer
from gulmfit.train.loop.language_task import LanguageModelTask
from gulmfit.train.loop.lr_find import endless
from gulmfit.train.stages.language import evaluate_stream, training_part

logger = logging.getLogger(__name__)

CORPUS_BASES = 20_000_000  # of a larger corpus pieces that lie evenly over it are looked at
TIMED_BASES = 1_000_000
WINDOW_BASES = 140  # in a window of truncated back-propagation: 70 tokens of 2 new bases, as elsewhere
STREAMS = 64
FREQUENCIES_SHOWN = 200


def compare_tokens(
    *,
    input: str,
    tokenizers: str = "kmer:5:2,kmer:3:3,bpe:512,unigram:512",
    output: str = "",
    steps: int = 300,
    seed: int = 0,
    alphabet: Literal["dna", "rna", "protein"] = "dna",
) -> dict[str, Any]:
    """Compare tokenizers on a corpus of which a tenth is held out.

    Says what they make of it (vocabulary, bases per token, entropy, speed), and how many bits a base a small language
    model needs with each after reading as many bases, on the part that is held out.

    Args:
        input: FASTA files (a path or pattern), or a table with a column `sequence`.
        tokenizers: Separated by commas: `kmer:K:STRIDE`, `bpe:SIZE` or `unigram:SIZE`, which are learned from the
            training part, a run or model folder, or a `tokenizer.json`.
        output: Folder for `tokens.json`, `tokens.html` and the learned tokenizers, for tokenizer.path=; nothing is
            written by default.
        steps: Training steps of the language models, each of 140 bases in up to 64 streams; with 0 there are none.
        seed: Of the held-out part, the samples and the models.
        alphabet: What the corpus is written in.

    Raises:
        ConfigError: If a tokenizer is not named as above, or is of another alphabet.
        DataError: If the corpus is too small.
    """
    names = [word.strip() for word in tokenizers.split(",") if word.strip()]
    if not names:
        raise ConfigError("tokenizers= names none. Give for example tokenizers=kmer:5:2,bpe:512.")
    makers = {name: _parse(name, alphabet) for name in names}
    for name, maker in makers.items():
        own = maker.alphabet.name if isinstance(maker, Tokenizer) else maker.alphabet
        if own != alphabet:
            raise ConfigError(f"{name} is of {own} letters, and the corpus of {alphabet}: alphabet= says which it is.")
    written = _outputs(Path(output), makers) if output else []
    with claimed(written, [input, *(file for name in names for file in files_of(name))]):
        with tempfile.TemporaryDirectory(prefix="gulmfit-tokens-") as folder:
            store, holdout = _corpus(input, Path(folder), seed, alphabet)
            bases = holdout.bases()
            unit = store.alphabet.unit
            logger.info(
                "%s: %s %ss to learn from, %s held out", input, f"{bases['train']:,}", unit, f"{bases['valid']:,}"
            )
            training = training_part(store, holdout)
            entries, made = [], {}
            for name, maker in makers.items():
                start = time.perf_counter()
                tokenizer = maker.learn(training, seed=seed) if isinstance(maker, SubwordRecipe) else maker
                learned_in = time.perf_counter() - start if isinstance(maker, SubwordRecipe) else None
                made[name] = tokenizer
                entry = {"tokenizer": name, **_describe(tokenizer, training), "seconds_to_learn": learned_in}
                if steps:
                    data = _data(store, holdout, tokenizer, entry["bases_per_token"], Path(folder), seed)
                    window = data.batch_size * data.bptt * entry["bases_per_token"]
                    enough = max(1, round(steps * data.batch_size * WINDOW_BASES / window))
                    entry |= _language_model_bits(tokenizer, data, steps=enough, seed=seed)
                logger.info("%s: %s", name, tokenizer)
                entries.append(entry)
        results: dict[str, Any] = {
            "input": input,
            "alphabet": alphabet,
            "bases": bases,
            "steps": steps,
            "seed": seed,
            "tokenizers": entries,
        }
        if steps:
            spans = [(part.start, part.end) for part in holdout.train]
            markov = MarkovModel.fit(store.codes, spans, alphabet=store.alphabet)
            bits = markov.bits_per_base(store.codes, [(part.start, part.end) for part in holdout.valid])
            results["markov"] = {"bits_per_base": bits, "order": markov.order}
        results["verdict"] = _verdict(results)
        rows = table_rows(entries)
        logger.info("\n%s\n\n%s", format_table(rows, list(rows[0])), results["verdict"])
        if output:
            _write(Path(output), results, made)
        return results


def _describe(tokenizer: Tokenizer, corpus: Sequence[Codes]) -> dict[str, Any]:
    """Say what a tokenizer makes of the forward strand of a corpus, given as stretches of base codes."""
    counts, new_bases = np.zeros(len(tokenizer), dtype=np.int64), 0
    for codes in corpus:
        for start, end in tokenizer.blocks(len(codes)):
            ids = tokenizer.encode(codes[start:end])
            counts += np.bincount(ids, minlength=len(counts))
            new_bases += int(tokenizer.bases_of(ids).sum()) - (tokenizer.overlap if start else 0)
    known, sizes = counts[tokenizer.num_special :], tokenizer.sizes()[tokenizer.num_special :]
    total = int(known.sum())
    if not total:
        raise DataError(f"{tokenizer!r} finds no token in the corpus: its stretches are too short.")
    frequent = np.sort(known[known > 0])[::-1] / total
    entropy = float(-(frequent * np.log2(frequent)).sum())
    shares = np.bincount(sizes, weights=known)[1:] / total
    quantiles = [int(np.searchsorted(np.cumsum(shares), share - 1e-12)) + 1 for share in (0.05, 0.5, 0.95)]
    shown = np.unique(np.geomspace(1, len(frequent), FREQUENCIES_SHOWN).round().astype(int))
    return {
        "vocabulary": len(known),
        "used": len(frequent) / len(known),  # share
        "bases_per_token": new_bases / total,
        "quantiles": " / ".join(map(str, quantiles)),  # of the bases that a token spells
        "overlap": tokenizer.overlap,
        "entropy": entropy,  # bits a token
        "entropy_per_base": entropy * total / new_bases,
        "tokens_per_second": _speed(tokenizer, corpus),
        "sizes": shares.tolist(),  # share of tokens of one base, two ...
        "frequencies": [[int(rank), float(frequent[rank - 1])] for rank in shown],  # thinned
        "spec": tokenizer.summary(),
    }


def _language_model_bits(
    tokenizer: Tokenizer, data: LanguageModelDataModule, *, steps: int, seed: int
) -> dict[str, float]:
    """Train a small language model; return its `bits_per_base`, the `bases_read` and the `seconds` of training."""
    config = compose(["stage=pretrain", "arch=awd_lstm_tiny"])
    spec = {
        "arch": plain(config.arch),
        "head": plain(config.head),
        "dropout": {**plain(config.dropout), "drop_mult": 0.0},  # nobody overfits in so few steps
        "tokenizer": tokenizer.spec(),
    }
    torch.manual_seed(seed)
    task = LanguageModelTask(spec, plain(config.optimizer), plain(config.schedule))
    initialise_bias(task.model, data.token_counts())
    parameters = [parameter for parameter in task.model.parameters() if parameter.requires_grad]
    rate = float(config.pretrain.lr)
    optimizer = instantiate({**plain(config.optimizer), "params": parameters, "lr": rate})
    schedule = OneCycleLR(optimizer, max_lr=rate, total_steps=steps + 1, base_momentum=0.7, max_momentum=0.8)
    stream, bases, start = data.stream(training=True), 0, time.perf_counter()
    task.model.train()
    state = None
    for batch, begins in islice(endless(stream), steps):
        output = task.model(batch.tokens, batch.targets, None if begins else state)
        state = detach(output.state)
        optimizer.zero_grad()
        (output.loss + output.penalty).backward()
        optimizer.step()
        schedule.step()
        bases += int(task.bases(output).sum())
    seconds = time.perf_counter() - start
    return {"bits_per_base": evaluate_stream(task, data)["bits_per_base"], "bases_read": bases, "seconds": seconds}


def _parse(word: str, alphabet: str) -> Tokenizer | SubwordRecipe:
    """Read the name of a tokenizer; one that is to be learned is not learned yet."""
    kind, *numbers = word.split(":")
    whole = all(is_whole_number(number) for number in numbers)
    if kind == "kmer" and len(numbers) == 2 and whole:
        return KmerTokenizer(int(numbers[0]), int(numbers[1]), alphabet)
    if kind in KINDS.values() and len(numbers) == 1 and whole:
        return SubwordRecipe(kind=kind, vocab_size=int(numbers[0]), alphabet=alphabet)
    path = Path(word).expanduser()
    if path.suffix == ".json" and path.is_file():
        try:
            return SubwordTokenizer(path.read_text(encoding="utf-8"), alphabet)
        except (TokenizerError, OSError, UnicodeDecodeError) as error:
            raise TokenizerError(f"{path}: {error}") from error
    if path.exists():
        return load_tokenizer(path)
    raise ConfigError(
        f"{word!r} is not a tokenizer: give kmer:K:STRIDE, bpe:SIZE, unigram:SIZE, a run or model folder, or a "
        "tokenizer.json that exists."
    )


def _corpus(input: str, cache_dir: Path, seed: int, alphabet: str) -> tuple[GenomeStore, Holdout]:
    """Read a corpus, or an even part of a large one, and hold a tenth out."""
    if is_table(Path(input)):
        rows = list(read_rows(Path(input), {"sequence": "sequence"}))
        names, texts = [place for place, _ in rows], [row["sequence"] for _, row in rows]
        store = GenomeStore.from_sequences(names, texts, alphabet=alphabet)
    else:
        store = GenomeStore.build(input, cache_dir, alphabet=alphabet)
    intervals = thin_out(store.clear_intervals("split"), CORPUS_BASES)
    total = sum(part.end - part.start for part in intervals)
    block = max(1, min(50_000, total // 20))
    return store, hold_out(intervals, block_bp=block, margin_bp=min(1_000, block // 50), seed=seed)


def _data(
    store: GenomeStore, holdout: Holdout, tokenizer: Tokenizer, bases_per_token: float, cache_dir: Path, seed: int
) -> LanguageModelDataModule:
    """Return streams whose windows have as many bases for every tokenizer."""
    return LanguageModelDataModule(
        store.codes,
        holdout,
        tokenizer,
        batch_size=max(1, min(STREAMS, holdout.bases()["train"] // (4 * WINDOW_BASES))),
        bptt=max(1, round(WINDOW_BASES / bases_per_token)),
        strands="both",
        seed=seed,
        cache_dir=cache_dir,
    )


def _speed(tokenizer: Tokenizer, corpus: Sequence[Codes]) -> float:
    """Measure the tokens that are cut in a second, on stretches of up to a million bases in all."""
    stretches: list[npt.NDArray[np.uint8]] = []
    left = TIMED_BASES
    for codes in corpus:
        stretches.append(np.asarray(codes[:left]))
        left -= len(stretches[-1])
        if left <= 0:
            break
    start = time.perf_counter()
    tokens = sum(len(tokenizer.encode(codes)) for codes in stretches)
    return tokens / max(time.perf_counter() - start, 1e-9)


def _verdict(results: dict[str, Any]) -> str:
    entries = results["tokenizers"]
    if not results.get("markov"):
        return f"{len(entries)} tokenizers described; no language model was trained (steps=0)."
    best = min(entries, key=lambda entry: entry["bits_per_base"])
    markov = results["markov"]
    return (
        f"{best['tokenizer']} has the fewest bits per base after {best['bases_read']:,} bases: "
        f"{best['bits_per_base']:.3f}; the Markov model of order {markov['order']} has {markov['bits_per_base']:.3f}."
    )


def _outputs(folder: Path, makers: dict[str, Tokenizer | SubwordRecipe]) -> list[Path]:
    """List what is written: k-mers have no file."""
    learned = [name for name, maker in makers.items() if not isinstance(maker, KmerTokenizer)]
    named = [_tokenizer_path(folder, name, "tokenizer.json") for name in learned]
    return [folder / "tokens.json", folder / "tokens.html", *named]


def _tokenizer_path(folder: Path, name: str, file: str) -> Path:
    return folder / f"{Path(name).name.replace(':', '_')}_{file}"


def _write(folder: Path, results: dict[str, Any], tokenizers: dict[str, Tokenizer]) -> None:
    write_json(folder / "tokens.json", results)
    write_report(folder / "tokens.html", tokens_report(results))
    for name, tokenizer in tokenizers.items():
        for file, text in tokenizer.files().items():
            write_whole(_tokenizer_path(folder, name, file), text)
    logger.info("report: %s", folder / "tokens.html")
