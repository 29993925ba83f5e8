"""How things are called in reports, and numbers in sentences."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from gulmfit.seq.labels.targets import CLASSES, target_kind

Results = Mapping[str, Any]

SEARCHED_UNEQUALLY = (
    "The settings of the two were not searched equally: the model from scratch has one fixed learning rate and dropout "
    "(classify.scratch), the transferred one those of its recipe."
)
CHOSE_THE_EPOCH = "the same held-out part chose the epoch, so a new one would score slightly worse"

HEADINGS = {
    "mcc": "MCC",
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "f1": "F1",
    "ece": "ECE",
    "brier": "Brier score",
    "log_loss": "log loss",
    "bits_per_base": "bits per base",
    "auroc_macro": "macro AUROC",
    "auroc_micro": "micro AUROC",
    "auprc_macro": "macro AUPRC",
    "auprc_micro": "micro AUPRC",
    "f1_macro": "macro F1",
    "f1_micro": "micro F1",
    "hamming_loss": "Hamming loss",
    "exact_match": "exact match",
    "r2": "R²",
    "pearson": "Pearson's r",
    "spearman": "Spearman's rho",
    "rmse": "RMSE",
    "mae": "MAE",
}
_MODELS = {
    "majority": "majority class",
    "length": "length",
    "gc": "GC content",
    "dinucleotide": "dinucleotides",
    "composition": "composition",
    "kmer_logistic": "k-mer logistic",
    "onehot_logistic": "positional one-hot",
    "onehot_boosting": "boosted one-hot",
    "canonical_kmer_logistic": "k-mers of either strand",
    "gapped_kmer_logistic": "gapped k-mers",
    "cnn": "one-layer CNN",
    "kmer_naive_bayes": "k-mer naive Bayes",
    "mean": "training mean",
    "kmer_ridge": "k-mer ridge",
    "canonical_kmer_ridge": "k-mers of either strand, ridge",
    "onehot_ridge": "positional one-hot ridge",
    "markov": "Markov model",
    "frequent_codon": "most frequent codon",
    "codon_hmm": "codon HMM, posterior",
    "codon_hmm_viterbi": "codon HMM, Viterbi",
    "scratch": "from scratch",
}


def heading(metric: str) -> str:
    """Name a metric for a table."""
    return HEADINGS.get(metric, metric)


def model_name(name: str) -> str:
    """Name a model or baseline."""
    return _MODELS.get(name, name)


def p_text(p_value: float) -> str:
    """Write a p-value."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.2g}"


def capital(text: str) -> str:
    """Begin a sentence."""
    return text[:1].upper() + text[1:]


def finite(value: Any) -> float | None:
    """Return a number that can be shown, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        return None
    return float(value) if math.isfinite(value) else None


def title(kind: str, results: Results) -> str:
    """Head a report."""
    return f"{kind}: {results['run']}" if results.get("run") else kind


def subtitle(results: Results) -> str:
    """Say in a line what was run."""
    parts = [f"{name} {results[name]}" for name in ("stage", "seed") if results.get(name) is not None]
    classes = [str(name) for name in results.get("classes") or ()]
    listed = ", ".join(classes[:6]) + (" …" if len(classes) > 6 else "")
    noun = target_kind(str(results.get("targets") or CLASSES)).many
    parts += [f"{len(classes)} {noun}: {listed}"] if classes else []
    return " · ".join(parts)
