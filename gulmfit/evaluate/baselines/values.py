"""Cheap predictors of values, as `gulmfit.evaluate.baselines.classes` has cheap classifiers.

`mean` knows the training mean; `length`, `gc`, `dinucleotide` and, of proteins, `composition` are least squares;
`kmer_ridge` and `onehot_ridge` are ridge regressions on k-mer content and on the letter at each position;
`onehot_boosting` finds letters that go together; `canonical_kmer_ridge` is ridge regression on longer words, of either
strand where strand means nothing.

Shapes: `N` sequences, `C` values.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gulmfit.evaluate.baselines import fits as shared
from gulmfit.evaluate.baselines.fits import Part
from gulmfit.evaluate.baselines.fitted import Constant, FittedBaseline, Outputs, Trees
from gulmfit.evaluate.baselines.inputs import Floats, kmer_length
from gulmfit.evaluate.baselines.views import View
from gulmfit.seq.alphabet import DNA, Alphabet

BASELINES = (
    "mean",
    "length",
    *shared.OF_NUCLEOTIDES,
    *shared.OF_PROTEINS,
    "kmer_ridge",
    "onehot_ridge",
    "onehot_boosting",
    "canonical_kmer_ridge",
)

CHOICES_OF_ALPHA = (0.1, 1.0, 10.0, 100.0, 1000.0)  # L2 strengths, tried on the validation sequences
CHOICES_OF_ALPHA_OF_WORDS = (1.0, 0.1, 10.0)  # of rows of unit length; the first without validation sequences


def run_value_baselines(
    train: Part,
    valid: Part,
    test_sequences: Sequence[str],
    *,
    seed: int = 0,
    cache_dir: Path | None = None,
    alphabet: Alphabet = DNA,
    stranded: bool = False,
) -> dict[str, Floats]:
    """shared.Fit every baseline on the training part and give its predictions for the test sequences.

    Values are standardised for fitting. Ridge regressions take the L2 strength of least squared error on the validation
    part, boosting the number of trees.

    Args:
        train: Training part; of more than 50,000 sequences a random 50,000 are fitted.
        valid: Validation part, one sequence or more.
        test_sequences: Sequences to predict.
        seed: Of the choice of training sequences.
        cache_dir: Folder where results are kept, as in `gulmfit.evaluate.baselines.classes.run_baselines`.
        alphabet: What the letters are.
        stranded: Whether a sequence and its reverse complement may differ in their values.

    Returns:
        (N_test, C) values in their units for each name of `BASELINES` that the alphabet has; without `length` where all
        training sequences have one length.
    """
    names = shared.usable(BASELINES, alphabet, train)

    def run() -> dict[str, Floats]:
        fitted = _fit_values(names, train, valid, seed, alphabet, stranded)
        return {name: baseline.predict(test_sequences) for name, baseline in fitted.items()}

    return shared.cached(
        run,
        cache_dir,
        "value-baselines",
        (train, valid, Part(test_sequences, train.targets[:0])),
        {
            "alphabet": [alphabet.name, stranded, kmer_length(alphabet)],
            "alpha": [*CHOICES_OF_ALPHA, *CHOICES_OF_ALPHA_OF_WORDS],
            "run": [seed],
        },
        (names, (len(test_sequences), train.targets.shape[1])),
    )


def _fit_values(
    names: Sequence[str], train: Part, valid: Part, seed: int, alphabet: Alphabet, stranded: bool = False
) -> dict[str, FittedBaseline]:
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.linear_model import Ridge

    train = shared.at_most(train, seed, np.zeros(0, dtype=np.int64))
    location, scale = train.targets.mean(axis=0), train.targets.std(axis=0)
    train, valid = (Part(part.sequences, (part.targets - location) / scale) for part in (train, valid))
    outputs, views = Outputs(len(scale)), shared.views_of(alphabet, train)

    def mean(name: str) -> FittedBaseline:
        return Constant(name, View("length"), outputs, location)

    def ridge(
        name: str, strengths: Sequence[float] = CHOICES_OF_ALPHA, choices: Sequence[View] = (), known: Part = train
    ) -> FittedBaseline:
        models = [Ridge(alpha=alpha) for alpha in strengths]
        found = shared.fit_linear(name, choices or [views[name]], models, known, valid, _squared_error, outputs)
        return replace(found, weights=found.weights * scale, bias=found.bias * scale + location)

    def least_squares(name: str) -> FittedBaseline:
        return ridge(name, CHOICES_OF_ALPHA[:1])

    def of_words(name: str) -> FittedBaseline:
        choices = shared.word_views(alphabet, stranded)["canonical"]
        most = shared.affordable(name, train, len(choices) * len(scale))
        some = shared.at_most(train, seed, np.zeros(0, dtype=np.int64), most, f"{name} is")
        return ridge(name, CHOICES_OF_ALPHA_OF_WORDS, choices, some)

    def boosting(name: str) -> FittedBaseline:
        features, held = shared.seen(views[name], train, valid)
        models = [
            shared.fit_trees(HistGradientBoostingRegressor, features, column, held and (held[0], valid_column), seed)
            for column, valid_column in zip(train.targets.T, valid.targets.T, strict=True)
        ]
        found = Trees(name, views[name], outputs, **shared.tree_arrays(models, features, alphabet))
        return replace(found, start=found.start * scale + location, sums=found.sums * scale)

    fits = {
        "mean": mean,
        "kmer_ridge": ridge,
        "onehot_ridge": ridge,
        "onehot_boosting": boosting,
        "canonical_kmer_ridge": of_words,
    }
    return shared.fit_each({name: fits.get(name, least_squares) for name in names})


def _squared_error(model: Any, features: Any, values: Floats) -> float:
    return float(np.square(model.predict(features).reshape(values.shape) - values).mean())
