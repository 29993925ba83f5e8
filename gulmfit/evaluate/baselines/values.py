"""Cheap predictors of values, as `gulmfit.evaluate.baselines.classes` has cheap classifiers.

`mean` knows the training mean; `length`, `gc`, `dinucleotide` and, of proteins, `composition` are least squares;
`kmer_ridge` and `onehot_ridge` are ridge regressions on k-mer content and on the letter at each position;
`onehot_boosting` finds letters that go together.

Shapes: `N` sequences, `C` values.
"""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gulmfit.evaluate.baselines import fits as shared
from gulmfit.evaluate.baselines.fits import Part
from gulmfit.evaluate.baselines.inputs import Floats, kmer_length
from gulmfit.seq.alphabet import DNA, Alphabet

BASELINES = (
    "mean",
    "length",
    *shared.OF_NUCLEOTIDES,
    *shared.OF_PROTEINS,
    "kmer_ridge",
    "onehot_ridge",
    "onehot_boosting",
)

CHOICES_OF_ALPHA = (0.1, 1.0, 10.0, 100.0, 1000.0)  # L2 strengths, tried on the validation sequences


def run_value_baselines(
    train: Part,
    valid: Part,
    test_sequences: Sequence[str],
    *,
    seed: int = 0,
    cache_dir: Path | None = None,
    alphabet: Alphabet = DNA,
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

    Returns:
        (N_test, C) values in their units for each name of `BASELINES` that the alphabet has; without `length` where all
        training sequences have one length.
    """
    names = shared.usable(BASELINES, alphabet, train)
    return shared.cached(
        functools.partial(_run, names, train, valid, test_sequences, seed, alphabet),
        cache_dir,
        "value-baselines",
        (train, valid, Part(test_sequences, train.targets[:0])),
        {"alphabet": [alphabet.name, kmer_length(alphabet)], "alpha": CHOICES_OF_ALPHA, "run": [seed]},
        (names, (len(test_sequences), train.targets.shape[1])),
    )


def _run(
    names: Sequence[str], train: Part, valid: Part, test_sequences: Sequence[str], seed: int, alphabet: Alphabet
) -> dict[str, Floats]:
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.linear_model import Ridge

    train = shared.at_most(train, seed, np.zeros(0, dtype=np.int64))
    location, scale = train.targets.mean(axis=0), train.targets.std(axis=0)
    train, valid = (Part(part.sequences, (part.targets - location) / scale) for part in (train, valid))

    def ridge(known: Any, held: shared.Held) -> Callable[[Any], Floats]:
        models = [Ridge(alpha=alpha) for alpha in (CHOICES_OF_ALPHA if held else CHOICES_OF_ALPHA[:1])]
        model = shared.fit_linear(models, known, train.targets, held, _squared_error)
        return lambda features: model.predict(features).reshape(-1, len(scale))

    def boosting(known: Any, held: shared.Held) -> Callable[[Any], Floats]:
        models = [
            shared.fit_trees(HistGradientBoostingRegressor, known, column, held and (held[0], valid_column), seed)
            for column, valid_column in zip(train.targets.T, valid.targets.T, strict=True)
        ]
        return lambda features: np.stack([model.predict(features) for model in models], axis=1)

    tuned: dict[str, shared.Fit] = {"kmer_ridge": ridge, "onehot_ridge": ridge, "onehot_boosting": boosting}
    fits = {name: tuned.get(name, lambda known, held: ridge(known, None)) for name in names[1:]}
    found = shared.predict_each(fits, alphabet, train, valid, test_sequences, len(scale))
    units = {name: predicted * scale + location for name, predicted in found.items()}
    return {"mean": np.tile(location, (len(test_sequences), 1)), **units}


def _squared_error(model: Any, features: Any, values: Floats) -> float:
    return float(np.square(model.predict(features).reshape(values.shape) - values).mean())
