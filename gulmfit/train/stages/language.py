"""`stage=pretrain` and `stage=finetune`: a language model learns a genome, or the sequences of a labelled corpus."""

import copy
import functools
import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gulmfit.checkpoint import build_tokenizer
from gulmfit.config import plain
from gulmfit.data.corpus import LanguageModelDataModule
from gulmfit.data.sources.base import Source
from gulmfit.errors import SequenceError
from gulmfit.models.language_model import initialise_bias, log_frequencies
from gulmfit.models.transfer import transfer
from gulmfit.report.pages import language_model_report
from gulmfit.report.wording import CHOSE_THE_EPOCH
from gulmfit.seq.alphabet import Codes
from gulmfit.seq.genome.holdout import Holdout, hold_out
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.simulate.markov import MarkovModel
from gulmfit.train.loop.fit import build_spec, fit, seed_everything
from gulmfit.train.loop.language_task import LanguageModelTask
from gulmfit.train.loop.lr_find import lr_range_test
from gulmfit.train.loop.metrics import StreamScore
from gulmfit.train.run import Run
from gulmfit.train.stages.classify import split_parts
from gulmfit.train.survive.identity import LEARNED_FROM, of_stream, of_weights

logger = logging.getLogger(__name__)

# Optimizer steps after which a language model that has learned nothing is a failure and not a trial.
ENOUGH_STEPS = 300


def corpus(run: Run, source: Source) -> tuple[GenomeStore, Holdout]:
    """Return what to learn from, and its held-out part.

    In fine-tuning on labelled sequences those of the training part are learned and those of the validation part held
    out; the test part is left alone.
    """
    config = run.config
    if run.stage == "finetune" and source.has_labels:
        parts = split_parts(run, source.labelled())
        names = [f"{part}/{name}" for part in ("train", "valid") for name in parts[part].ids]
        sequences = [sequence for part in ("train", "valid") for sequence in parts[part].sequences]
        store = GenomeStore.from_sequences(names, sequences, alphabet=source.alphabet)
        intervals = store.clear_intervals("unk")
        boundary = len(parts["train"].ids)
        return store, Holdout(
            [part for part in intervals if part.contig < boundary],
            [part for part in intervals if part.contig >= boundary],
        )
    store = source.store(Path(str(config.paths.cache_dir)))
    intervals = store.clear_intervals(source.ambiguity)
    names = [contig.name for contig in store.contigs]
    return store, hold_out(intervals, **plain(config.holdout), seed=int(config.seed), names=names)


def training_part(store: GenomeStore, holdout: Holdout) -> list[Codes]:
    """Return the base codes of every stretch to learn from."""
    codes = np.asarray(store.codes)
    return [codes[part.start : part.end] for part in holdout.train]


def run_language_model(run: Run, source: Source) -> dict[str, Any]:
    """Train a language model and say how many bits a base it needs, beside a Markov model of the same corpus."""
    config = run.config
    seed_everything(run)
    read = functools.cache(functools.partial(corpus, run, source))
    spec = build_spec(run, plain(config.tokenizer), corpus=lambda: training_part(*read()))
    initial = run.initial_model(spec)
    tokenizer = build_tokenizer(spec)
    store, holdout = read()
    for contig in store.contigs:
        if contig.length < tokenizer.min_bases:
            place = f"{contig.path or 'corpus'}, record {contig.name!r}"
            raise SequenceError(f"{place}: {tokenizer.too_short(contig.length)}")
    bases = holdout.bases()
    logger.info(
        "%s: %s; held out %s of %s %ss",
        run.stage, tokenizer, f"{bases['valid']:,}", f"{sum(bases.values()):,}", store.alphabet.unit,
    )  # fmt: skip
    first = of_weights(initial.model.state_dict()) if initial else None
    batches = int(config.batch_size), int(config.bptt)
    strands = store.alphabet.strands(str(config.strands))
    identity = of_stream(store.codes, holdout, strands, int(config.seed), batches, first)
    run.take_up(spec, identity)
    data = LanguageModelDataModule(
        store.codes,
        holdout,
        tokenizer,
        batch_size=int(config.batch_size),
        bptt=int(config.bptt),
        strands=str(config.strands),
        seed=int(config.seed),
        cache_dir=Path(str(config.paths.cache_dir)),
    )
    data.stream(training=True), data.stream(training=False)  # too small a corpus is told now, not after minutes
    task = LanguageModelTask(spec, plain(config.optimizer), plain(config.schedule))
    task.learned_from = identity
    results: dict[str, Any] = run.facts
    if initial is not None:
        report = transfer(task.model, initial.model.state_dict(), "encoder.", "head.")
        logger.info("transfer from %s: %s", initial.source, report.summary())
        results["transfer"] = {"from": str(initial.source), **vars(report)}
    else:
        initialise_bias(task.model, data.token_counts())
    frequencies = score_of_frequencies(task, data)
    task.ignorance = frequencies["loss"]
    if config.lr_find:
        rates, losses, suggestion = lr_range_test(task.model, data.stream(training=True))
        logger.info("learning-rate range test: the loss falls fastest at %.1e (lr=%.1e)", suggestion, suggestion)
        results |= {"lr_find": {"lrs": rates, "losses": losses, "suggestion": suggestion}}
        run.finish(results, language_model_report(results), name="lr_find")
        return results
    fitted = fit(run, task, data, spec)
    if not fitted.is_main:
        return results
    scores = evaluate_stream(task, data)
    spans = [(part.start, part.end) for part in holdout.train]
    alphabet = store.alphabet
    markov = MarkovModel.fit(store.codes, spans, strands=str(config.strands), alphabet=alphabet)
    markov_bits = markov.bits_per_base(store.codes, [(part.start, part.end) for part in holdout.valid])
    results |= {
        "metrics": {f"val/{name}": value for name, value in scores.items()},
        "worthless": ignorance(scores["bits_per_base"], frequencies["bits_per_base"], task.global_step, alphabet.unit),
        "baselines": {
            "markov": {"bits_per_base": markov_bits, "order": markov.order},
            "token_frequencies": {"bits_per_base": frequencies["bits_per_base"]},
        },
        "data": {
            "files": [{"name": item.name, "sha256": item.sha256} for item in store.sources],
            "store": store.summary(),
            "bases": bases,
            LEARNED_FROM: identity,
            "strands": alphabet.strands(str(config.strands)),
            "alphabet": source.alphabet,
        },
        "model": {
            "parameters": sum(parameter.numel() for parameter in task.model.parameters()),
            "tokenizer": tokenizer.summary(),
        },
        "timing": {"seconds": fitted.seconds, "tokens_per_second": fitted.tokens_per_second},
    }
    page = {**results, "curves": run.curves(), "config_yaml": run.config_yaml}
    run.finish(results, language_model_report(page))
    logger.info(
        "%s: %.4f bits per %s on held-out sequence (Markov model of order %d: %.4f; knowing nothing: %.3g); %s",
        run.stage, scores["bits_per_base"], alphabet.unit, markov.order, markov_bits, alphabet.bits, CHOSE_THE_EPOCH,
    )  # fmt: skip
    run.refuse_worthless(results)
    return results


@torch.no_grad()
def evaluate_stream(task: LanguageModelTask, data: LanguageModelDataModule) -> dict[str, float]:
    """Score the whole held-out stream, in this process alone, with the weights that validation chose."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = task.model.to(device).eval()
    score, state = StreamScore(sync_on_compute=False).to(device), None
    for batch in data.stream(training=False, alone=True):
        output = model(batch.tokens.to(device), batch.targets.to(device), state)
        state = output.state
        score.update(output.losses, output.correct, task.bases(output))
    return {name: float(value) for name, value in score.compute().items()}


@torch.no_grad()
def score_of_frequencies(task: LanguageModelTask, data: LanguageModelDataModule) -> dict[str, float]:
    """Score the held-out stream by the frequencies of tokens in the training part alone.

    That is the decoder's bias without a network, and where training starts.

    Returns:
        `loss` (nats a token), `accuracy` and `bits_per_base`.
    """
    head = copy.deepcopy(task.model.head).eval()
    head.bias.copy_(log_frequencies(data.token_counts()))
    no_weight = head.bias.new_zeros(len(head.bias), 1)
    score = StreamScore(sync_on_compute=False)
    for batch in data.stream(training=False, alone=True):
        contexts, targets = batch.tokens.flatten(), batch.targets.flatten()
        losses, correct = head.token_losses(no_weight, no_weight.new_zeros(len(contexts), 1), contexts, targets)
        score.update(losses, correct, task.bases_between(contexts, targets, targets >= head.num_special))
    return {name: float(value) for name, value in score.compute().items()}


def ignorance(bits: float, frequencies_bits: float, steps: int, unit: str) -> str:
    """Return why a language model is worth nothing, or an empty text if it has learned something.

    Args:
        bits: What it needs for a base of the held-out part.
        frequencies_bits: What the frequencies of tokens need.
        steps: Optimizer steps of its training; a model of few steps is a trial, and only warned of.
        unit: What it counts by: base or residue.
    """
    if bits < frequencies_bits:
        return ""
    text = (
        f"The language model has learned nothing: it needs {bits:.4f} bits per {unit}, and the frequencies of tokens "
        f"alone {frequencies_bits:.4f}."
    )
    if steps < ENOUGH_STEPS:
        logger.warning("%s It was trained for %d steps only: train longer.", text, steps)
        return ""
    return (
        f"{text} Lower the learning rate (lr_find=true suggests one) or drop_mult. If the curve in the report falls "
        "and then rises again, training collapsed."
    )
